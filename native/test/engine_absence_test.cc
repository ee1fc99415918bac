// What the engine makes of time that it did not see: entries from the past and the future, and times in which its thread
// did not run. Needs root, and two processors for the latter; 77 tells ctest that it was skipped.
#include <atomic>
#include <filesystem>

#include "engine_fixture.h"

using namespace firsthop;
using std::chrono::milliseconds;

namespace {

// JavaScript that was busy speaks of frames that came in long ago. Whatever it arms listens from now on for as long as
// JavaScript took, or for its whole time where that is shorter.
void anEntryFromThePastFiresNothingAtOnce() {
  const struct {
    int64_t after_ns;
    int64_t ago_ns;
    int64_t listens_ns;
  } cases[] = {{30 * kMs, 500 * kMs, 30 * kMs}, {300 * kMs, 290 * kMs, 290 * kMs}};
  for (const auto& one : cases) {
    Listener listener;
    Heartbeat engine(listener.options(10'000 * kMs));
    CHECK(engine.start() == 0);
    const Pair ports(engine);
    const uint32_t session = engine.createSession();
    const int64_t now_ns = Heartbeat::nowNs();
    CHECK(engine.load(session, watcher(ports.b, 50 * kMs), 0, {arm(1, one.after_ns)}, now_ns - one.ago_ns, 0) ==
          Heartbeat::LoadResult::Loaded);
    Report report;
    CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
    CHECK(report.at_ns >= now_ns + one.listens_ns);
  }
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

// An engine that has one processor, and so no stand-in; this thread is on the others.
class OnOneProcessor {
 public:
  OnOneProcessor() : engine(listener.options(10'000 * kMs)) {
    CHECK(sched_getaffinity(0, sizeof(before_), &before_) == 0);
    while (!CPU_ISSET(static_cast<size_t>(processor), &before_)) processor++;
    const cpu_set_t one = onlyOn(processor);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
    CHECK(engine.start() == 0);
    CHECK(sched_setaffinity(0, sizeof(before_), &before_) == 0);
  }
  ~OnOneProcessor() { CHECK(sched_setaffinity(0, sizeof(before_), &before_) == 0); }

  bool canBeKeptFromRunning() {
    if (!hasTwoProcessors(engine, before_)) return false;
    cpu_set_t others = before_;
    CPU_CLR(static_cast<size_t>(processor), &others);
    CHECK(sched_setaffinity(0, sizeof(others), &others) == 0);
    return true;
  }

  Listener listener;
  Heartbeat engine;
  int processor = 0;

 private:
  cpu_set_t before_{};
};

// The wake-up that was missed tells of an absence. A load in between, which sets the next one, must not hide it.
void aLoadDoesNotHideThatTheThreadWasAway() {
  OnOneProcessor stage;
  if (!stage.canBeKeptFromRunning()) return;
  Heartbeat& engine = stage.engine;
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  const uint32_t other = engine.createSession();
  int64_t from_ns = 0;
  {
    const Hog hog(stage.processor);
    from_ns = Heartbeat::nowNs();
    CHECK(engine.load(session, watcher(ports.b, 40 * kMs), 0, {arm(1, 40 * kMs)}, from_ns, 0) ==
          Heartbeat::LoadResult::Loaded);
    while (Heartbeat::nowNs() < from_ns + 60 * kMs) std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.load(other, watcher(ports.b, 40 * kMs), 0, {}, Heartbeat::nowNs(), 0) ==
          Heartbeat::LoadResult::Loaded);
  }
  Report report;
  CHECK(stage.listener.waitFor(engine, Report::Kind::Transition, &report));
  // Away until 60 ms or later, 20 ms beyond the deadline: it listens for so long.
  CHECK(report.session == session && report.at_ns >= from_ns + 75 * kMs);
}

// One stall makes one wrong interval: the beat after a late one comes a period after it.
void theBeatAfterALateOneComesAPeriodLater() {
  OnOneProcessor stage;
  if (!stage.canBeKeptFromRunning()) return;
  Heartbeat& engine = stage.engine;
  const Pair ports(engine);
  const Table table;
  const uint32_t session = engine.createSession();
  CHECK(engine.bindLease(session, table.place()));
  CHECK(engine.load(session, leased(ports.a, 40 * kMs), 0, {lease(true), arm(0, 40 * kMs)}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  // Each beat renews the lease when it leaves.
  const auto next = [&table](fh_u64 last) {
    while (table.renewed() == last) std::this_thread::sleep_for(milliseconds(1));
    return table.renewed();
  };
  const fh_u64 first = next(table.renewed());
  {
    const Hog hog(stage.processor);
    while (Heartbeat::nowNs() < static_cast<int64_t>(first) + 60 * kMs) std::this_thread::sleep_for(milliseconds(1));
  }
  const fh_u64 late = next(first);
  CHECK(late >= first + 60 * kMs);
  CHECK(next(late) >= late + 39 * kMs);
  CHECK(engine.timing().skipped_periods == 0 || late >= first + 80 * kMs);
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
  TEST(anEntryFromThePastFiresNothingAtOnce);
  TEST(anEntryFromThePastLeavesWhatALaterFrameArmed);
  TEST(anEntryFromTheFutureIsOneOfNow);
  TEST(aLoadDoesNotHideThatTheThreadWasAway);
  TEST(theBeatAfterALateOneComesAPeriodLater);
  TEST(aPauseEndsThoughTheStandInTookTheTurn);
  TEST(aThreadThatIsKeptFromRunningIsStoodInFor);
  return 0;
}
