// The heartbeat thread's stand-in. A thread that waits for its processor can't help itself: a kernel that is not
// preempted there, or a host that gave that processor to somebody else, holds it up for tens of milliseconds while
// another processor is free. So a second thread looks from another one, a moment after each time at which the first
// one should have run, and takes the turn if it did not. Who comes second finds nothing left to do.
#include <poll.h>
#include <sched.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "heartbeat.h"

namespace firsthop {

namespace {

// More than a thread needs to wake up where nothing is wrong, less than anybody who listens would notice.
constexpr int64_t kGraceNs = 400'000;
// However much there is to do, the stand-in lets a part of the time pass that the next timer gives: to look costs a
// wake-up of a processor.
constexpr int64_t kPausePart = 4;
constexpr int64_t kPauseLeastNs = 500'000;
constexpr int64_t kPauseMostNs = 5'000'000;

// Leaves a processor for the others that this thread may use.
void leaveProcessor(cpu_set_t allowed, int processor) {
  CPU_CLR(static_cast<size_t>(processor), &allowed);
  if (CPU_COUNT(&allowed) > 0) ::sched_setaffinity(0, sizeof(allowed), &allowed);
}

}  // namespace

// One processor has no room for a stand-in.
int Heartbeat::startStandIn() {
  if (::sched_getaffinity(0, sizeof(processors_), &processors_) != 0 || CPU_COUNT(&processors_) < 2) return 0;
  {
    // The first thread runs already.
    std::lock_guard<PiMutex> lock(mutex_);
    stand_in_timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!stand_in_timer_.valid()) return errno;
    stand_in_looks_ns_ = nowNs() + kPauseMostNs;
    setTimer(stand_in_timer_.get(), stand_in_looks_ns_);
  }
  return stand_in_.start("fh-stand-in", kPriority, [this] { standIn(); });
}

void Heartbeat::standIn() {
  pollfd waits[] = {{stand_in_timer_.get(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}};
  while (!stopping_.load()) {
    ::poll(waits, 2, -1);
    int avoided = -1;
    if (std::unique_lock<PiMutex> lock(mutex_, std::try_to_lock); lock.owns_lock()) {
      lookAfterThread();
      avoided = runs_on_;
    } else {
      // Whoever has the lock is at work.
      setTimer(stand_in_timer_.get(), nowNs() + kPauseLeastNs);
    }
    // Never with the lock: the move takes as long as the other processor is busy.
    if (::sched_getcpu() == avoided) leaveProcessor(processors_, avoided);
  }
}

void Heartbeat::lookAfterThread() {
  if (const int64_t now_ns = nowNs(); now_ns - kGraceNs >= timer_set_ns_) {
    epoll_event events[32];
    const int count = ::epoll_wait(epoll_.get(), events, 32, 0);
    takeTurn(events, count);
    timing_.stand_ins++;
    // The thread itself is not awake to await a deadline: it has to be woken before.
    waiting_.watch_until_ns = kNever;
    armWakeup();
  }
  if (const Timer* first = heap_.first(); first != nullptr) {
    stand_in_pause_ns_ = std::clamp((first->deadline_ns - first->base_ns) / kPausePart, kPauseLeastNs, kPauseMostNs);
  }
  const int64_t after_ns = nowNs() + stand_in_pause_ns_;
  stand_in_looks_ns_ = timer_set_ns_ == kNever ? kNever : std::max(timer_set_ns_ + kGraceNs, after_ns);
  // With the lock: the thread may bring the look forward as soon as it has it.
  setTimer(stand_in_timer_.get(), stand_in_looks_ns_);
}

// Brings its look forward where it would come much too late for what is due now.
void Heartbeat::callStandIn() {
  if (!stand_in_timer_.valid() || timer_set_ns_ >= stand_in_looks_ns_ - 2 * stand_in_pause_ns_) return;
  stand_in_looks_ns_ = timer_set_ns_ + kGraceNs;
  setTimer(stand_in_timer_.get(), stand_in_looks_ns_);
}

}  // namespace firsthop
