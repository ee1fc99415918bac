// see route_table.h
#include "route_table.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "route_socket.h"

namespace firsthop::netlink {

namespace {

constexpr int kRoomOctets = 4 << 20;
constexpr int kDumpAttempts = 8;
constexpr uint16_t kRtaVia = 18;  // RTA_VIA: a next hop of the other family (RFC 8950)
// Since 5.3; the headers of older systems do not have them.
constexpr uint32_t kGroupNexthop = 32;
constexpr uint16_t kNewNexthop = 104;
constexpr uint16_t kDelNexthop = 105;

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
  return readDump(fd, buffer, sequence, torn, [&](const nlmsghdr* message) {
    if (auto route = readRoute(message, wanted)) found.push_back(std::move(*route));
  });
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
  if (const int error = openRouteSocket(fd, 0, kRoomOctets)) return error;
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
  if (const int error = openNewsSocket(fd_, RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, kRoomOctets)) return error;
  // A next hop that is removed takes its routes with it, without a word about them. Older kernels have none.
  setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &kGroupNexthop, sizeof kGroupNexthop);
  return 0;
}

bool RouteMonitor::read(const std::vector<RoutePrefix>& wanted) {
  bool concerned = false;
  const bool complete = readNews(fd_.get(), buffer_, [&](const nlmsghdr* message) {
    const uint16_t type = message->nlmsg_type;
    if (type == kNewNexthop || type == kDelNexthop) concerned = true;
    if ((type == RTM_NEWROUTE || type == RTM_DELROUTE) && readRoute(message, wanted)) concerned = true;
  });
  // News that were lost: any of them may have been one.
  return concerned || !complete;
}

}  // namespace firsthop::netlink
