// The engine on a veth pair in a network namespace of its own. Needs root; 77 tells ctest that it was
// skipped.
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "check.h"
#include "heartbeat.h"

using namespace firsthop;
using std::chrono::milliseconds;

namespace {

constexpr int64_t kMs = 1'000'000;

const std::vector<sock_filter> kPassAll{{0x06, 0, 0, 0xffff}};

// Collects reports until one of a kind is there.
class Listener {
 public:
  Heartbeat::Options options(int64_t control_timeout_ns) {
    Heartbeat::Options made;
    made.control_timeout_ns = control_timeout_ns;
    made.wake = [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    };
    return made;
  }

  // False when nothing of this kind came within two seconds.
  bool waitFor(Heartbeat& engine, Report::Kind kind, Report* into) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (;;) {
      for (Report& one : engine.takeReports()) {
        if (one.kind != kind) continue;
        *into = std::move(one);
        return true;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      if (!changed_.wait_until(lock, until, [this] { return woken_; })) return false;
      woken_ = false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

Bytes frameOf(uint8_t id) {
  Bytes frame(60, id);
  for (int i = 0; i < 6; i++) frame[static_cast<size_t>(i)] = 0xff;
  const uint8_t source[] = {2, 0, 0, 0, 0, id};
  std::copy(source, source + 6, frame.begin() + 6);
  frame[12] = 0x88;
  frame[13] = 0xb5;
  return frame;
}

Operation send(uint32_t port) {
  Operation one;
  one.kind = Operation::Kind::Send;
  one.port = port;
  return one;
}

Operation arm(uint8_t timer, int64_t after_ns) {
  Operation one;
  one.kind = Operation::Kind::Arm;
  one.slot = timer;
  one.after_ns = after_ns;
  return one;
}

Operation count(uint8_t counter) {
  Operation one;
  one.kind = Operation::Kind::Count;
  one.slot = counter;
  return one;
}

// Sends its frame every period; says goodbye (frame 1) when control is lost.
std::shared_ptr<const Program> beater(uint32_t port, int64_t period_ns) {
  auto program = std::make_shared<Program>();
  program->frames = {frameOf(1), frameOf(9)};
  Posture beating;
  beating.transitions.push_back({{send(port), arm(0, period_ns), count(0)}, 0, false});
  Operation goodbye = send(port);
  goodbye.index = 1;
  Operation cancel;
  cancel.kind = Operation::Kind::Cancel;
  beating.transitions.push_back({{goodbye, cancel}, 1, true});
  beating.by_timer[0] = 0;
  beating.on_control_lost = 1;
  program->postures = {beating, Posture()};
  return program;
}

// Waits for the frame; reports when it stays away.
std::shared_ptr<const Program> watcher(uint32_t port, int64_t limit_ns) {
  auto program = std::make_shared<Program>();
  FramePattern pattern;
  pattern.port = port;
  pattern.bytes = frameOf(1);
  pattern.mask.assign(60, 0xff);
  program->patterns = {pattern};
  Posture watching;
  watching.transitions.push_back({{arm(1, limit_ns), count(1)}, 0, false});
  watching.transitions.push_back({{}, 1, true});
  watching.by_pattern = {0};
  watching.by_timer[1] = 1;
  Posture alone;
  alone.by_pattern = {kNone};
  program->postures = {watching, alone};
  return program;
}

struct Pair {
  uint32_t a = 0;
  uint32_t b = 0;
  explicit Pair(Heartbeat& engine) {
    CHECK(engine.openLanPort(static_cast<int>(if_nametoindex("fh-a")), kPassAll, {}, {}, &a) == 0);
    CHECK(engine.openLanPort(static_cast<int>(if_nametoindex("fh-b")), kPassAll, {}, {}, &b) == 0);
  }
};

void beatsAreHeardAndSilenceIsReported() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t sender = engine.createSession();
  const uint32_t receiver = engine.createSession();
  const int64_t limit_ns = 40 * kMs;
  CHECK(engine.load(receiver, watcher(ports.b, limit_ns), 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  CHECK(engine.load(sender, beater(ports.a, 2 * kMs), 0, {arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  double counters[kCounters];
  do {
    std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.counters(receiver, counters));
  } while (counters[1] < 50);
  const int64_t silent_ns = Heartbeat::nowNs();
  CHECK(engine.removeSession(sender));
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.session == receiver && report.from == 0 && report.to == 1 && report.epoch == 1);
  CHECK(report.at_ns > silent_ns + limit_ns - 5 * kMs && report.at_ns < silent_ns + limit_ns + 5 * kMs);
  CHECK(report.carried_out_ns >= report.at_ns);
}

void aStaleLoadIsRefusedAndChangesNothing() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  auto program = watcher(ports.b, kMs);
  CHECK(engine.load(session, program, 0, {arm(1, kMs)}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(engine.load(session, program, 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Stale);
  CHECK(engine.load(session, program, 0, {}, Heartbeat::nowNs(), report.epoch) == Heartbeat::LoadResult::Loaded);
  CHECK(engine.load(session + 1, program, 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::NoSession);
}

// JavaScript that was busy speaks of frames that came in long ago.
void anEntryFromThePastFiresNothingAtOnce() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  const int64_t now_ns = Heartbeat::nowNs();
  auto program = watcher(ports.b, 50 * kMs);
  CHECK(engine.load(session, program, 0, {arm(1, 30 * kMs)}, now_ns - 500 * kMs, 0) == Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.at_ns >= now_ns + 30 * kMs);
}

void whatDecidesListensForAsLongAsJavaScriptTook() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  const int64_t now_ns = Heartbeat::nowNs();
  auto program = watcher(ports.b, 50 * kMs);
  CHECK(engine.load(session, program, 0, {arm(1, 300 * kMs)}, now_ns - 290 * kMs, 0) == Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.at_ns >= now_ns + 290 * kMs);
}

void anEntryFromThePastLeavesWhatALaterFrameArmed() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  auto program = watcher(ports.b, 300 * kMs);
  const int64_t heard_ns = Heartbeat::nowNs();
  CHECK(engine.load(session, program, 0, {arm(1, 1000 * kMs)}, heard_ns, 0) == Heartbeat::LoadResult::Loaded);
  CHECK(engine.send(ports.a, frameOf(1)));
  double counters[kCounters] = {};
  while (counters[1] < 1) {
    std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.counters(session, counters));
  }
  CHECK(engine.load(session, program, 0, {arm(1, 200 * kMs)}, heard_ns, 0) == Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.at_ns >= heard_ns + 300 * kMs);
}

// Only what nobody is told of may come before its time.
void aDeadlineThatDecidesIsNeverEarly() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t beats = engine.createSession();
  CHECK(engine.load(beats, beater(ports.a, kMs), 0, {arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  for (int round = 0; round < 50; round++) {
    const uint32_t session = engine.createSession();
    CHECK(engine.load(session, watcher(ports.a, kMs), 0, {arm(1, 3 * kMs + 20'000 * round)}, Heartbeat::nowNs(), 0) ==
          Heartbeat::LoadResult::Loaded);
    Report report;
    CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
    CHECK(report.session == session && report.carried_out_ns >= report.at_ns);
    CHECK(engine.removeSession(session));
  }
  EngineTiming timing = engine.timing();
  CHECK(timing.wakeups > 50);
}

void aDeadlineThatDecidesIsAwaitedAwakeAndNotByWakingUpOverAndOver() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint64_t before = engine.timing().wakeups;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; round++) {
    const uint32_t session = engine.createSession();
    CHECK(engine.load(session, watcher(ports.a, kMs), 0, {arm(1, 5 * kMs)}, Heartbeat::nowNs(), 0) ==
          Heartbeat::LoadResult::Loaded);
    Report report;
    CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
    CHECK(engine.removeSession(session));
  }
  CHECK(engine.timing().wakeups - before < kRounds * 10);
}

void anEntryFromTheFutureIsOneOfNow() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  auto program = beater(ports.a, kMs);
  CHECK(engine.load(session, program, 0, {arm(0, kMs)}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  Operation signal;
  signal.kind = Operation::Kind::Signal;
  signal.index = session;
  const int64_t from_ns = Heartbeat::nowNs();
  CHECK(engine.load(session, program, 0, {signal}, from_ns + 10'000 * kMs, 0) == Heartbeat::LoadResult::Loaded);
  double counters[kCounters] = {};
  CHECK(engine.counters(session, counters));
  CHECK(counters[0] <= static_cast<double>((Heartbeat::nowNs() - from_ns) / kMs) + 20);
}

void aProgramThatArmsNothingButNowDoesNotKeepTheThread() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  CHECK(engine.load(session, beater(ports.a, 0), 0, {arm(0, 0)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  double counters[kCounters] = {};
  while (counters[0] < 100) CHECK(engine.counters(session, counters));
  CHECK(engine.removeSession(session));
}

void aSilentControlPlaneResignsOnceAndIsToldSo() {
  Listener listener;
  Heartbeat engine(listener.options(30 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  CHECK(engine.load(session, beater(ports.a, 5 * kMs), 0, {arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.transition == 1 && report.to == 1);
  engine.renew();
  CHECK(listener.waitFor(engine, Report::Kind::ControlRestored, &report));
  CHECK(report.carried_out_ns >= 30 * kMs);
}

void framesThatNobodyKnowsReachJavaScriptButNoFloodDoes() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const int64_t from_ns = Heartbeat::nowNs();
  for (int i = 0; i < 2000; i++) CHECK(engine.send(ports.a, frameOf(3)));
  PortCounters counters;
  do {
    std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.portCounters(ports.b, &counters));
  } while (counters.received + counters.dropped_by_kernel < 2000);
  // A burst of 64, and 200 a second.
  const auto most = static_cast<uint64_t>(65 + (Heartbeat::nowNs() - from_ns) / (5 * kMs));
  CHECK(counters.delivered >= 64 && counters.delivered <= most);
  CHECK(counters.delivered + counters.dropped_unread >= counters.received);
}

void portsAndSessionsComeAndGoWhileTheEngineRuns() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t steady = engine.createSession();
  CHECK(engine.load(steady, beater(ports.a, kMs), 0, {arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  for (int round = 0; round < 200; round++) {
    const Pair more(engine);
    const uint32_t session = engine.createSession();
    CHECK(engine.load(session, watcher(more.b, 50 * kMs), 0, {arm(1, kMs)}, Heartbeat::nowNs(), 0) ==
          Heartbeat::LoadResult::Loaded);
    double counters[kCounters];
    CHECK(engine.counters(session, counters));
    engine.timing();
    engine.takeReports();
    CHECK(engine.removeSession(session));
    CHECK(engine.closePort(more.a) && engine.closePort(more.b));
  }
}

void kernelPlansRunInOrderAndTellTheirFailures() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  auto plan = std::make_shared<KernelPlan>();
  KernelStep missing;
  missing.kind = KernelStep::Kind::Write;
  missing.label = "/proc/sys/net/ipv4/conf/no-such-device/forwarding";
  missing.value = "1";
  plan->steps = {missing};
  engine.perform(plan, 5);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Performed, &report));
  CHECK(report.session == 5 && report.failures.size() == 1 && report.failures[0].error == ENOENT);
}

struct Table {
  std::shared_ptr<fh_lease> lease = std::make_shared<fh_lease>();
  std::shared_ptr<fh_table_head> head = std::make_shared<fh_table_head>();
  LeasePlace place() const { return {lease, head, 15 * kMs, 1000 * kMs}; }
  fh_u64 claim() const { return __atomic_load_n(&lease->claim, __ATOMIC_ACQUIRE); }
  fh_u64 renewed() const { return __atomic_load_n(&lease->renewed_ns, __ATOMIC_ACQUIRE); }
  // As the filter does.
  void yield() const {
    __atomic_store_n(&lease->yielded, claim(), __ATOMIC_RELEASE);
    __atomic_add_fetch(&head->yields, 1, __ATOMIC_RELEASE);
  }
};

Operation lease(bool open) {
  Operation one;
  one.kind = Operation::Kind::Lease;
  one.slot = open ? 1 : 0;
  return one;
}

// As beater; gives way to posture 1, closing its lease.
std::shared_ptr<const Program> leased(uint32_t port, int64_t period_ns) {
  auto program = std::make_shared<Program>(*beater(port, period_ns));
  Operation cancel;
  cancel.kind = Operation::Kind::Cancel;
  Posture& beating = program->postures[0];
  beating.transitions.push_back({{cancel, lease(false)}, 1, true});
  beating.on_gave_way = 2;
  return program;
}

void whatLeavesRenewsALeaseAndWhatDoesNotDoesNot() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const Table table;
  const uint32_t session = engine.createSession();
  CHECK(engine.bindLease(session, table.place()));
  CHECK(!engine.bindLease(session + 1, table.place()));
  CHECK(table.lease->overdue_ns == static_cast<fh_u64>(15 * kMs) && table.claim() == 0);
  CHECK(engine.load(session, leased(ports.a, kMs), 0, {lease(true), arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  const fh_u64 opened = table.claim();
  CHECK(opened != 0);
  while (table.renewed() < opened + 5 * kMs) std::this_thread::sleep_for(milliseconds(1));
  CHECK(table.claim() == opened);
  CHECK(std::system("ip link set fh-a down") == 0);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::PortError, &report));
  const fh_u64 last = table.renewed();
  double counters[kCounters];
  CHECK(engine.counters(session, counters));
  const double beats = counters[0];
  while (counters[0] < beats + 5) CHECK(engine.counters(session, counters));
  CHECK(table.renewed() == last);
  CHECK(std::system("ip link set fh-a up") == 0);
  CHECK(engine.bindLease(session, {}));
  CHECK(table.claim() == 0);
}

void aSessionThatWasSucceededLearnsItBeforeItSpeaks() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const Table table;
  const uint32_t session = engine.createSession();
  CHECK(engine.bindLease(session, table.place()));
  CHECK(engine.load(session, leased(ports.a, 500 * kMs), 0, {lease(true), arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  double counters[kCounters] = {};
  while (counters[0] < 1) CHECK(engine.counters(session, counters));
  table.yield();
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.session == session && report.transition == 2 && report.to == 1);
  CHECK(engine.counters(session, counters));
  CHECK(counters[0] == 1);
  while (table.claim() != 0) std::this_thread::sleep_for(milliseconds(1));
}

// A program that was compiled before the filter gave way finds it done.
void aLoadFindsThatTheSessionWasSucceeded() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const Table table;
  const uint32_t session = engine.createSession();
  auto program = leased(ports.a, 5000 * kMs);
  CHECK(engine.bindLease(session, table.place()));
  CHECK(engine.load(session, program, 0, {lease(true)}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  table.yield();
  CHECK(engine.load(session, program, 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.to == 1 && table.claim() == 0);
}

bool inOwnNamespace() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  // No frames but the tests' own: the kernel announces itself by IPv6.
  std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << 1;
  return std::system("ip link add fh-a type veth peer name fh-b && ip link set fh-a up && ip link set fh-b up") == 0;
}

// The thread of this process that has this name; -1 for none.
int threadNamed(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string found;
    std::ifstream(entry.path() / "comm") >> found;
    if (found == name) return std::stoi(entry.path().filename());
  }
  return -1;
}

cpu_set_t onlyOn(int processor) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(processor), &one);
  return one;
}

// Keeps others from a processor, the engine's thread among them, as long as it lives.
class Hog {
 public:
  explicit Hog(int processor) : thread_([this, processor] { run(processor); }) {
    while (!running_) std::this_thread::yield();
  }
  ~Hog() {
    ended_ = true;
    thread_.join();
  }

 private:
  void run(int processor) {
    const cpu_set_t one = onlyOn(processor);
    sched_param urgent{};
    urgent.sched_priority = 80;
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0 && sched_setscheduler(0, SCHED_FIFO, &urgent) == 0);
    running_ = true;
    while (!ended_) {
    }
  }

  std::atomic<bool> running_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

bool hasTwoProcessors(Heartbeat& engine, const cpu_set_t& processors) {
  if (CPU_COUNT(&processors) >= 2 && engine.timing().realtime) return true;
  std::fprintf(stderr, "not tried: this needs two processors and real-time priority\n");
  return false;
}

// The wake-up that was missed tells of an absence. A load in between, which sets the next one, must not hide it.
void aLoadDoesNotHideThatTheThreadWasAway() {
  cpu_set_t before;
  CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
  int processor = 0;
  while (!CPU_ISSET(static_cast<size_t>(processor), &before)) processor++;
  cpu_set_t others = before;
  CPU_CLR(static_cast<size_t>(processor), &others);
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  // One processor: no stand-in.
  const cpu_set_t one = onlyOn(processor);
  CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
  CHECK(engine.start() == 0);
  CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
  if (!hasTwoProcessors(engine, before)) return;
  CHECK(sched_setaffinity(0, sizeof(others), &others) == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  const uint32_t other = engine.createSession();
  int64_t from_ns = 0;
  {
    const Hog hog(processor);
    from_ns = Heartbeat::nowNs();
    CHECK(engine.load(session, watcher(ports.b, 40 * kMs), 0, {arm(1, 40 * kMs)}, from_ns, 0) ==
          Heartbeat::LoadResult::Loaded);
    while (Heartbeat::nowNs() < from_ns + 60 * kMs) std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.load(other, watcher(ports.b, 40 * kMs), 0, {}, Heartbeat::nowNs(), 0) ==
          Heartbeat::LoadResult::Loaded);
  }
  CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  // Away until 60 ms or later, 20 ms beyond the deadline: it listens for so long.
  CHECK(report.session == session && report.at_ns >= from_ns + 75 * kMs);
}

// While frames come in by the thousands the thread hears of nothing but the end of a pause. Who takes its turn meanwhile
// must not do away with the pause.
void aPauseEndsThoughTheStandInTookTheTurn() {
  cpu_set_t before;
  CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const int thread = threadNamed("fh-heartbeat");
  CHECK(thread > 0);
  if (!hasTwoProcessors(engine, before)) return;
  const Pair ports(engine);
  const int processor = sched_getcpu();
  const cpu_set_t one = onlyOn(processor);
  CHECK(sched_setaffinity(thread, sizeof(one), &one) == 0);
  cpu_set_t others = before;
  CPU_CLR(static_cast<size_t>(processor), &others);
  CHECK(sched_setaffinity(0, sizeof(others), &others) == 0);
  for (uint8_t attempt = 0; attempt < 3; attempt++) {
    const int64_t from_ns = Heartbeat::nowNs();
    while (Heartbeat::nowNs() < from_ns + 100 * kMs) {
      for (int i = 0; i < 20; i++) CHECK(engine.send(ports.a, frameOf(3)));
      std::this_thread::sleep_for(milliseconds(1));
    }
    {
      const Hog hog(processor);
      std::this_thread::sleep_for(milliseconds(60));
    }
    engine.takeReports();
    const uint8_t stranger = static_cast<uint8_t>(100 + attempt);
    CHECK(engine.send(ports.a, frameOf(stranger)));
    Report report;
    do {
      CHECK(listener.waitFor(engine, Report::Kind::Frame, &report));
    } while (report.frame[14] != stranger);
  }
  CHECK(engine.timing().stand_ins > 0);
  CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
}

void aThreadThatIsKeptFromRunningIsStoodInFor() {
  cpu_set_t before;
  CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const int thread = threadNamed("fh-heartbeat");
  CHECK(thread > 0);
  if (!hasTwoProcessors(engine, before)) return;
  const Pair ports(engine);
  const Table table;
  const uint32_t session = engine.createSession();
  CHECK(engine.bindLease(session, table.place()));
  CHECK(engine.load(session, leased(ports.a, kMs), 0, {lease(true), arm(0, kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  // One processor, which is this thread's whenever it wants to run. It has the priority first: an ordinary thread that
  // shares a processor with a real-time one may have to wait for seconds.
  const sched_param usual{};
  sched_param urgent{};
  urgent.sched_priority = 80;
  const cpu_set_t one = onlyOn(sched_getcpu());
  CHECK(sched_setscheduler(0, SCHED_FIFO, &urgent) == 0);
  CHECK(sched_setaffinity(0, sizeof(one), &one) == 0 && sched_setaffinity(thread, sizeof(one), &one) == 0);
  bool went_on = false;
  // A thread that loses its processor in the middle of a turn keeps the lock; the next time it will not.
  for (int attempt = 0; attempt < 10 && !went_on; attempt++) {
    // The stand-in learns from a turn where the thread is.
    const auto turned = static_cast<fh_u64>(Heartbeat::nowNs() + 5 * kMs);
    while (table.renewed() < turned) std::this_thread::sleep_for(milliseconds(1));
    const int64_t from_ns = Heartbeat::nowNs();
    while (!went_on && Heartbeat::nowNs() < from_ns + 100 * kMs) {
      went_on = table.renewed() >= static_cast<fh_u64>(from_ns + 20 * kMs);
    }
  }
  CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
  CHECK(sched_setscheduler(0, SCHED_OTHER, &usual) == 0);
  CHECK(went_on);
  CHECK(engine.timing().stand_ins > 0);
}

}  // namespace

int main() {
  if (!inOwnNamespace()) {
    std::fprintf(stderr, "skipped: a network namespace needs root and iproute2\n");
    return 77;
  }
  TEST(beatsAreHeardAndSilenceIsReported);
  TEST(aStaleLoadIsRefusedAndChangesNothing);
  TEST(anEntryFromThePastFiresNothingAtOnce);
  TEST(whatDecidesListensForAsLongAsJavaScriptTook);
  TEST(anEntryFromThePastLeavesWhatALaterFrameArmed);
  TEST(aDeadlineThatDecidesIsNeverEarly);
  TEST(aDeadlineThatDecidesIsAwaitedAwakeAndNotByWakingUpOverAndOver);
  TEST(anEntryFromTheFutureIsOneOfNow);
  TEST(aProgramThatArmsNothingButNowDoesNotKeepTheThread);
  TEST(aSilentControlPlaneResignsOnceAndIsToldSo);
  TEST(framesThatNobodyKnowsReachJavaScriptButNoFloodDoes);
  TEST(portsAndSessionsComeAndGoWhileTheEngineRuns);
  TEST(kernelPlansRunInOrderAndTellTheirFailures);
  TEST(whatLeavesRenewsALeaseAndWhatDoesNotDoesNot);
  TEST(aSessionThatWasSucceededLearnsItBeforeItSpeaks);
  TEST(aLoadFindsThatTheSessionWasSucceeded);
  TEST(aLoadDoesNotHideThatTheThreadWasAway);
  TEST(aPauseEndsThoughTheStandInTookTheTurn);
  TEST(aThreadThatIsKeptFromRunningIsStoodInFor);
  return 0;
}
