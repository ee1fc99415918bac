// The sockets of a port. A LAN port is an AF_PACKET socket that sees every frame of its interface which the filter
// lets through, whatever macvlans stand on it (the taps run before the macvlan's receive handler), and sends frames
// with any source address. A datagram port sends whole IP datagrams by the kernel's routing, for unicast peers.
#pragma once
#include <linux/filter.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "program.h"
#include "util/unique_fd.h"

namespace firsthop {

struct PortCounters {
  uint64_t received = 0;
  uint64_t matched = 0;
  uint64_t delivered = 0;
  uint64_t dropped_unread = 0;
  uint64_t dropped_by_kernel = 0;
  uint64_t sent = 0;
  uint64_t send_errors = 0;
};

class PacketPort {
 public:
  PacketPort() = default;
  PacketPort(const PacketPort&) = delete;
  PacketPort& operator=(const PacketPort&) = delete;

  // Each returns 0 or an errno.
  int openLan(int ifindex, const std::vector<sock_filter>& filter, const std::vector<Bytes>& memberships,
              const std::vector<std::string>& groups);
  int openDatagram(bool ipv6, int ifindex);

  int fd() const { return socket_.get(); }
  bool receives() const { return receives_; }

  // Sends frames in as few system calls as they take. Usable from any thread.
  void send(const Bytes* const* frames, size_t count);
  // Takes the kernel's count of frames that found the socket's buffer full.
  uint64_t takeKernelDrops();

  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> send_errors{0};

 private:
  void joinGroup(const std::string& group, int ifindex);

  UniqueFd socket_;
  // Sockets that only hold the IP membership, so that IGMP and MLD report it to snooping switches.
  UniqueFd membership4_;
  UniqueFd membership6_;
  bool receives_ = false;
  bool ipv6_datagram_ = false;
  bool datagram_ = false;
};

}  // namespace firsthop
