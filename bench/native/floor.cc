// The floor under every VRRP daemon: what it costs to hand N advertisements to the kernel once an interval, and to
// read them, when nothing else is done. One thread, one sendmmsg per interface and interval, blocking recvmmsg.
// And the floor under every deadline: how late a thread wakes that does nothing else.
//   floor send INTERVAL_US PER_INTERFACE INTERFACE...
//   floor receive
//   floor sleep PERIOD_US      until SIGTERM; then one lateness in nanoseconds a line
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr size_t kFrameOctets = 14 + 20 + 12;
constexpr unsigned kBatch = 64;
using Frame = std::array<uint8_t, kFrameOctets>;

int failed(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  return 1;
}

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time;
}

timespec later(timespec time, int64_t ns) {
  const int64_t nanoseconds = time.tv_nsec + ns;
  return {time.tv_sec + nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
}

// VRRPv3 for IPv4 from 10.0.0.1 to 224.0.0.18. Nobody reads it, so its checksums stay 0.
Frame advertisement(uint8_t vrid) {
  Frame frame{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x00, 0x00, 0x5e, 0x00, 0x01, vrid, 0x08, 0x00,
              0x45, 0xc0, 0,    32,   0,    0,    0,    0,    255,  112,  0,    0,    10,   0,
              0,    1,    224,  0,    0,    18,   0x31, vrid, 200,  1,    0,    10,   0,    0,
              10,   0,    1,    vrid};
  return frame;
}

struct Port {
  int socket = -1;
  std::vector<mmsghdr> messages;
};

bool openPort(const char* name, std::vector<iovec>& parts, Port& port) {
  port.socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(name));
  if (port.socket < 0 || address.sll_ifindex == 0) return false;
  if (bind(port.socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return false;
  for (iovec& part : parts) {
    mmsghdr message{};
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    port.messages.push_back(message);
  }
  return true;
}

int sendAll(int64_t intervalNs, int perInterface, char** names, int nameCount) {
  std::vector<Frame> frames;
  for (int at = 0; at < perInterface; at++) frames.push_back(advertisement(static_cast<uint8_t>(at % 255 + 1)));
  std::vector<iovec> parts;
  for (Frame& frame : frames) parts.push_back({frame.data(), frame.size()});
  std::vector<Port> ports(static_cast<size_t>(nameCount));
  for (size_t at = 0; at < ports.size(); at++)
    if (!openPort(names[at], parts, ports[at])) return failed(names[at]);
  timespec next = now();
  for (;;) {
    for (Port& port : ports) {
      size_t sent = 0;
      while (sent < port.messages.size()) {
        const int taken = sendmmsg(port.socket, &port.messages[sent],
                                   static_cast<unsigned>(port.messages.size() - sent), 0);
        if (taken < 0) return failed("sendmmsg");
        sent += static_cast<size_t>(taken);
      }
    }
    next = later(next, intervalNs);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
}

int receiveAll() {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket");
  // IP protocol 112, and not what this machine sends itself.
  sock_filter code[] = {
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, 23},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 112},
      {BPF_RET | BPF_K, 0, 0, 0xffff},
      {BPF_RET | BPF_K, 0, 0, 0},
  };
  const sock_fprog program{4, code};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) return failed("filter");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IP);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return failed("bind");
  std::vector<std::array<uint8_t, 128>> buffers(kBatch);
  std::vector<iovec> parts;
  for (auto& buffer : buffers) parts.push_back({buffer.data(), buffer.size()});
  std::vector<mmsghdr> messages(kBatch);
  for (size_t at = 0; at < kBatch; at++) {
    messages[at].msg_hdr.msg_iov = &parts[at];
    messages[at].msg_hdr.msg_iovlen = 1;
  }
  for (;;)
    if (recvmmsg(fd, messages.data(), kBatch, MSG_WAITFORONE, nullptr) < 0) return failed("recvmmsg");
}

constexpr int kSleeperPriority = 90;
constexpr size_t kMostWakes = 4'000'000;

// What one processor's sleeper found.
struct Sleeper {
  int processor = 0;
  int error = 0;
  std::vector<uint32_t> latenessNs;
  std::thread thread;
};

void sleepAt(Sleeper& own, int64_t periodNs, const std::atomic<bool>& ends) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<size_t>(own.processor), &only);
  const sched_param priority{kSleeperPriority};
  own.error = pthread_setaffinity_np(pthread_self(), sizeof only, &only);
  if (own.error == 0) own.error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
  if (own.error != 0) return;
  timespec next = now();
  while (!ends.load(std::memory_order_relaxed) && own.latenessNs.size() < kMostWakes) {
    next = later(next, periodNs);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    const timespec woken = now();
    const int64_t late = (woken.tv_sec - next.tv_sec) * 1'000'000'000 + woken.tv_nsec - next.tv_nsec;
    own.latenessNs.push_back(static_cast<uint32_t>(late < UINT32_MAX ? late : UINT32_MAX));
    if (late > periodNs) next = woken;  // what was slept over is not late once more
  }
}

int sleepAll(int64_t periodNs) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return failed("processors");
  std::vector<Sleeper> sleepers;
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(static_cast<size_t>(processor), &allowed)) continue;
    sleepers.emplace_back();
    sleepers.back().processor = processor;
    sleepers.back().latenessNs.reserve(1 << 16);
  }
  std::atomic<bool> ends{false};
  for (Sleeper& one : sleepers) one.thread = std::thread([&one, periodNs, &ends] { sleepAt(one, periodNs, ends); });
  int signal = 0;
  sigwait(&wanted, &signal);
  ends = true;
  for (Sleeper& one : sleepers) one.thread.join();
  for (const Sleeper& one : sleepers) {
    if (one.error != 0) {
      errno = one.error;
      return failed("a real-time sleeper");
    }
    for (const uint32_t late : one.latenessNs) std::printf("%u\n", late);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  mlockall(MCL_CURRENT | MCL_FUTURE);  // where it may not, pages come late: that is the machine's too
  if (count == 2 && std::strcmp(words[1], "receive") == 0) return receiveAll();
  if (count == 3 && std::strcmp(words[1], "sleep") == 0) return sleepAll(std::atoll(words[2]) * 1000);
  if (count >= 5 && std::strcmp(words[1], "send") == 0)
    return sendAll(std::atoll(words[2]) * 1000, std::atoi(words[3]), words + 4, count - 4);
  std::fprintf(stderr, "usage: floor send INTERVAL_US PER_INTERFACE INTERFACE... | floor receive | floor sleep PERIOD_US\n");
  return 2;
}
