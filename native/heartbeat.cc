#include "heartbeat.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
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
// Unreported timers this close to a wake-up are carried out with it: one wake-up for several advertisements.
constexpr int64_t kSlackNs = 60'000;
constexpr size_t kReceiveBatch = 64;
constexpr size_t kFrameMax = 4608;
// A port is read this often before timers get their turn again, however much there is to read.
constexpr int kReceiveRounds = 16;
// Frames for JavaScript: 200 a second from one sender with bursts of 64, 4,000 a second from one port.
constexpr int64_t kSenderCostNs = 5'000'000;
constexpr int64_t kSenderBurstNs = 64 * kSenderCostNs;
constexpr int64_t kPortCostNs = 250'000;
constexpr int64_t kPortBurstNs = 2048 * kPortCostNs;
// A receive stamp further back than this is not believed (the wall clock was set).
constexpr int64_t kStampAgeMaxNs = 1'000'000'000;
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
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !timer_.valid() || !stop_event_.valid()) return errno;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kTimerEvent;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) != 0) return errno;
  event.data.u64 = kStopEvent;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_event_.get(), &event) != 0) return errno;
  receive_buffer_.resize(kReceiveBatch * kFrameMax);
  timing_.memory_locked = ::mlock(receive_buffer_.data(), receive_buffer_.size()) == 0;
  renewed_ns_ = nowNs();
  lane_ = std::make_unique<KernelLane>(kLanePriority,
                                       [this](uint32_t port, const Bytes& frame) { send(port, frame); });
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
  if (!receive_buffer_.empty()) ::munlock(receive_buffer_.data(), receive_buffer_.size());
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
  std::shared_ptr<PacketPort> socket;
  {
    std::lock_guard<PiMutex> lock(mutex_);
    auto found = ports_.find(port);
    if (found == ports_.end()) return false;
    socket = found->second->socket;
  }
  const Bytes* frames[] = {&frame};
  socket->send(frames, 1);
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
  carryOut(session, operations, base_ns, nowNs(), false);
  flush();
  armWakeup();
  return LoadResult::Loaded;
}

void Heartbeat::expect(const Session& session, bool add) {
  if (!session.program) return;
  const auto& patterns = session.program->patterns;
  for (uint32_t index = 0; index < patterns.size(); index++) {
    auto port = ports_.find(patterns[index].port);
    if (port == ports_.end()) continue;
    if (add) {
      port->second->classifier.add(patterns[index], session.id, index);
    } else {
      port->second->classifier.remove(patterns[index], session.id);
    }
  }
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
    const int count = ::epoll_wait(epoll_.get(), events, 32, -1);
    std::lock_guard<PiMutex> lock(mutex_);
    timing_.wakeups++;
    // What is queued is read before a deadline is acted on: the advertisement may be there already.
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 >= kStopEvent) continue;
      auto port = ports_.find(static_cast<uint32_t>(events[i].data.u64));
      if (port != ports_.end()) readPort(port->first, *port->second);
    }
    const int64_t now_ns = nowNs();
    fireTimers(now_ns, now_ns, kSlackNs);
    checkControl(now_ns);
    flush();
    armWakeup();
    if (woke_) options_.wake();
    woke_ = false;
  }
  std::lock_guard<PiMutex> lock(mutex_);
  if (!control_lost_) loseControl(nowNs());
  flush();
}

void Heartbeat::armWakeup() {
  // Entries whose timer was re-armed or cancelled are put right here, so that nobody wakes up for them.
  while (!heap_.empty()) {
    const DeadlineEntry top = heap_.top();
    auto found = sessions_.find(top.session);
    if (found == sessions_.end()) {
      heap_.pop();
      continue;
    }
    Timer& timer = found->second->timers[top.timer];
    if (timer.queued_ns == top.at_ns && timer.deadline_ns == top.at_ns) break;
    heap_.pop();
    if (timer.queued_ns != top.at_ns) continue;
    timer.queued_ns = kNever;
    if (timer.deadline_ns != kNever) {
      timer.queued_ns = timer.deadline_ns;
      heap_.push({timer.deadline_ns, top.session, top.timer});
    }
  }
  int64_t next_ns = heap_.empty() ? kNever : heap_.top().at_ns;
  if (!control_lost_) next_ns = std::min(next_ns, renewed_ns_.load() + options_.control_timeout_ns);
  if (next_ns == timer_set_ns_) return;
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
  mmsghdr messages[kReceiveBatch];
  iovec parts[kReceiveBatch];
  struct alignas(cmsghdr) Control {
    char octets[CMSG_SPACE(sizeof(timespec))];
  } control[kReceiveBatch];
  for (int round = 0; round < kReceiveRounds; round++) {
    for (size_t i = 0; i < kReceiveBatch; i++) {
      parts[i] = {receive_buffer_.data() + i * kFrameMax, kFrameMax};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = &control[i];
      messages[i].msg_hdr.msg_controllen = sizeof(control[i]);
    }
    const int count = ::recvmmsg(port.socket->fd(), messages, kReceiveBatch, MSG_DONTWAIT, nullptr);
    if (count < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      Report failed;
      failed.kind = Report::Kind::PortError;
      failed.session = id;
      failed.error = errno;
      failed.at_ns = nowNs();
      report(std::move(failed));
      return;
    }
    const int64_t now_ns = nowNs();
    const int64_t to_monotonic_ns = now_ns - clockNs(CLOCK_REALTIME);
    for (int i = 0; i < count; i++) {
      int64_t at_ns = now_ns;
      for (cmsghdr* one = CMSG_FIRSTHDR(&messages[i].msg_hdr); one != nullptr;
           one = CMSG_NXTHDR(&messages[i].msg_hdr, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_TIMESTAMPNS) continue;
        timespec stamp;
        std::memcpy(&stamp, CMSG_DATA(one), sizeof(stamp));
        const int64_t stamp_ns = stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec + to_monotonic_ns;
        if (stamp_ns <= now_ns && stamp_ns > now_ns - kStampAgeMaxNs) at_ns = stamp_ns;
      }
      port.counters.received++;
      const auto* frame = static_cast<const uint8_t*>(parts[i].iov_base);
      handleFrame(id, port, frame, messages[i].msg_len, at_ns, now_ns);
    }
    if (static_cast<size_t>(count) < kReceiveBatch) return;
    flush();
  }
}

void Heartbeat::handleFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns,
                            int64_t now_ns) {
  // In the order of time: a deadline that had passed when the frame came in is not saved by it.
  fireTimers(at_ns - 1, now_ns, 0);
  if (!matchFrame(port, frame, length, at_ns, now_ns)) deliverFrame(id, port, frame, length, at_ns, now_ns);
}

bool Heartbeat::matchFrame(Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns) {
  const Classifier::Match* match = port.classifier.find(frame, length);
  if (match == nullptr) return false;
  auto found = sessions_.find(match->session);
  if (found == sessions_.end()) return false;
  Session& session = *found->second;
  const int16_t transition = session.program->postures[session.posture].by_pattern[match->pattern];
  if (transition == kNone) return false;
  port.counters.matched++;
  fireTransition(session, static_cast<uint32_t>(transition), at_ns, now_ns, false);
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
  if (reports_.pushFrame(std::move(arrived))) {
    port.counters.delivered++;
    woke_ = true;
  } else {
    port.counters.dropped_unread++;
  }
}

void Heartbeat::fireTimers(int64_t until_ns, int64_t now_ns, int64_t slack_ns) {
  while (!heap_.empty() && heap_.top().at_ns <= until_ns + slack_ns) {
    const DeadlineEntry top = heap_.top();
    auto found = sessions_.find(top.session);
    if (found == sessions_.end()) {
      heap_.pop();
      continue;
    }
    Session& session = *found->second;
    Timer& timer = session.timers[top.timer];
    if (timer.queued_ns != top.at_ns) {
      heap_.pop();
      continue;
    }
    if (timer.deadline_ns != top.at_ns) {
      heap_.pop();
      timer.queued_ns = timer.deadline_ns;
      if (timer.deadline_ns != kNever) heap_.push({timer.deadline_ns, top.session, top.timer});
      continue;
    }
    const int16_t index = session.program ? session.program->postures[session.posture].by_timer[top.timer] : kNone;
    if (top.at_ns > until_ns) {
      // Within the slack: only what is not reported may be early, and nothing behind what must wait.
      const bool wait = index == kNone || session.program->postures[session.posture].transitions[static_cast<size_t>(index)].report;
      if (wait) return;
    }
    heap_.pop();
    timer.queued_ns = kNever;
    timer.deadline_ns = kNever;
    if (index == kNone) continue;
    noteLateness(now_ns - top.at_ns);
    fireTransition(session, static_cast<uint32_t>(index), top.at_ns, now_ns, true);
  }
}

void Heartbeat::fireTransition(Session& session, uint32_t index, int64_t base_ns, int64_t now_ns, bool by_timer) {
  // Held here: an operation may not outlive its program, and nothing below replaces it.
  const Transition& transition = session.program->postures[session.posture].transitions[index];
  const uint32_t from = session.posture;
  if (transition.report) session.epoch++;
  session.posture = transition.next;
  carryOut(session, transition.operations, base_ns, now_ns, by_timer);
  if (!transition.report) return;
  Report done;
  done.kind = Report::Kind::Transition;
  done.session = session.id;
  done.epoch = session.epoch;
  done.from = from;
  done.to = transition.next;
  done.transition = index;
  done.at_ns = base_ns;
  done.carried_out_ns = now_ns;
  report(std::move(done));
}

void Heartbeat::carryOut(Session& session, const std::vector<Operation>& operations, int64_t base_ns, int64_t now_ns,
                         bool by_timer) {
  for (const Operation& one : operations) {
    switch (one.kind) {
      case Operation::Kind::Send: {
        auto port = ports_.find(one.port);
        if (port != ports_.end()) port->second->outgoing.push_back(&session.program->frames[one.index]);
        break;
      }
      case Operation::Kind::Arm: {
        int64_t deadline_ns = base_ns + one.after_ns;
        if (by_timer && deadline_ns <= now_ns && one.after_ns > 0) {
          // More than a whole period late: what was missed is not made up for in a burst.
          timing_.skipped_periods += static_cast<uint64_t>((now_ns - base_ns) / one.after_ns);
          deadline_ns = now_ns + one.after_ns;
        }
        setTimer(session, one.slot, deadline_ns);
        break;
      }
      case Operation::Kind::Cancel:
        session.timers[one.slot].deadline_ns = kNever;
        break;
      case Operation::Kind::Count:
        session.counters[one.slot]++;
        break;
      case Operation::Kind::Kernel: {
        const uint32_t id = session.id;
        const uint32_t epoch = session.epoch;
        lane_->submit(session.program->kernel_plans[one.index], [this, id, epoch](std::vector<StepFailure>&& failures) {
          Report done;
          done.kind = Report::Kind::Kernel;
          done.session = id;
          done.epoch = epoch;
          done.at_ns = nowNs();
          done.failures = std::move(failures);
          reports_.push(std::move(done));
          options_.wake();
        });
        break;
      }
    }
  }
}

void Heartbeat::setTimer(Session& session, int index, int64_t deadline_ns) {
  Timer& timer = session.timers[static_cast<size_t>(index)];
  timer.deadline_ns = deadline_ns;
  if (timer.queued_ns <= deadline_ns) return;
  timer.queued_ns = deadline_ns;
  heap_.push({deadline_ns, session.id, static_cast<uint8_t>(index)});
}

void Heartbeat::checkControl(int64_t now_ns) {
  if (!control_lost_ && now_ns - renewed_ns_.load() >= options_.control_timeout_ns) loseControl(now_ns);
}

void Heartbeat::loseControl(int64_t now_ns) {
  control_lost_ = true;
  control_lost_ns_ = now_ns;
  for (auto& [id, session] : sessions_) {
    if (!session->program) continue;
    const int16_t index = session->program->postures[session->posture].on_control_lost;
    if (index != kNone) fireTransition(*session, static_cast<uint32_t>(index), now_ns, now_ns, false);
  }
}

void Heartbeat::flush() {
  for (auto& [id, port] : ports_) {
    if (port->outgoing.empty()) continue;
    port->socket->send(port->outgoing.data(), port->outgoing.size());
    port->outgoing.clear();
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
