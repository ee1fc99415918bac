// see probe_port.h
#include "probe_port.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace firsthop {

namespace {

// A thousand answers that wait for a thread without a processor.
constexpr int kReceiveBuffer = 8 << 20;
// What a message takes of it: the kernel counts its own structures, which alone are larger.
constexpr size_t kLeastPerMessage = 512;
// Probes to hosts that don't answer ARP wait in the kernel on this socket's account, up to 208 KB a host: they must
// not keep those to the others from leaving. It is a limit, no memory that is set aside.
constexpr int kSendBuffer = 256 << 20;

template <typename T>
bool option(int fd, int level, int name, const T& value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void setBuffers(int fd) {
  if (!option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer)) option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  if (!option(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSendBuffer)) option(fd, SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
}

template <size_t N>
bool attachFilter(int fd, const sock_filter (&filter)[N]) {
  sock_fprog program{static_cast<unsigned short>(N), const_cast<sock_filter*>(filter)};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

}  // namespace

// ---- the interface ------------------------------------------------------------------------------------------------

void ProbePort::check(int64_t now_ns) {
  checked_ns_ = now_ns;
  const UniqueFd asking(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!asking.valid()) {
    // What can't be asked now stays as it was.
    if (!checked_ && !name_.empty()) error_ = errno;
    return;
  }
  sources_.clear();
  if (name_.empty()) return;
  ifreq request{};
  std::strncpy(request.ifr_name, name_.c_str(), IFNAMSIZ - 1);
  int ifindex = 0;
  int error = 0;
  MacOctets mac{};
  if (::ioctl(asking.get(), SIOCGIFINDEX, &request) != 0) {
    error = errno;
  } else {
    ifindex = request.ifr_ifindex;
    if (::ioctl(asking.get(), SIOCGIFFLAGS, &request) != 0) error = errno;
    else if ((request.ifr_flags & IFF_UP) == 0) error = ENETDOWN;
    if (error == 0 && ::ioctl(asking.get(), SIOCGIFHWADDR, &request) != 0) error = errno;
    if (error == 0) std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  }
  // A socket keeps the error of an interface that went down until somebody asks: new ones know nothing of it.
  if (checked_ && (ifindex != ifindex_ || (error_ != 0 && error == 0) || (error == 0 && mac != mac_))) closeAll();
  checked_ = true;
  ifindex_ = ifindex;
  error_ = error;
  if (error == 0) mac_ = mac;
}

int ProbePort::sourceError(const ProbeAddress& source) {
  const auto known = sources_.find(source);
  if (known != sources_.end()) return known->second;
  const UniqueFd asking(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!asking.valid()) return errno;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, source.octets.data(), 4);
  // With ip_nonlocal_bind every address passes; what comes of that is a probe without an answer.
  const bool bound =
      bindToInterface(asking.get()) && ::bind(asking.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  return sources_[source] = bound ? 0 : errno;
}

void ProbePort::closeAll() {
  for (UniqueFd& one : sockets_) one.reset();
  for (EchoRing& one : rings_) one.close();
}

// ---- sockets ------------------------------------------------------------------------------------------------------

int ProbePort::open(Channel channel) {
  UniqueFd& socket = sockets_[static_cast<size_t>(channel)];
  if (socket.valid()) return 0;
  UniqueFd opened;
  int error = 0;
  switch (channel) {
    case Channel::kEcho4: error = openEcho(false, opened); break;
    case Channel::kEcho6: error = openEcho(true, opened); break;
    case Channel::kArp: error = openArp(opened); break;
    case Channel::kNd: error = openNd(opened); break;
  }
  if (error == 0) socket = std::move(opened);
  return error;
}

bool ProbePort::bindToInterface(int fd) const {
  // By its index: another interface may bear the name by now.
  return name_.empty() || option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, ifindex_);
}

// Answers to this socket only. ICMPv6 filters see the message, IPv4's the datagram.
int ProbePort::openEcho(bool ipv6, UniqueFd& into) {
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                       ipv6 ? static_cast<int>(IPPROTO_ICMPV6) : static_cast<int>(IPPROTO_ICMP)));
  if (!fd.valid()) return errno;
  // The kernel hands datagrams to a raw socket from its first moment on: what comes before the filter is told apart
  // by its identity like everything else.
  if (ipv6) {
    icmp6_filter types;
    ICMP6_FILTER_SETBLOCKALL(&types);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &types);
    if (!option(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, types)) return errno;
    const sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, identifier_, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, secret_, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    if (!attachFilter(fd.get(), filter)) return errno;
  } else {
    const sock_filter filter[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 0, 5),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, identifier_, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, secret_, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    if (!attachFilter(fd.get(), filter)) return errno;
    // Headers of our own: the kernel's way of making them costs a sixth of what a probe costs.
    if (!option(fd.get(), IPPROTO_IP, IP_HDRINCL, 1)) return errno;
  }
  setBuffers(fd.get());
  if (!bindToInterface(fd.get())) return errno;
  // In the place of the filter, where this machine lets us: it costs less than to read the socket.
  ring(ipv6).open(fd.get(), ipv6, identifier_, secret_);
  into = std::move(fd);
  return 0;
}

// ARP replies to our MAC address, untagged.
int ProbePort::openArp(UniqueFd& into) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  const auto word = [this](size_t at) { return static_cast<uint32_t>(mac_[at] << 8 | mac_[at + 1]); };
  const sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 9),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 7),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 32),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(0), 0, 5),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 34),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(2), 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(4), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  if (!attachFilter(fd.get(), filter)) return errno;
  setBuffers(fd.get());
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ARP);
  address.sll_ifindex = ifindex_;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return errno;
  into = std::move(fd);
  return 0;
}

int ProbePort::openNd(UniqueFd& into) {
  UniqueFd fd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!fd.valid()) return errno;
  icmp6_filter types;
  ICMP6_FILTER_SETBLOCKALL(&types);
  ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &types);
  if (!option(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, types)) return errno;
  if (!option(fd.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)) return errno;
  setBuffers(fd.get());
  if (!bindToInterface(fd.get())) return errno;
  into = std::move(fd);
  return 0;
}

// ---- sending ------------------------------------------------------------------------------------------------------

namespace {

void addControl(msghdr& header, char* room, int level, int type, const void* data, size_t size) {
  header.msg_control = room;
  header.msg_controllen = CMSG_SPACE(size);
  cmsghdr* one = CMSG_FIRSTHDR(&header);
  one->cmsg_level = level;
  one->cmsg_type = type;
  one->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(one), data, size);
}

}  // namespace

size_t ProbePort::send(Channel channel, Message* messages, size_t count, ProbeBatch& batch, int* error) {
  if (count > ProbeBatch::kSend) count = ProbeBatch::kSend;
  for (size_t i = 0; i < count; i++) {
    Message& message = messages[i];
    batch.send_parts[i] = {message.octets.data(), message.length};
    msghdr& header = batch.send_messages[i].msg_hdr;
    header = {};
    header.msg_iov = &batch.send_parts[i];
    header.msg_iovlen = 1;
    if (channel == Channel::kArp) continue;
    header.msg_name = &batch.send_addresses[i];
    batch.send_addresses[i] = {};
    if (channel == Channel::kEcho6) {
      auto& to = reinterpret_cast<sockaddr_in6&>(batch.send_addresses[i]);
      to.sin6_family = AF_INET6;
      std::memcpy(&to.sin6_addr, message.destination.octets.data(), 16);
      to.sin6_scope_id = static_cast<uint32_t>(ifindex_);
      header.msg_namelen = sizeof(to);
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, message.source.octets.data(), 16);
      if (message.has_source)
        addControl(header, batch.send_control[i], IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    } else {
      auto& to = reinterpret_cast<sockaddr_in&>(batch.send_addresses[i]);
      to.sin_family = AF_INET;
      std::memcpy(&to.sin_addr, message.destination.octets.data(), 4);
      header.msg_namelen = sizeof(to);
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, message.source.octets.data(), 4);
      if (message.has_source) addControl(header, batch.send_control[i], IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    }
  }
  for (;;) {
    const int sent = ::sendmmsg(fd(channel), batch.send_messages, static_cast<unsigned>(count), 0);
    if (sent > 0) return static_cast<size_t>(sent);
    if (errno == EINTR) continue;
    *error = errno;
    // The kernel's word for a source address that is not on this machine.
    if (*error == EINVAL && channel != Channel::kArp && messages[0].has_source) *error = EADDRNOTAVAIL;
    return 0;
  }
}

// ---- receiving ----------------------------------------------------------------------------------------------------

ProbeBatch::ProbeBatch() {
  for (size_t i = 0; i < kReceive; i++) parts_[i] = {octets_[i], kReceiveMax};
}

size_t ProbeBatch::receive(int fd) {
  for (size_t i = 0; i < kReceive; i++) {
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &addresses_[i];
    header.msg_namelen = sizeof(addresses_[i]);
    header.msg_iov = &parts_[i];
    header.msg_iovlen = 1;
    header.msg_control = control_[i];
    header.msg_controllen = sizeof(control_[i]);
    header.msg_flags = 0;
  }
  for (;;) {
    const int count = ::recvmmsg(fd, messages_, kReceive, MSG_DONTWAIT, nullptr);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return 0;
  }
}

size_t ProbeBatch::mostWaiting(int fd) {
  std::array<uint32_t, SK_MEMINFO_VARS> taken{};
  socklen_t size = sizeof(taken);
  // The kernel doubles what was asked for.
  if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, taken.data(), &size) != 0) return 2 * kReceiveBuffer / kLeastPerMessage;
  return taken[SK_MEMINFO_RMEM_ALLOC] / kLeastPerMessage;
}

bool ProbeBatch::get(size_t index, ProbePort::Channel channel, ProbePort::Received* into) {
  msghdr& header = messages_[index].msg_hdr;
  if ((header.msg_flags & MSG_TRUNC) != 0) return false;
  *into = {channel, octets_[index], messages_[index].msg_len, {}, 0, 0};
  for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_TIMESTAMPNS) {
      timespec stamp;
      std::memcpy(&stamp, CMSG_DATA(one), sizeof(stamp));
      into->stamp_ns = stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec;
    } else if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_HOPLIMIT) {
      std::memcpy(&into->hop_limit, CMSG_DATA(one), sizeof(into->hop_limit));
    }
  }
  if (header.msg_namelen >= sizeof(sockaddr_in6) && addresses_[index].ss_family == AF_INET6) {
    const auto& from = reinterpret_cast<const sockaddr_in6&>(addresses_[index]);
    into->from = addressOf(from.sin6_addr.s6_addr, true);
  }
  return true;
}

}  // namespace firsthop
