// The kernel stamps what comes in by the wall clock, which may be set at any time. This finds the moment by the clock
// that nobody sets.
#pragma once
#include <time.h>

#include <cstdint>
#include <cstdlib>

namespace firsthop {

inline int64_t clockNs(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// What to add to a CLOCK_REALTIME stamp to have a CLOCK_MONOTONIC one. The closest of three readings, because the
// thread may lose its processor between the two clocks.
inline int64_t realtimeToMonotonic() {
  int64_t best = 0;
  int64_t best_span = INT64_MAX;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const int64_t before = clockNs(CLOCK_MONOTONIC);
    const int64_t wall = clockNs(CLOCK_REALTIME);
    const int64_t span = clockNs(CLOCK_MONOTONIC) - before;
    if (span < best_span) {
      best_span = span;
      best = before + span / 2 - wall;
    }
  }
  return best;
}

class StampClock {
 public:
  // After stamped things were taken, and before they are asked for. `offset_ns`: monotonic minus wall clock.
  void look(int64_t offset_ns, int64_t now_ns) {
    if (std::abs(offset_ns - offset_ns_) > kSetNs) {
      before_ns_ = offset_ns_;
      set_ns_ = now_ns;
    }
    offset_ns_ = offset_ns;
  }

  // When something came in that is here now. `stamp_ns` 0: the kernel gave none. Where the wall clock was set, the stamp
  // may be of before; that it was not made later than it can have been tells the two apart.
  int64_t atNs(int64_t stamp_ns, int64_t now_ns) const {
    if (stamp_ns == 0) return now_ns;
    const int64_t before_ns = stamp_ns + before_ns_;
    const int64_t after_ns = stamp_ns + offset_ns_;
    if (after_ns > now_ns) return before_ns <= set_ns_ ? before_ns : now_ns;
    return before_ns <= set_ns_ && before_ns > after_ns ? before_ns : after_ns;
  }

 private:
  // Readings of the clocks differ by less.
  static constexpr int64_t kSetNs = 100'000;

  int64_t offset_ns_ = 0;
  int64_t before_ns_ = 0;
  // When it was found to have been set.
  int64_t set_ns_ = 0;
};

}  // namespace firsthop
