// When a thread did not run although it should have, and what follows: who comes late itself can't judge somebody else's
// silence. The machine may have stood still, or this process.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace firsthop {

class Absences {
 public:
  static constexpr int64_t kLeastNs = 1'000'000;

  // It should have run at `due_ns`, and runs now.
  void note(int64_t due_ns, int64_t now_ns) {
    if (now_ns - due_ns < kLeastNs) return;
    // A short absence does not hide a long one right before it: who matters no longer makes room.
    *std::min_element(last_.begin(), last_.end(), [](const Absence& a, const Absence& b) {
      return a.mattersUntilNs() < b.mattersUntilNs();
    }) = {now_ns, now_ns - due_ns};
  }

  // Until when to listen again before it is believed that nothing came from `base_ns` to `deadline_ns`; 0: it can be
  // believed.
  int64_t listenUntil(int64_t base_ns, int64_t deadline_ns) const {
    int64_t until_ns = 0;
    for (const Absence& one : last_) until_ns = std::max(until_ns, one.listenUntil(base_ns, deadline_ns));
    return until_ns;
  }

 private:
  // What counts as an absence: an eighth of the time that a deadline gives, within bounds.
  static constexpr int64_t kMostNs = 5'000'000;
  static constexpr int64_t kPart = 8;
  // Whoever was away for a while hears for thrice that while before it judges, at most for half the time that the
  // deadline gives: where several routers share a host that stood still, they don't come back at once.
  static constexpr int64_t kListenTimes = 3;

  struct Absence {
    int64_t end_ns = 0;
    int64_t length_ns = 0;

    int64_t mattersUntilNs() const { return end_ns + kListenTimes * length_ns; }

    int64_t listenUntil(int64_t base_ns, int64_t deadline_ns) const {
      const int64_t span_ns = deadline_ns - base_ns;
      if (end_ns <= base_ns || length_ns < std::clamp(span_ns / kPart, kLeastNs, kMostNs)) return 0;
      const int64_t missed_ns = std::max<int64_t>(end_ns - deadline_ns, 0);
      return end_ns + std::max(std::min(missed_ns, span_ns), std::min(kListenTimes * length_ns, span_ns / 2));
    }
  };

  std::array<Absence, 4> last_{};
};

}  // namespace firsthop
