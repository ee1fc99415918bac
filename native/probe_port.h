// The sockets through which probes of one interface go out and answers come in, opened as they are needed. An
// interface is known by its name: one that was removed, renamed or replaced is found again. Belongs to one thread.
#pragma once
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "echo_ring.h"
#include "probe_packet.h"
#include "util/unique_fd.h"

namespace firsthop {

struct ProbeAddressHash {
  size_t operator()(const ProbeAddress& address) const {
    size_t hash = address.ipv6 ? 0x9e3779b9u : 0;
    for (const uint8_t octet : address.octets) hash = hash * 131 + octet;
    return hash;
  }
};

// Room for messages that are sent or received by one system call.
class ProbeBatch;

class ProbePort {
 public:
  // Echo4 and Echo6: raw ICMP sockets, both ways. Arp: ARP frames, both ways; neighbour solicitations leave by it too.
  // Nd: neighbour advertisements that come in.
  enum class Channel : uint8_t { kEcho4, kEcho6, kArp, kNd };
  static constexpr size_t kChannels = 4;

  struct Message {
    std::array<uint8_t, kProbeMax> octets;
    size_t length = 0;
    // Echo channels only.
    ProbeAddress destination;
    ProbeAddress source;
    bool has_source = false;
  };

  struct Received {
    Channel channel;
    const uint8_t* octets;
    size_t length;
    ProbeAddress from;  // Echo6 and Nd
    int hop_limit;      // Nd
    int64_t stamp_ns;   // wall clock; 0: none
  };

  ProbePort(std::string name, uint16_t identifier, uint32_t secret)
      : name_(std::move(name)), identifier_(identifier), secret_(secret) {}

  const std::string& name() const { return name_; }
  // Why nothing can be sent now; 0: something can.
  int error() const { return error_; }
  const MacOctets& mac() const { return mac_; }
  uint16_t identifier() const { return identifier_; }
  uint32_t secret() const { return secret_; }

  // Looks at the interface, and opens everything anew where it is another one or works again.
  void check(int64_t now_ns);
  int64_t checkedAtNs() const { return checked_ns_; }
  // Opens a channel; 0 or an errno.
  int open(Channel channel);
  int fd(Channel channel) const { return sockets_[static_cast<size_t>(channel)].get(); }
  // Where answers to echo requests come in first; they come to the sockets alone where its fd is -1.
  EchoRing& ring(bool ipv6) { return rings_[ipv6 ? 1 : 0]; }

  // Whether an IPv4 source is on this machine (0, EADDRNOTAVAIL, or why that can't be asked): for a socket that brings its own headers the kernel
  // does not ask.
  int sourceError(const ProbeAddress& source);

  // Sends messages from `begin` on; the number of messages sent, or 0 and why the first of them was refused.
  size_t send(Channel channel, Message* messages, size_t count, ProbeBatch& batch, int* error);

  // By the address that was asked for: targets of ARP and ND.
  std::unordered_multimap<ProbeAddress, uint32_t, ProbeAddressHash> asked;
  uint32_t targets = 0;
  uint32_t outstanding = 0;

 private:
  int openEcho(bool ipv6, UniqueFd& into);
  int openArp(UniqueFd& into);
  int openNd(UniqueFd& into);
  bool bindToInterface(int fd) const;
  void closeAll();

  std::string name_;
  uint16_t identifier_;
  uint32_t secret_;
  int ifindex_ = 0;
  MacOctets mac_{};
  int error_ = 0;
  bool checked_ = false;
  int64_t checked_ns_ = 0;
  // What was found out since the last check.
  std::unordered_map<ProbeAddress, int, ProbeAddressHash> sources_;
  UniqueFd sockets_[kChannels];
  EchoRing rings_[2];
};

class ProbeBatch {
 public:
  // Few enough for one moment to be the time at which they left.
  static constexpr size_t kSend = 16;
  static constexpr size_t kReceive = 64;
  // Answers are shorter; what does not fit is none.
  static constexpr size_t kReceiveMax = 192;

  ProbeBatch();
  // The number of messages taken, at most kReceive; 0 also for an error, which the port's next check explains.
  size_t receive(int fd);
  // Nothing for what was cut off.
  bool get(size_t index, ProbePort::Channel channel, ProbePort::Received* into);
  // No more messages than this wait in a socket now.
  static size_t mostWaiting(int fd);

  mmsghdr send_messages[kSend] = {};
  iovec send_parts[kSend] = {};
  sockaddr_storage send_addresses[kSend] = {};
  alignas(cmsghdr) char send_control[kSend][64] = {};

 private:
  mmsghdr messages_[kReceive] = {};
  iovec parts_[kReceive] = {};
  sockaddr_storage addresses_[kReceive] = {};
  alignas(cmsghdr) char control_[kReceive][96] = {};
  uint8_t octets_[kReceive][kReceiveMax] = {};
};

}  // namespace firsthop
