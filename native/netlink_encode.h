// rtnetlink requests as bytes: pure functions, no socket. Each returns one complete message with
// NLM_F_REQUEST | NLM_F_ACK and sequence number 0, which works on any NETLINK_ROUTE socket as it is.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace firsthop::netlink {

using Message = std::vector<uint8_t>;
using MacAddress = std::array<uint8_t, 6>;

// IFA_PROTO and rtm_protocol of what we put into the kernel: the IP protocol number of VRRP. Kernels before 5.18
// ignore it on addresses.
constexpr uint8_t kOriginFirsthop = 112;

struct CreateMacvlan {
  uint32_t parentIfindex = 0;
  std::string name;
  MacAddress mac{};
  uint32_t mode = 0;  // MACVLAN_MODE_…
};

// A link is named by its index or, when that is 0, by its name.
struct LinkChange {
  uint32_t ifindex = 0;
  std::string name;
  std::optional<bool> up;
  std::optional<uint32_t> macvlanMode;
  std::optional<uint8_t> addrGenMode;
  std::optional<std::string> alias;
  std::optional<uint32_t> group;
  std::optional<uint32_t> masterIfindex;
  std::optional<MacAddress> mac;
  std::vector<std::pair<uint16_t, uint32_t>> ipv4Conf;  // IPV4_DEVCONF_… and value
};

struct IpAddress {
  uint8_t family = 0;
  std::array<uint8_t, 16> octets{};
  size_t size() const;
};

struct AddressChange {
  bool add = false;
  uint32_t ifindex = 0;
  IpAddress address;
  uint8_t prefixLength = 0;
  bool hostScope = false;
  // Metric of the connected route that the prefix length brings along; 0 leaves it to the kernel.
  uint32_t routeMetric = 0;
};

struct BlackholeChange {
  bool add = false;
  IpAddress address;
  uint32_t table = 0;  // 0: main
};

Message encodeCreateMacvlan(const CreateMacvlan& options);
Message encodeLinkChange(const LinkChange& change);
Message encodeDeleteLink(uint32_t ifindex);
// Removes all links of a group at once: one wait for the kernel's grace periods instead of one for each.
Message encodeDeleteGroup(uint32_t group);
Message encodeAddress(const AddressChange& change);
Message encodeBlackhole(const BlackholeChange& change);

enum class DumpKind { kLinks, kAddresses, kRoutes };
Message encodeDump(DumpKind kind);

std::optional<MacAddress> parseMac(const std::string& text);
std::optional<IpAddress> parseIpAddress(const std::string& text);
// Index of an IPv4 device setting by its name under /proc/sys/net/ipv4/conf.
std::optional<uint16_t> ipv4ConfIndex(const std::string& name);

}  // namespace firsthop::netlink
