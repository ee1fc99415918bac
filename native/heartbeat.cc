#include "heartbeat.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace firsthop {

namespace {

constexpr int kHeartbeatPriority = 50;
constexpr int kLanePriority = 49;
// Unreported timers that pass soon are carried out together with one that has passed: a wake-up costs more than ten
// frames do, most of all on virtual machines. A timer that re-arms itself may be early by a part of its period,
// which its schedule makes up for: the next deadline counts from this one's.
constexpr int64_t kSlackNs = 60'000;
constexpr int64_t kSlackMaxNs = 1'000'000;
constexpr int64_t kSlackPart = 16;
// From this rate of frames on, ports are read once in a while instead of at each frame. What a frame does counts
// from its arrival, and ports are read before a deadline is acted on, so that the pause is felt by nobody but a
// frame that JavaScript must see.
constexpr int64_t kPauseNs = 1'000'000;
constexpr int64_t kPauseFromRate = 2000;  // a second
constexpr int64_t kPaceNs = 20'000'000;
// A port is read this often before timers get their turn again, however much there is to read.
constexpr int kReceiveRounds = 16;
// Frames for JavaScript: 200 a second from one sender with bursts of 64, 2,000 a second from one port.
constexpr int64_t kSenderCostNs = 5'000'000;
constexpr int64_t kSenderBurstNs = 64 * kSenderCostNs;
constexpr int64_t kPortCostNs = 500'000;
constexpr int64_t kPortBurstNs = 512 * kPortCostNs;
// No socket takes longer to be opened; frames come in meanwhile.
constexpr int64_t kOpeningNs = 1'000'000'000;
// How often a port whose interface is down is asked whether the interface is there at all.
constexpr int64_t kPortCheckNs = 250'000'000;
constexpr int kStopLimitMs = 200;

constexpr uint64_t kTimerEvent = UINT64_MAX;
constexpr uint64_t kStopEvent = UINT64_MAX - 1;

int64_t clockNs(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

}  // namespace

int64_t Heartbeat::nowNs() { return clockNs(CLOCK_MONOTONIC); }

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
  timing_.memory_locked = batch_.locked();
  renewed_ns_ = nowNs();
  lane_ = std::make_unique<KernelLane>(
      kLanePriority, [this](uint32_t port, const Bytes* const* frames, size_t count) { return sendAll(port, frames, count); });
  if (const int error = lane_->start(); error != 0) return error;
  started_ = true;
  return thread_.start("fh-heartbeat", kHeartbeatPriority, [this] { run(); });
}

void Heartbeat::stop() {
  if (!started_.exchange(false)) return;
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_event_.get(), &one, sizeof(one));
  thread_.join();
  lane_->stop(kStopLimitMs);
}

// ---- ports ------------------------------------------------------------------------------------------------------

int Heartbeat::openLanPort(int ifindex, const std::vector<sock_filter>& filter, const std::vector<Bytes>& memberships,
                           const std::vector<std::string>& groups, uint32_t* port) {
  auto socket = std::make_shared<PacketPort>();
  const int error = socket->openLan(ifindex, filter, memberships, groups);
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
  return sendAll(port, frames, 1) != ENOENT;
}

// The socket is used outside the lock: it may be slow, and it lives as long as somebody holds it.
int Heartbeat::sendAll(uint32_t port, const Bytes* const* frames, size_t count) {
  std::shared_ptr<PacketPort> socket;
  {
    std::lock_guard<PiMutex> lock(mutex_);
    auto found = ports_.find(port);
    if (found == ports_.end()) return ENOENT;
    socket = found->second->socket;
  }
  return socket->send(frames, count);
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
  if (session.program != program) {
    expect(session, false);
    previous = std::move(session.program);
    session.program = std::move(program);
    expect(session, true);
  }
  session.posture = posture;
  carryOut(session, operations, {Moment::Cause::Entry, base_ns, nowNs()});
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
    if (add) {
      auto& listening = session.listening;
      if (std::find(listening.begin(), listening.end(), port->first) == listening.end()) {
        listening.push_back(port->first);
      }
      port->second->classifier.add(patterns[index], &session, index);
    } else {
      port->second->classifier.remove(patterns[index], &session);
    }
  }
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

// ---- the heartbeat thread ---------------------------------------------------------------------------------------

void Heartbeat::run() {
  epoll_event events[32];
  while (!stopping_.load()) {
    const int count = wait(events, 32);
    std::lock_guard<PiMutex> lock(mutex_);
    timing_.wakeups++;
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 >= kStopEvent) continue;
      auto port = ports_.find(static_cast<uint32_t>(events[i].data.u64));
      if (port != ports_.end()) readPort(port->first, *port->second);
    }
    const int64_t now_ns = nowNs();
    fireTimers(now_ns);
    checkControl(now_ns);
    if (now_ns >= check_ports_ns_) checkPorts(now_ns);
    flush();
    publishFrames(kNever);
    pace(now_ns);
    armWakeup();
    if (woke_) options_.wake();
    woke_ = false;
  }
  std::lock_guard<PiMutex> lock(mutex_);
  if (!control_lost_) loseControl(nowNs());
  flush();
}

int Heartbeat::wait(epoll_event* events, int room) {
  if (!hurried_) return ::epoll_wait(epoll_.get(), events, room, -1);
  ::epoll_wait(quiet_epoll_.get(), events, room, -1);
  return ::epoll_wait(epoll_.get(), events, room, 0);
}

// Decides how the thread waits next: for each frame, or for the end of a pause.
void Heartbeat::pace(int64_t now_ns) {
  const int64_t elapsed_ns = now_ns - paced_ns_;
  if (elapsed_ns >= kPaceNs) {
    hurried_ = static_cast<int64_t>(frames_read_ - paced_frames_) * 1'000'000'000 > kPauseFromRate * elapsed_ns;
    paced_frames_ = frames_read_;
    paced_ns_ = now_ns;
  }
  rest_until_ns_ = hurried_ ? now_ns + kPauseNs : kNever;
}

void Heartbeat::armWakeup() {
  const Timer* first = heap_.first();
  int64_t next_ns = std::min({first == nullptr ? kNever : first->deadline_ns, check_ports_ns_, rest_until_ns_});
  if (!control_lost_) next_ns = std::min(next_ns, renewed_ns_.load() + options_.control_timeout_ns);
  // A wake-up before it is needed is put right then: cheaper than to set the timer anew for each frame.
  if (next_ns >= timer_set_ns_ && timer_set_ns_ > nowNs()) return;
  timer_set_ns_ = next_ns;
  itimerspec when{};
  if (next_ns != kNever) {
    // Zero would disarm: a deadline in the past is due at once.
    const int64_t at_ns = std::max<int64_t>(next_ns, 1);
    when.it_value.tv_sec = at_ns / 1'000'000'000;
    when.it_value.tv_nsec = at_ns % 1'000'000'000;
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Heartbeat::readPort(uint32_t id, Port& port) {
  for (int round = 0; round < kReceiveRounds; round++) {
    const int64_t now_ns = nowNs();
    const int64_t to_monotonic_ns = now_ns - clockNs(CLOCK_REALTIME);
    const int count = batch_.receive(port.socket->fd());
    port.read_until_ns = now_ns;
    port.left_in_wakeup = 0;
    if (count < 0) notePortError(id, port, -count);
    if (count == 0) port.emptied_ns = now_ns;
    if (count <= 0) break;
    // Frames may come in while they are taken, so the present is asked again.
    const int64_t read_ns = nowNs();
    port.line = Line::Up;
    port.counters.received += static_cast<uint64_t>(count);
    frames_read_ += static_cast<uint64_t>(count);
    int64_t last_ns = 0;
    for (size_t i = 0; i < static_cast<size_t>(count); i++) {
      // The wall clock, which stamps are made by, may be set at any time. What is sure is that a frame came in after
      // the socket was empty, and is here.
      const int64_t stamp_ns = batch_.stampNs(i) + to_monotonic_ns;
      const int64_t at_ns = std::clamp(stamp_ns, std::min(port.emptied_ns, read_ns), read_ns);
      if (!matchFrame(port, batch_.frame(i), batch_.length(i), at_ns, read_ns)) {
        deliverFrame(id, port, batch_.frame(i), batch_.length(i), at_ns, read_ns);
      }
      last_ns = at_ns;
    }
    if (static_cast<size_t>(count) < ReceiveBatch::kFrames) {
      port.emptied_ns = now_ns;
      break;
    }
    // A full batch: there may be more, which came in after the last one that was read.
    port.read_until_ns = last_ns;
    if (round == kReceiveRounds - 1) port.left_in_wakeup = timing_.wakeups;
  }
}

bool Heartbeat::matchFrame(Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns) {
  Session* session = nullptr;
  const Transition* transition = nullptr;
  port.classifier.find(frame, length, [&](const Classifier<Session*>::Match& match) {
    session = match.owner;
    // In the order of time: a deadline that had passed when the frame came in is not saved by it.
    firePassed(*session, at_ns, now_ns);
    const Posture* posture = session->current();
    const int16_t index = posture->by_pattern[match.pattern];
    if (index != kNone) transition = &posture->transitions[static_cast<size_t>(index)];
    return index != kNone;
  });
  if (transition == nullptr) return false;
  port.counters.matched++;
  fireTransition(*session, *transition, {Moment::Cause::Frame, at_ns, now_ns});
  return true;
}

bool Heartbeat::Bucket::take(int64_t now_ns, int64_t cost_ns, int64_t burst_ns) {
  const int64_t level_ns = std::max(full_at_ns, now_ns - burst_ns);
  if (level_ns + cost_ns > now_ns) return false;
  full_at_ns = level_ns + cost_ns;
  return true;
}

void Heartbeat::deliverFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns,
                             int64_t now_ns) {
  uint64_t sender = 0;
  if (length >= 12) std::memcpy(&sender, frame + 6, 6);
  Bucket& bucket = port.senders[(sender * 0x9e3779b97f4a7c15ULL) >> 54];
  if (!bucket.take(now_ns, kSenderCostNs, kSenderBurstNs) || !port.all.take(now_ns, kPortCostNs, kPortBurstNs)) {
    port.counters.dropped_unread++;
    return;
  }
  Report arrived;
  arrived.kind = Report::Kind::Frame;
  arrived.session = id;
  arrived.at_ns = at_ns;
  arrived.frame.assign(frame, frame + length);
  frames_.push_back(std::move(arrived));
}

void Heartbeat::publishFrames(int64_t until_ns) {
  if (frames_.empty()) return;
  size_t kept = 0;
  for (Report& one : frames_) {
    if (one.at_ns > until_ns) {
      if (&one != &frames_[kept]) frames_[kept] = std::move(one);
      kept++;
      continue;
    }
    auto port = ports_.find(one.session);
    if (port == ports_.end()) continue;
    if (reports_.pushFrame(std::move(one))) {
      port->second->counters.delivered++;
      woke_ = true;
    } else {
      port->second->counters.dropped_unread++;
    }
  }
  frames_.resize(kept);
}

namespace {

// How much before its deadline a timer may be carried out together with another one.
int64_t slackOf(const Transition& transition, int timer) {
  for (const Operation& one : transition.operations) {
    if (one.kind == Operation::Kind::Arm && one.slot == timer) return std::min(one.after_ns / kSlackPart, kSlackMaxNs);
  }
  return kSlackNs;
}

}  // namespace

void Heartbeat::fireTimers(int64_t now_ns) {
  bool fired = false;
  for (Timer* timer = heap_.first(); timer != nullptr; timer = heap_.first()) {
    Session& session = *timer->session;
    const Transition* transition = session.onTimer(timer->index);
    if (timer->deadline_ns > now_ns) {
      // Only what is not reported may be early, and only in company.
      if (!fired || transition == nullptr || transition->report) break;
      if (timer->deadline_ns > now_ns + slackOf(*transition, timer->index)) break;
    } else if (transition != nullptr && transition->report) {
      // What decides over a role hears everybody first: the advertisement may wait in the socket.
      const Heard heard = heardUntil(session, timer->deadline_ns);
      if (heard == Heard::ReadMore) continue;
      if (heard == Heard::Behind) {
        heap_.take(*timer);
        deferred_.push_back(timer);
        continue;
      }
    }
    fireTimer(session, *timer, now_ns);
    fired = true;
  }
  for (Timer* timer : deferred_) {
    if (timer->running()) heap_.arm(*timer, timer->deadline_ns);
  }
  deferred_.clear();
}

Heartbeat::Heard Heartbeat::heardUntil(const Session& session, int64_t deadline_ns) {
  for (const uint32_t id : session.listening) {
    auto found = ports_.find(id);
    if (found == ports_.end() || !found->second->socket->receives()) continue;
    Port& port = *found->second;
    if (port.read_until_ns >= deadline_ns) continue;
    if (port.left_in_wakeup == timing_.wakeups) return Heard::Behind;
    readPort(id, port);
    return Heard::ReadMore;
  }
  return Heard::All;
}

void Heartbeat::firePassed(Session& session, int64_t before_ns, int64_t now_ns) {
  for (;;) {
    Timer* first = nullptr;
    for (Timer& timer : session.timers) {
      if (timer.deadline_ns < before_ns && (first == nullptr || timer.deadline_ns < first->deadline_ns)) first = &timer;
    }
    if (first == nullptr) return;
    fireTimer(session, *first, now_ns);
  }
}

void Heartbeat::fireTimer(Session& session, Timer& timer, int64_t now_ns) {
  const int64_t deadline_ns = timer.deadline_ns;
  const Transition* transition = session.onTimer(timer.index);
  DeadlineHeap::cancel(timer);
  if (transition == nullptr) return;
  noteLateness(now_ns - deadline_ns);
  fireTransition(session, *transition, {Moment::Cause::Timer, deadline_ns, now_ns, timer.index});
}

void Heartbeat::fireTransition(Session& session, const Transition& transition, const Moment& moment) {
  if (transition.report) {
    publishFrames(moment.base_ns);
    Report done;
    done.kind = Report::Kind::Transition;
    done.session = session.id;
    done.epoch = ++session.epoch;
    done.from = session.posture;
    done.to = transition.next;
    done.transition = static_cast<uint32_t>(&transition - session.current()->transitions.data());
    done.at_ns = moment.base_ns;
    done.carried_out_ns = nowNs();
    // Before its kernel plan is handed on, whose end is reported by another thread.
    report(std::move(done));
  }
  session.posture = transition.next;
  carryOut(session, transition.operations, moment);
}

void Heartbeat::carryOut(Session& session, const std::vector<Operation>& operations, const Moment& moment) {
  for (const Operation& one : operations) {
    switch (one.kind) {
      case Operation::Kind::Send: {
        auto port = ports_.find(one.port);
        if (port != ports_.end()) port->second->outgoing.push_back(&session.program->frames[one.index]);
        break;
      }
      case Operation::Kind::Arm:
        armTimer(session, one, moment);
        break;
      case Operation::Kind::Cancel:
        DeadlineHeap::cancel(session.timers[one.slot]);
        break;
      case Operation::Kind::Count:
        session.counters[one.slot]++;
        break;
      case Operation::Kind::Kernel:
        submitPlan(session, one.index);
        break;
    }
  }
}

void Heartbeat::armTimer(Session& session, const Operation& operation, const Moment& moment) {
  Timer& timer = session.timers[operation.slot];
  int64_t base_ns = moment.base_ns;
  switch (moment.cause) {
    case Moment::Cause::Timer:
      if (base_ns + operation.after_ns <= moment.now_ns) {
        // More than a whole period late: what was missed is not made up for in a burst.
        if (operation.slot == moment.timer && operation.after_ns > 0) {
          timing_.skipped_periods += static_cast<uint64_t>((moment.now_ns - base_ns) / operation.after_ns);
        }
        // Never due again within the same wake-up, so that no program keeps the thread in it.
        base_ns = moment.now_ns + (operation.after_ns > 0 ? 0 : 1);
      }
      break;
    case Moment::Cause::Entry:
      // JavaScript speaks of a moment that is past. What armed the timer since then is better informed; and what it
      // would have heard by now, had it been faster, is not known, so no deadline passes because of its delay.
      if (timer.running() && timer.base_ns > base_ns) return;
      if (base_ns + operation.after_ns < moment.now_ns) base_ns = moment.now_ns;
      break;
    case Moment::Cause::Frame:
    case Moment::Cause::Control:
      break;
  }
  timer.base_ns = base_ns;
  heap_.arm(timer, base_ns + operation.after_ns);
}

void Heartbeat::submitPlan(const Session& session, uint32_t plan) {
  lane_->submit(session.program->kernel_plans[plan],
                [this, id = session.id, epoch = session.epoch](std::vector<StepFailure>&& failures) {
                  Report done;
                  done.kind = Report::Kind::Kernel;
                  done.session = id;
                  done.epoch = epoch;
                  done.at_ns = nowNs();
                  done.failures = std::move(failures);
                  reports_.push(std::move(done));
                  options_.wake();
                });
}

void Heartbeat::checkControl(int64_t now_ns) {
  if (!control_lost_ && now_ns - renewed_ns_.load() >= options_.control_timeout_ns) loseControl(now_ns);
}

void Heartbeat::loseControl(int64_t now_ns) {
  control_lost_ = true;
  control_lost_ns_ = now_ns;
  for (auto& [id, session] : sessions_) {
    const Posture* posture = session->current();
    if (posture == nullptr || posture->on_control_lost == kNone) continue;
    const Transition& transition = posture->transitions[static_cast<size_t>(posture->on_control_lost)];
    fireTransition(*session, transition, {Moment::Cause::Control, now_ns, now_ns});
  }
}

void Heartbeat::flush() {
  for (auto& [id, port] : ports_) {
    if (port->outgoing.empty()) continue;
    const int error = port->socket->send(port->outgoing.data(), port->outgoing.size());
    port->outgoing.clear();
    if (!port->socket->receives()) continue;
    const bool down = error == ENETDOWN || error == ENXIO || error == ENODEV;
    if (!down) {
      port->line = Line::Up;
    } else if (port->line == Line::Up) {
      notePortError(id, *port, error);
    }
  }
}

void Heartbeat::notePortError(uint32_t id, Port& port, int error) {
  const int64_t now_ns = nowNs();
  port.line = port.socket->interfaceGone() ? Line::Gone : Line::Down;
  if (port.line == Line::Down) check_ports_ns_ = std::min(check_ports_ns_, now_ns + kPortCheckNs);
  Report failed;
  failed.kind = Report::Kind::PortError;
  failed.session = id;
  failed.error = port.line == Line::Gone ? ENODEV : error;
  failed.at_ns = now_ns;
  report(std::move(failed));
}

// An interface that is removed goes down first; that it went away for good shows only when the socket is asked.
void Heartbeat::checkPorts(int64_t now_ns) {
  check_ports_ns_ = kNever;
  for (auto& [id, port] : ports_) {
    if (port->line != Line::Down) continue;
    if (port->socket->interfaceGone()) {
      notePortError(id, *port, ENODEV);
    } else {
      check_ports_ns_ = now_ns + kPortCheckNs;
    }
  }
}

void Heartbeat::noteLateness(int64_t lateness_ns) {
  timing_.lateness_max_ns = std::max(timing_.lateness_max_ns, lateness_ns);
  size_t bucket = 0;
  while (bucket < EngineTiming::kBoundsUs.size() && lateness_ns > EngineTiming::kBoundsUs[bucket] * 1000LL) bucket++;
  timing_.lateness_counts[bucket]++;
}

void Heartbeat::report(Report&& one) {
  reports_.push(std::move(one));
  woke_ = true;
}

}  // namespace firsthop
