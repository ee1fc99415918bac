#include "heartbeat.h"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "util/locked_code.h"

namespace firsthop {

namespace {

constexpr int kLanePriority = 49;
// No socket takes longer to be opened; frames come in meanwhile.
constexpr int64_t kOpeningNs = 1'000'000'000;
constexpr int kStopLimitMs = 200;

}  // namespace

int64_t Heartbeat::nowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

Heartbeat::Heartbeat(Options options) : options_(std::move(options)) {}

Heartbeat::~Heartbeat() { stop(); }

int Heartbeat::start() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  quiet_epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !quiet_epoll_.valid() || !timer_.valid() || !stop_event_.valid()) return errno;
  for (const int epoll : {epoll_.get(), quiet_epoll_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kTimerEvent;
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, timer_.get(), &event) != 0) return errno;
    event.data.u64 = kStopEvent;
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, stop_event_.get(), &event) != 0) return errno;
  }
  if (!batch_.allocate()) return errno;
  if (::getrandom(&random_, sizeof(random_), GRND_NONBLOCK) != sizeof(random_)) random_ = static_cast<uint64_t>(nowNs());
  timing_.memory_locked = lockCode() && batch_.locked();
  renewed_ns_ = nowNs();
  lane_ = std::make_unique<KernelLane>(
      kLanePriority,
      [this](uint32_t port, const Bytes* const* frames, size_t count) { sendAll(port, frames, count); });
  if (const int error = lane_->start(); error != 0) return error;
  started_ = true;
  if (const int error = thread_.start("fh-heartbeat", kPriority, [this] { run(); }); error != 0) return error;
  return startStandIn();
}

void Heartbeat::stop() {
  if (!started_.exchange(false)) return;
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_event_.get(), &one, sizeof(one));
  thread_.join();
  stand_in_.join();
  lane_->stop(kStopLimitMs);
}

// ---- ports ------------------------------------------------------------------------------------------------------

int Heartbeat::openLanPort(int ifindex, const std::vector<sock_filter>& filter, const std::vector<Bytes>& memberships,
                           const std::vector<std::string>& groups, uint32_t* port,
                           const std::vector<uint16_t>& udp_ports) {
  auto socket = std::make_shared<PacketPort>();
  const int error = socket->openLan(ifindex, filter, memberships, groups, udp_ports);
  return error != 0 ? error : addPort(std::move(socket), port);
}

int Heartbeat::openDatagramPort(bool ipv6, int ifindex, uint32_t* port) {
  auto socket = std::make_shared<PacketPort>();
  const int error = socket->openDatagram(ipv6, ifindex);
  return error != 0 ? error : addPort(std::move(socket), port);
}

int Heartbeat::addPort(std::shared_ptr<PacketPort> socket, uint32_t* port) {
  auto added = std::make_unique<Port>();
  added->socket = std::move(socket);
  added->emptied_ns = nowNs() - kOpeningNs;
  std::lock_guard<PiMutex> lock(mutex_);
  const uint32_t id = next_port_++;
  if (added->socket->receives()) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, added->socket->fd(), &event) != 0) return errno;
  }
  ports_.emplace(id, std::move(added));
  *port = id;
  return 0;
}

bool Heartbeat::closePort(uint32_t port) {
  std::unique_ptr<Port> closed;
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = ports_.find(port);
  if (found == ports_.end()) return false;
  if (found->second->socket->receives()) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->socket->fd(), nullptr);
  }
  closed = std::move(found->second);
  ports_.erase(found);
  return true;
}

bool Heartbeat::hasPort(uint32_t port) {
  std::lock_guard<PiMutex> lock(mutex_);
  return ports_.count(port) != 0;
}

bool Heartbeat::send(uint32_t port, const Bytes& frame) {
  const Bytes* const frames[] = {&frame};
  return sendAll(port, frames, 1);
}

// The socket is used outside the lock: it may be slow, and it lives as long as somebody holds it.
bool Heartbeat::sendAll(uint32_t port, const Bytes* const* frames, size_t count) {
  std::shared_ptr<PacketPort> socket;
  {
    std::lock_guard<PiMutex> lock(mutex_);
    auto found = ports_.find(port);
    if (found == ports_.end()) return false;
    socket = found->second->socket;
  }
  socket->send(frames, count);
  return true;
}

bool Heartbeat::portCounters(uint32_t port, PortCounters* into) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = ports_.find(port);
  if (found == ports_.end()) return false;
  Port& one = *found->second;
  one.counters.dropped_by_kernel += one.socket->takeKernelDrops();
  one.counters.sent = one.socket->sent.load(std::memory_order_relaxed);
  one.counters.send_errors = one.socket->send_errors.load(std::memory_order_relaxed);
  *into = one.counters;
  return true;
}

// ---- sessions ---------------------------------------------------------------------------------------------------

Session::Session() {
  for (size_t i = 0; i < timers.size(); i++) {
    timers[i].session = this;
    timers[i].index = static_cast<uint8_t>(i);
  }
}

const Transition* Session::onTimer(int timer) const {
  const Posture* posture = current();
  if (posture == nullptr) return nullptr;
  const int16_t index = posture->by_timer[timer];
  return index == kNone ? nullptr : &posture->transitions[static_cast<size_t>(index)];
}

uint32_t Heartbeat::createSession() {
  auto session = std::make_unique<Session>();
  std::lock_guard<PiMutex> lock(mutex_);
  session->id = next_session_++;
  // Numbers begin anywhere (RFC 5880 section 6.8.1).
  session->sequence_sent = static_cast<uint32_t>(draw(UINT32_MAX));
  const uint32_t id = session->id;
  sessions_.emplace(id, std::move(session));
  return id;
}

bool Heartbeat::removeSession(uint32_t id) {
  std::unique_ptr<Session> removed;
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  expect(*found->second, false);
  for (Timer& timer : found->second->timers) heap_.take(timer);
  removed = std::move(found->second);
  sessions_.erase(found);
  return true;
}

Heartbeat::LoadResult Heartbeat::load(uint32_t id, std::shared_ptr<const Program> program, uint32_t posture,
                                      const std::vector<Operation>& operations, int64_t base_ns, uint32_t epoch) {
  std::shared_ptr<const Program> previous;  // freed after the lock
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return LoadResult::NoSession;
  Session& session = *found->second;
  if (session.epoch != epoch) return LoadResult::Stale;
  const int64_t now_ns = nowNs();
  // Before the timer is set anew, which tells by its old time that nobody ran meanwhile.
  noteAbsence(now_ns);
  if (session.program != program) {
    expect(session, false);
    previous = std::move(session.program);
    session.program = std::move(program);
    expect(session, true);
  }
  session.posture = posture;
  // Nothing that JavaScript knows of is yet to come.
  base_ns = std::min(base_ns, now_ns);
  carryOut(session, operations, {Moment::Cause::Entry, base_ns, now_ns});
  if (session.gaveWay()) giveWay(session, now_ns);
  deliverSignals();
  flush();
  armWakeup();
  if (woke_) options_.wake();
  woke_ = false;
  return LoadResult::Loaded;
}

void Heartbeat::expect(Session& session, bool add) {
  session.listening.clear();
  if (!session.program) return;
  const auto& patterns = session.program->patterns;
  for (uint32_t index = 0; index < patterns.size(); index++) {
    auto port = ports_.find(patterns[index].port);
    if (port == ports_.end()) continue;
    auto& classifier = patterns[index].guards.empty() ? port->second->classifier : port->second->guarded;
    if (add) {
      auto& listening = session.listening;
      if (std::find(listening.begin(), listening.end(), port->first) == listening.end()) {
        listening.push_back(port->first);
      }
      classifier.add(patterns[index], &session, index);
    } else {
      classifier.remove(patterns[index], &session);
    }
  }
}

bool Heartbeat::look(uint32_t id, bool freeze, Frozen* into) {
  std::shared_ptr<const Program> previous;  // freed after the lock
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end() || !found->second->program) return false;
  Session& session = *found->second;
  into->posture = session.posture;
  into->counters = session.counters;
  for (size_t i = 0; i < session.timers.size(); i++) {
    into->deadlines_ns[i] = session.timers[i].deadline_ns;
    if (freeze) DeadlineHeap::cancel(session.timers[i]);
  }
  if (!freeze) return true;
  expect(session, false);
  previous = std::move(session.program);
  session.posture = 0;
  return true;
}

std::shared_ptr<const Program> Heartbeat::program(uint32_t id) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second->program;
}

bool Heartbeat::counters(uint32_t id, double* into) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  for (int i = 0; i < kCounters; i++) into[i] = static_cast<double>(found->second->counters[static_cast<size_t>(i)]);
  return true;
}

bool Heartbeat::sequences(uint32_t id, Sequences* into) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  *into = {found->second->sequence_sent, found->second->sequence_heard, found->second->sequence_known};
  return true;
}

bool Heartbeat::setSequences(uint32_t id, const Sequences& from) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  found->second->sequence_sent = from.sent;
  found->second->sequence_heard = from.heard;
  found->second->sequence_known = from.known;
  return true;
}

bool Heartbeat::noteSequence(uint32_t id, uint32_t heard) {
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  // The engine may have heard a later one meanwhile.
  const bool late = found->second->sequence_known && static_cast<int32_t>(heard - found->second->sequence_heard) < 0;
  if (late) return true;
  found->second->sequence_heard = heard;
  found->second->sequence_known = true;
  return true;
}

EngineTiming Heartbeat::timing() {
  std::lock_guard<PiMutex> lock(mutex_);
  EngineTiming copy = timing_;
  copy.realtime = thread_.realtime();
  copy.memory_locked = copy.memory_locked && thread_.locked();
  return copy;
}

void Heartbeat::perform(std::shared_ptr<const KernelPlan> plan, uint32_t number) {
  lane_->submit(std::move(plan), [this, number](std::vector<StepFailure>&& failures) {
    Report done;
    done.kind = Report::Kind::Performed;
    done.session = number;
    done.at_ns = nowNs();
    done.failures = std::move(failures);
    reports_.push(std::move(done));
    options_.wake();
  });
}

void Heartbeat::renew() {
  const int64_t now_ns = nowNs();
  renewed_ns_.store(now_ns);
  std::lock_guard<PiMutex> lock(mutex_);
  if (!control_lost_) return;
  control_lost_ = false;
  Report restored;
  restored.kind = Report::Kind::ControlRestored;
  restored.at_ns = now_ns;
  restored.carried_out_ns = now_ns - control_lost_ns_ + options_.control_timeout_ns;
  reports_.push(std::move(restored));
  options_.wake();
}

}  // namespace firsthop
