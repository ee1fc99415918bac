// see prober.h
#include "prober.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>

namespace firsthop {

namespace {

constexpr int64_t kMs = 1'000'000;
// Probes leave at multiples of this after a boot, so that those of many targets share a wake-up.
constexpr int64_t kGridNs = 5 * kMs;
constexpr int64_t kFineGridNs = kMs;
constexpr int64_t kFineBelowNs = 50 * kMs;
// A target's first probe leaves within this time, whatever its interval.
constexpr int64_t kFirstWithinNs = 100 * kMs;
// With the next deadline so close, answers wait for it; and they wake the thread no more often than this.
constexpr int64_t kPatienceNs = 5 * kMs;
constexpr int64_t kPauseNs = 2 * kMs;
constexpr int64_t kPortCheckedNs = 1000 * kMs;
constexpr int64_t kFailedPortCheckedNs = 20 * kMs;
// What one wake-up reads of one socket, a flood or not.
constexpr int kBatchesAtOnce = 32;
constexpr size_t kSightingsMax = 16384;
constexpr int64_t kNeverNs = INT64_MAX;

int64_t clockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int64_t gridOf(int64_t interval_ns) {
  if (interval_ns >= kFineBelowNs) return kGridNs;
  return std::min(kFineGridNs, interval_ns);
}

int enterNamespace(const std::string& path) {
  if (path.empty()) return 0;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() && ::setns(fd.get(), CLONE_NEWNET) == 0 ? 0 : errno;
}

template <typename T>
void increment(std::atomic<T>& counter) {
  counter.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

struct Prober::Target {
  uint32_t id = 0;
  uint32_t slot = 0;
  uint32_t generation = 0;
  ProbeSettings settings;
  ProbePort* port = nullptr;
  std::shared_ptr<ProbeCounters> counters;

  int64_t phase_ns = 0;
  int64_t due_ns = 0;
  bool outstanding = false;
  int64_t sent_ns = 0;
  int64_t deadline_ns = 0;
  uint64_t nonce = 0;
  uint16_t sequence = 0;
  std::optional<MacOctets> mac;

  ProbeOutcome outcome = ProbeOutcome::kNone;
  int error = 0;
  ProbeVerdict verdict = ProbeVerdict::kUnknown;
  uint32_t successes = 0;
  uint32_t failures = 0;
  uint32_t crossings = 0;
  // Where its report waits, if JavaScript has taken none since.
  size_t report_at = 0;
  uint64_t report_epoch = UINT64_MAX;

  int64_t nextNs() const { return outstanding ? deadline_ns : due_ns; }
  ProbePort::Channel channel() const {
    if (settings.kind != ProbeKind::kIcmp) return ProbePort::Channel::kArp;
    return settings.address.ipv6 ? ProbePort::Channel::kEcho6 : ProbePort::Channel::kEcho4;
  }
};

struct Prober::Command {
  enum class Kind : uint8_t { kAdd, kRemove, kSource, kFollow, kUnfollow, kRefresh } kind = Kind::kAdd;
  uint32_t id = 0;
  ProbeSettings settings;
  std::shared_ptr<ProbeCounters> counters;
};

// ---- for other threads --------------------------------------------------------------------------------------------

Prober::Prober(Options options) : options_(std::move(options)) {}
Prober::~Prober() { stop(); }

int64_t Prober::nowNs() { return clockNs(CLOCK_MONOTONIC); }

int Prober::start() {
  event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_.valid()) return errno;
  std::promise<int> entered;
  std::future<int> error = entered.get_future();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, &entered] {
    pthread_setname_np(pthread_self(), "fh-prober");
    const int refused = enterNamespace(options_.network_namespace);
    entered.set_value(refused);
    if (refused == 0) run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const int refused = error.get();
  if (refused != 0) thread_.join();
  return refused;
}

void Prober::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(event_.get(), 1);
  thread_.join();
}

uint32_t Prober::add(const ProbeSettings& settings) {
  Command command;
  command.settings = settings;
  command.counters = std::make_shared<ProbeCounters>();
  uint32_t id = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    id = ++last_id_;
    command.id = id;
    known_[id] = command.counters;
    commands_.push_back(std::move(command));
  }
  ::eventfd_write(event_.get(), 1);
  return id;
}

bool Prober::remove(uint32_t target) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (known_.erase(target) == 0) return false;
    Command command;
    command.kind = Command::Kind::kRemove;
    command.id = target;
    commands_.push_back(std::move(command));
    // Nothing more is said about it.
    for (ProbeReport& one : reports_) {
      if (one.target == target) one.target = 0;
    }
  }
  ::eventfd_write(event_.get(), 1);
  return true;
}

bool Prober::changeSource(uint32_t target, const std::optional<ProbeAddress>& source) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (known_.count(target) == 0) return false;
    Command command;
    command.kind = Command::Kind::kSource;
    command.id = target;
    command.settings.source = source;
    commands_.push_back(std::move(command));
  }
  ::eventfd_write(event_.get(), 1);
  return true;
}

uint32_t Prober::follow(const std::string& interface) {
  Command command;
  command.kind = Command::Kind::kFollow;
  command.settings.interface = interface;
  uint32_t id = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    id = ++last_id_;
    command.id = id;
    followers_[id] = interface;
    commands_.push_back(std::move(command));
  }
  ::eventfd_write(event_.get(), 1);
  return id;
}

bool Prober::unfollow(uint32_t follower) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (followers_.erase(follower) == 0) return false;
    Command command;
    command.kind = Command::Kind::kUnfollow;
    command.id = follower;
    commands_.push_back(std::move(command));
  }
  ::eventfd_write(event_.get(), 1);
  return true;
}

void Prober::refresh() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Command command;
    command.kind = Command::Kind::kRefresh;
    commands_.push_back(std::move(command));
  }
  ::eventfd_write(event_.get(), 1);
}

std::shared_ptr<const ProbeCounters> Prober::counters(uint32_t target) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = known_.find(target);
  return found == known_.end() ? nullptr : found->second;
}

std::vector<ProbeReport> Prober::takeReports() {
  std::vector<ProbeReport> taken;
  std::lock_guard<std::mutex> lock(mutex_);
  taken.swap(reports_);
  reports_taken_++;
  taken.erase(std::remove_if(taken.begin(), taken.end(), [](const ProbeReport& one) { return one.target == 0; }),
              taken.end());
  return taken;
}

std::vector<Sighting> Prober::takeSightings() {
  std::vector<Sighting> taken;
  std::lock_guard<std::mutex> lock(mutex_);
  taken.swap(sightings_);
  taken.erase(std::remove_if(taken.begin(), taken.end(),
                             [this](const Sighting& one) { return followers_.count(one.follower) == 0; }),
              taken.end());
  return taken;
}

ProberStatistics Prober::statistics() {
  ProberStatistics statistics;
  statistics.wakeups = wakeups_.load(std::memory_order_relaxed);
  statistics.foreign = foreign_.load(std::memory_order_relaxed);
  statistics.cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  return statistics;
}

// ---- the thread ---------------------------------------------------------------------------------------------------

void Prober::run() {
  for (;;) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) break;
    }
    execute();
    const int64_t now_ns = nowNs();
    if (refresh_) {
      for (auto& [name, port] : ports_) port->check(now_ns);
      refresh_ = false;
    }
    // What has come in before the deadlines are looked at: an answer that the kernel has is no timeout.
    listen();
    serve(now_ns);
    watchNeighbours(now_ns);
    if (reported_) options_.wake();
    reported_ = false;
    cpu_ns_.store(clockNs(CLOCK_THREAD_CPUTIME_ID), std::memory_order_relaxed);
    wait(nowNs());
    increment(wakeups_);
  }
}

void Prober::execute() {
  std::vector<Command> commands;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) {
    switch (command.kind) {
      case Command::Kind::kAdd: enlist(command); break;
      case Command::Kind::kRemove: dismiss(command.id); break;
      case Command::Kind::kSource: {
        const auto found = slots_.find(command.id);
        if (found != slots_.end()) targets_[found->second]->settings.source = command.settings.source;
        break;
      }
      case Command::Kind::kFollow: neighbours_.follow(command.id, command.settings.interface); break;
      case Command::Kind::kUnfollow: neighbours_.unfollow(command.id); break;
      case Command::Kind::kRefresh:
        refresh_ = true;
        neighbours_.refresh();
        break;
    }
  }
}

void Prober::enlist(Command& command) {
  auto target = std::make_unique<Target>();
  target->id = command.id;
  target->settings = std::move(command.settings);
  target->counters = std::move(command.counters);
  target->generation = ++generation_;
  if (free_slots_.empty()) {
    target->slot = static_cast<uint32_t>(targets_.size());
    targets_.emplace_back();
  } else {
    target->slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const std::string& name = target->settings.interface;
  std::unique_ptr<ProbePort>& port = ports_[name];
  if (!port) {
    const uint64_t random = nonce();
    port = std::make_unique<ProbePort>(name, static_cast<uint16_t>(random >> 32), static_cast<uint32_t>(random));
    port->check(nowNs());
  }
  target->port = port.get();
  port->targets++;
  if (target->settings.kind != ProbeKind::kIcmp) port->asked.emplace(target->settings.address, target->slot);

  // Multiples of the golden ratio fall evenly, however many there are.
  const int64_t interval_ns = target->settings.interval_ns;
  const int64_t grid_ns = gridOf(interval_ns);
  const double turn = static_cast<double>(++enlisted_) * 0.61803398874989485;
  const double share = turn - std::floor(turn);
  const auto onGrid = [&](int64_t within_ns) {
    return static_cast<int64_t>(share * static_cast<double>(within_ns / grid_ns)) * grid_ns;
  };
  target->phase_ns = onGrid(interval_ns);
  target->due_ns = (nowNs() / grid_ns + 1) * grid_ns + onGrid(std::min(interval_ns, kFirstWithinNs));
  slots_[target->id] = target->slot;
  push(*target);
  targets_[target->slot] = std::move(target);
}

void Prober::dismiss(uint32_t id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return;
  const uint32_t slot = found->second;
  slots_.erase(found);
  const std::unique_ptr<Target> target = std::move(targets_[slot]);
  free_slots_.push_back(slot);
  ProbePort& port = *target->port;
  if (target->outstanding) port.outstanding--;
  if (target->settings.kind != ProbeKind::kIcmp) {
    const auto [from, to] = port.asked.equal_range(target->settings.address);
    for (auto at = from; at != to; ++at) {
      if (at->second != slot) continue;
      port.asked.erase(at);
      break;
    }
  }
  if (--port.targets == 0) ports_.erase(target->settings.interface);
}

// ---- deadlines ----------------------------------------------------------------------------------------------------

void Prober::push(Target& target) {
  due_.push_back({target.nextNs(), target.slot, target.generation});
  std::push_heap(due_.begin(), due_.end());
}

// Each target has one entry, at or before its deadline: one that was put off is moved when it comes up.
int64_t Prober::nextDueNs() {
  while (!due_.empty()) {
    const Due top = due_.front();
    Target* target = targetAt(top.slot);
    const bool live = target != nullptr && target->generation == top.generation;
    if (live && target->nextNs() == top.at_ns) return top.at_ns;
    std::pop_heap(due_.begin(), due_.end());
    due_.pop_back();
    if (live) push(*target);
  }
  return kNeverNs;
}

void Prober::wait(int64_t now_ns) {
  const int64_t next_ns = nextDueNs();
  int64_t until_ns = neighbours_.idle() ? next_ns : std::min(next_ns, looked_ns_ + NeighbourWatch::kPeriodNs);
  std::vector<pollfd> waited{{event_.get(), POLLIN, 0}};
  if (next_ns == kNeverNs || next_ns - now_ns > kPatienceNs) {
    if (now_ns - listened_ns_ < kPauseNs) {
      until_ns = std::min(until_ns, listened_ns_ + kPauseNs);
    } else {
      for (auto& [name, port] : ports_) {
        if (port->outstanding == 0) continue;
        for (size_t i = 0; i < ProbePort::kChannels; i++) {
          const int fd = port->fd(static_cast<ProbePort::Channel>(i));
          if (fd >= 0) waited.push_back({fd, POLLIN, 0});
        }
      }
    }
  }
  timespec left{};
  const int64_t left_ns = std::max<int64_t>(until_ns - now_ns, 0);
  left.tv_sec = left_ns / 1'000'000'000;
  left.tv_nsec = left_ns % 1'000'000'000;
  // Without anything to wait for but commands, it does nothing at all; interfaces matter only to targets.
  const int woken = ::ppoll(waited.data(), waited.size(), until_ns == kNeverNs ? nullptr : &left, nullptr);
  if (woken <= 0) return;
  if (waited[0].revents != 0) {
    eventfd_t count = 0;
    ::eventfd_read(event_.get(), &count);
  }
}

// ---- answers ------------------------------------------------------------------------------------------------------

void Prober::listen() {
  bool any = false;
  for (auto& [name, port] : ports_) {
    if (port->outstanding == 0) continue;
    any = true;
    for (size_t i = 0; i < ProbePort::kChannels; i++) drain(*port, static_cast<ProbePort::Channel>(i));
  }
  if (any) listened_ns_ = nowNs();
}

void Prober::drain(ProbePort& port, ProbePort::Channel channel) {
  const int fd = port.fd(channel);
  if (fd < 0) return;
  for (int round = 0; round < kBatchesAtOnce; round++) {
    const size_t count = batch_.receive(fd);
    if (count == 0) return;
    const int64_t now_ns = nowNs();
    const int64_t offset_ns = now_ns - clockNs(CLOCK_REALTIME);
    for (size_t i = 0; i < count; i++) {
      ProbePort::Received received{};
      if (!batch_.get(i, channel, offset_ns, &received)) {
        increment(foreign_);
        continue;
      }
      // A wall clock that was set in between makes stamps of it worthless, and later than now nothing was.
      if (received.at_ns > now_ns || received.at_ns < now_ns - 60'000 * kMs) received.at_ns = now_ns;
      hear(port, received);
    }
    if (count < ProbeBatch::kReceive) return;
  }
}

void Prober::hear(ProbePort& port, const ProbePort::Received& received) {
  switch (received.channel) {
    case ProbePort::Channel::kEcho4:
      if (const auto answer = readEchoAnswer4(received.octets, received.length)) {
        hearEcho(port, *answer, received.at_ns);
        return;
      }
      break;
    case ProbePort::Channel::kEcho6:
      if (auto answer = readEchoAnswer6(received.octets, received.length)) {
        answer->source = received.from;
        hearEcho(port, *answer, received.at_ns);
        return;
      }
      break;
    case ProbePort::Channel::kArp:
      if (const auto answer = readArpAnswer(received.octets, received.length)) {
        if (answer->targetMac == port.mac() && answer->senderMac != port.mac()) {
          hearNeighbour(port, answer->sender, &answer->senderMac, received.at_ns);
          return;
        }
      }
      break;
    case ProbePort::Channel::kNd:
      // Nobody off the link can send with this hop limit (RFC 4861 section 7.1.2).
      if (received.hop_limit == 255) {
        if (const auto answer = readAdvertisement(received.octets, received.length)) {
          hearNeighbour(port, answer->target, answer->mac ? &*answer->mac : nullptr, received.at_ns);
          return;
        }
      }
      break;
  }
  increment(foreign_);
}

void Prober::hearEcho(ProbePort& port, const EchoAnswer& answer, int64_t at_ns) {
  Target* target = targetAt(answer.identity.slot);
  const bool ours = target != nullptr && target->port == &port && target->settings.kind == ProbeKind::kIcmp &&
                    answer.identifier == port.identifier() && answer.identity.secret == port.secret() &&
                    answer.source == target->settings.address;
  if (!ours) {
    increment(foreign_);
  } else if (!target->outstanding || answer.identity.nonce != target->nonce || at_ns > target->deadline_ns) {
    increment(target->counters->late);
  } else {
    answered(*target, at_ns);
  }
}

void Prober::hearNeighbour(ProbePort& port, const ProbeAddress& address, const MacOctets* mac, int64_t at_ns) {
  const auto [from, to] = port.asked.equal_range(address);
  if (from == to) increment(foreign_);
  for (auto at = from; at != to; ++at) {
    Target& target = *targets_[at->second];
    if (!target.outstanding || at_ns > target.deadline_ns || at_ns < target.sent_ns) {
      increment(target.counters->late);
      continue;
    }
    if (mac != nullptr) {
      target.mac = *mac;
      target.counters->mac.store(packMac(*mac), std::memory_order_relaxed);
    }
    answered(target, at_ns);
  }
}

void Prober::answered(Target& target, int64_t at_ns) {
  target.outstanding = false;
  target.port->outstanding--;
  const int64_t round_trip_ns = std::max<int64_t>(at_ns - target.sent_ns, 0);
  target.counters->round_trip_ns.store(round_trip_ns, std::memory_order_relaxed);
  target.counters->answered_at_ns.store(at_ns, std::memory_order_relaxed);
  increment(target.counters->answered);
  judge(target, ProbeOutcome::kAnswered, 0, at_ns);
}

// Sightings wait until JavaScript takes them, as many as fit.
void Prober::watchNeighbours(int64_t now_ns) {
  if (neighbours_.idle() || now_ns - looked_ns_ < NeighbourWatch::kPeriodNs) return;
  looked_ns_ = now_ns;
  std::vector<Sighting> found;
  neighbours_.look(now_ns, found);
  if (found.empty()) return;
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Sighting& one : found) {
    if (sightings_.size() < kSightingsMax) sightings_.push_back(one);
  }
  reported_ = true;
}

// ---- probes -------------------------------------------------------------------------------------------------------

void Prober::serve(int64_t now_ns) {
  for (auto& [port, slots] : to_send_) slots.clear();
  for (;;) {
    const int64_t next_ns = nextDueNs();
    if (next_ns > now_ns) break;
    Target& target = *targets_[due_.front().slot];
    std::pop_heap(due_.begin(), due_.end());
    due_.pop_back();
    if (target.outstanding) {
      target.outstanding = false;
      target.port->outstanding--;
      increment(target.counters->timeouts);
      judge(target, ProbeOutcome::kTimeout, 0, target.deadline_ns);
    }
    if (target.due_ns <= now_ns) to_send_[target.port].push_back(target.slot);
    else push(target);
  }
  for (auto at = to_send_.begin(); at != to_send_.end();) {
    if (at->second.empty()) {
      at = to_send_.erase(at);
    } else {
      send(*at->first, at->second);
      ++at;
    }
  }
}

void Prober::send(ProbePort& port, const std::vector<uint32_t>& slots) {
  const int64_t begun_ns = nowNs();
  if (begun_ns - port.checkedAtNs() >= (port.error() != 0 ? kFailedPortCheckedNs : kPortCheckedNs)) port.check(begun_ns);
  // Neighbouring targets of one channel leave in one system call.
  std::array<ProbePort::Message, ProbeBatch::kSend> messages;
  size_t at = 0;
  bool retried = false;
  while (at < slots.size()) {
    const ProbePort::Channel channel = targets_[slots[at]]->channel();
    size_t count = 0;
    size_t taken = 0;
    // Targets that the batch is for; those that can't be asked at all are settled on the way.
    std::array<uint32_t, ProbeBatch::kSend> batch_slots;
    while (at + taken < slots.size() && count < ProbeBatch::kSend) {
      Target& target = *targets_[slots[at + taken]];
      if (target.channel() != channel) break;
      taken++;
      if (compose(target, port, messages[count])) batch_slots[count++] = target.slot;
    }
    at += taken;
    size_t done = 0;
    while (done < count) {
      const int64_t now_ns = nowNs();
      int error = 0;
      const size_t sent = port.send(channel, messages.data() + done, count - done, batch_, &error);
      for (size_t i = 0; i < sent; i++) sentAt(*targets_[batch_slots[done + i]], now_ns);
      done += sent;
      if (sent > 0) continue;
      // An interface that went away or came back in between: the port finds out, and this probe tries once more.
      Target& refused = *targets_[batch_slots[done]];
      if (!retried) {
        retried = true;
        port.check(now_ns);
        if (port.error() == 0 && openFor(refused, port) == 0) continue;
      }
      failedAt(refused, port.error() != 0 ? port.error() : error, now_ns);
      done++;
    }
  }
}

int Prober::openFor(const Target& target, ProbePort& port) {
  const int error = port.open(target.channel());
  return error == 0 && target.settings.kind == ProbeKind::kNd ? port.open(ProbePort::Channel::kNd) : error;
}

// False: the probe can't be sent, and its target knows.
bool Prober::compose(Target& target, ProbePort& port, ProbePort::Message& message) {
  const ProbeSettings& settings = target.settings;
  int error = port.error() != 0 ? port.error() : openFor(target, port);
  if (error == 0 && !settings.source && !settings.interface.empty()) error = EADDRNOTAVAIL;
  if (error == 0 && settings.kind == ProbeKind::kIcmp && !settings.address.ipv6 && settings.source)
    error = port.sourceError(*settings.source);
  if (error != 0) {
    failedAt(target, error, nowNs());
    return false;
  }
  target.sequence++;
  // The neighbour's own address while it answers: nobody else is disturbed, and a new one is found after a failure.
  const MacOctets* to = target.mac && target.outcome == ProbeOutcome::kAnswered ? &*target.mac : nullptr;
  EchoIdentity identity;
  switch (settings.kind) {
    case ProbeKind::kIcmp:
      target.nonce = nonce();
      identity = {port.secret(), target.slot, target.nonce};
      if (settings.address.ipv6) {
        message.length = writeEcho(message.octets.data(), true, port.identifier(), target.sequence, identity);
      } else {
        message.length = writeEchoDatagram(message.octets.data(), port.identifier(), target.sequence, identity,
                                           settings.source ? &*settings.source : nullptr, settings.address);
      }
      message.destination = settings.address;
      message.has_source = settings.source.has_value();
      if (settings.source) message.source = *settings.source;
      break;
    case ProbeKind::kArp:
      message.length = writeArpRequest(message.octets.data(), port.mac(), to, *settings.source, settings.address);
      break;
    case ProbeKind::kNd:
      message.length = writeSolicitation(message.octets.data(), port.mac(), to, *settings.source, settings.address);
      break;
  }
  return true;
}

void Prober::sentAt(Target& target, int64_t now_ns) {
  increment(target.counters->sent);
  planNext(target, now_ns);
  target.outstanding = true;
  target.port->outstanding++;
  target.sent_ns = now_ns;
  target.deadline_ns = std::min(now_ns + target.settings.timeout_ns, target.due_ns);
  push(target);
}

void Prober::failedAt(Target& target, int error, int64_t now_ns) {
  increment(target.counters->errors);
  planNext(target, now_ns);
  judge(target, ProbeOutcome::kError, error, now_ns);
  push(target);
}

// The first moment of its grid that leaves this probe its time. A thread that comes late leaves periods out: an answer
// that had no time to come is no failure.
void Prober::planNext(Target& target, int64_t sent_ns) {
  const int64_t interval_ns = target.settings.interval_ns;
  const int64_t before_ns = target.due_ns;
  const int64_t earliest_ns = sent_ns + std::max<int64_t>(target.settings.timeout_ns - interval_ns / 8, 1);
  target.due_ns = ((earliest_ns - target.phase_ns - 1) / interval_ns + 1) * interval_ns + target.phase_ns;
  const int64_t left_out = (target.due_ns - before_ns) / interval_ns - 1;
  if (left_out > 0) target.counters->skipped.fetch_add(static_cast<uint64_t>(left_out), std::memory_order_relaxed);
}

// ---- results ------------------------------------------------------------------------------------------------------

void Prober::judge(Target& target, ProbeOutcome outcome, int error, int64_t at_ns) {
  const bool success = outcome == ProbeOutcome::kAnswered;
  uint32_t& streak = success ? target.successes : target.failures;
  (success ? target.failures : target.successes) = 0;
  if (streak < UINT32_MAX) streak++;
  const ProbeVerdict wanted = success ? ProbeVerdict::kUp : ProbeVerdict::kDown;
  const bool decides = target.verdict == ProbeVerdict::kUnknown ||
                       streak >= (success ? target.settings.rise : target.settings.fall);
  const bool crosses = wanted != target.verdict && decides;
  if (crosses) {
    target.verdict = wanted;
    target.crossings++;
  }
  const bool news = crosses || outcome != target.outcome || error != target.error;
  target.outcome = outcome;
  target.error = error;
  if (news) report(target, at_ns);
}

void Prober::report(Target& target, int64_t at_ns) {
  ProbeReport made;
  made.target = target.id;
  made.outcome = target.outcome;
  made.error = target.error;
  made.verdict = target.verdict;
  made.crossings = target.crossings;
  made.streak = target.outcome == ProbeOutcome::kAnswered ? target.successes : target.failures;
  made.at_ns = at_ns;
  made.round_trip_ns = target.counters->round_trip_ns.load(std::memory_order_relaxed);
  std::lock_guard<std::mutex> lock(mutex_);
  if (known_.count(target.id) == 0) return;
  if (target.report_epoch == reports_taken_) {
    reports_[target.report_at] = made;
  } else {
    target.report_epoch = reports_taken_;
    target.report_at = reports_.size();
    reports_.push_back(made);
  }
  reported_ = true;
}

// Nobody who saw some can tell the next: one target must not be able to answer for another.
uint64_t Prober::nonce() {
  if (nonces_left_ == 0) {
    nonces_left_ = nonces_.size();
    // At most 256 octets: neither cut short nor interrupted.
    if (::getrandom(nonces_.data(), sizeof(nonces_), 0) != sizeof(nonces_)) std::abort();
  }
  return nonces_[--nonces_left_];
}

}  // namespace firsthop
