// see prober.h
#include "prober.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <future>

namespace firsthop {

namespace {

constexpr int64_t kMs = 1'000'000;
// With the next deadline so close, answers wait for it: they carry their stamps, and many targets have one on each step
// of their grid. And they wake the thread no more often than this.
constexpr int64_t kPatienceNs = 20 * kMs;
constexpr int64_t kPauseNs = 2 * kMs;
constexpr int64_t kPortCheckedNs = 1000 * kMs;
constexpr int64_t kFailedPortCheckedNs = 20 * kMs;

// Whether it is this machine that lacks something.
bool isShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == EAGAIN;
}

int enterNamespace(const std::string& path) {
  if (path.empty()) return 0;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() && ::setns(fd.get(), CLONE_NEWNET) == 0 ? 0 : errno;
}

std::optional<EchoAnswer> echoOf(const ProbePort::Received& received) {
  if (received.channel == ProbePort::Channel::kEcho4) return readEchoAnswer4(received.octets, received.length);
  if (received.channel != ProbePort::Channel::kEcho6) return std::nullopt;
  auto answer = readEchoAnswer6(received.octets, received.length);
  if (answer) answer->source = received.from;
  return answer;
}

}  // namespace

// ---- for other threads --------------------------------------------------------------------------------------------

Prober::Prober(Options options) : options_(std::move(options)) {}
Prober::~Prober() { stop(); }

int64_t Prober::nowNs() { return clockNs(CLOCK_MONOTONIC); }

int Prober::start() {
  if (const int error = mailbox_.open()) return error;
  const auto entered = std::make_shared<std::promise<int>>();
  std::future<int> refused = entered->get_future();
  const int unmade = thread_.start([this, entered] {
    pthread_setname_np(pthread_self(), "fh-prober");
    const int error = enterNamespace(options_.network_namespace);
    entered->set_value(error);
    if (error == 0) run();
  });
  if (unmade != 0) return unmade;
  const int error = refused.get();
  if (error != 0) thread_.join();
  return error;
}

void Prober::stop() {
  if (!thread_.running()) return;
  mailbox_.stop();
  thread_.join();
}

ProberStatistics Prober::statistics() const {
  ProberStatistics statistics;
  statistics.wakeups = wakeups_.load(std::memory_order_relaxed);
  statistics.foreign = foreign_.load(std::memory_order_relaxed);
  statistics.cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  return statistics;
}

// ---- the thread ---------------------------------------------------------------------------------------------------

void Prober::run() {
  // The kernel begins to stamp a moment after it was asked to; until then a stamp says when the socket was read.
  const UniqueFd stamping(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (stamping.valid()) ::setsockopt(stamping.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  stamps_.look(realtimeToMonotonic(), nowNs());
  while (execute()) {
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

bool Prober::execute() {
  std::vector<ProbeCommand> commands;
  if (!mailbox_.takeCommands(commands)) return false;
  for (ProbeCommand& command : commands) {
    switch (command.kind) {
      case ProbeCommand::Kind::kAdd: enlist(command); break;
      case ProbeCommand::Kind::kRemove: dismiss(command.id); break;
      case ProbeCommand::Kind::kSource:
        if (ProbeTarget* target = table_.find(command.id)) target->settings.source = command.settings.source;
        break;
      case ProbeCommand::Kind::kFollow: neighbours_.follow(command.id, command.settings.interface); break;
      case ProbeCommand::Kind::kUnfollow: neighbours_.unfollow(command.id); break;
      case ProbeCommand::Kind::kRefresh:
        refresh_ = true;
        neighbours_.refresh();
        break;
    }
  }
  return true;
}

void Prober::enlist(ProbeCommand& command) {
  auto made = std::make_unique<ProbeTarget>();
  made->id = command.id;
  made->settings = std::move(command.settings);
  made->verdict = made->settings.verdict;
  made->counters = std::move(command.counters);
  ProbeTarget& target = table_.add(std::move(made));
  const std::string& name = target.settings.interface;
  std::unique_ptr<ProbePort>& port = ports_[name];
  if (!port) {
    const uint64_t random = nonce();
    port = std::make_unique<ProbePort>(name, static_cast<uint16_t>(random >> 32), static_cast<uint32_t>(random));
    port->check(nowNs());
  }
  target.port = port.get();
  port->targets++;
  if (target.settings.kind != ProbeKind::kIcmp) port->asked.emplace(target.settings.address, target.slot);
  target.planFirst(enlisted_++, nowNs());
  table_.push(target);
}

void Prober::dismiss(uint32_t id) {
  const std::unique_ptr<ProbeTarget> target = table_.remove(id);
  if (!target) return;
  ProbePort& port = *target->port;
  if (target->outstanding) port.outstanding--;
  if (target->settings.kind != ProbeKind::kIcmp) {
    const auto [from, to] = port.asked.equal_range(target->settings.address);
    for (auto at = from; at != to; ++at) {
      if (at->second != target->slot) continue;
      port.asked.erase(at);
      break;
    }
  }
  if (--port.targets == 0) ports_.erase(target->settings.interface);
}

void Prober::wait(int64_t now_ns) {
  const int64_t next_ns = table_.nextNs();
  int64_t until_ns = neighbours_.idle() ? next_ns : std::min(next_ns, looked_ns_ + NeighbourWatch::kPeriodNs);
  std::vector<pollfd> waited{{mailbox_.fd(), POLLIN, 0}};
  if (next_ns == ProbeTable::kNeverNs || next_ns - now_ns > kPatienceNs) {
    if (now_ns - listened_ns_ < kPauseNs) {
      until_ns = std::min(until_ns, listened_ns_ + kPauseNs);
    } else {
      for (auto& [name, port] : ports_) {
        if (port->outstanding == 0) continue;
        for (const bool ipv6 : {false, true})
          if (port->ring(ipv6).fd() >= 0) waited.push_back({port->ring(ipv6).fd(), POLLIN, 0});
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
  const int woken = ::ppoll(waited.data(), waited.size(), until_ns == ProbeTable::kNeverNs ? nullptr : &left, nullptr);
  if (woken > 0 && waited[0].revents != 0) mailbox_.clear();
}

// ---- answers ------------------------------------------------------------------------------------------------------

void Prober::listen() {
  bool any = false;
  for (auto& [name, port] : ports_) {
    if (port->outstanding == 0) continue;
    any = true;
    for (const bool ipv6 : {false, true}) drain(*port, port->ring(ipv6));
    for (size_t i = 0; i < ProbePort::kChannels; i++) drain(*port, static_cast<ProbePort::Channel>(i));
  }
  if (any) listened_ns_ = nowNs();
}

// Reads on until all that was there when the round began has been read, for deadlines are judged next; and no further,
// because a flood must keep nobody from sending. A ring holds no more than it can.
void Prober::drain(ProbePort& port, EchoRing& ring) {
  std::array<EchoRing::Noted, ProbeBatch::kReceive> noted;
  for (size_t left = EchoRing::kCapacity; left > 0;) {
    const size_t asked = std::min(left, noted.size());
    const size_t count = ring.take(noted.data(), asked);
    hearEchoes(port, noted.data(), count);
    if (count < asked) return;
    left -= count;
  }
}

// Likewise. To leave deadlines unjudged where reading was cut off would let anybody on the link hide a failure.
void Prober::drain(ProbePort& port, ProbePort::Channel channel) {
  const int fd = port.fd(channel);
  if (fd < 0) return;
  size_t count = batch_.receive(fd);
  size_t left = count == ProbeBatch::kReceive ? ProbeBatch::mostWaiting(fd) : 0;
  for (;;) {
    if (count > 0) hearBatch(port, channel, count);
    if (count < ProbeBatch::kReceive || left == 0) return;
    count = batch_.receive(fd);
    left -= std::min(left, count);
  }
}

void Prober::hearBatch(ProbePort& port, ProbePort::Channel channel, size_t count) {
  const int64_t now_ns = nowNs();
  stamps_.look(realtimeToMonotonic(), now_ns);
  std::array<EchoRing::Noted, ProbeBatch::kReceive> echoes;
  size_t echoed = 0;
  for (size_t i = 0; i < count; i++) {
    ProbePort::Received received{};
    if (!batch_.get(i, channel, &received)) {
      increment(foreign_);
      continue;
    }
    const int64_t at_ns = stamps_.atNs(received.stamp_ns, now_ns);
    if (const auto answer = echoOf(received)) {
      echoes[echoed++] = {*answer, at_ns};
    } else {
      hearLink(port, received, at_ns);
    }
  }
  hearEchoes(port, echoes.data(), echoed);
}

// Answers to ARP and ND, and what is none at all.
void Prober::hearLink(ProbePort& port, const ProbePort::Received& received, int64_t at_ns) {
  switch (received.channel) {
    case ProbePort::Channel::kEcho4:
    case ProbePort::Channel::kEcho6:
      break;
    case ProbePort::Channel::kArp:
      if (const auto answer = readArpAnswer(received.octets, received.length)) {
        if (answer->targetMac == port.mac() && answer->senderMac != port.mac()) {
          hearNeighbour(port, answer->sender, &answer->senderMac, at_ns);
          return;
        }
      }
      break;
    case ProbePort::Channel::kNd:
      // Nobody off the link can send with this hop limit (RFC 4861 section 7.1.2).
      if (received.hop_limit == 255) {
        if (const auto answer = readAdvertisement(received.octets, received.length)) {
          hearNeighbour(port, answer->target, answer->mac ? &*answer->mac : nullptr, at_ns);
          return;
        }
      }
      break;
  }
  increment(foreign_);
}

void Prober::hearEchoes(ProbePort& port, const EchoRing::Noted* echoes, size_t count) {
  for (size_t i = 0; i < count; i++) table_.foresee(echoes[i].answer.identity.slot);
  for (size_t i = 0; i < count; i++) hearEcho(port, echoes[i].answer, echoes[i].at_ns);
}

void Prober::hearEcho(ProbePort& port, const EchoAnswer& answer, int64_t at_ns) {
  ProbeTarget* target = table_.at(answer.identity.slot);
  const bool ours = target != nullptr && target->port == &port && target->settings.kind == ProbeKind::kIcmp &&
                    answer.identifier == port.identifier() && answer.identity.secret == port.secret() &&
                    answer.source == target->settings.address;
  if (!ours) {
    increment(foreign_);
  } else if (!target->outstanding || answer.identity.nonce != target->nonce || at_ns > target->deadline_ns) {
    increment(target->counters->late);
  } else {
    // Its nonce says that it is later than the request, whatever the clocks say.
    answered(*target, std::max(at_ns, target->sent_ns));
  }
}

void Prober::hearNeighbour(ProbePort& port, const ProbeAddress& address, const MacOctets* mac, int64_t at_ns) {
  const auto [from, to] = port.asked.equal_range(address);
  if (from == to) increment(foreign_);
  for (auto at = from; at != to; ++at) {
    ProbeTarget& target = *table_.at(at->second);
    // Such an answer has no nonce. What came before the request was sent, and waited because nobody listened between two
    // probes, answers an earlier one, or none at all: only its time tells.
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

void Prober::answered(ProbeTarget& target, int64_t at_ns) {
  target.outstanding = false;
  target.port->outstanding--;
  target.counters->round_trip_ns.store(at_ns - target.sent_ns, std::memory_order_relaxed);
  target.counters->answered_at_ns.store(at_ns, std::memory_order_relaxed);
  increment(target.counters->answered);
  judge(target, ProbeOutcome::kAnswered, 0, at_ns);
}

void Prober::watchNeighbours(int64_t now_ns) {
  if (neighbours_.idle() || now_ns - looked_ns_ < NeighbourWatch::kPeriodNs) return;
  looked_ns_ = now_ns;
  std::vector<Sighting> found;
  neighbours_.look(now_ns, found);
  if (found.empty()) return;
  mailbox_.tell(found);
  reported_ = true;
}

// ---- probes -------------------------------------------------------------------------------------------------------

void Prober::serve(int64_t now_ns) {
  for (auto& [port, slots] : to_send_) slots.clear();
  while (ProbeTarget* target = table_.pop(now_ns)) {
    if (target->outstanding) {
      target->outstanding = false;
      target->port->outstanding--;
      increment(target->counters->timeouts);
      judge(*target, ProbeOutcome::kTimeout, 0, target->deadline_ns);
    }
    if (target->due_ns <= now_ns) to_send_[target->port].push_back(target->slot);
    else table_.push(*target);
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
    const ProbePort::Channel channel = table_.at(slots[at])->channel();
    size_t count = 0;
    size_t taken = 0;
    // Targets that the batch is for; those that can't be asked at all are settled on the way.
    std::array<uint32_t, ProbeBatch::kSend> batch_slots;
    while (at + taken < slots.size() && count < ProbeBatch::kSend) {
      ProbeTarget& target = *table_.at(slots[at + taken]);
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
      for (size_t i = 0; i < sent; i++) sentAt(*table_.at(batch_slots[done + i]), now_ns);
      done += sent;
      if (sent > 0) continue;
      // An interface that went away or came back in between: the port finds out, and this probe tries once more.
      ProbeTarget& refused = *table_.at(batch_slots[done]);
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

int Prober::openFor(const ProbeTarget& target, ProbePort& port) {
  const int error = port.open(target.channel());
  return error == 0 && target.settings.kind == ProbeKind::kNd ? port.open(ProbePort::Channel::kNd) : error;
}

// False: the probe can't be sent, and its target knows.
bool Prober::compose(ProbeTarget& target, ProbePort& port, ProbePort::Message& message) {
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

void Prober::sentAt(ProbeTarget& target, int64_t now_ns) {
  increment(target.counters->sent);
  target.planNext(now_ns);
  target.outstanding = true;
  target.port->outstanding++;
  target.sent_ns = now_ns;
  target.deadline_ns = std::min(now_ns + target.settings.timeout_ns, target.due_ns);
  table_.push(target);
}

void Prober::failedAt(ProbeTarget& target, int error, int64_t now_ns) {
  target.planNext(now_ns);
  if (isShortage(error)) {
    // Each time: who hears of it tells people no more often than they want to know.
    target.leaveOut(error);
    if (mailbox_.report(target, now_ns)) reported_ = true;
  } else {
    increment(target.counters->errors);
    judge(target, ProbeOutcome::kError, error, now_ns);
  }
  table_.push(target);
}

void Prober::judge(ProbeTarget& target, ProbeOutcome outcome, int error, int64_t at_ns) {
  if (target.judge(outcome, error) && mailbox_.report(target, at_ns)) reported_ = true;
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
