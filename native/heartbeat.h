// The heartbeat engine: one thread that runs the automata of all sessions. It knows no protocol. It sleeps until the
// next deadline or frame, carries out the transition that belongs to it, and tells JavaScript afterwards.
//
// Threads: `run` and everything it calls are the heartbeat thread's; public functions are called by JavaScript. What
// both touch is guarded by `mutex_`, which lends priority (PiMutex) and is held for microseconds: programs are built
// before it is taken and freed after it is released. A command queue instead would make a refused `load` known only
// a wake-up later, and JavaScript would have to undo what it did meanwhile.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "classifier.h"
#include "deadline_heap.h"
#include "kernel_lane.h"
#include "packet_port.h"
#include "pi_mutex.h"
#include "program.h"
#include "realtime_thread.h"
#include "report_queue.h"
#include "util/unique_fd.h"

namespace firsthop {

struct EngineTiming {
  static constexpr std::array<int, 12> kBoundsUs{5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000};
  uint64_t wakeups = 0;
  int64_t lateness_max_ns = 0;
  std::array<uint64_t, 13> lateness_counts{};
  uint64_t skipped_periods = 0;
  bool realtime = false;
  bool memory_locked = false;
};

class Heartbeat {
 public:
  struct Options {
    int64_t control_timeout_ns = 5'000'000'000;
    // Called on native threads when reports wait; must be quick and never block.
    std::function<void()> wake;
  };

  explicit Heartbeat(Options options);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  static int64_t nowNs();

  // 0 or an errno.
  int start();
  // Resigns from everything (control lost), gives the kernel lane a bounded time, ends the threads.
  void stop();

  // 0 or an errno; `port` is set on success.
  int openLanPort(int ifindex, const std::vector<sock_filter>& filter, const std::vector<Bytes>& memberships,
                  const std::vector<std::string>& groups, uint32_t* port);
  int openDatagramPort(bool ipv6, int ifindex, uint32_t* port);
  bool closePort(uint32_t port);
  bool hasPort(uint32_t port);

  uint32_t createSession();
  bool removeSession(uint32_t session);
  enum class LoadResult { Loaded, Stale, NoSession };
  LoadResult load(uint32_t session, std::shared_ptr<const Program> program, uint32_t posture,
                  const std::vector<Operation>& operations, int64_t base_ns, uint32_t epoch);
  bool counters(uint32_t session, double* into);
  bool portCounters(uint32_t port, PortCounters* into);
  EngineTiming timing();
  bool send(uint32_t port, const Bytes& frame);
  // Carries out steps in the kernel lane; the report names `number`.
  void perform(std::shared_ptr<const KernelPlan> plan, uint32_t number);

  // JavaScript is alive.
  void renew();
  std::vector<Report> takeReports() { return reports_.take(); }

 private:
  struct Timer {
    int64_t deadline_ns = kNever;
    // Deadline of this timer's entry in the heap, which may be earlier; kNever without one.
    int64_t queued_ns = kNever;
  };

  struct Session {
    uint32_t id = 0;
    uint32_t epoch = 0;
    uint32_t posture = 0;
    std::shared_ptr<const Program> program;
    std::array<Timer, kTimers> timers;
    std::array<uint64_t, kCounters> counters{};
  };

  // A token bucket for the frames of one sender, or of a whole port.
  struct Bucket {
    int64_t full_at_ns = 0;
    bool take(int64_t now_ns, int64_t cost_ns, int64_t burst_ns);
  };

  struct Port {
    std::shared_ptr<PacketPort> socket;
    Classifier classifier;
    PortCounters counters;
    Bucket all;
    std::array<Bucket, 1024> senders;
    std::vector<const Bytes*> outgoing;
  };

  void run();
  void armWakeup();
  void readPort(uint32_t id, Port& port);
  void handleFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns);
  bool matchFrame(Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns);
  void deliverFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns);
  // Carries out timers whose deadline is at or before `until_ns`; unreported ones also within the slack.
  void fireTimers(int64_t until_ns, int64_t now_ns, int64_t slack_ns);
  void fireTransition(Session& session, uint32_t index, int64_t base_ns, int64_t now_ns, bool by_timer);
  void carryOut(Session& session, const std::vector<Operation>& operations, int64_t base_ns, int64_t now_ns,
                bool by_timer);
  void setTimer(Session& session, int timer, int64_t deadline_ns);
  void loseControl(int64_t now_ns);
  void checkControl(int64_t now_ns);
  void flush();
  void noteLateness(int64_t lateness_ns);
  void expect(const Session& session, bool add);
  int addPort(std::shared_ptr<PacketPort> socket, uint32_t* port);
  void report(Report&& report);

  const Options options_;
  ReportQueue reports_;
  UniqueFd epoll_;
  UniqueFd timer_;
  UniqueFd stop_event_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> renewed_ns_{0};
  std::atomic<bool> started_{false};

  PiMutex mutex_;
  std::map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::map<uint32_t, std::unique_ptr<Port>> ports_;
  uint32_t next_session_ = 1;
  uint32_t next_port_ = 1;
  DeadlineHeap heap_;
  EngineTiming timing_;
  bool control_lost_ = false;
  int64_t control_lost_ns_ = 0;
  bool woke_ = false;
  int64_t timer_set_ns_ = kNever;
  Bytes receive_buffer_;

  std::unique_ptr<KernelLane> lane_;
  // Last: its destruction joins the thread, which uses all of the above.
  RealtimeThread thread_;
};

}  // namespace firsthop
