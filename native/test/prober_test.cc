// What probes are made of, against whatever comes in; and the prober on the loopback interface of a network namespace
// of its own. The latter needs root; 77 tells ctest that it was skipped.
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "check.h"
#include "own_namespace.h"
#include "prober.h"

using namespace firsthop;

namespace {

const uint8_t kHome[4] = {127, 0, 0, 1};

// An echo request made the reply to itself, in an IPv4 datagram.
std::vector<uint8_t> reply(const EchoIdentity& identity) {
  uint8_t echo[kProbeMax];
  writeEcho(echo, false, 0x1234, 7, identity);
  std::vector<uint8_t> datagram(20, 0);
  datagram[0] = 0x45;
  datagram[9] = 1;
  std::memcpy(datagram.data() + 12, kHome, 4);
  datagram.insert(datagram.end(), echo, echo + kEchoLength);
  datagram[20] = 0;
  // Type 8 became 0: the checksum grows by as much.
  const unsigned checksum = (datagram[22] << 8 | datagram[23]) + 0x0800u;
  const unsigned folded = (checksum & 0xffff) + (checksum >> 16);
  datagram[22] = static_cast<uint8_t>(folded >> 8);
  datagram[23] = static_cast<uint8_t>(folded);
  return datagram;
}

void readsWhatItWrote() {
  const EchoIdentity identity{0xcafebabe, 17, 0x0123456789abcdef};
  const auto datagram = reply(identity);
  const auto answer = readEchoAnswer4(datagram.data(), datagram.size());
  CHECK(answer && answer->identifier == 0x1234 && answer->identity.secret == identity.secret);
  CHECK(answer->identity.slot == identity.slot && answer->identity.nonce == identity.nonce);
  CHECK(answer->source == addressOf(kHome, false));
}

// Each prefix and each changed octet is put into memory of exactly its size, so that ASan sees a step too far.
void survivesEverythingElse() {
  const auto good = reply({1, 2, 3});
  for (size_t length = 0; length < good.size(); length++) {
    const std::vector<uint8_t> cut(good.begin(), good.begin() + static_cast<long>(length));
    CHECK(!readEchoAnswer4(cut.data(), cut.size()));
    readEchoAnswer6(cut.data(), cut.size());
    readArpAnswer(cut.data(), cut.size());
    readAdvertisement(cut.data(), cut.size());
  }
  for (size_t at = 20; at < good.size(); at++) {
    auto changed = good;
    changed[at] ^= 0x55;
    CHECK(!readEchoAnswer4(changed.data(), changed.size()));
  }
  std::srand(3);
  for (int round = 0; round < 200000; round++) {
    std::vector<uint8_t> noise(static_cast<size_t>(std::rand()) % 120);
    for (uint8_t& octet : noise) octet = static_cast<uint8_t>(std::rand());
    if (!noise.empty()) noise[0] = round % 2 == 0 ? 136 : 0x4f;
    readEchoAnswer4(noise.data(), noise.size());
    readEchoAnswer6(noise.data(), noise.size());
    readArpAnswer(noise.data(), noise.size());
    readAdvertisement(noise.data(), noise.size());
    readArpSender(noise.data(), noise.size());
    const uint8_t source[16] = {};
    readNeighbourSender(noise.data(), noise.size(), source);
  }
}

// A machine that has not run for as long as an interval is no reason to leave one out.
void keepsToItsGridFromTheBootOn() {
  constexpr int64_t kSecond = 1'000'000'000;
  ProbeTarget target;
  target.counters = std::make_shared<ProbeCounters>();
  target.settings.interval_ns = 60 * kSecond;
  target.settings.timeout_ns = kSecond;
  target.phase_ns = 50 * kSecond;
  target.due_ns = 10 * kSecond;
  target.planNext(10 * kSecond);
  CHECK(target.due_ns == 50 * kSecond);
  target.planNext(50 * kSecond);
  CHECK(target.due_ns == 110 * kSecond);
  target.planNext(300 * kSecond);
  CHECK(target.due_ns == 350 * kSecond && target.counters->skipped == 3);
}

// Moments by the clock that nobody sets; a stamp is one plus what the wall clock is ahead.
void findsTheMomentBehindAStamp() {
  constexpr int64_t kS = 1'000'000'000;
  const auto look = [](StampClock& clock, int64_t ahead_ns, int64_t now_ns) { clock.look(-ahead_ns, now_ns); };
  for (const int64_t step_ns : {-3600 * kS, -10 * kS, 10 * kS, 3600 * kS}) {
    StampClock clock;
    look(clock, 5000 * kS, 100 * kS);
    look(clock, 5000 * kS + 300, 200 * kS);
    CHECK(clock.atNs(5000 * kS + 199 * kS, 200 * kS) == 199 * kS - 300);
    // Set at 299.5 s, found at 300 s: one stamp is of before, the other of after.
    look(clock, 5000 * kS + step_ns, 300 * kS);
    const int64_t before_ns = clock.atNs(5000 * kS + 299 * kS, 300 * kS);
    CHECK(before_ns <= 299 * kS && before_ns > 299 * kS - 1000);
    CHECK(clock.atNs(5000 * kS + step_ns + 2998 * kS / 10, 300 * kS) == 2998 * kS / 10);
    // A batch later the same is so.
    look(clock, 5000 * kS + step_ns - 300, 300 * kS + 1000);
    const int64_t again_ns = clock.atNs(5000 * kS + 299 * kS, 300 * kS + 1000);
    CHECK(again_ns <= 299 * kS && again_ns > 299 * kS - 1000);
    look(clock, 5000 * kS + step_ns, 400 * kS);
    CHECK(clock.atNs(5000 * kS + step_ns + 399 * kS, 400 * kS) == 399 * kS);
  }
  StampClock clock;
  look(clock, 5000 * kS, 100 * kS);
  CHECK(clock.atNs(0, 100 * kS) == 100 * kS);
  CHECK(clock.atNs(5000 * kS + 101 * kS, 100 * kS) == 100 * kS);
  // What waited for minutes, because nobody listened, did not come in just now.
  CHECK(clock.atNs(5000 * kS + 100 * kS, 400 * kS) == 100 * kS);
}

void saysThatThereIsNoThread() {
  pthread_attr_t usual;
  pthread_attr_t huge;
  CHECK(pthread_getattr_default_np(&usual) == 0 && pthread_attr_init(&huge) == 0);
  CHECK(pthread_attr_setstacksize(&huge, size_t{1} << 46) == 0 && pthread_setattr_default_np(&huge) == 0);
  Prober prober{Prober::Options{}};
  const int error = prober.start();
  CHECK(error == EAGAIN || error == ENOMEM);
  CHECK(pthread_setattr_default_np(&usual) == 0 && pthread_attr_destroy(&huge) == 0);
  prober.stop();
}

void raiseLoopback(bool up) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = up ? IFF_UP : 0;
  CHECK(::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0);
}

class Listener {
 public:
  Prober::Options options() {
    Prober::Options made;
    made.wake = [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    };
    return made;
  }

  template <typename Condition>
  ProbeReport waitFor(Prober& prober, Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      for (const ProbeReport& one : prober.takeReports()) {
        if (condition(one)) return one;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      CHECK(changed_.wait_until(lock, until, [this] { return woken_; }));
      woken_ = false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

ProbeSettings loopback(uint8_t last, const char* interface = "lo") {
  ProbeSettings settings;
  settings.interface = interface;
  const uint8_t octets[4] = {127, 0, 0, last};
  settings.address = addressOf(octets, false);
  settings.source = addressOf(kHome, false);
  settings.interval_ns = 10'000'000;
  settings.timeout_ns = 10'000'000;
  settings.fall = 2;
  settings.rise = 2;
  return settings;
}

void followsAnInterface() {
  Listener listener;
  Prober prober(listener.options());
  CHECK(prober.start() == 0);
  const uint32_t target = prober.add(loopback(1));
  listener.waitFor(prober, [](const ProbeReport& one) { return one.verdict == ProbeVerdict::kUp; });
  raiseLoopback(false);
  const auto down = listener.waitFor(prober, [](const ProbeReport& one) { return one.verdict == ProbeVerdict::kDown; });
  CHECK(down.outcome == ProbeOutcome::kError && down.error == ENETDOWN && down.crossings == 2);
  raiseLoopback(true);
  const auto up = listener.waitFor(prober, [](const ProbeReport& one) { return one.verdict == ProbeVerdict::kUp; });
  CHECK(up.target == target && up.outcome == ProbeOutcome::kAnswered && up.streak == 2);
  const uint32_t elsewhere = prober.add(loopback(1, "none0"));
  const auto missing = listener.waitFor(prober, [&](const ProbeReport& one) { return one.target == elsewhere; });
  CHECK(missing.verdict == ProbeVerdict::kDown && missing.error == ENODEV);
}

// What this machine lacks is no target's fault.
void noDescriptorIsNoFailure() {
  Listener listener;
  Prober prober(listener.options());
  CHECK(prober.start() == 0);
  const uint32_t target = prober.add(loopback(1));
  listener.waitFor(prober, [](const ProbeReport& one) { return one.verdict == ProbeVerdict::kUp; });
  rlimit before;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  prober.refresh();
  const auto counters = prober.counters(target);
  const uint64_t answered = counters->answered;
  const int64_t until_ns = Prober::nowNs() + 5'000'000'000;
  while (counters->answered < answered + 10 && Prober::nowNs() < until_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(counters->answered >= answered + 10 && prober.takeReports().empty());
  const uint32_t unasked = prober.add(loopback(2, ""));
  for (int times = 0; times < 3; times++) {
    const auto untried = listener.waitFor(prober, [&](const ProbeReport& one) { return one.target == unasked; });
    CHECK(untried.outcome == ProbeOutcome::kUntried && untried.error == EMFILE);
    CHECK(untried.verdict == ProbeVerdict::kUnknown && untried.crossings == 0);
  }
  CHECK(prober.counters(unasked)->errors == 0 && prober.counters(unasked)->skipped >= 3);
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  listener.waitFor(prober, [&](const ProbeReport& one) {
    return one.target == unasked && one.verdict == ProbeVerdict::kUp;
  });
}

// A prober whose thread stands still whenever it has news, until it is let on.
class Gate {
 public:
  Prober::Options options() {
    Prober::Options made;
    made.wake = [this] {
      std::unique_lock<std::mutex> lock(mutex_);
      stands_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_ || passes_ > 0; });
      if (!open_) passes_--;
      stands_ = false;
    };
    return made;
  }
  void awaitStanding() {
    std::unique_lock<std::mutex> lock(mutex_);
    CHECK(changed_.wait_for(lock, std::chrono::seconds(10), [this] { return stands_ && passes_ == 0; }));
  }
  void letOn(bool forever) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (forever) open_ = true;
    else passes_++;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stands_ = false;
  bool open_ = false;
  int passes_ = 0;
};

// An answer that the kernel has is no timeout, however many others there are.
void judgesNobodyUnheard() {
  constexpr uint32_t kTargets = 7000;
  Gate gate;
  Prober prober(gate.options());
  CHECK(prober.start() == 0);
  prober.add(loopback(1, ""));
  gate.awaitStanding();
  std::vector<std::shared_ptr<const ProbeCounters>> counters;
  for (uint32_t i = 0; i < kTargets; i++) {
    ProbeSettings settings = loopback(1, "");
    settings.address.octets[1] = static_cast<uint8_t>(1 + i / 250);
    settings.address.octets[2] = static_cast<uint8_t>(1 + i % 250);
    settings.interval_ns = settings.timeout_ns = 1'000'000'000;
    settings.fall = settings.rise = 1;
    counters.push_back(prober.counters(prober.add(settings)));
  }
  gate.letOn(false);
  // With the first answers it stands again, and all others come due; with theirs it stands until their deadlines passed.
  for (const bool last : {false, true}) {
    gate.awaitStanding();
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    gate.letOn(last);
  }
  const int64_t until_ns = Prober::nowNs() + 10'000'000'000;
  uint64_t timeouts = 0;
  for (const auto& one : counters) {
    while (one->answered < 2 && Prober::nowNs() < until_ns) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(one->answered >= 2);
    timeouts += one->timeouts;
  }
  CHECK(timeouts == 0);
}

// Targets come and go from several threads while others ask.
void takesCommandsFromAnyThread() {
  Listener listener;
  Prober prober(listener.options());
  CHECK(prober.start() == 0);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; thread++) {
    threads.emplace_back([&prober, thread] {
      for (int round = 0; round < 300; round++) {
        const uint32_t target = prober.add(loopback(static_cast<uint8_t>(1 + (round + thread) % 250)));
        prober.changeSource(target, addressOf(kHome, false));
        prober.refresh();
        CHECK(prober.counters(target) != nullptr);
        prober.takeReports();
        prober.takeSightings();
        prober.statistics();
        const uint32_t follower = prober.follow("lo");
        if (round % 8 != 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        CHECK(prober.remove(target) && !prober.remove(target));
        CHECK(prober.counters(target) == nullptr);
        CHECK(prober.unfollow(follower) && !prober.unfollow(follower));
      }
    });
  }
  for (std::thread& one : threads) one.join();
  const uint32_t last = prober.add(loopback(9));
  const auto report = listener.waitFor(prober, [&](const ProbeReport& one) { return one.target == last; });
  CHECK(report.outcome == ProbeOutcome::kAnswered);
  prober.stop();
  CHECK(prober.counters(last)->answered.load() > 0);
}

// Without the right to load programs, answers are read from the socket. The last test: nobody gets rights back.
void hearsWithoutRights() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sockets[2] = {};
  sockets[0].effective = sockets[0].permitted = 1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN;
  CHECK(::syscall(SYS_capset, &header, sockets) == 0);
  Listener listener;
  Prober prober(listener.options());
  CHECK(prober.start() == 0);
  const uint32_t target = prober.add(loopback(3));
  listener.waitFor(prober, [](const ProbeReport& one) { return one.verdict == ProbeVerdict::kUp; });
  const auto counters = prober.counters(target);
  const int64_t until_ns = Prober::nowNs() + 5'000'000'000;
  while (counters->answered < 10 && Prober::nowNs() < until_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(counters->answered >= 10 && counters->errors == 0);
  prober.stop();
  judgesNobodyUnheard();
}

}  // namespace

int main() {
  TEST(readsWhatItWrote);
  TEST(survivesEverythingElse);
  TEST(keepsToItsGridFromTheBootOn);
  TEST(findsTheMomentBehindAStamp);
  TEST(saysThatThereIsNoThread);
  if (!openNamespace()) {
    std::fprintf(stderr, "skipped: a network namespace needs root\n");
    return 77;
  }
  TEST(followsAnInterface);
  TEST(noDescriptorIsNoFailure);
  TEST(judgesNobodyUnheard);
  TEST(takesCommandsFromAnyThread);
  TEST(hearsWithoutRights);
  return 0;
}
