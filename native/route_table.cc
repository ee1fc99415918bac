// see route_table.h
#include "route_table.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace firsthop::netlink {

namespace {

constexpr size_t kReceiveBuffer = 1 << 16;
constexpr int kRoomOctets = 4 << 20;
constexpr int kDumpAttempts = 8;
constexpr uint16_t kRtaVia = 18;  // RTA_VIA: a next hop of the other family (RFC 8950)
// Since 5.3; the headers of older systems do not have them.
constexpr uint32_t kGroupNexthop = 32;
constexpr uint16_t kNewNexthop = 104;
constexpr uint16_t kDelNexthop = 105;

template <typename Body>
void eachAttribute(const void* first, size_t length, Body body) {
  int left = static_cast<int>(length);
  for (auto* attribute = static_cast<const rtattr*>(first); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left))
    body(static_cast<uint16_t>(attribute->rta_type & NLA_TYPE_MASK), attribute);
}

template <typename Body>
void eachMessage(const uint8_t* data, size_t length, Body body) {
  int left = static_cast<int>(length);
  for (auto* message = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left))
    body(message);
}

uint32_t numberOf(const rtattr* attribute) {
  uint32_t value = 0;
  if (RTA_PAYLOAD(attribute) >= sizeof value) std::memcpy(&value, RTA_DATA(attribute), sizeof value);
  return value;
}

std::string addressText(int family, const void* octets, size_t size) {
  char text[INET6_ADDRSTRLEN] = "";
  if (size >= (family == AF_INET6 ? 16u : 4u)) inet_ntop(family, octets, text, sizeof text);
  return text;
}

// What both a route and each part of a multipath route say of their next hop.
void readHop(int family, uint16_t type, const rtattr* attribute, RouteHop& hop) {
  if (type == RTA_OIF) hop.ifindex = numberOf(attribute);
  if (type == RTA_GATEWAY) hop.via = addressText(family, RTA_DATA(attribute), RTA_PAYLOAD(attribute));
  if (type == kRtaVia && RTA_PAYLOAD(attribute) > sizeof(uint16_t)) {
    uint16_t viaFamily = 0;
    std::memcpy(&viaFamily, RTA_DATA(attribute), sizeof viaFamily);
    hop.via = addressText(viaFamily, static_cast<const uint8_t*>(RTA_DATA(attribute)) + sizeof viaFamily,
                          RTA_PAYLOAD(attribute) - sizeof viaFamily);
  }
}

bool isDead(unsigned flags) { return (flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0; }

void readMultipath(int family, const rtattr* list, std::vector<RouteHop>& hops) {
  auto* part = static_cast<const rtnexthop*>(RTA_DATA(list));
  int left = static_cast<int>(RTA_PAYLOAD(list));
  while (left >= static_cast<int>(sizeof *part) && RTNH_OK(part, left)) {
    RouteHop hop;
    hop.ifindex = static_cast<uint32_t>(part->rtnh_ifindex);
    eachAttribute(RTNH_DATA(part), part->rtnh_len - sizeof *part,
                  [&](uint16_t type, const rtattr* attribute) { readHop(family, type, attribute, hop); });
    if (!isDead(part->rtnh_flags)) hops.push_back(hop);
    left -= RTNH_ALIGN(part->rtnh_len);
    part = RTNH_NEXT(part);
  }
}

// The route of a message, when it leads to one of these prefixes. Of kinds that carry no packets only the prefix counts.
std::optional<RouteEntry> readRoute(const nlmsghdr* message, const std::vector<RoutePrefix>& wanted) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(message));
  const int family = header->rtm_family;
  if ((family != AF_INET && family != AF_INET6) || (header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  RouteEntry route;
  route.prefix.ipv6 = family == AF_INET6;
  route.prefix.length = header->rtm_dst_len;
  route.table = header->rtm_table;
  route.protocol = header->rtm_protocol;
  const bool mayMatch = std::any_of(wanted.begin(), wanted.end(), [&](const RoutePrefix& one) {
    return one.ipv6 == route.prefix.ipv6 && one.length == route.prefix.length;
  });
  if (!mayMatch) return std::nullopt;
  RouteHop hop;
  const size_t octets = route.prefix.ipv6 ? 16 : 4;
  eachAttribute(RTM_RTA(header), RTM_PAYLOAD(message), [&](uint16_t type, const rtattr* attribute) {
    if (type == RTA_DST) std::memcpy(route.prefix.octets.data(), RTA_DATA(attribute),
                                     std::min<size_t>(octets, RTA_PAYLOAD(attribute)));
    if (type == RTA_TABLE) route.table = numberOf(attribute);
    if (type == RTA_MULTIPATH) readMultipath(family, attribute, route.hops);
    readHop(family, type, attribute, hop);
  });
  if (std::find(wanted.begin(), wanted.end(), route.prefix) == wanted.end()) return std::nullopt;
  if (header->rtm_type != RTN_UNICAST && header->rtm_type != RTN_LOCAL) route.hops.clear();
  else if (hop.ifindex != 0 && !isDead(header->rtm_flags)) route.hops.push_back(hop);
  return route;
}

int openRouteSocket(UniqueFd& fd, int flags) {
  fd.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd.valid()) return errno;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kRoomOctets, sizeof kRoomOctets) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kRoomOctets, sizeof kRoomOctets);
  return 0;
}

// One dump of one family. `torn`: the tables changed meanwhile.
int dumpFamily(int fd, int family, uint32_t sequence, const std::vector<RoutePrefix>& wanted,
               std::vector<RouteEntry>& found, bool& torn) {
  struct {
    nlmsghdr header;
    rtmsg route;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = sequence;
  request.route.rtm_family = static_cast<uint8_t>(family);
  if (send(fd, &request, sizeof request, 0) < 0) return errno;
  std::vector<uint8_t> buffer(kReceiveBuffer);
  int error = 0;
  for (bool done = false; !done;) {
    const ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return length < 0 ? errno : EIO;
    eachMessage(buffer.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      if (message->nlmsg_seq != sequence) return;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) torn = true;
      if (message->nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (message->nlmsg_type == NLMSG_ERROR) {
        error = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
        done = true;
      } else if (auto route = readRoute(message, wanted)) {
        found.push_back(std::move(*route));
      }
    });
  }
  return error;
}

}  // namespace

std::optional<RoutePrefix> parsePrefix(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  RoutePrefix prefix;
  const std::string host = text.substr(0, slash);
  prefix.ipv6 = host.find(':') != std::string::npos;
  if (inet_pton(prefix.ipv6 ? AF_INET6 : AF_INET, host.c_str(), prefix.octets.data()) != 1) return std::nullopt;
  char* end = nullptr;
  const unsigned long length = std::strtoul(text.c_str() + slash + 1, &end, 10);
  if (*end != '\0' || length > (prefix.ipv6 ? 128u : 32u)) return std::nullopt;
  prefix.length = static_cast<uint8_t>(length);
  return prefix;
}

std::string formatPrefix(const RoutePrefix& prefix) {
  return addressText(prefix.ipv6 ? AF_INET6 : AF_INET, prefix.octets.data(), prefix.octets.size()) + "/" +
         std::to_string(prefix.length);
}

int dumpRoutes(const std::vector<RoutePrefix>& wanted, std::vector<RouteEntry>& found) {
  UniqueFd fd;
  if (const int error = openRouteSocket(fd, 0)) return error;
  uint32_t sequence = 0;
  for (const bool ipv6 : {false, true}) {
    const bool needed =
        std::any_of(wanted.begin(), wanted.end(), [&](const RoutePrefix& one) { return one.ipv6 == ipv6; });
    if (!needed) continue;
    const size_t before = found.size();
    for (int attempt = 1;; ++attempt) {
      bool torn = false;
      found.resize(before);
      const int error = dumpFamily(fd.get(), ipv6 ? AF_INET6 : AF_INET, ++sequence, wanted, found, torn);
      if (error != 0) return error;
      if (!torn) break;
      if (attempt == kDumpAttempts) return EAGAIN;
    }
  }
  return 0;
}

int RouteMonitor::open() {
  buffer_.resize(kReceiveBuffer);
  if (const int error = openRouteSocket(fd_, SOCK_NONBLOCK)) return error;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return errno;
  // A next hop that is removed takes its routes with it, without a word about them. Older kernels have none.
  setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &kGroupNexthop, sizeof kGroupNexthop);
  return 0;
}

bool RouteMonitor::read(const std::vector<RoutePrefix>& wanted) {
  bool concerned = false;
  for (;;) {
    sockaddr_nl from{};
    socklen_t fromLength = sizeof from;
    const ssize_t length = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &fromLength);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == ENOBUFS) {
      concerned = true;  // news were lost: any of them may have been one
      continue;
    }
    if (length <= 0) return concerned;
    if (from.nl_pid != 0) continue;  // other processes can write to this socket, too
    eachMessage(buffer_.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      const uint16_t type = message->nlmsg_type;
      if (type == kNewNexthop || type == kDelNexthop) concerned = true;
      if ((type == RTM_NEWROUTE || type == RTM_DELROUTE) && readRoute(message, wanted)) concerned = true;
    });
  }
}

}  // namespace firsthop::netlink
