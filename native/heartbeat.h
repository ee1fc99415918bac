// The heartbeat engine: one thread that runs the automata of all sessions. It knows no protocol. It sleeps
// until the next deadline or frame, carries out the transition that belongs to it, and tells JavaScript
// afterwards.
//
// Threads: turns are the heartbeat thread's, or its stand-in's on another processor when it is kept from running
// (heartbeat_stand_in.cc); public functions are called by JavaScript. What they share is guarded by `mutex_`, which
// lends priority (PiMutex) and is held for microseconds: programs are built before it is taken and freed after it is released. A command queue instead
// would make a refused `load` known only a wake-up later, and JavaScript would have to undo what it did
// meanwhile.
#pragma once
#include <sched.h>
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absences.h"
#include "bpf/ownership_abi.h"
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
  // Turns that the stand-in took.
  uint64_t stand_ins = 0;
  bool realtime = false;
  bool memory_locked = false;
};

// Where a session's lease lies: memory that the kernel's filter reads with each packet.
struct LeasePlace {
  std::shared_ptr<fh_lease> lease;
  std::shared_ptr<const fh_table_head> head;
  // From this long after a renewal on, the filter believes a successor.
  int64_t overdue_ns = 0;
  // This long after a renewal it lets nothing in any more; 0: never.
  int64_t limit_ns = 0;
};

// A virtual router, as far as the engine is concerned.
struct Session {
  uint32_t id = 0;
  uint32_t epoch = 0;
  uint32_t posture = 0;
  std::shared_ptr<const Program> program;
  // Ports that the program has patterns on.
  std::vector<uint32_t> listening;
  // No timer is due before this: one look instead of one at each timer.
  int64_t soonest_ns = kNever;
  std::array<Timer, kTimers> timers;
  std::array<uint64_t, kCounters> counters{};
  LeasePlace place;
  // The number of the last sealed frame that left, and of the last that was believed.
  uint32_t sequence_sent = 0;
  uint32_t sequence_heard = 0;
  bool sequence_known = false;
  // The lease ends when what this wake-up sends has left.
  bool closing = false;

  Session();
  // Whether the filter gave this session's ownership to a successor.
  bool gaveWay() const;
  const Posture* current() const { return program ? &program->postures[posture] : nullptr; }
  // What a timer's passing does now; null for nothing.
  const Transition* onTimer(int timer) const;
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
                  const std::vector<std::string>& groups, uint32_t* port, const std::vector<uint16_t>& udp_ports = {});
  int openDatagramPort(bool ipv6, int ifindex, uint32_t* port);
  bool closePort(uint32_t port);
  bool hasPort(uint32_t port);

  uint32_t createSession();
  bool removeSession(uint32_t session);
  enum class LoadResult { Loaded, Stale, NoSession };
  LoadResult load(uint32_t session, std::shared_ptr<const Program> program, uint32_t posture,
                  const std::vector<Operation>& operations, int64_t base_ns, uint32_t epoch);
  // The program that a session has; null without one. Only `load` replaces it.
  std::shared_ptr<const Program> program(uint32_t session);
  // Where the session's lease is from now on; an empty place for none. False when there is no such session.
  bool bindLease(uint32_t session, LeasePlace place);
  // Where a session is, so that another process can go on with it. False without a program. `freeze`: it does nothing
  // any more in this one: it has no program, no timer runs, and its lease is left alone.
  struct Frozen {
    uint32_t posture = 0;
    std::array<int64_t, kTimers> deadlines_ns{};
    std::array<uint64_t, kCounters> counters{};
  };
  bool look(uint32_t session, bool freeze, Frozen* into);
  // Numbers of sealed frames; false when there is no such session.
  struct Sequences {
    uint32_t sent = 0;
    uint32_t heard = 0;
    bool known = false;
  };
  bool sequences(uint32_t session, Sequences* into);
  // Goes on with another process's numbers.
  bool setSequences(uint32_t session, const Sequences& from);
  // JavaScript believed a sealed frame that no pattern knew.
  bool noteSequence(uint32_t session, uint32_t heard);
  bool counters(uint32_t session, double* into);
  bool portCounters(uint32_t port, PortCounters* into);
  EngineTiming timing();
  // False when there is no such port. That the kernel refuses the frame shows in the port's counters.
  bool send(uint32_t port, const Bytes& frame);
  // Carries out steps in the kernel lane; the report names `number`.
  void perform(std::shared_ptr<const KernelPlan> plan, uint32_t number);

  // JavaScript is alive.
  void renew();
  std::vector<Report> takeReports(size_t frames_max = SIZE_MAX) { return reports_.take(frames_max); }
  bool hasReports() { return !reports_.empty(); }

 private:
  static constexpr int kPriority = 50;
  // What epoll says for descriptors that are no ports; ports go by their numbers.
  static constexpr uint64_t kTimerEvent = UINT64_MAX;
  static constexpr uint64_t kStopEvent = UINT64_MAX - 1;

  // A token bucket for the frames of one sender, or of a whole port.
  struct Bucket {
    int64_t full_at_ns = 0;
    bool take(int64_t now_ns, int64_t cost_ns, int64_t burst_ns);
  };

  // What is known of a port's interface. One that is down may come back; for one that is gone the port is
  // dead.
  enum class Line : uint8_t { Up, Down, Gone };

  struct Port {
    std::shared_ptr<PacketPort> socket;
    Classifier<Session*> classifier;
    // Patterns with guards, which are asked when no other one knows a frame.
    Classifier<Session*> guarded;
    PortCounters counters;
    Bucket all;
    std::array<Bucket, 1024> senders;
    std::vector<const Bytes*> outgoing;
    // Everything that came in until then was read.
    int64_t read_until_ns = 0;
    // When the socket was last known to be empty.
    int64_t emptied_ns = 0;
    // The wake-up in which the last reading left something in the socket; 0 when it was emptied.
    uint64_t left_in_wakeup = 0;
    Line line = Line::Up;
    // When the line was last found not to be up.
    int64_t failed_ns = 0;
  };

  // What operations are carried out for: their base time and now.
  struct Moment {
    enum class Cause : uint8_t { Timer, Frame, Entry, Control, GaveWay };
    Cause cause;
    int64_t base_ns;
    int64_t now_ns;
    int timer = -1;
  };

  // One session's word to another.
  struct Signal {
    uint32_t session;
    uint8_t signal;
    int64_t base_ns;
    int64_t now_ns;
  };

  bool sendAll(uint32_t port, const Bytes* const* frames, size_t count);

  enum class Heard : uint8_t { All, ReadMore, Behind };

  // How the thread waits for its next turn.
  struct Waiting {
    // Deadline that is awaited without sleeping; kNever for none.
    int64_t watch_until_ns = kNever;
    // Frames come in by the thousands, and wait for the end of a pause.
    bool hurried = false;
    // Who awaited a deadline awake ran until then, and then not for a while; kNever: it ran all the time.
    int64_t away_since_ns = kNever;
  };

  void run();
  // Waits for something to do; returns the number of ports that have frames.
  int wait(Waiting& how, epoll_event* events, int room);
  // Does what is due, for `count` ports that have frames.
  void takeTurn(const epoll_event* events, int count);
  int startStandIn();
  void standIn();
  // Takes the turn if it is overdue, and sets when the stand-in looks again.
  void lookAfterThread();
  void callStandIn();
  void watch(int64_t now_ns);
  bool decides(const Timer& timer) const;
  void armWakeup();
  // At an absolute time; never at kNever.
  static void setTimer(int timer, int64_t at_ns);
  void pace(int64_t now_ns);
  void readPort(uint32_t id, Port& port);
  // False when the frame is JavaScript's.
  bool matchFrame(Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns);
  void deliverFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns);
  void fireTimers(int64_t now_ns);
  // A session's timers that had passed when a frame for it came in.
  void firePassed(Session& session, int64_t before_ns, int64_t now_ns);
  void fireTimer(Session& session, Timer& timer, int64_t now_ns);
  // Whether everything was read that may have come in for a session until a deadline of its.
  Heard heardUntil(const Session& session, int64_t deadline_ns);
  void fireTransition(Session& session, const Transition& transition, const Moment& moment);
  void carryOut(Session& session, const std::vector<Operation>& operations, const Moment& moment);
  void queueFrame(Session& session, const Operation& operation);
  bool believes(Session& session, const FramePattern& pattern, const uint8_t* frame, size_t length);
  void armTimer(Session& session, const Operation& operation, const Moment& moment);
  void arm(Timer& timer, int64_t deadline_ns);
  void submitPlan(const Session& session, uint32_t plan);
  void setLease(Session& session, bool open);
  void endLeases();
  void reviveLeases(uint32_t port);
  void renewLeases(uint32_t port);
  void checkYields(int64_t now_ns);
  void giveWay(Session& session, int64_t now_ns);
  void noteAbsence(int64_t now_ns);
  bool listenAgain(Timer& timer, int64_t now_ns);
  // Sets off what other sessions were signalled.
  void deliverSignals();
  int64_t draw(int64_t below_ns);
  void loseControl(int64_t now_ns);
  void checkControl(int64_t now_ns);
  void checkPorts(int64_t now_ns);
  void notePortError(uint32_t id, Port& port, int error);
  void flush();
  void noteLateness(int64_t lateness_ns);
  void expect(Session& session, bool add);
  int addPort(std::shared_ptr<PacketPort> socket, uint32_t* port);
  void report(Report&& report);
  // Hands frames that came in until then to JavaScript.
  void publishFrames(int64_t until_ns);

  const Options options_;
  ReportQueue reports_;
  UniqueFd epoll_;
  // The same without the ports.
  UniqueFd quiet_epoll_;
  UniqueFd timer_;
  UniqueFd stop_event_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> renewed_ns_{0};
  std::atomic<bool> started_{false};

  PiMutex mutex_;
  // Ordered, so that control is lost in the same order everywhere.
  std::map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::map<uint32_t, std::unique_ptr<Port>> ports_;
  uint32_t next_session_ = 1;
  uint32_t next_port_ = 1;
  DeadlineHeap heap_;
  // Timers whose transition must wait for frames that are still in a socket.
  std::vector<Timer*> deferred_;
  // Who sends in this wake-up, and by which port: what leaves renews a lease.
  struct Sending {
    Session* session;
    uint32_t port;
    size_t place;
    // The last renewal, where the lease has run out since.
    fh_u64 ran_out_ns = 0;
  };
  std::vector<Sending> sending_;
  // Copies of frames that were numbered and sealed, until they have left.
  std::deque<Bytes> sealed_;
  std::vector<size_t> refused_;
  // Whose lease ends after that.
  std::vector<Session*> closing_;
  // Of the table that leases are in; null while there is none.
  std::shared_ptr<const fh_table_head> lease_head_;
  uint64_t yields_seen_ = 0;
  // Frames for JavaScript of this wake-up.
  std::vector<Report> frames_;
  std::vector<Signal> signals_;
  bool signalling_ = false;
  uint64_t random_ = 0;
  EngineTiming timing_;
  bool control_lost_ = false;
  int64_t control_lost_ns_ = 0;
  bool woke_ = false;
  int64_t timer_set_ns_ = kNever;
  // The same, or a little later while a deadline is awaited awake.
  int64_t timer_expires_ns_ = kNever;
  // When that was set.
  int64_t timer_armed_ns_ = 0;
  Absences absences_;
  int64_t check_ports_ns_ = kNever;
  // While frames come in by the thousands, ports are read at this time and not at each frame; kNever: at each
  // frame.
  int64_t rest_until_ns_ = kNever;
  Waiting waiting_;
  // The thread waits for the end of a pause, and hears of nothing else.
  bool in_pause_ = false;
  uint64_t frames_read_ = 0;
  uint64_t paced_frames_ = 0;
  int64_t paced_ns_ = 0;
  ReceiveBatch batch_;
  // The processors that the threads may use, that of the thread's last turn, and when its stand-in looks next.
  cpu_set_t processors_{};
  int runs_on_ = -1;
  int64_t stand_in_looks_ns_ = kNever;
  int64_t stand_in_pause_ns_ = 0;
  UniqueFd stand_in_timer_;

  std::unique_ptr<KernelLane> lane_;
  // Last: their destruction joins the threads, which use all of the above.
  RealtimeThread thread_;
  RealtimeThread stand_in_;
};

}  // namespace firsthop
