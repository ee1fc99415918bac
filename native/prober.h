// Probes that hosts answer: ICMP and ICMPv6 echo, ARP requests, neighbour solicitations. One thread, not real-time,
// sends them, matches the answers and counts successes and failures in a row; only what changes is reported.
//
// Probes are spread over their interval on a common grid, so that many targets cost few wake-ups: each sends what is
// due and reads what has come in. Answers carry the kernel's receive stamp; a thread that comes late judges nobody
// wrongly, it sends less.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "neighbour_watch.h"
#include "probe_mailbox.h"
#include "probe_packet.h"
#include "probe_port.h"
#include "probe_table.h"
#include "probe_target.h"
#include "util/joined_thread.h"
#include "util/stamp_clock.h"

namespace firsthop {

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
  uint32_t add(const ProbeSettings& settings) { return mailbox_.add(settings); }
  bool remove(uint32_t target) { return mailbox_.remove(target); }
  bool changeSource(uint32_t target, const std::optional<ProbeAddress>& source) {
    return mailbox_.changeSource(target, source);
  }
  // Tells who shows on an interface.
  uint32_t follow(const std::string& interface) { return mailbox_.follow(interface); }
  bool unfollow(uint32_t follower) { return mailbox_.unfollow(follower); }
  // Interfaces changed: look now and not within a second.
  void refresh() { mailbox_.refresh(); }

  std::shared_ptr<const ProbeCounters> counters(uint32_t target) { return mailbox_.counters(target); }
  std::vector<ProbeReport> takeReports() { return mailbox_.takeReports(); }
  std::vector<Sighting> takeSightings() { return mailbox_.takeSightings(); }
  ProberStatistics statistics() const;

  static int64_t nowNs();

 private:
  void run();
  // False: it is to stop.
  bool execute();
  void enlist(ProbeCommand& command);
  void dismiss(uint32_t id);
  void wait(int64_t now_ns);

  void listen();
  void drain(ProbePort& port, EchoRing& ring);
  void drain(ProbePort& port, ProbePort::Channel channel);
  void hearBatch(ProbePort& port, ProbePort::Channel channel, size_t count);
  void hearLink(ProbePort& port, const ProbePort::Received& received, int64_t at_ns);
  void hearEchoes(ProbePort& port, const EchoRing::Noted* echoes, size_t count);
  void hearEcho(ProbePort& port, const EchoAnswer& answer, int64_t at_ns);
  void hearNeighbour(ProbePort& port, const ProbeAddress& address, const MacOctets* mac, int64_t at_ns);
  void answered(ProbeTarget& target, int64_t at_ns);
  void watchNeighbours(int64_t now_ns);

  void serve(int64_t now_ns);
  void send(ProbePort& port, const std::vector<uint32_t>& slots);
  static int openFor(const ProbeTarget& target, ProbePort& port);
  bool compose(ProbeTarget& target, ProbePort& port, ProbePort::Message& message);
  void sentAt(ProbeTarget& target, int64_t now_ns);
  void failedAt(ProbeTarget& target, int error, int64_t now_ns);
  void judge(ProbeTarget& target, ProbeOutcome outcome, int error, int64_t at_ns);
  uint64_t nonce();

  Options options_;
  ProbeMailbox mailbox_;
  JoinedThread thread_;

  // Of the thread:
  ProbeTable table_;
  std::map<std::string, std::unique_ptr<ProbePort>> ports_;
  std::map<ProbePort*, std::vector<uint32_t>> to_send_;
  ProbeBatch batch_;
  StampClock stamps_;
  NeighbourWatch neighbours_;
  int64_t looked_ns_ = 0;
  uint64_t enlisted_ = 0;
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
