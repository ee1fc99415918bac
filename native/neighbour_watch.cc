// see neighbour_watch.h
#include "neighbour_watch.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace firsthop {

namespace {

constexpr size_t kSeenMax = 4096;
constexpr int64_t kToldAgainNs = 10'000'000'000;
constexpr int64_t kCheckedNs = 1'000'000'000;
constexpr int kReceiveBuffer = 1 << 20;
// What one look reads of one socket, a flood or not.
constexpr int kMessagesAtOnce = 2048;

template <typename T>
bool option(int fd, int level, int name, const T& value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

bool namesOneHost(const MacOctets& mac) {
  return (mac[0] & 1) == 0 && mac != MacOctets{};
}

bool namesOneHost(const ProbeAddress& address) {
  if (address.ipv6) return address.octets[0] != 0xff && address.octets != std::array<uint8_t, 16>{};
  return address.octets[0] != 0 && address.octets[0] < 224;
}

}  // namespace

void NeighbourWatch::follow(uint32_t follower, const std::string& interface) {
  Link& link = links_[follower];
  link.name = interface;
  refresh_ = true;
}

void NeighbourWatch::unfollow(uint32_t follower) {
  links_.erase(follower);
  if (links_.empty()) news_.reset();
}

void NeighbourWatch::look(int64_t now_ns, std::vector<Sighting>& found) {
  if (links_.empty()) return;
  if (refresh_ || now_ns - checked_ns_ >= kCheckedNs) {
    refresh_ = false;
    checked_ns_ = now_ns;
    for (auto& [follower, link] : links_) {
      const int ifindex = static_cast<int>(::if_nametoindex(link.name.c_str()));
      // Without a descriptor the kernel can't be asked: what was known stays.
      if (ifindex == 0 && (errno == EMFILE || errno == ENFILE)) continue;
      if (ifindex != link.ifindex) {
        link.ifindex = ifindex;
        link.arp.reset();
        link.nd.reset();
        dump_ = true;
      }
      if (ifindex != 0) open(link);
    }
  }
  if (dump_ && (news_.valid() || openNews())) {
    dump_ = false;
    requestDump();
  }
  if (news_.valid()) readNews(now_ns, found);
  for (auto& [follower, link] : links_) {
    if (link.arp.valid()) readArp(follower, link, now_ns, found);
    if (link.nd.valid()) readNd(follower, link, now_ns, found);
  }
}

// ---- sockets ------------------------------------------------------------------------------------------------------

// What can't be opened is left out until the next time: the other sources remain.
void NeighbourWatch::open(Link& link) {
  if (!link.arp.valid()) openArp(link);
  if (!link.nd.valid()) openNd(link);
}

void NeighbourWatch::openArp(Link& link) {
  UniqueFd arp(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sock_filter untagged[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 64),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  sock_fprog program{4, const_cast<sock_filter*>(untagged)};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ARP);
  address.sll_ifindex = link.ifindex;
  option(arp.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  if (::setsockopt(arp.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 &&
      ::bind(arp.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    link.arp = std::move(arp);
  }
}

void NeighbourWatch::openNd(Link& link) {
  UniqueFd nd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  icmp6_filter types;
  ICMP6_FILTER_SETBLOCKALL(&types);
  ICMP6_FILTER_SETPASS(ND_NEIGHBOR_SOLICIT, &types);
  ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &types);
  option(nd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  if (option(nd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, types) && option(nd.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
      option(nd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, link.ifindex)) {
    link.nd = std::move(nd);
  }
}

bool NeighbourWatch::openNews() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_NEIGH;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return false;
  news_ = std::move(fd);
  return true;
}

// Its answers come in among the news, and say the same.
void NeighbourWatch::requestDump() {
  struct {
    nlmsghdr header;
    ndmsg body;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETNEIGH;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ::sendto(news_.get(), &request, sizeof(request), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel));
}

// ---- what is heard ------------------------------------------------------------------------------------------------

void NeighbourWatch::readNews(int64_t now_ns, std::vector<Sighting>& found) {
  constexpr uint16_t kKnown = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  alignas(nlmsghdr) char buffer[32768];
  for (int round = 0; round < kMessagesAtOnce; round++) {
    sockaddr_nl from{};
    socklen_t from_length = sizeof(from);
    const ssize_t length =
        ::recvfrom(news_.get(), buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == ENOBUFS) {
      dump_ = true;  // news were lost: the whole picture again
      continue;
    }
    if (length <= 0) return;
    if (from.nl_pid != 0) continue;  // other processes can write to this socket, too
    int left = static_cast<int>(length);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type != RTM_NEWNEIGH || header->nlmsg_len < NLMSG_LENGTH(sizeof(ndmsg))) continue;
      const auto* entry = static_cast<const ndmsg*>(NLMSG_DATA(header));
      if ((entry->ndm_state & kKnown) == 0) continue;
      const bool ipv6 = entry->ndm_family == AF_INET6;
      if (!ipv6 && entry->ndm_family != AF_INET) continue;
      ProbeAddress address;
      MacOctets mac{};
      bool addressed = false;
      const auto* attribute = reinterpret_cast<const rtattr*>(entry + 1);
      int rest = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof(ndmsg)));
      for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest)) {
        const auto* octets = static_cast<const uint8_t*>(RTA_DATA(attribute));
        if (attribute->rta_type == NDA_DST && RTA_PAYLOAD(attribute) == (ipv6 ? 16u : 4u)) {
          address = addressOf(octets, ipv6);
          addressed = true;
        }
        if (attribute->rta_type == NDA_LLADDR && RTA_PAYLOAD(attribute) == 6) std::memcpy(mac.data(), octets, 6);
      }
      if (!addressed) continue;
      for (auto& [follower, link] : links_) {
        if (link.ifindex == entry->ndm_ifindex) see(follower, link, address, mac, now_ns, found);
      }
    }
  }
}

void NeighbourWatch::readArp(uint32_t follower, Link& link, int64_t now_ns, std::vector<Sighting>& found) {
  uint8_t frame[64];
  for (int round = 0; round < kMessagesAtOnce; round++) {
    sockaddr_ll from{};
    socklen_t from_length = sizeof(from);
    const ssize_t length =
        ::recvfrom(link.arp.get(), frame, sizeof(frame), 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return;
    if (from.sll_pkttype == PACKET_OUTGOING) continue;
    if (const auto arp = readArpSender(frame, static_cast<size_t>(length)))
      see(follower, link, arp->sender, arp->senderMac, now_ns, found);
  }
}

void NeighbourWatch::readNd(uint32_t follower, Link& link, int64_t now_ns, std::vector<Sighting>& found) {
  uint8_t message[192];
  for (int round = 0; round < kMessagesAtOnce; round++) {
    sockaddr_in6 from{};
    iovec part{message, sizeof(message)};
    alignas(cmsghdr) char control[64];
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof(from);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t length = ::recvmsg(link.nd.get(), &header, 0);
    if (length < 0 && (errno == EINTR || errno == EHOSTUNREACH)) continue;  // the latter: a wrong checksum
    if (length < 0) return;
    if ((header.msg_flags & MSG_TRUNC) != 0) continue;
    int hop_limit = 0;
    for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
      if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_HOPLIMIT)
        std::memcpy(&hop_limit, CMSG_DATA(one), sizeof(hop_limit));
    }
    if (hop_limit != 255) continue;
    if (const auto sender = readNeighbourSender(message, static_cast<size_t>(length), from.sin6_addr.s6_addr))
      see(follower, link, sender->sender, sender->senderMac, now_ns, found);
  }
}

void NeighbourWatch::see(uint32_t follower, Link& link, const ProbeAddress& address, const MacOctets& mac,
                         int64_t now_ns, std::vector<Sighting>& found) {
  if (!namesOneHost(mac) || !namesOneHost(address)) return;
  const auto known = link.seen.find(address);
  if (known == link.seen.end()) {
    if (link.seen.size() >= kSeenMax) link.seen.erase(link.seen.begin());  // told again when it shows again
  } else if (known->second.mac == mac && now_ns - known->second.told_ns < kToldAgainNs) {
    return;
  }
  link.seen[address] = {mac, now_ns};
  found.push_back({follower, address, mac});
}

}  // namespace firsthop
