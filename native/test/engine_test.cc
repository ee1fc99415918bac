// The engine on a veth pair: programs, frames, plans and leases. Needs root; 77 tells ctest that it was skipped.
#include "engine_fixture.h"

using namespace firsthop;
using std::chrono::milliseconds;

namespace {

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
    const auto program = round % 2 == 0 ? watcher(more.b, 50 * kMs) : claimWatcher(more.b, 50 * kMs);
    CHECK(engine.load(session, program, 0, {arm(1, kMs)}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
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

}  // namespace

int main() {
  if (!inOwnNamespace()) {
    std::fprintf(stderr, "skipped: a network namespace needs root and iproute2\n");
    return 77;
  }
  TEST(beatsAreHeardAndSilenceIsReported);
  TEST(aStaleLoadIsRefusedAndChangesNothing);
  TEST(aDeadlineThatDecidesIsNeverEarly);
  TEST(aDeadlineThatDecidesIsAwaitedAwakeAndNotByWakingUpOverAndOver);
  TEST(aProgramThatArmsNothingButNowDoesNotKeepTheThread);
  TEST(aSilentControlPlaneResignsOnceAndIsToldSo);
  TEST(framesThatNobodyKnowsReachJavaScriptButNoFloodDoes);
  TEST(portsAndSessionsComeAndGoWhileTheEngineRuns);
  TEST(kernelPlansRunInOrderAndTellTheirFailures);
  TEST(whatLeavesRenewsALeaseAndWhatDoesNotDoesNot);
  TEST(aSessionThatWasSucceededLearnsItBeforeItSpeaks);
  TEST(aLoadFindsThatTheSessionWasSucceeded);
  return 0;
}
