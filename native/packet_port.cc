#include "packet_port.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

namespace firsthop {

namespace {

constexpr int kReceiveBuffer = 8 << 20;
// The default holds some 250 small frames: less than the advertisements of a full LAN that leave together.
constexpr int kSendBuffer = 4 << 20;
constexpr int kPriorityControl = 7;  // TC_PRIO_CONTROL
constexpr size_t kSendBatch = 64;

template <typename T>
bool option(int fd, int level, int name, const T& value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

int PacketPort::openLan(int ifindex, const std::vector<sock_filter>& filter, const std::vector<Bytes>& memberships,
                        const std::vector<std::string>& groups, const std::vector<uint16_t>& udp_ports) {
  // Protocol 0: nothing comes in before the filter is there.
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) return errno;
  option(fd.get(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  if (!option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer)) {
    option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  }
  if (!option(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kSendBuffer)) {
    option(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  }
  option(fd.get(), SOL_SOCKET, SO_PRIORITY, kPriorityControl);
  option(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1);
  option(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  for (const Bytes& address : memberships) {
    packet_mreq request{};
    request.mr_ifindex = ifindex;
    request.mr_type = PACKET_MR_MULTICAST;
    request.mr_alen = 6;
    std::memcpy(request.mr_address, address.data(), 6);
    if (!option(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)) return errno;
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return errno;
  for (const std::string& group : groups) joinGroup(group, ifindex);
  for (const uint16_t udp_port : udp_ports) {
    holdUdpPort(AF_INET, udp_port, ifindex);
    holdUdpPort(AF_INET6, udp_port, ifindex);
  }
  socket_ = std::move(fd);
  receives_ = true;
  return 0;
}

// Frames arrive without it (the packet membership opens the interface's filter); what is lost when it fails
// is only that a snooping switch learns of the group.
void PacketPort::joinGroup(const std::string& group, int ifindex) {
  if (group.find(':') == std::string::npos) {
    if (!membership4_.valid()) membership4_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ip_mreqn request{};
    request.imr_ifindex = ifindex;
    if (::inet_pton(AF_INET, group.c_str(), &request.imr_multiaddr) != 1) return;
    option(membership4_.get(), IPPROTO_IP, IP_MULTICAST_ALL, 0);
    option(membership4_.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, request);
  } else {
    if (!membership6_.valid()) membership6_.reset(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ipv6_mreq request{};
    request.ipv6mr_interface = static_cast<unsigned>(ifindex);
    if (::inet_pton(AF_INET6, group.c_str(), &request.ipv6mr_multiaddr) != 1) return;
    option(membership6_.get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, request);
  }
}

// Where it fails, somebody else has the port, and no ICMP error is sent either.
void PacketPort::holdUdpPort(int family, uint16_t port, int ifindex) {
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return;
  // What arrives is dropped without being kept: the packet socket has it.
  sock_filter drop{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &drop};
  if (!option(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, program)) return;
  char name[IF_NAMESIZE];
  if (::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) return;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name, static_cast<socklen_t>(std::strlen(name)));
  sockaddr_storage any{};
  socklen_t length = sizeof(sockaddr_in);
  if (family == AF_INET6) {
    option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    auto& address = reinterpret_cast<sockaddr_in6&>(any);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    length = sizeof(sockaddr_in6);
  } else {
    auto& address = reinterpret_cast<sockaddr_in&>(any);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), length) == 0) held_.push_back(std::move(fd));
}

int PacketPort::openDatagram(bool ipv6, int ifindex) {
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!fd.valid()) return errno;
  if (ipv6 && !option(fd.get(), IPPROTO_IPV6, IPV6_HDRINCL, 1)) return errno;
  option(fd.get(), SOL_SOCKET, SO_PRIORITY, kPriorityControl);
  if (ifindex != 0) {
    char name[IF_NAMESIZE];
    if (::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) return errno;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name, static_cast<socklen_t>(std::strlen(name))) != 0) {
      return errno;
    }
  }
  socket_ = std::move(fd);
  datagram_ = true;
  ipv6_datagram_ = ipv6;
  return 0;
}

int PacketPort::send(const Bytes* const* frames, size_t count, std::vector<size_t>* refused) {
  int error = 0;
  size_t place = 0;
  while (count > 0) {
    mmsghdr messages[kSendBatch] = {};
    iovec parts[kSendBatch];
    sockaddr_storage addresses[kSendBatch];
    const size_t batch = count < kSendBatch ? count : kSendBatch;
    for (size_t i = 0; i < batch; i++) {
      const Bytes& frame = *frames[i];
      parts[i] = {const_cast<uint8_t*>(frame.data()), frame.size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      if (!datagram_) continue;
      addresses[i] = {};
      if (ipv6_datagram_ && frame.size() >= 40) {
        auto& to = reinterpret_cast<sockaddr_in6&>(addresses[i]);
        to.sin6_family = AF_INET6;
        std::memcpy(&to.sin6_addr, frame.data() + 24, 16);
        messages[i].msg_hdr.msg_namelen = sizeof(to);
      } else if (frame.size() >= 20) {
        auto& to = reinterpret_cast<sockaddr_in&>(addresses[i]);
        to.sin_family = AF_INET;
        std::memcpy(&to.sin_addr, frame.data() + 16, 4);
        messages[i].msg_hdr.msg_namelen = sizeof(to);
      }
      messages[i].msg_hdr.msg_name = &addresses[i];
    }
    // A frame that can't be sent (no carrier, no buffer) is counted and left out; the next one is on its way.
    size_t done = 0;
    while (done < batch) {
      const int result = ::sendmmsg(socket_.get(), messages + done, static_cast<unsigned>(batch - done), 0);
      if (result > 0) {
        sent.fetch_add(static_cast<uint64_t>(result), std::memory_order_relaxed);
        done += static_cast<size_t>(result);
      } else if (errno != EINTR) {
        error = errno;
        if (refused != nullptr) refused->push_back(place + done);
        send_errors.fetch_add(1, std::memory_order_relaxed);
        done++;
      }
    }
    frames += batch;
    count -= batch;
    place += batch;
  }
  return error;
}

bool PacketPort::interfaceGone() const {
  sockaddr_ll address{};
  socklen_t length = sizeof(address);
  return receives_ && ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
         address.sll_ifindex == -1;
}

uint64_t PacketPort::takeKernelDrops() {
  tpacket_stats statistics{};
  socklen_t length = sizeof(statistics);
  if (!receives_ || ::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) != 0) return 0;
  return statistics.tp_drops;
}

bool ReceiveBatch::allocate() {
  if (!memory_.map(kFrames * kFrameMax)) return false;
  for (size_t i = 0; i < kFrames; i++) {
    parts_[i] = {memory_.data() + i * kFrameMax, kFrameMax};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = &control_[i];
    messages_[i].msg_hdr.msg_controllen = sizeof(control_[i]);
  }
  return true;
}

int ReceiveBatch::receive(int fd) {
  for (;;) {
    const int count = ::recvmmsg(fd, messages_, kFrames, MSG_DONTWAIT, nullptr);
    if (count >= 0) return count;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -errno;
  }
}

int64_t ReceiveBatch::stampNs(size_t index) {
  msghdr& message = messages_[index].msg_hdr;
  int64_t stamp_ns = 0;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp;
    std::memcpy(&stamp, CMSG_DATA(one), sizeof(stamp));
    stamp_ns = stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec;
  }
  // The kernel wrote how much there was; the next frame gets the whole room again.
  message.msg_controllen = sizeof(control_[index]);
  return stamp_ns;
}

}  // namespace firsthop
