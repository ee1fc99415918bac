// rtnetlink messages from the kernel as plain values. Pure.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace firsthop::netlink {

struct LinkRecord {
  uint32_t ifindex = 0;
  std::string name;
  std::string mac;
  uint32_t mtu = 0;
  bool adminUp = false;
  bool carrier = false;
  std::string kind;               // empty: none
  std::string slaveKind;          // kind of the master, as the kernel tells it to its ports
  uint32_t parentIfindex = 0;     // 0: none
  uint32_t masterIfindex = 0;     // 0: none
  std::optional<std::string> alias;
  uint32_t group = 0;
  uint32_t macvlanMode = 0;       // 0: no macvlan
  uint32_t vrfTable = 0;          // 0: no VRF device
};

struct AddressRecord {
  uint32_t ifindex = 0;
  bool ipv6 = false;
  std::string address;
  uint8_t prefixLength = 0;
  bool tentative = false;
  bool secondary = false;
  uint8_t origin = 0;  // IFA_PROTO; 0 also where the kernel has none
};

// A blackhole route of ours.
struct RouteRecord {
  bool ipv6 = false;
  std::string destination;
  uint8_t prefixLength = 0;
  uint32_t table = 0;
};

struct LinkNews {
  bool gone = false;
  LinkRecord link;
};
struct AddressNews {
  bool gone = false;
  AddressRecord address;
};
using News = std::variant<LinkNews, AddressNews, RouteRecord>;

// Nothing for messages that say nothing about links, addresses or our routes.
std::optional<News> decodeMessage(const nlmsghdr* message);

// What NLMSG_ERROR says: the error number (0: done) and the kernel's own words, where it has some.
struct Answer {
  int error = 0;
  std::string text;
};
Answer decodeAnswer(const nlmsghdr* message);

}  // namespace firsthop::netlink
