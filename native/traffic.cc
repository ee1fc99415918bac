// What the measuring instruments share: threads in namespaces, the receive ring, filters. See traffic.h.
#include "traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <memory>

#include "util/stamp_clock.h"

namespace firsthop {

namespace {

// Small, because the kernel makes the ring in one piece of work: tens of megabytes kept a processor from everybody,
// real-time threads included, for up to 110 ms. A block leaves after its time-out at the latest, so that many blocks
// also outlast a reader that is late: 64 of 4 ms are a quarter of a second.
constexpr uint32_t kBlockSize = 1 << 16;
constexpr uint32_t kBlockCount = 64;
constexpr uint32_t kFrameSize = 1 << 11;
constexpr int kPollMs = 100;

Failure enterNamespace(const std::string& path) {
  if (path.empty()) return {};
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return Failure::ofErrno("open " + path);
  if (setns(fd.get(), CLONE_NEWNET) != 0) return Failure::ofErrno("setns " + path);
  return {};
}

bool becomeRealtime(int priority) {
  if (priority <= 0) return false;
  sched_param parameters{};
  parameters.sched_priority = priority;
  return pthread_setschedparam(pthread_self(), SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0;
}

}  // namespace

int64_t monotonicNs() { return clockNs(CLOCK_MONOTONIC); }

template <typename T>
MappedArray<T>::~MappedArray() {
  if (data_ != nullptr) munmap(data_, count_ * sizeof(T));
}

template <typename T>
bool MappedArray<T>::map(size_t count) {
  static_assert(std::is_trivially_destructible_v<T>, "the memory is only unmapped");
  void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  data_ = static_cast<T*>(memory);
  count_ = count;
  return true;
}

template class MappedArray<int64_t>;
template class MappedArray<uint8_t>;
template class MappedArray<std::atomic<int64_t>>;
template class MappedArray<std::atomic<uint32_t>>;
template class MappedArray<CapturedFrame>;

Failure Worker::start(const Place& place, const std::function<Failure()>& prepare, std::function<void()> run) {
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return Failure::ofErrno("eventfd");
  auto ready = std::make_shared<std::promise<Failure>>();
  std::future<Failure> outcome = ready->get_future();
  const int unmade = thread_.start([this, place, &prepare, ready, run = std::move(run)] {
    pthread_setname_np(pthread_self(), place.threadName.substr(0, 15).c_str());
    Failure failure = enterNamespace(place.namespacePath);
    if (!failure) failure = prepare();
    const bool failed = static_cast<bool>(failure);
    if (!failed) realtime_ = becomeRealtime(place.realtimePriority);
    ready->set_value(std::move(failure));
    if (!failed) run();
  });
  if (unmade != 0) return Failure::of(unmade, "thread");
  Failure failure = outcome.get();
  if (failure) stop();
  return failure;
}

void Worker::stop() {
  if (!thread_.running()) return;
  stopping_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) != sizeof one) {
    // The counter is full, so the thread is being woken already.
  }
  thread_.join();
  wake_.reset();
}

void PacketRing::close() {
  if (ring_ != nullptr) munmap(ring_, ringSize_);
  ring_ = nullptr;
  fd_.reset();
}

Failure PacketRing::open(const std::string& interface, const std::vector<sock_filter>& filter, bool outgoing,
                         uint32_t blockTimeoutMs) {
  // Protocol 0 until bind: nothing arrives before the filter is in place.
  fd_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_.valid()) return Failure::ofErrno("packet socket");
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    return Failure::ofErrno("packet filter");

  const int version = TPACKET_V3;
  const int stamps = SOF_TIMESTAMPING_SOFTWARE;
  const int on = 1;
  const int ignoreOutgoing = outgoing ? 0 : 1;
  // SO_TIMESTAMPNS makes the kernel stamp frames as they come in; without it the stamp is taken at delivery.
  if (setsockopt(fd_.get(), SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      setsockopt(fd_.get(), SOL_PACKET, PACKET_TIMESTAMP, &stamps, sizeof stamps) != 0 ||
      setsockopt(fd_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 ||
      setsockopt(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignoreOutgoing, sizeof ignoreOutgoing) != 0)
    return Failure::ofErrno("packet socket options");

  tpacket_req3 request{};
  request.tp_block_size = kBlockSize;
  request.tp_block_nr = kBlockCount;
  request.tp_frame_size = kFrameSize;
  request.tp_frame_nr = kBlockSize / kFrameSize * kBlockCount;
  request.tp_retire_blk_tov = blockTimeoutMs;
  if (setsockopt(fd_.get(), SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0)
    return Failure::ofErrno("packet ring");
  ringSize_ = size_t{kBlockSize} * kBlockCount;
  void* memory = mmap(nullptr, ringSize_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (memory == MAP_FAILED) return Failure::ofErrno("packet ring");
  ring_ = static_cast<uint8_t*>(memory);

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  if (!interface.empty()) {
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (address.sll_ifindex == 0) return Failure::ofErrno("interface " + interface);
  }
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Failure::ofErrno("bind " + interface);
  return {};
}

void PacketRing::pump(const Worker& worker, const std::function<void(const RingFrame&)>& take) {
  pollfd watched[2] = {{fd_.get(), POLLIN, 0}, {worker.wakeFd(), POLLIN, 0}};
  while (!worker.stopping()) {
    // The time-out only bounds how old the count of drops may be.
    if (poll(watched, 2, kPollMs) < 0 && errno != EINTR) return;
    if ((watched[0].revents & POLLERR) != 0) {
      // ENETDOWN when the interface went down; frames come again when it is up.
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
    drain(take);
    countDrops();
  }
  drain(take);
  countDrops();
}

void PacketRing::drain(const std::function<void(const RingFrame&)>& take) {
  for (;;) {
    auto* block = reinterpret_cast<tpacket_block_desc*>(ring_ + size_t{block_} * kBlockSize);
    uint32_t* status = &block->hdr.bh1.block_status;
    if ((__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return;
    const int64_t offset = realtimeToMonotonic();
    const uint8_t* at = reinterpret_cast<const uint8_t*>(block) + block->hdr.bh1.offset_to_first_pkt;
    for (uint32_t left = block->hdr.bh1.num_pkts; left > 0; --left) {
      const auto* header = reinterpret_cast<const tpacket3_hdr*>(at);
      const auto* link = reinterpret_cast<const sockaddr_ll*>(at + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
      const int64_t stamp = int64_t{header->tp_sec} * 1'000'000'000 + header->tp_nsec;
      take({stamp + offset, at + header->tp_mac, header->tp_snaplen, header->tp_len,
            static_cast<uint32_t>(link->sll_ifindex), link->sll_pkttype});
      at += header->tp_next_offset;
    }
    __atomic_store_n(status, uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
    block_ = (block_ + 1) % kBlockCount;
  }
}

void PacketRing::countDrops() {
  tpacket_stats_v3 statistics{};
  socklen_t length = sizeof statistics;
  // Reading clears the kernel's counters.
  if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0)
    dropped_.fetch_add(statistics.tp_drops, std::memory_order_relaxed);
}

std::vector<sock_filter> protocolFilter(const std::vector<ProtocolMatch>& matches, uint32_t snapLength) {
  std::vector<sock_filter> program;
  for (const ProtocolMatch& match : matches) {
    const bool ipv6 = match.etherType == ETH_P_IPV6;
    const uint8_t rest = match.protocol == 0 ? 1 : 3;
    program.push_back(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, match.etherType, 0, rest));
    if (match.protocol != 0) {
      program.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ipv6 ? 20u : 23u));
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, match.protocol, 0, 1));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, snapLength));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, matches.empty() ? snapLength : 0));
  return program;
}

}  // namespace firsthop
