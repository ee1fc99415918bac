// Routes to a few prefixes out of however many there are: dumps that keep only those, and news that concern them.
#pragma once
#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/unique_fd.h"

namespace firsthop::netlink {

struct RoutePrefix {
  bool ipv6 = false;
  uint8_t length = 0;
  std::array<uint8_t, 16> octets{};  // an IPv4 one has 4
  bool operator==(const RoutePrefix& other) const {
    return ipv6 == other.ipv6 && length == other.length && octets == other.octets;
  }
};

struct RouteHop {
  std::string via;  // empty: the destination is on the link
  uint32_t ifindex = 0;
};

struct RouteEntry {
  RoutePrefix prefix;
  uint32_t table = 0;
  uint8_t protocol = 0;
  std::vector<RouteHop> hops;
};

// "0.0.0.0/0".
std::optional<RoutePrefix> parsePrefix(const std::string& text);
std::string formatPrefix(const RoutePrefix& prefix);

// The routes to these prefixes, in all tables. 0, or an error number: EAGAIN where the tables changed all the while.
// Blocks for as long as the kernel needs to tell all its routes.
int dumpRoutes(const std::vector<RoutePrefix>& wanted, std::vector<RouteEntry>& found);

// News of routes and next hops. Never blocks.
class RouteMonitor {
 public:
  int open();
  int fd() const { return fd_.get(); }
  // Reads what has come in. Whether it may concern one of these prefixes.
  bool read(const std::vector<RoutePrefix>& wanted);

 private:
  UniqueFd fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace firsthop::netlink
