// Who shows on the links: the kernel's neighbour tables and their news, ARP frames, neighbour solicitations and
// advertisements. Each neighbour is told once, again when its MAC address changes, and now and then while it goes on
// to show. Bounded, and never woken by what it hears: its owner looks from time to time. Belongs to one thread.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "probe_packet.h"
#include "probe_port.h"
#include "util/unique_fd.h"

namespace firsthop {

struct Sighting {
  uint32_t follower = 0;
  ProbeAddress address;
  MacOctets mac{};
};

class NeighbourWatch {
 public:
  // How often somebody has to look.
  static constexpr int64_t kPeriodNs = 100'000'000;

  void follow(uint32_t follower, const std::string& interface);
  void unfollow(uint32_t follower);
  bool idle() const { return links_.empty(); }
  // Interfaces changed.
  void refresh() { refresh_ = true; }
  // What is new since the last call.
  void look(int64_t now_ns, std::vector<Sighting>& found);

 private:
  struct Seen {
    MacOctets mac{};
    int64_t told_ns = 0;
  };
  struct Link {
    std::string name;
    int ifindex = 0;
    UniqueFd arp;
    UniqueFd nd;
    std::unordered_map<ProbeAddress, Seen, ProbeAddressHash> seen;
  };

  static void open(Link& link);
  static void openArp(Link& link);
  static void openNd(Link& link);
  bool openNews();
  void requestDump();
  void readNews(int64_t now_ns, std::vector<Sighting>& found);
  void readArp(uint32_t follower, Link& link, int64_t now_ns, std::vector<Sighting>& found);
  void readNd(uint32_t follower, Link& link, int64_t now_ns, std::vector<Sighting>& found);
  static void see(uint32_t follower, Link& link, const ProbeAddress& address, const MacOctets& mac, int64_t now_ns,
                  std::vector<Sighting>& found);

  std::unordered_map<uint32_t, Link> links_;
  UniqueFd news_;
  bool refresh_ = false;
  bool dump_ = false;
  int64_t checked_ns_ = 0;
};

}  // namespace firsthop
