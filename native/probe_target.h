// What a probe asks for, and what its answers come to: one target of the prober. Its rules of time (when the next probe
// leaves) and of judgement (successes and failures in a row) know neither socket nor thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "probe_packet.h"
#include "probe_port.h"

namespace firsthop {

enum class ProbeKind : uint8_t { kIcmp, kArp, kNd };
// Untried: this machine lacked what a probe takes (descriptors, memory), which says nothing about the target.
enum class ProbeOutcome : uint8_t { kNone, kAnswered, kTimeout, kError, kUntried };
enum class ProbeVerdict : uint8_t { kUnknown, kUp, kDown };

struct ProbeSettings {
  ProbeKind kind = ProbeKind::kIcmp;
  // Where probes go out and answers come in. Empty (ICMP only): by the routing table.
  std::string interface;
  ProbeAddress address;
  // None: without an interface the kernel's choice. Where the interface is given there has to be one: the kernel might
  // choose a virtual address.
  std::optional<ProbeAddress> source;
  int64_t interval_ns = 0;
  int64_t timeout_ns = 0;  // at most the interval
  // Failures in a row that turn the verdict from up to down, successes that turn it back.
  uint32_t fall = 1;
  uint32_t rise = 1;
  // What is known already. Unknown: the first result decides at once.
  ProbeVerdict verdict = ProbeVerdict::kUnknown;
};

// What the last probe ended with, and what all of them come to.
struct ProbeStanding {
  ProbeOutcome outcome = ProbeOutcome::kNone;
  int error = 0;
  ProbeVerdict verdict = ProbeVerdict::kUnknown;
  // How often the verdict changed so far.
  uint32_t crossings = 0;
};

// What is new about a target. Changes that JavaScript did not take in time are merged: the last one counts, and
// `crossings` tells that there were others.
struct ProbeReport : ProbeStanding {
  uint32_t target = 0;
  // Probes in a row with the last kind of result.
  uint32_t streak = 0;
  int64_t at_ns = 0;
  int64_t round_trip_ns = 0;  // of the last answer
};

// Written by the prober's thread, read by any.
struct ProbeCounters {
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> answered{0};
  std::atomic<uint64_t> timeouts{0};
  std::atomic<uint64_t> errors{0};
  // Answers that came after their time or twice.
  std::atomic<uint64_t> late{0};
  // Periods left out because the thread came too late, or the machine lacked something.
  std::atomic<uint64_t> skipped{0};
  std::atomic<int64_t> round_trip_ns{0};
  std::atomic<int64_t> answered_at_ns{0};
  // Octets of the MAC address that answered last, in the lower 48 bits; 0: none (ARP and ND only).
  std::atomic<uint64_t> mac{0};
};

struct ProbeTarget : ProbeStanding {
  uint32_t id = 0;
  // Its place among the targets; the generation tells those apart that had it one after the other.
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

  uint32_t successes = 0;
  uint32_t failures = 0;
  // Where its report waits, if JavaScript has taken none since.
  size_t report_at = 0;
  uint64_t report_epoch = UINT64_MAX;

  // When something has to be done about it.
  int64_t nextNs() const { return outstanding ? deadline_ns : due_ns; }
  ProbePort::Channel channel() const;
  // Chooses its places on the grid. `number`: how many targets there were before it.
  void planFirst(uint64_t number, int64_t now_ns);
  void planNext(int64_t sent_ns);
  // Counts a result; whether it is news.
  bool judge(ProbeOutcome result, int why);
  // The probe could not be made for want of something on this machine: the verdict stands.
  void leaveOut(int why);
  ProbeReport report(int64_t at_ns) const;
};

// For counters that only one thread writes, and others may read meanwhile.
template <typename T>
void increment(std::atomic<T>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace firsthop
