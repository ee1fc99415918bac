// What the heartbeat thread does, or its stand-in: turns, timers and transitions. Everything here runs with the lock
// held, but `wait`. `load` and `stop` share the carrying out of operations.
#include <sched.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <mutex>

#include "heartbeat.h"

namespace firsthop {

namespace {

// Unreported timers that pass soon are carried out together with one that has passed: a wake-up costs more
// than ten frames do, most of all on virtual machines. A timer that re-arms itself may be early by a part of
// its period, which its schedule makes up for: the next deadline counts from this one's.
constexpr int64_t kSlackNs = 60'000;
constexpr int64_t kSlackMaxNs = 1'000'000;
constexpr int64_t kSlackPart = 16;
// From this rate of frames on, ports are read once in a while instead of at each frame. What a frame does
// counts from its arrival, and ports are read before a deadline is acted on, so that the pause is felt by
// nobody but a frame that JavaScript must see.
constexpr int64_t kPauseNs = 2'000'000;
constexpr int64_t kPauseFromRate = 2000;  // a second
constexpr int64_t kPaceNs = 20'000'000;
// A take-over is awaited awake: to be woken takes up to some hundred microseconds where the processor sleeps. So the
// thread is woken this much before a deadline that decides over a role, and watches the clock and the ports until
// then. Deadlines that advertisements keep putting off never come this close.
constexpr int64_t kWatchNs = 250'000;
// How long the kernel lane stays awake for what follows from it.
constexpr int64_t kLaneAwakeNs = 250'000;
// A beat that was late moves those after it, as RFC 9568's Adver_Timer does, which runs from when an advertisement left.
// Else each stall made two wrong intervals, a long one and then a short one; and a machine that stalls periodically, as
// those do whose host gives them a share of each 100 ms, would meet the same beats in the same place over and over. What
// is below this part of the period is the noise of waking up, and moves nothing: a schedule that drifted would make that
// last.
constexpr int64_t kPunctualPart = 64;
constexpr int64_t kPunctualMostNs = 1'000'000;
// Beats that are spread over the period must not stay together for ever because of a stall that they shared. So they go
// back to their schedule, each time by this part of the period for each session that there is: 4096 of them in some tens
// of periods, one alone in no time that matters.
constexpr int64_t kReturnPart = 1 << 20;
// What one transition sets off by signals, and those by theirs: programs that signal each other in a circle are stopped.
constexpr size_t kSignalsAtOnce = 4096;

// How much before its deadline a timer may be carried out together with another one.
int64_t slackOf(const Transition& transition, int timer) {
  for (const Operation& one : transition.operations) {
    if (one.kind != Operation::Kind::Arm || one.slot != timer) continue;
    // Jitter has its bounds, which being early would break.
    return one.jitter_ns > 0 ? 0 : std::min(one.after_ns / kSlackPart, kSlackMaxNs);
  }
  return kSlackNs;
}

// The moment that a beat's next period counts from.
int64_t nextPeriodFrom(Timer& timer, int64_t period_ns, int64_t deadline_ns, int64_t now_ns, size_t sessions) {
  const int64_t late_ns = now_ns - deadline_ns;
  if (late_ns > std::min(period_ns / kPunctualPart, kPunctualMostNs)) {
    timer.behind_ns = (timer.behind_ns + late_ns) % period_ns;
    return now_ns;
  }
  const int64_t return_ns = std::min(timer.behind_ns, period_ns * static_cast<int64_t>(sessions) / kReturnPart);
  timer.behind_ns -= return_ns;
  return deadline_ns - return_ns;
}

}  // namespace

void Heartbeat::run() {
  epoll_event events[32];
  Waiting how;
  while (!stopping_.load()) {
    const int count = wait(how, events, 32);
    std::lock_guard<PiMutex> lock(mutex_);
    runs_on_ = ::sched_getcpu();
    in_pause_ = false;
    if (how.away_since_ns != kNever) absences_.note(std::max(how.away_since_ns, timer_armed_ns_), nowNs());
    takeTurn(events, count);
    how = waiting_;
    in_pause_ = how.hurried;
  }
  std::lock_guard<PiMutex> lock(mutex_);
  if (!control_lost_) loseControl(nowNs());
  flush();
}

void Heartbeat::takeTurn(const epoll_event* events, int count) {
  const int64_t begun_ns = nowNs();
  timing_.wakeups++;
  noteAbsence(begun_ns);
  checkYields(begun_ns);
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
  watch(now_ns);
  armWakeup();
  if (woke_) options_.wake();
  woke_ = false;
}

int Heartbeat::wait(Waiting& how, epoll_event* events, int room) {
  if (how.watch_until_ns != kNever) {
    int count = 0;
    int64_t now_ns = nowNs();
    do {
      const int64_t before_ns = now_ns;
      count = ::epoll_wait(how.hurried ? quiet_epoll_.get() : epoll_.get(), events, room, 0);
      now_ns = nowNs();
      if (now_ns - before_ns >= Absences::kLeastNs) how.away_since_ns = before_ns;
    } while (count == 0 && now_ns < how.watch_until_ns);
    return how.hurried ? ::epoll_wait(epoll_.get(), events, room, 0) : count;
  }
  if (!how.hurried) return ::epoll_wait(epoll_.get(), events, room, -1);
  ::epoll_wait(quiet_epoll_.get(), events, room, -1);
  return ::epoll_wait(epoll_.get(), events, room, 0);
}

// Decides how the thread waits next: for each frame, or for the end of a pause.
void Heartbeat::pace(int64_t now_ns) {
  const int64_t elapsed_ns = now_ns - paced_ns_;
  if (elapsed_ns >= kPaceNs) {
    waiting_.hurried = static_cast<int64_t>(frames_read_ - paced_frames_) * 1'000'000'000 > kPauseFromRate * elapsed_ns;
    paced_frames_ = frames_read_;
    paced_ns_ = now_ns;
  }
  // A pause that the thread waits for has to end, whatever its stand-in decides meanwhile.
  rest_until_ns_ = waiting_.hurried || in_pause_ ? now_ns + kPauseNs : kNever;
}

void Heartbeat::setTimer(int timer, int64_t at_ns) {
  itimerspec when{};
  if (at_ns != kNever) {
    // Zero would disarm: a deadline in the past is due at once.
    when.it_value.tv_sec = std::max<int64_t>(at_ns, 1) / 1'000'000'000;
    when.it_value.tv_nsec = std::max<int64_t>(at_ns, 1) % 1'000'000'000;
  }
  ::timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Heartbeat::armWakeup() {
  const Timer* first = heap_.first();
  int64_t due_ns = first == nullptr ? kNever : first->deadline_ns;
  // A deadline that is awaited with open eyes needs no earlier wake-up: the thread would do nothing but wake up.
  const bool awaited = first != nullptr && waiting_.watch_until_ns == due_ns;
  if (first != nullptr && decides(*first) && !awaited) {
    // Between the last sign of life and the deadline the thread looks at the clock once: did it run meanwhile?
    const int64_t look_ns = due_ns - (due_ns - first->base_ns) / 3;
    due_ns = nowNs() < look_ns ? look_ns : due_ns - kWatchNs;
  }
  int64_t next_ns = std::min({due_ns, check_ports_ns_, rest_until_ns_});
  if (!control_lost_) next_ns = std::min(next_ns, renewed_ns_.load() + options_.control_timeout_ns);
  // A wake-up before it is needed is put right then: cheaper than to set the timer anew for each frame.
  if (next_ns >= timer_expires_ns_ && timer_set_ns_ > nowNs()) return;
  timer_set_ns_ = next_ns;
  timer_armed_ns_ = nowNs();
  // An interrupt just then would only hold up who is awake.
  timer_expires_ns_ = awaited && next_ns == due_ns ? next_ns + kWatchNs : next_ns;
  setTimer(timer_.get(), timer_expires_ns_);
  callStandIn();
}

// Whether a timer's transition is one that must not come late: it is reported, so it changes a role.
bool Heartbeat::decides(const Timer& timer) const {
  const Transition* transition = timer.session->onTimer(timer.index);
  return transition != nullptr && transition->report;
}

// Decides whether the next wait is one with open eyes.
void Heartbeat::watch(int64_t now_ns) {
  waiting_.watch_until_ns = kNever;
  const Timer* first = heap_.first();
  if (first == nullptr || !decides(*first) || first->deadline_ns > now_ns + kWatchNs) return;
  waiting_.watch_until_ns = first->deadline_ns;
  // Where a lease lets packets pass, the lane's steps may come a little later; awake, it would take a processor from
  // those who bring the packets.
  if (first->session->place.lease == nullptr) lane_->expectUntil(first->deadline_ns + kLaneAwakeNs);
}

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
      if (listenAgain(*timer, now_ns)) continue;
    }
    fireTimer(session, *timer, now_ns);
    fired = true;
  }
  for (Timer* timer : deferred_) {
    if (timer->running()) arm(*timer, timer->deadline_ns);
  }
  deferred_.clear();
}

// A wake-up that comes late tells that nothing ran here meanwhile. A thread that is late because it has much to do was
// not away.
void Heartbeat::noteAbsence(int64_t now_ns) {
  if (timer_set_ns_ != kNever) absences_.note(std::max(timer_set_ns_, timer_armed_ns_), now_ns);
}

// Who was away when a deadline passed, or shortly before, listens for a while again, and once only: the frames that
// would have put it off may have been lost meanwhile, or not been sent by one that was away for the same reason.
bool Heartbeat::listenAgain(Timer& timer, int64_t now_ns) {
  if (timer.extended) return false;
  const int64_t until_ns = absences_.listenUntil(timer.base_ns, timer.deadline_ns);
  if (until_ns <= now_ns) return false;
  arm(timer, until_ns);
  timer.extended = true;
  return true;
}

void Heartbeat::firePassed(Session& session, int64_t before_ns, int64_t now_ns) {
  while (session.soonest_ns < before_ns) {
    Timer* first = &session.timers[0];
    for (Timer& timer : session.timers) {
      if (timer.deadline_ns < first->deadline_ns) first = &timer;
    }
    session.soonest_ns = first->deadline_ns;
    if (first->deadline_ns >= before_ns) return;
    const Transition* transition = session.onTimer(first->index);
    if (transition != nullptr && transition->report && listenAgain(*first, now_ns)) continue;
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
  deliverSignals();
}

void Heartbeat::deliverSignals() {
  if (signalling_ || signals_.empty()) return;
  signalling_ = true;
  for (size_t i = 0; i < signals_.size() && i < kSignalsAtOnce; i++) {
    const Signal one = signals_[i];
    auto found = sessions_.find(one.session);
    if (found == sessions_.end()) continue;
    Session& session = *found->second;
    firePassed(session, one.base_ns, one.now_ns);
    const Posture* posture = session.current();
    const int16_t index = posture == nullptr ? kNone : posture->by_signal[one.signal];
    if (index == kNone) continue;
    fireTransition(session, posture->transitions[static_cast<size_t>(index)],
                   {Moment::Cause::Frame, one.base_ns, one.now_ns});
  }
  signals_.clear();
  signalling_ = false;
}

void Heartbeat::carryOut(Session& session, const std::vector<Operation>& operations, const Moment& moment) {
  for (const Operation& one : operations) {
    switch (one.kind) {
      case Operation::Kind::Send:
        queueFrame(session, one);
        break;
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
      case Operation::Kind::Lease:
        setLease(session, one.slot != 0);
        break;
      case Operation::Kind::Signal:
        signals_.push_back({one.index, one.slot, moment.base_ns, moment.now_ns});
        break;
      case Operation::Kind::ForgetSequence:
        session.sequence_known = false;
        break;
    }
  }
}

void Heartbeat::armTimer(Session& session, const Operation& operation, const Moment& moment) {
  Timer& timer = session.timers[operation.slot];
  const int64_t after_ns = operation.after_ns - draw(operation.jitter_ns);
  const bool periodic = moment.cause == Moment::Cause::Timer && operation.slot == moment.timer && after_ns > 0;
  const bool beat = periodic && operation.jitter_ns == 0;
  int64_t base_ns = moment.base_ns;
  int64_t least_ns = 0;
  switch (moment.cause) {
    case Moment::Cause::Timer:
      if (periodic && base_ns < moment.now_ns) {
        timing_.skipped_periods += static_cast<uint64_t>((moment.now_ns - base_ns) / after_ns);
      }
      if (beat) {
        base_ns = nextPeriodFrom(timer, after_ns, base_ns, moment.now_ns, sessions_.size());
      } else if (base_ns + after_ns <= moment.now_ns) {
        // What was missed is not made up for in a burst. And nothing is due again within the same wake-up, so that no
        // program keeps the thread in it.
        base_ns = moment.now_ns + (after_ns > 0 ? 0 : 1);
      }
      break;
    case Moment::Cause::Entry:
      // JavaScript speaks of a moment that is past. What armed the timer since then is better informed; and
      // what it would have heard by now, had it been faster, is not known, so no deadline passes because of
      // its delay: what decides over a role listens for as long as JavaScript took.
      if (timer.running() && timer.base_ns / 1000 > base_ns / 1000) return;
      if (decides(timer)) least_ns = moment.now_ns + std::min(moment.now_ns - base_ns, after_ns);
      if (base_ns + after_ns < moment.now_ns) base_ns = moment.now_ns;
      break;
    case Moment::Cause::Frame:
    case Moment::Cause::Control:
    case Moment::Cause::GaveWay:
      break;
  }
  if (!beat) timer.behind_ns = 0;
  timer.base_ns = base_ns;
  timer.extended = false;
  arm(timer, std::max(base_ns + after_ns, least_ns));
}

void Heartbeat::arm(Timer& timer, int64_t deadline_ns) {
  timer.session->soonest_ns = std::min(timer.session->soonest_ns, deadline_ns);
  heap_.arm(timer, deadline_ns);
}

// Uniform from 0 to below_ns (SplitMix64; what is left of modulo bias is far below a nanosecond).
int64_t Heartbeat::draw(int64_t below_ns) {
  if (below_ns <= 0) return 0;
  random_ += 0x9e3779b97f4a7c15ULL;
  uint64_t mixed = random_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  mixed ^= mixed >> 31;
  return static_cast<int64_t>(mixed % (static_cast<uint64_t>(below_ns) + 1));
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
