// What the engine costs: a full LAN of virtual routers on a veth pair, one engine that speaks and one that
// listens.
//   engine_load [SESSIONS [PERIOD_MS [SECONDS]]]
// Prints processor time of each thread per million frames, wake-ups, and how late the speaker's timers were.
// Needs root.
#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "check.h"
#include "heartbeat.h"

using namespace firsthop;

namespace {

const std::vector<sock_filter> kPassAll{{0x06, 0, 0, 0xffff}};

Bytes frameOf(int id) {
  Bytes frame(60, 0);
  const uint8_t header[] = {1, 0, 0x5e, 0, 0, 0x12, 0, 0, 0x5e, 0, 1, static_cast<uint8_t>(id), 8, 0, 0x45};
  std::copy(header, header + sizeof(header), frame.begin());
  frame[30] = static_cast<uint8_t>(id);
  frame[31] = static_cast<uint8_t>(id >> 8);
  return frame;
}

Operation arm(uint8_t timer, int64_t after_ns) {
  Operation one;
  one.kind = Operation::Kind::Arm;
  one.slot = timer;
  one.after_ns = after_ns;
  return one;
}

Operation count() {
  Operation one;
  one.kind = Operation::Kind::Count;
  return one;
}

std::shared_ptr<const Program> speaker(uint32_t port, int id, int64_t period_ns) {
  auto program = std::make_shared<Program>();
  program->frames = {frameOf(id)};
  Operation send;
  send.kind = Operation::Kind::Send;
  send.port = port;
  Posture posture;
  posture.transitions.push_back({{send, count(), arm(0, period_ns)}, 0, false});
  posture.by_timer[0] = 0;
  program->postures = {posture};
  return program;
}

std::shared_ptr<const Program> listener(uint32_t port, int id, int64_t limit_ns) {
  auto program = std::make_shared<Program>();
  FramePattern pattern;
  pattern.port = port;
  pattern.bytes = frameOf(id);
  pattern.mask.assign(60, 0xff);
  program->patterns = {pattern};
  Posture posture;
  posture.transitions.push_back({{count(), arm(0, limit_ns)}, 0, false});
  posture.transitions.push_back({{}, 0, true});
  posture.by_pattern = {0};
  posture.by_timer[0] = 1;
  program->postures = {posture};
  return program;
}

// Processor time of this process's threads of a name, in order of their making.
std::vector<double> threadSeconds(const std::string& name) {
  std::vector<std::pair<int, double>> found;
  DIR* directory = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(directory)) {
    const std::string path = std::string("/proc/self/task/") + entry->d_name;
    std::string comm;
    std::ifstream(path + "/comm") >> comm;
    if (comm != name) continue;
    double ns = 0;
    std::ifstream(path + "/schedstat") >> ns;
    found.emplace_back(std::atoi(entry->d_name), ns / 1e9);
  }
  ::closedir(directory);
  std::sort(found.begin(), found.end());
  std::vector<double> seconds;
  for (const auto& one : found) seconds.push_back(one.second);
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const int sessions = argc > 1 ? std::atoi(argv[1]) : 255;
  const int64_t period_ns = (argc > 2 ? std::atoi(argv[2]) : 10) * 1'000'000LL;
  const int seconds = argc > 3 ? std::atoi(argv[3]) : 10;
  if (::unshare(CLONE_NEWNET) != 0) return 77;
  CHECK(std::system("ip link add fh-a type veth peer name fh-b && ip link set fh-a up && ip link set fh-b up") == 0);
  Heartbeat::Options options;
  options.control_timeout_ns = 3600'000'000'000;
  options.wake = [] {};
  Heartbeat speaking(options);
  CHECK(speaking.start() == 0);
  Heartbeat listening(options);
  CHECK(listening.start() == 0);
  uint32_t out = 0;
  uint32_t in = 0;
  CHECK(speaking.openLanPort(static_cast<int>(if_nametoindex("fh-a")), kPassAll, {}, {}, &out) == 0);
  CHECK(listening.openLanPort(static_cast<int>(if_nametoindex("fh-b")), kPassAll, {}, {}, &in) == 0);
  std::srand(5);
  for (int id = 0; id < sessions; id++) {
    const uint32_t session = listening.createSession();
    listening.load(session, listener(in, id, period_ns * 36 / 10), 0, {arm(0, 1'000'000'000)}, Heartbeat::nowNs(), 0);
    const uint32_t speaker_session = speaking.createSession();
    const int64_t phase_ns = static_cast<int64_t>(std::rand()) % period_ns;
    speaking.load(speaker_session, speaker(out, id, period_ns), 0, {arm(0, phase_ns)}, Heartbeat::nowNs(), 0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto cpu_before = threadSeconds("fh-heartbeat");
  PortCounters out_before;
  PortCounters in_before;
  speaking.portCounters(out, &out_before);
  listening.portCounters(in, &in_before);
  const EngineTiming speaking_before = speaking.timing();
  const EngineTiming listening_before = listening.timing();
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  const auto cpu = threadSeconds("fh-heartbeat");
  PortCounters out_after;
  PortCounters in_after;
  speaking.portCounters(out, &out_after);
  listening.portCounters(in, &in_after);
  const EngineTiming timing = speaking.timing();
  const double sent = static_cast<double>(out_after.sent - out_before.sent);
  const double heard = static_cast<double>(in_after.matched - in_before.matched);
  std::printf("sent %.0f, %.2f us each, %.1f frames a wake-up\n", sent, (cpu[0] - cpu_before[0]) * 1e6 / sent,
              sent / static_cast<double>(timing.wakeups - speaking_before.wakeups));
  std::printf("heard %.0f, %.2f us each, %.1f frames a wake-up\n", heard, (cpu[1] - cpu_before[1]) * 1e6 / heard,
              heard / static_cast<double>(listening.timing().wakeups - listening_before.wakeups));
  size_t lost = 0;
  for (const Report& one : listening.takeReports()) lost += one.kind == Report::Kind::Transition ? 1 : 0;
  std::printf("deadlines missed %zu, periods skipped %llu, latest %.1f us\n", lost,
              static_cast<unsigned long long>(timing.skipped_periods),
              static_cast<double>(timing.lateness_max_ns) / 1000);
  for (size_t i = 0; i < timing.lateness_counts.size(); i++) {
    const bool last = i == EngineTiming::kBoundsUs.size();
    std::printf("  %s %5d us: %llu\n", last ? "> " : "<=", EngineTiming::kBoundsUs[last ? i - 1 : i],
                static_cast<unsigned long long>(timing.lateness_counts[i] - speaking_before.lateness_counts[i]));
  }
  return 0;
}
