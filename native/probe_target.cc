// see probe_target.h
#include "probe_target.h"

#include <algorithm>
#include <cmath>

namespace firsthop {

namespace {

constexpr int64_t kMs = 1'000'000;
// Probes leave at multiples of this after a boot, so that those of many targets share a wake-up.
constexpr int64_t kGridNs = 20 * kMs;
constexpr int64_t kFineGridNs = kMs;
constexpr int64_t kFineBelowNs = 50 * kMs;
// A target's first probe leaves within this time, whatever its interval.
constexpr int64_t kFirstWithinNs = 100 * kMs;

int64_t gridOf(int64_t interval_ns) {
  if (interval_ns >= kFineBelowNs) return kGridNs;
  return std::min(kFineGridNs, interval_ns);
}

// The first one at or after a moment of those that are `phase_ns` behind a multiple of the interval. The machine may not
// have run for as long as an interval yet.
int64_t nextOnGrid(int64_t from_ns, int64_t phase_ns, int64_t interval_ns) {
  if (from_ns <= phase_ns) return phase_ns;
  return ((from_ns - phase_ns - 1) / interval_ns + 1) * interval_ns + phase_ns;
}

}  // namespace

ProbePort::Channel ProbeTarget::channel() const {
  if (settings.kind != ProbeKind::kIcmp) return ProbePort::Channel::kArp;
  return settings.address.ipv6 ? ProbePort::Channel::kEcho6 : ProbePort::Channel::kEcho4;
}

void ProbeTarget::planFirst(uint64_t number, int64_t now_ns) {
  // Multiples of the golden ratio fall evenly, however many there are.
  const int64_t grid_ns = gridOf(settings.interval_ns);
  const double turn = static_cast<double>(number + 1) * 0.61803398874989485;
  const double share = turn - std::floor(turn);
  const auto onGrid = [&](int64_t within_ns) {
    return static_cast<int64_t>(share * static_cast<double>(within_ns / grid_ns)) * grid_ns;
  };
  phase_ns = onGrid(settings.interval_ns);
  due_ns = (now_ns / grid_ns + 1) * grid_ns + onGrid(std::min(settings.interval_ns, kFirstWithinNs));
}

// The first moment of its grid that leaves this probe its time. A thread that comes late leaves periods out: an answer
// that had no time to come is no failure.
void ProbeTarget::planNext(int64_t sent_ns) {
  const int64_t interval_ns = settings.interval_ns;
  const int64_t before_ns = due_ns;
  const int64_t earliest_ns = sent_ns + std::max<int64_t>(settings.timeout_ns - interval_ns / 8, 1);
  due_ns = nextOnGrid(earliest_ns, phase_ns, interval_ns);
  const int64_t left_out = (due_ns - before_ns) / interval_ns - 1;
  if (left_out > 0) counters->skipped.fetch_add(static_cast<uint64_t>(left_out), std::memory_order_relaxed);
}

bool ProbeTarget::judge(ProbeOutcome result, int why) {
  const bool success = result == ProbeOutcome::kAnswered;
  uint32_t& streak = success ? successes : failures;
  (success ? failures : successes) = 0;
  if (streak < UINT32_MAX) streak++;
  const ProbeVerdict wanted = success ? ProbeVerdict::kUp : ProbeVerdict::kDown;
  const bool decides = verdict == ProbeVerdict::kUnknown || streak >= (success ? settings.rise : settings.fall);
  const bool crosses = wanted != verdict && decides;
  if (crosses) {
    verdict = wanted;
    crossings++;
  }
  const bool news = crosses || result != outcome || why != error;
  outcome = result;
  error = why;
  return news;
}

void ProbeTarget::leaveOut(int why) {
  outcome = ProbeOutcome::kUntried;
  error = why;
  counters->skipped.fetch_add(1, std::memory_order_relaxed);
}

ProbeReport ProbeTarget::report(int64_t at_ns) const {
  ProbeReport made;
  static_cast<ProbeStanding&>(made) = *this;
  made.target = id;
  made.streak = outcome == ProbeOutcome::kAnswered ? successes : failures;
  made.at_ns = at_ns;
  made.round_trip_ns = counters->round_trip_ns.load(std::memory_order_relaxed);
  return made;
}

}  // namespace firsthop
