// Sends numbered packets, or given frames, on an absolute schedule. Runs on its own thread. See traffic.h.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "traffic.h"
#include "traffic_packet.h"

namespace firsthop {

namespace {

constexpr int64_t kLongestCatchUpNs = 100'000'000;
constexpr int kSendBufferOctets = 8 << 20;

Failure openUdp(const SourceOptions& options, UniqueFd& fd) {
  fd.reset(socket(options.destination.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failure::ofErrno("UDP socket");
  // Packets that wait for ARP or ND are charged to the socket; the schedule must not stop for them.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferOctets, sizeof kSendBufferOctets) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferOctets, sizeof kSendBufferOctets);
  return {};
}

Failure openPacket(const SourceOptions& options, UniqueFd& fd) {
  fd.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failure::ofErrno("packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(options.interface.c_str()));
  if (address.sll_ifindex == 0) return Failure::ofErrno("interface " + options.interface);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Failure::ofErrno("bind " + options.interface);
  return {};
}

}  // namespace

Failure TrafficSource::start(const SourceOptions& options) {
  options_ = options;
  if (!stamps_.map(options.capacity)) return Failure::ofErrno("memory for the stamps");
  payload_.assign(options.payloadSize, 0);
  return worker_.start(
      options_.place,
      [this] { return options_.frames.empty() ? openUdp(options_, fd_) : openPacket(options_, fd_); },
      [this] { run(); });
}

void TrafficSource::stop() {
  worker_.stop();
  fd_.reset();
}

void TrafficSource::run() {
  prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);  // matters in the normal class only
  const uint64_t end =
      options_.limit == 0 ? options_.capacity : std::min(options_.limit, options_.capacity);
  const double periodNs = 1e9 / options_.packetsPerSecond;
  int64_t originNs = monotonicNs();
  uint64_t originSequence = 0;
  uint64_t sequence = 0;
  while (sequence < end && !worker_.stopping()) {
    const int64_t dueNs =
        originNs + static_cast<int64_t>(static_cast<double>(sequence - originSequence) * periodNs);
    const int64_t nowNs = monotonicNs();
    if (nowNs < dueNs) {
      const int64_t waitNs = dueNs - nowNs;
      const timespec wait{waitNs / 1'000'000'000, waitNs % 1'000'000'000};
      pollfd wake{worker_.wakeFd(), POLLIN, 0};
      ppoll(&wake, 1, &wait, nullptr);
      continue;
    }
    if (nowNs - dueNs > kLongestCatchUpNs) {
      originNs = nowNs;
      originSequence = sequence;
    }
    sendOne(sequence);
    sent_.store(++sequence, std::memory_order_release);
  }
}

void TrafficSource::sendOne(uint64_t sequence) {
  const int64_t nowNs = monotonicNs();
  stamps_[sequence] = nowNs;
  ssize_t result;
  if (options_.frames.empty()) {
    writeNumberedPayload(payload_.data(), sequence, nowNs);
    // Unconnected, so that an ICMP error about one packet does not cost the next.
    result = sendto(fd_.get(), payload_.data(), payload_.size(), MSG_DONTWAIT,
                    reinterpret_cast<const sockaddr*>(&options_.destination), options_.destinationLength);
  } else {
    const std::vector<uint8_t>& frame = options_.frames[sequence % options_.frames.size()];
    result = send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
  }
  if (result < 0) {
    lastError_.store(errno, std::memory_order_relaxed);
    errors_.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace firsthop
