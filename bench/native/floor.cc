// The floor under every VRRP daemon: what it costs to hand N advertisements to the kernel once an interval, and to
// read them, when nothing else is done. One thread, one sendmmsg per interface and interval, blocking recvmmsg.
// The floor under every prober: what it costs to send ICMP echo requests from one socket, some at a time, and to read
// the answers.
// And the floor under every deadline: how late a thread wakes that does nothing else.
//   floor send INTERVAL_US PER_INTERFACE INTERFACE...
//   floor receive
//   floor echo INTERVAL_US AT_ONCE INTERFACE SOURCE TARGET...     each target once an interval
//   floor sleep PERIOD_US [PHASE_US]     until SIGTERM; then a line for each wake: LATE_NS DUE_NS PROCESSOR. With a
//                                        phase every DUE_NS is that much more than a multiple of the period; a line
//                                        on standard input is another phase, from then on.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cinttypes>
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

constexpr int64_t kSecondNs = 1'000'000'000;

int64_t inNs(timespec time) { return time.tv_sec * kSecondNs + time.tv_nsec; }

timespec later(timespec time, int64_t ns) {
  const int64_t nanoseconds = time.tv_nsec + ns;
  return {time.tv_sec + nanoseconds / kSecondNs, nanoseconds % kSecondNs};
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

struct Echo {
  iphdr ip;
  icmphdr icmp;
  std::array<uint8_t, 16> data;
};

uint16_t checksum(const void* from, size_t octets) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  uint32_t sum = 0;
  for (size_t at = 0; at + 1 < octets; at += 2) sum += static_cast<uint32_t>(bytes[at] << 8 | bytes[at + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}

Echo echoRequest(in_addr source, in_addr target) {
  Echo echo{};
  echo.ip.version = 4;
  echo.ip.ihl = sizeof echo.ip / 4;
  echo.ip.ttl = 64;
  echo.ip.protocol = IPPROTO_ICMP;
  echo.ip.tot_len = htons(sizeof echo);
  echo.ip.saddr = source.s_addr;
  echo.ip.daddr = target.s_addr;
  echo.icmp.type = ICMP_ECHO;
  echo.icmp.un.echo.id = htons(static_cast<uint16_t>(getpid()));
  echo.icmp.checksum = checksum(&echo.icmp, sizeof echo.icmp + echo.data.size());
  return echo;
}

int askAll(int64_t intervalNs, size_t atOnce, const char* interface, const char* source, char** names, int nameCount) {
  const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  const int on = 1;
  const int room = 8 << 20;
  if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) != 0) return failed("raw socket");
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, static_cast<socklen_t>(std::strlen(interface))) != 0)
    return failed(interface);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  const auto count = static_cast<size_t>(nameCount);
  in_addr from{};
  if (inet_pton(AF_INET, source, &from) != 1) return failed(source);
  std::vector<Echo> echoes(count);
  std::vector<sockaddr_in> targets(count);
  std::vector<iovec> parts(count);
  std::vector<mmsghdr> messages(count);
  for (size_t at = 0; at < count; at++) {
    targets[at].sin_family = AF_INET;
    if (inet_pton(AF_INET, names[at], &targets[at].sin_addr) != 1) return failed(names[at]);
    echoes[at] = echoRequest(from, targets[at].sin_addr);
    parts[at] = {&echoes[at], sizeof(Echo)};
    messages[at].msg_hdr.msg_name = &targets[at];
    messages[at].msg_hdr.msg_namelen = sizeof targets[at];
    messages[at].msg_hdr.msg_iov = &parts[at];
    messages[at].msg_hdr.msg_iovlen = 1;
  }
  std::vector<std::array<uint8_t, 128>> buffers(kBatch);
  std::vector<iovec> answerParts(kBatch);
  std::vector<mmsghdr> answers(kBatch);
  for (size_t at = 0; at < kBatch; at++) {
    answerParts[at] = {buffers[at].data(), buffers[at].size()};
    answers[at].msg_hdr.msg_iov = &answerParts[at];
    answers[at].msg_hdr.msg_iovlen = 1;
  }
  const int64_t stepNs = intervalNs * static_cast<int64_t>(atOnce) / static_cast<int64_t>(count);
  timespec next = now();
  for (size_t first = 0;; first = (first + atOnce) % count) {
    while (recvmmsg(fd, answers.data(), kBatch, MSG_DONTWAIT, nullptr) == static_cast<int>(kBatch)) {
    }
    const size_t end = std::min(first + atOnce, count);
    for (size_t at = first; at < end;) {
      const int taken =
          sendmmsg(fd, &messages[at], static_cast<unsigned>(std::min<size_t>(end - at, kBatch)), 0);
      if (taken < 0) return failed("sendmmsg");
      at += static_cast<size_t>(taken);
    }
    next = later(next, stepNs);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
}

constexpr int kSleeperPriority = 90;
constexpr size_t kMostWakes = 4'000'000;

struct Wake {
  int64_t dueNs = 0;
  int64_t lateNs = 0;
};

// Nanoseconds; below 0: as it happens.
using Phase = std::atomic<int64_t>;

// What one processor's sleeper found.
struct Sleeper {
  int processor = 0;
  int error = 0;
  std::vector<Wake> wakes;
  std::thread thread;
};

int64_t nextDueNs(int64_t afterNs, int64_t periodNs, int64_t phaseNs) {
  const int64_t dueNs = afterNs - afterNs % periodNs + phaseNs;
  return dueNs > afterNs ? dueNs : dueNs + periodNs;
}

void sleepAt(Sleeper& own, int64_t firstNs, int64_t periodNs, const Phase& phase, const std::atomic<bool>& ends) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<size_t>(own.processor), &only);
  const sched_param priority{kSleeperPriority};
  own.error = pthread_setaffinity_np(pthread_self(), sizeof only, &only);
  if (own.error == 0) own.error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
  if (own.error != 0) return;
  int64_t dueNs = firstNs;
  int64_t phaseNs = phase.load(std::memory_order_relaxed);
  while (!ends.load(std::memory_order_relaxed) && own.wakes.size() < kMostWakes) {
    const timespec due{dueNs / kSecondNs, dueNs % kSecondNs};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
    const int64_t wokenNs = inNs(now());
    own.wakes.push_back({dueNs, wokenNs - dueNs});
    dueNs += periodNs * (1 + (wokenNs - dueNs) / periodNs);  // what was slept over is not late once more
    if (const int64_t nowWanted = phase.load(std::memory_order_relaxed); nowWanted != phaseNs) {
      phaseNs = nowWanted;
      dueNs = nextDueNs(wokenNs, periodNs, phaseNs);
    }
  }
}

int sleepAll(int64_t periodNs, int64_t phaseNs) {
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
    sleepers.back().wakes.reserve(1 << 16);
  }
  std::atomic<bool> ends{false};
  Phase phase{phaseNs};
  const int64_t nowNs = inNs(now());
  const int64_t firstNs = phaseNs < 0 ? nowNs + periodNs : nextDueNs(nowNs, periodNs, phaseNs);
  for (Sleeper& one : sleepers)
    one.thread = std::thread([&one, firstNs, periodNs, &phase, &ends] { sleepAt(one, firstNs, periodNs, phase, ends); });
  if (phaseNs >= 0)
    std::thread([&phase, periodNs] {
      for (long long us = 0; std::scanf("%lld", &us) == 1;) phase = us * 1000 % periodNs;
    }).detach();
  int signal = 0;
  sigwait(&wanted, &signal);
  ends = true;
  for (Sleeper& one : sleepers) one.thread.join();
  for (const Sleeper& one : sleepers) {
    if (one.error != 0) {
      errno = one.error;
      return failed("a real-time sleeper");
    }
    for (const Wake& wake : one.wakes)
      std::printf("%" PRId64 " %" PRId64 " %d\n", wake.lateNs, wake.dueNs, one.processor);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  mlockall(MCL_CURRENT | MCL_FUTURE);  // where it may not, pages come late: that is the machine's too
  if (count == 2 && std::strcmp(words[1], "receive") == 0) return receiveAll();
  if ((count == 3 || count == 4) && std::strcmp(words[1], "sleep") == 0)
    return sleepAll(std::atoll(words[2]) * 1000, count == 4 ? std::atoll(words[3]) * 1000 : -1);
  if (count >= 5 && std::strcmp(words[1], "send") == 0)
    return sendAll(std::atoll(words[2]) * 1000, std::atoi(words[3]), words + 4, count - 4);
  if (count >= 7 && std::strcmp(words[1], "echo") == 0)
    return askAll(std::atoll(words[2]) * 1000, static_cast<size_t>(std::atoi(words[3])), words[4], words[5], words + 6,
                  count - 6);
  std::fprintf(stderr,
               "usage: floor send INTERVAL_US PER_INTERFACE INTERFACE... | floor receive | "
               "floor sleep PERIOD_US [PHASE_US] | floor echo INTERVAL_US AT_ONCE INTERFACE SOURCE TARGET...\n");
  return 2;
}
