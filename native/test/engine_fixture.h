// What tests of the engine stand on: a veth pair in a network namespace of their own, programs that beat and that watch,
// and a reader of reports.
#pragma once
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "check.h"
#include "heartbeat.h"

namespace firsthop {

constexpr int64_t kMs = 1'000'000;

inline const std::vector<sock_filter> kPassAll{{0x06, 0, 0, 0xffff}};

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

inline Bytes frameOf(uint8_t id) {
  Bytes frame(60, id);
  for (int i = 0; i < 6; i++) frame[static_cast<size_t>(i)] = 0xff;
  const uint8_t source[] = {2, 0, 0, 0, 0, id};
  std::copy(source, source + 6, frame.begin() + 6);
  frame[12] = 0x88;
  frame[13] = 0xb5;
  return frame;
}

inline Operation send(uint32_t port) {
  Operation one;
  one.kind = Operation::Kind::Send;
  one.port = port;
  return one;
}

inline Operation arm(uint8_t timer, int64_t after_ns) {
  Operation one;
  one.kind = Operation::Kind::Arm;
  one.slot = timer;
  one.after_ns = after_ns;
  return one;
}

inline Operation count(uint8_t counter) {
  Operation one;
  one.kind = Operation::Kind::Count;
  one.slot = counter;
  return one;
}

// Sends its frame every period; says goodbye (frame 1) when control is lost.
inline std::shared_ptr<const Program> beater(uint32_t port, int64_t period_ns) {
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
inline std::shared_ptr<const Program> watcher(uint32_t port, int64_t limit_ns) {
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

// As watcher, but for frames that nobody knows: from octet 20 on anything, and that one at least 100.
inline std::shared_ptr<const Program> claimWatcher(uint32_t port, int64_t limit_ns) {
  auto program = std::make_shared<Program>(*watcher(port, limit_ns));
  FramePattern& pattern = program->patterns[0];
  std::fill(pattern.mask.begin() + 20, pattern.mask.end(), 0);
  pattern.bytes.resize(40);
  pattern.mask.resize(40);
  FrameGuard guard;
  guard.at = 20;
  guard.least = 100;
  guard.most = 255;
  pattern.guards = {guard};
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

inline Operation lease(bool open) {
  Operation one;
  one.kind = Operation::Kind::Lease;
  one.slot = open ? 1 : 0;
  return one;
}

// As beater; gives way to posture 1, closing its lease.
inline std::shared_ptr<const Program> leased(uint32_t port, int64_t period_ns) {
  auto program = std::make_shared<Program>(*beater(port, period_ns));
  Operation cancel;
  cancel.kind = Operation::Kind::Cancel;
  Posture& beating = program->postures[0];
  beating.transitions.push_back({{cancel, lease(false)}, 1, true});
  beating.on_gave_way = 2;
  return program;
}

inline bool inOwnNamespace() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  // No frames but the tests' own: the kernel announces itself by IPv6.
  std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << 1;
  return std::system("ip link add fh-a type veth peer name fh-b && ip link set fh-a up && ip link set fh-b up") == 0;
}

}  // namespace firsthop
