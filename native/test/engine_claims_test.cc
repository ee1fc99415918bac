// Frames that only a pattern with guards knows, on a veth pair. Needs root; 77 tells ctest that it was skipped.
#include "engine_fixture.h"

using namespace firsthop;
using std::chrono::milliseconds;

namespace {

Bytes claimOf(uint8_t priority) {
  Bytes frame = frameOf(1);
  frame[20] = priority;
  return frame;
}

void aClaimThatNobodyKnewCountsAtOnceAndIsJavaScriptsAllTheSame() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  const int64_t from_ns = Heartbeat::nowNs();
  CHECK(engine.load(session, claimWatcher(ports.b, 1000 * kMs), 0, {arm(1, 100 * kMs)}, from_ns, 0) ==
        Heartbeat::LoadResult::Loaded);
  // One too low, and one that is high enough: both are told, one puts the deadline off.
  for (const uint8_t priority : {99, 100}) {
    CHECK(engine.send(ports.a, claimOf(priority)));
    Report report;
    CHECK(listener.waitFor(engine, Report::Kind::Frame, &report));
    CHECK(report.frame == claimOf(priority));
    double counters[kCounters] = {};
    CHECK(engine.counters(session, counters));
    CHECK(counters[1] == (priority == 100 ? 1 : 0));
  }
  PortCounters counters;
  CHECK(engine.portCounters(ports.b, &counters));
  CHECK(counters.matched == 0 && counters.delivered == 2);
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.at_ns >= from_ns + 1000 * kMs);
}

void aFrameThatIsKnownIsNoClaimToJudge() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t claims = engine.createSession();
  const uint32_t knows = engine.createSession();
  CHECK(engine.load(claims, claimWatcher(ports.b, kMs), 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  auto program = std::make_shared<Program>(*watcher(ports.b, 50 * kMs));
  program->patterns[0].bytes = claimOf(150);
  CHECK(engine.load(knows, program, 0, {}, Heartbeat::nowNs(), 0) == Heartbeat::LoadResult::Loaded);
  CHECK(engine.send(ports.a, claimOf(150)));
  Report report;
  CHECK(listener.waitFor(engine, Report::Kind::Transition, &report));
  CHECK(report.session == knows);
  double counters[kCounters] = {};
  CHECK(engine.counters(claims, counters) && counters[1] == 0);
  PortCounters port;
  CHECK(engine.portCounters(ports.b, &port));
  CHECK(port.matched == 1 && port.delivered == 0);
}

// However many claims there are at once: JavaScript hears some of them now and the others later.
void claimsCountThoughJavaScriptCanNotHearThemAll() {
  Listener listener;
  Heartbeat engine(listener.options(10'000 * kMs));
  CHECK(engine.start() == 0);
  const Pair ports(engine);
  const uint32_t session = engine.createSession();
  CHECK(engine.load(session, claimWatcher(ports.b, 10'000 * kMs), 0, {}, Heartbeat::nowNs(), 0) ==
        Heartbeat::LoadResult::Loaded);
  for (int i = 0; i < 500; i++) CHECK(engine.send(ports.a, claimOf(120)));
  double counters[kCounters] = {};
  PortCounters port;
  do {
    std::this_thread::sleep_for(milliseconds(1));
    CHECK(engine.portCounters(ports.b, &port));
  } while (port.received + port.dropped_by_kernel < 500);
  CHECK(engine.counters(session, counters));
  CHECK(counters[1] == static_cast<double>(port.received));
  CHECK(port.delivered + port.dropped_unread == port.received && port.dropped_unread > 0);
}

}  // namespace

int main() {
  if (!inOwnNamespace()) {
    std::fprintf(stderr, "skipped: a network namespace needs root and iproute2\n");
    return 77;
  }
  TEST(aClaimThatNobodyKnewCountsAtOnceAndIsJavaScriptsAllTheSame);
  TEST(aFrameThatIsKnownIsNoClaimToJudge);
  TEST(claimsCountThoughJavaScriptCanNotHearThemAll);
  return 0;
}
