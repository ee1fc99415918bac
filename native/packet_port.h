// The sockets of a port. A LAN port is an AF_PACKET socket that sees every frame of its interface which the
// filter lets through, whatever macvlans stand on it (the taps run before the macvlan's receive handler), and
// sends frames with any source address. A datagram port sends whole IP datagrams by the kernel's routing, for
// unicast peers.
#pragma once
#include <linux/filter.h>
#include <sys/socket.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "program.h"
#include "util/locked_memory.h"
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
              const std::vector<std::string>& groups, const std::vector<uint16_t>& udp_ports);
  int openDatagram(bool ipv6, int ifindex);

  int fd() const { return socket_.get(); }
  // A LAN port; a datagram port only sends.
  bool receives() const { return receives_; }

  // Sends frames in as few system calls as they take. Usable from any thread. Returns the errno of the last
  // frame that was refused, or 0; `refused` gets the place of each of those.
  int send(const Bytes* const* frames, size_t count, std::vector<size_t>* refused = nullptr);
  // Takes the kernel's count of frames that found the socket's buffer full.
  uint64_t takeKernelDrops();
  // Whether the interface was removed: the socket will never carry a frame again.
  bool interfaceGone() const;

  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> send_errors{0};

 private:
  void joinGroup(const std::string& group, int ifindex);
  void holdUdpPort(int family, uint16_t port, int ifindex);

  UniqueFd socket_;
  // Sockets that only hold the IP membership, so that IGMP and MLD report it to snooping switches.
  UniqueFd membership4_;
  UniqueFd membership6_;
  // Sockets that only hold UDP ports, so that the kernel does not answer what arrives there with ICMP errors.
  std::vector<UniqueFd> held_;
  bool receives_ = false;
  bool ipv6_datagram_ = false;
  bool datagram_ = false;
};

// Room for frames that are received by one system call, with the kernel's stamp of each. Belongs to one
// thread.
class ReceiveBatch {
 public:
  static constexpr size_t kFrames = 64;
  // Longer frames are cut off; no pattern is that long.
  static constexpr size_t kFrameMax = 4608;

  bool allocate();
  bool locked() const { return memory_.locked(); }

  // The number of frames taken, at most kFrames; negative: an errno.
  int receive(int fd);
  const uint8_t* frame(size_t index) const { return memory_.data() + index * kFrameMax; }
  size_t length(size_t index) const { return messages_[index].msg_len; }
  // CLOCK_REALTIME; 0 when the kernel gave none.
  int64_t stampNs(size_t index);

 private:
  union Control {
    cmsghdr header;
    char octets[CMSG_SPACE(sizeof(timespec))];
  };
  LockedMemory memory_;
  mmsghdr messages_[kFrames] = {};
  iovec parts_[kFrames] = {};
  Control control_[kFrames] = {};
};

}  // namespace firsthop
