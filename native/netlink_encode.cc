// see netlink_encode.h
#include "netlink_encode.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstdio>
#include <cstring>

#include "netlink_message.h"

namespace firsthop::netlink {

namespace {

// Attributes that the oldest supported headers may lack; their numbers are kernel ABI.
constexpr uint16_t kIfaRtPriority = 9;
constexpr uint16_t kIfaProto = 11;

constexpr uint16_t kRequest = NLM_F_REQUEST | NLM_F_ACK;

void macvlanInfo(MessageBuilder& message, uint32_t mode) {
  message.nest(IFLA_LINKINFO, [&] {
    message.text(IFLA_INFO_KIND, "macvlan");
    message.nest(IFLA_INFO_DATA, [&] { message.u32(IFLA_MACVLAN_MODE, mode); });
  });
}

}  // namespace

size_t IpAddress::size() const { return family == AF_INET ? 4 : 16; }

Message encodeCreateMacvlan(const CreateMacvlan& options) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  MessageBuilder message(RTM_NEWLINK, kRequest | NLM_F_CREATE | NLM_F_EXCL, header);
  message.u32(IFLA_LINK, options.parentIfindex);
  message.text(IFLA_IFNAME, options.name);
  // Given at creation, so that nobody's policy for new devices replaces it (addr_assign_type is then "set").
  message.attribute(IFLA_ADDRESS, options.mac.data(), options.mac.size());
  macvlanInfo(message, options.mode);
  return message.finish();
}

Message encodeLinkChange(const LinkChange& change) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(change.ifindex);
  if (change.up) {
    header.ifi_change = IFF_UP;
    header.ifi_flags = *change.up ? IFF_UP : 0;
  }
  MessageBuilder message(RTM_NEWLINK, kRequest, header);
  if (change.ifindex == 0) message.text(IFLA_IFNAME, change.name);
  if (change.mac) message.attribute(IFLA_ADDRESS, change.mac->data(), change.mac->size());
  if (change.alias) message.text(IFLA_IFALIAS, *change.alias);
  if (change.group) message.u32(IFLA_GROUP, *change.group);
  if (change.masterIfindex) message.u32(IFLA_MASTER, *change.masterIfindex);
  if (change.macvlanMode) macvlanInfo(message, *change.macvlanMode);
  if (change.addrGenMode || !change.ipv4Conf.empty()) {
    message.nest(IFLA_AF_SPEC, [&] {
      if (!change.ipv4Conf.empty()) {
        message.nest(AF_INET, [&] {
          message.nest(IFLA_INET_CONF, [&] {
            for (const auto& [index, value] : change.ipv4Conf) message.u32(index, value);
          });
        });
      }
      if (change.addrGenMode) {
        message.nest(AF_INET6, [&] { message.u8(IFLA_INET6_ADDR_GEN_MODE, *change.addrGenMode); });
      }
    });
  }
  return message.finish();
}

Message encodeDeleteLink(uint32_t ifindex) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(ifindex);
  return MessageBuilder(RTM_DELLINK, kRequest, header).finish();
}

Message encodeDeleteGroup(uint32_t group) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  MessageBuilder message(RTM_DELLINK, kRequest, header);
  message.u32(IFLA_GROUP, group);
  return message.finish();
}

Message encodeAddress(const AddressChange& change) {
  const IpAddress& ip = change.address;
  // EXCL, not REPLACE: an address that somebody else put there must not silently become ours.
  const uint16_t flags = change.add ? kRequest | NLM_F_CREATE | NLM_F_EXCL : kRequest;
  const bool linkLocal6 = ip.family == AF_INET6 && ip.octets[0] == 0xfe && (ip.octets[1] & 0xc0) == 0x80;
  ifaddrmsg header{};
  header.ifa_family = ip.family;
  header.ifa_prefixlen = change.prefixLength;
  header.ifa_scope = change.hostScope ? RT_SCOPE_HOST : linkLocal6 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.ifa_index = change.ifindex;
  MessageBuilder message(change.add ? RTM_NEWADDR : RTM_DELADDR, flags, header);
  message.attribute(IFA_LOCAL, ip.octets.data(), ip.size());
  message.attribute(IFA_ADDRESS, ip.octets.data(), ip.size());
  if (change.add) {
    // Duplicate detection would cost a second or two of every take-over; the election is what rules duplicates out.
    if (ip.family == AF_INET6) message.u32(IFA_FLAGS, IFA_F_NODAD);
    if (change.routeMetric != 0) message.u32(kIfaRtPriority, change.routeMetric);
    message.u8(kIfaProto, kOriginFirsthop);
  }
  return message.finish();
}

Message encodeBlackhole(const BlackholeChange& change) {
  const uint32_t table = change.table == 0 ? static_cast<uint32_t>(RT_TABLE_MAIN) : change.table;
  rtmsg header{};
  header.rtm_family = change.address.family;
  header.rtm_dst_len = static_cast<uint8_t>(change.address.size() * 8);
  header.rtm_table = table < 256 ? static_cast<uint8_t>(table) : static_cast<uint8_t>(RT_TABLE_UNSPEC);
  header.rtm_protocol = kOriginFirsthop;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_BLACKHOLE;
  const uint16_t flags = change.add ? kRequest | NLM_F_CREATE | NLM_F_EXCL : kRequest;
  MessageBuilder message(change.add ? RTM_NEWROUTE : RTM_DELROUTE, flags, header);
  message.attribute(RTA_DST, change.address.octets.data(), change.address.size());
  message.u32(RTA_TABLE, table);
  return message.finish();
}

Message encodeDump(DumpKind kind) {
  constexpr uint16_t kDump = NLM_F_REQUEST | NLM_F_DUMP;
  if (kind == DumpKind::kLinks) {
    MessageBuilder message(RTM_GETLINK, kDump, ifinfomsg{});
    message.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return message.finish();
  }
  if (kind == DumpKind::kAddresses) return MessageBuilder(RTM_GETADDR, kDump, ifaddrmsg{}).finish();
  // With NETLINK_GET_STRICT_CHK the kernel leaves out what differs; without, the reader does.
  rtmsg header{};
  header.rtm_protocol = kOriginFirsthop;
  return MessageBuilder(RTM_GETROUTE, kDump, header).finish();
}

std::optional<MacAddress> parseMac(const std::string& text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac{};
  for (size_t index = 0; index < mac.size(); ++index) {
    unsigned value = 0;
    int used = 0;
    if (std::sscanf(text.c_str() + 3 * index, "%2x%n", &value, &used) != 1 || used != 2) return std::nullopt;
    if (index < 5 && text[3 * index + 2] != ':') return std::nullopt;
    mac[index] = static_cast<uint8_t>(value);
  }
  return mac;
}

std::optional<IpAddress> parseIpAddress(const std::string& text) {
  IpAddress ip;
  ip.family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(ip.family, text.c_str(), ip.octets.data()) != 1) return std::nullopt;
  return ip;
}

std::optional<uint16_t> ipv4ConfIndex(const std::string& name) {
  struct Entry {
    const char* name;
    uint16_t index;
  };
  static constexpr Entry kEntries[] = {
      {"accept_local", IPV4_DEVCONF_ACCEPT_LOCAL},
      {"accept_redirects", IPV4_DEVCONF_ACCEPT_REDIRECTS},
      {"arp_accept", IPV4_DEVCONF_ARP_ACCEPT},
      {"arp_announce", IPV4_DEVCONF_ARP_ANNOUNCE},
      {"arp_filter", IPV4_DEVCONF_ARPFILTER},
      {"arp_ignore", IPV4_DEVCONF_ARP_IGNORE},
      {"arp_notify", IPV4_DEVCONF_ARP_NOTIFY},
      {"promote_secondaries", IPV4_DEVCONF_PROMOTE_SECONDARIES},
      {"rp_filter", IPV4_DEVCONF_RP_FILTER},
      {"send_redirects", IPV4_DEVCONF_SEND_REDIRECTS},
  };
  for (const Entry& entry : kEntries)
    if (name == entry.name) return entry.index;
  return std::nullopt;
}

}  // namespace firsthop::netlink
