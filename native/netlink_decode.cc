// see netlink_decode.h
#include "netlink_decode.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "netlink_encode.h"
#include "route_socket.h"

namespace firsthop::netlink {

namespace {

constexpr uint16_t kIfaProto = 11;
constexpr uint32_t kLowerUp = 0x10000;  // IFF_LOWER_UP, which <net/if.h> does not have
constexpr uint16_t kVrfTable = 1;       // IFLA_VRF_TABLE

template <typename Body>
void eachNested(const rtattr* parent, Body body) {
  eachAttribute(RTA_DATA(parent), RTA_PAYLOAD(parent), body);
}

template <typename Value>
Value valueOf(const rtattr* attribute) {
  Value value{};
  if (RTA_PAYLOAD(attribute) >= sizeof value) std::memcpy(&value, RTA_DATA(attribute), sizeof value);
  return value;
}

std::string textOf(const rtattr* attribute) {
  const auto* text = static_cast<const char*>(RTA_DATA(attribute));
  return std::string(text, strnlen(text, RTA_PAYLOAD(attribute)));
}

std::string macOf(const rtattr* attribute) {
  const auto* octets = static_cast<const uint8_t*>(RTA_DATA(attribute));
  std::string text;
  for (size_t index = 0; index < RTA_PAYLOAD(attribute); ++index) {
    char octet[4];
    std::snprintf(octet, sizeof octet, index == 0 ? "%02x" : ":%02x", octets[index]);
    text += octet;
  }
  return text;
}

std::string ipOf(bool ipv6, const rtattr* attribute) {
  char text[INET6_ADDRSTRLEN] = "";
  if (RTA_PAYLOAD(attribute) >= (ipv6 ? 16u : 4u))
    inet_ntop(ipv6 ? AF_INET6 : AF_INET, RTA_DATA(attribute), text, sizeof text);
  return text;
}

void decodeLinkInfo(const rtattr* info, LinkRecord& link) {
  const rtattr* data = nullptr;
  eachNested(info, [&](uint16_t type, const rtattr* attribute) {
    if (type == IFLA_INFO_KIND) link.kind = textOf(attribute);
    if (type == IFLA_INFO_SLAVE_KIND) link.slaveKind = textOf(attribute);
    if (type == IFLA_INFO_DATA) data = attribute;
  });
  if (data == nullptr) return;
  eachNested(data, [&](uint16_t type, const rtattr* attribute) {
    if (link.kind == "macvlan" && type == IFLA_MACVLAN_MODE) link.macvlanMode = valueOf<uint32_t>(attribute);
    if (link.kind == "vrf" && type == kVrfTable) link.vrfTable = valueOf<uint32_t>(attribute);
  });
}

std::optional<News> decodeLink(const nlmsghdr* message) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return std::nullopt;
  const auto* header = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  // Bridges tell about their ports (and that a port left) in the same group under their own family.
  if (header->ifi_family != AF_UNSPEC) return std::nullopt;
  LinkNews news;
  news.gone = message->nlmsg_type == RTM_DELLINK;
  LinkRecord& link = news.link;
  link.ifindex = static_cast<uint32_t>(header->ifi_index);
  link.adminUp = (header->ifi_flags & IFF_UP) != 0;
  // RUNNING is the operational state: it also waits for 802.1X and the like, which the bare line does not.
  link.carrier = (header->ifi_flags & kLowerUp) != 0 && (header->ifi_flags & IFF_RUNNING) != 0;
  bool parentElsewhere = false;
  eachAttribute(IFLA_RTA(header), IFLA_PAYLOAD(message), [&](uint16_t type, const rtattr* attribute) {
    switch (type) {
      case IFLA_IFNAME: link.name = textOf(attribute); break;
      case IFLA_ADDRESS: link.mac = macOf(attribute); break;
      case IFLA_MTU: link.mtu = valueOf<uint32_t>(attribute); break;
      case IFLA_LINK: link.parentIfindex = valueOf<uint32_t>(attribute); break;
      case IFLA_LINK_NETNSID: parentElsewhere = true; break;
      case IFLA_MASTER: link.masterIfindex = valueOf<uint32_t>(attribute); break;
      case IFLA_IFALIAS: link.alias = textOf(attribute); break;
      case IFLA_GROUP: link.group = valueOf<uint32_t>(attribute); break;
      case IFLA_LINKINFO: decodeLinkInfo(attribute, link); break;
      default: break;
    }
  });
  // An index of another namespace, or the other end of a cable, is no parent here.
  if (parentElsewhere || link.kind == "veth") link.parentIfindex = 0;
  return news;
}

std::optional<News> decodeAddress(const nlmsghdr* message) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return std::nullopt;
  const auto* header = static_cast<const ifaddrmsg*>(NLMSG_DATA(message));
  if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) return std::nullopt;
  AddressNews news;
  news.gone = message->nlmsg_type == RTM_DELADDR;
  AddressRecord& address = news.address;
  address.ifindex = header->ifa_index;
  address.ipv6 = header->ifa_family == AF_INET6;
  address.prefixLength = header->ifa_prefixlen;
  uint32_t flags = header->ifa_flags;
  bool local = false;
  eachAttribute(IFA_RTA(header), IFA_PAYLOAD(message), [&](uint16_t type, const rtattr* attribute) {
    // On point-to-point links IFA_ADDRESS is the peer's.
    if (type == IFA_LOCAL) {
      address.address = ipOf(address.ipv6, attribute);
      local = true;
    }
    if (type == IFA_ADDRESS && !local) address.address = ipOf(address.ipv6, attribute);
    if (type == IFA_FLAGS) flags = valueOf<uint32_t>(attribute);
    if (type == kIfaProto) address.origin = valueOf<uint8_t>(attribute);
  });
  address.tentative = (flags & IFA_F_TENTATIVE) != 0;
  // The same bit means "temporary" on IPv6 addresses.
  address.secondary = !address.ipv6 && (flags & IFA_F_SECONDARY) != 0;
  return news;
}

std::optional<News> decodeRoute(const nlmsghdr* message) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(message));
  if (header->rtm_type != RTN_BLACKHOLE || header->rtm_protocol != kOriginFirsthop) return std::nullopt;
  RouteRecord route;
  route.ipv6 = header->rtm_family == AF_INET6;
  route.prefixLength = header->rtm_dst_len;
  route.table = header->rtm_table;
  eachAttribute(RTM_RTA(header), RTM_PAYLOAD(message), [&](uint16_t type, const rtattr* attribute) {
    if (type == RTA_DST) route.destination = ipOf(route.ipv6, attribute);
    if (type == RTA_TABLE) route.table = valueOf<uint32_t>(attribute);
  });
  return route;
}

}  // namespace

std::optional<News> decodeMessage(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: return decodeLink(message);
    case RTM_NEWADDR:
    case RTM_DELADDR: return decodeAddress(message);
    case RTM_NEWROUTE: return decodeRoute(message);
    default: return std::nullopt;
  }
}

Answer decodeAnswer(const nlmsghdr* message) {
  Answer answer;
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) return {EIO, {}};
  const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(message));
  answer.error = -error->error;
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return answer;
  size_t offset = NLMSG_LENGTH(sizeof(nlmsgerr));
  // The request is quoted in between, unless the kernel was told to leave it out.
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) offset += NLMSG_ALIGN(error->msg.nlmsg_len - sizeof(nlmsghdr));
  if (offset >= message->nlmsg_len) return answer;
  const auto* first = reinterpret_cast<const rtattr*>(reinterpret_cast<const uint8_t*>(message) + offset);
  eachAttribute(first, message->nlmsg_len - offset, [&](uint16_t type, const rtattr* attribute) {
    if (type == NLMSGERR_ATTR_MSG) answer.text = textOf(attribute);
  });
  return answer;
}

}  // namespace firsthop::netlink
