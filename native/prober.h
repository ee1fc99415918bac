// Probes that hosts answer: ICMP and ICMPv6 echo, ARP requests, neighbour solicitations. One thread, not real-time,
// sends them, matches the answers and counts successes and failures in a row; only what changes is reported.
//
// Probes are spread over their interval on a common grid, so that many targets cost few wake-ups: each sends what is
// due and reads what has come in. Answers carry the kernel's receive stamp; a thread that comes late judges nobody
// wrongly, it sends less.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "neighbour_watch.h"
#include "probe_packet.h"
#include "probe_port.h"
#include "util/unique_fd.h"

namespace firsthop {

enum class ProbeKind : uint8_t { kIcmp, kArp, kNd };
enum class ProbeOutcome : uint8_t { kNone, kAnswered, kTimeout, kError };
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
  // Failures in a row that turn the verdict from up to down, successes that turn it back. The first result decides
  // at once.
  uint32_t fall = 1;
  uint32_t rise = 1;
};

// What is new about a target. Changes that JavaScript did not take in time are merged: the last one counts, and
// `crossings` tells that there were others.
struct ProbeReport {
  uint32_t target = 0;
  ProbeOutcome outcome = ProbeOutcome::kNone;
  int error = 0;
  ProbeVerdict verdict = ProbeVerdict::kUnknown;
  // How often the verdict changed so far.
  uint32_t crossings = 0;
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
  // Periods left out because the thread came too late.
  std::atomic<uint64_t> skipped{0};
  std::atomic<int64_t> round_trip_ns{0};
  std::atomic<int64_t> answered_at_ns{0};
  // Octets of the MAC address that answered last, in the lower 48 bits; 0: none (ARP and ND only).
  std::atomic<uint64_t> mac{0};
};

struct ProberStatistics {
  uint64_t wakeups = 0;
  // What came in and answers nothing that was asked.
  uint64_t foreign = 0;
  int64_t cpu_ns = 0;
};

class Prober {
 public:
  struct Options {
    // A network namespace by its file; empty: the caller's.
    std::string network_namespace;
    // There are reports or sightings. Called on the prober's thread.
    std::function<void()> wake;
  };

  explicit Prober(Options options);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // 0 or an errno.
  int start();
  void stop();

  // Of any thread; carried out by the prober's soon after.
  uint32_t add(const ProbeSettings& settings);
  bool remove(uint32_t target);
  bool changeSource(uint32_t target, const std::optional<ProbeAddress>& source);
  // Tells who shows on an interface.
  uint32_t follow(const std::string& interface);
  bool unfollow(uint32_t follower);
  // Interfaces changed: look now and not within a second.
  void refresh();

  std::shared_ptr<const ProbeCounters> counters(uint32_t target);
  std::vector<ProbeReport> takeReports();
  std::vector<Sighting> takeSightings();
  ProberStatistics statistics();

  static int64_t nowNs();

 private:
  struct Target;
  struct Command;
  struct Due {
    int64_t at_ns;
    uint32_t slot;
    uint32_t generation;
    bool operator<(const Due& other) const { return at_ns > other.at_ns; }
  };

  void run();
  void execute();
  void enlist(Command& command);
  void dismiss(uint32_t id);
  Target* targetAt(uint32_t slot) { return slot < targets_.size() ? targets_[slot].get() : nullptr; }

  int64_t nextDueNs();
  void wait(int64_t now_ns);
  void listen();
  void drain(ProbePort& port, ProbePort::Channel channel);
  void hear(ProbePort& port, const ProbePort::Received& received);
  void hearEcho(ProbePort& port, const EchoAnswer& answer, int64_t at_ns);
  void hearNeighbour(ProbePort& port, const ProbeAddress& address, const MacOctets* mac, int64_t at_ns);
  void answered(Target& target, int64_t at_ns);
  void watchNeighbours(int64_t now_ns);
  void serve(int64_t now_ns);
  void send(ProbePort& port, const std::vector<uint32_t>& slots);
  static int openFor(const Target& target, ProbePort& port);
  bool compose(Target& target, ProbePort& port, ProbePort::Message& message);
  void sentAt(Target& target, int64_t now_ns);
  void failedAt(Target& target, int error, int64_t now_ns);
  void planNext(Target& target, int64_t sent_ns);
  void judge(Target& target, ProbeOutcome outcome, int error, int64_t at_ns);
  void report(Target& target, int64_t at_ns);
  void push(Target& target);
  uint64_t nonce();

  Options options_;
  std::thread thread_;
  UniqueFd event_;

  std::mutex mutex_;
  // Under the mutex:
  std::vector<Command> commands_;
  std::unordered_map<uint32_t, std::shared_ptr<ProbeCounters>> known_;
  uint32_t last_id_ = 0;
  std::vector<ProbeReport> reports_;
  uint64_t reports_taken_ = 0;
  std::unordered_map<uint32_t, std::string> followers_;
  std::vector<Sighting> sightings_;
  bool stopping_ = false;

  // Of the thread:
  std::vector<std::unique_ptr<Target>> targets_;
  std::vector<uint32_t> free_slots_;
  std::unordered_map<uint32_t, uint32_t> slots_;
  std::map<std::string, std::unique_ptr<ProbePort>> ports_;
  std::map<ProbePort*, std::vector<uint32_t>> to_send_;
  std::vector<Due> due_;
  ProbeBatch batch_;
  NeighbourWatch neighbours_;
  int64_t looked_ns_ = 0;
  uint64_t enlisted_ = 0;
  uint32_t generation_ = 0;
  std::array<uint64_t, 32> nonces_{};
  size_t nonces_left_ = 0;
  int64_t listened_ns_ = 0;
  bool refresh_ = false;
  bool reported_ = false;

  std::atomic<uint64_t> wakeups_{0};
  std::atomic<uint64_t> foreign_{0};
  std::atomic<int64_t> cpu_ns_{0};
};

}  // namespace firsthop
