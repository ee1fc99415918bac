// The receiving side: the sink of numbered packets and the capture of frames, each on its own thread. See traffic.h.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "traffic.h"
#include "traffic_packet.h"

namespace firsthop {

namespace {

constexpr uint32_t kSinkSnapLength = 128;
constexpr uint32_t kIpv6PayloadAt = 14 + 40 + 8;
constexpr uint32_t kMaxCopies = 0xffffff;

// UDP over IPv4 (no fragments) or IPv6 (no extension headers) to one port.
std::vector<sock_filter> udpPortFilter(uint16_t port) {
  return {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 7),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 10),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 8, 0),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
      BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 2),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kSinkSnapLength),
  };
}

// A socket on the port that nobody reads: without one the kernel answers each packet with an ICMP error.
Failure openSwallow(uint16_t port, UniqueFd& fd) {
  fd.reset(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failure::ofErrno("UDP socket");
  const int smallest = 1;
  const int off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest);
  setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Failure::ofErrno("UDP port " + std::to_string(port));
  return {};
}

}  // namespace

Failure TrafficSink::start(const SinkOptions& options) {
  if (!firstNs_.map(options.capacity) || !marks_.map(options.capacity))
    return Failure::ofErrno("memory for the arrivals");
  return worker_.start(
      options.place,
      [&] {
        Failure failure = openSwallow(options.port, swallow_);
        return failure ? failure : ring_.open(options.interface, udpPortFilter(options.port), false);
      },
      [this] { ring_.pump(worker_, [this](const RingFrame& frame) { take(frame); }); });
}

void TrafficSink::stop() {
  worker_.stop();
  ring_.close();
  swallow_.reset();
}

void TrafficSink::take(const RingFrame& frame) {
  const bool ipv4 = frame.data[12] == 0x08;
  const uint32_t payloadAt = ipv4 ? 14 + 4u * (frame.data[14] & 0x0f) + 8 : kIpv6PayloadAt;
  if (frame.captured < payloadAt + kPayloadMinimum) return;
  const uint8_t* payload = frame.data + payloadAt;
  if (readBigEndian(payload) != kPayloadMagic) return;
  const uint64_t sequence = readBigEndian(payload + 8);
  if (sequence >= firstNs_.size()) {
    outOfRange_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const uint8_t via = senderIndex(frame.data + ETH_ALEN);
  const uint32_t mark = marks_[sequence].load(std::memory_order_relaxed);
  const uint32_t copies = std::min(mark >> 8, kMaxCopies - 1) + 1;
  if (copies == 1) firstNs_[sequence].store(frame.atNs, std::memory_order_relaxed);
  marks_[sequence].store(copies << 8 | (copies == 1 ? via : (mark & 0xff)), std::memory_order_release);
  senderPackets_[via].fetch_add(1, std::memory_order_relaxed);
  received_.fetch_add(1, std::memory_order_release);
}

uint8_t TrafficSink::senderIndex(const uint8_t* mac) {
  const size_t known = senderCount_.load(std::memory_order_relaxed);
  for (size_t index = 0; index < known; ++index)
    if (std::memcmp(senders_[index].data(), mac, ETH_ALEN) == 0) return static_cast<uint8_t>(index);
  // A full table lumps the remaining senders together in its last entry.
  if (known == kMaxSenders) return kMaxSenders - 1;
  std::memcpy(senders_[known].data(), mac, ETH_ALEN);
  senderCount_.store(known + 1, std::memory_order_release);
  return static_cast<uint8_t>(known);
}

Failure FrameCapture::start(const CaptureOptions& options) {
  snapLength_ = options.snapLength;
  if (!frames_.map(options.capacity) || !octets_.map(options.capacity * snapLength_))
    return Failure::ofErrno("memory for the frames");
  return worker_.start(
      options.place,
      [&] {
        return ring_.open(options.interface, options.filter, options.outgoing, options.blockTimeoutMs);
      },
      [this] { ring_.pump(worker_, [this](const RingFrame& frame) { take(frame); }); });
}

void FrameCapture::stop() {
  worker_.stop();
  ring_.close();
}

void FrameCapture::take(const RingFrame& frame) {
  const uint64_t index = count_.load(std::memory_order_relaxed);
  if (index == frames_.size()) {
    overflowed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const auto captured = static_cast<uint16_t>(std::min(frame.captured, snapLength_));
  frames_[index] = {frame.atNs, frame.length, frame.ifindex, captured, frame.packetType};
  std::memcpy(&octets_[index * snapLength_], frame.data, captured);
  count_.store(index + 1, std::memory_order_release);
}

}  // namespace firsthop
