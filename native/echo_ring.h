// Echo answers that a program of the kernel's noted, in memory that it shares with the prober: no system call reads them.
// Belongs to one thread.
#pragma once
#include <cstddef>
#include <cstdint>

#include "probe_packet.h"
#include "util/unique_fd.h"

namespace firsthop {

class EchoRing {
 public:
  struct Noted {
    EchoAnswer answer;
    int64_t at_ns;  // monotonic
  };

  // The most that wait in it; further answers come to the socket.
  static constexpr size_t kCapacity = 1365;

  EchoRing() = default;
  ~EchoRing() { close(); }
  EchoRing(const EchoRing&) = delete;
  EchoRing& operator=(const EchoRing&) = delete;

  // From now on answers to this identity that come to a raw ICMP or ICMPv6 socket are here. 0, or why they go on coming
  // to the socket: EPERM without CAP_BPF, EINVAL on kernels before 5.8.
  int open(int socket, bool ipv6, uint16_t identifier, uint32_t secret);
  void close();
  // Readable when something was noted while nothing waited; -1: not open.
  int fd() const { return ring_.get(); }
  // Takes at most so many, oldest first.
  size_t take(Noted* into, size_t most);

 private:
  UniqueFd ring_;
  bool ipv6_ = false;
  uint16_t identifier_ = 0;
  uint32_t secret_ = 0;
  // Written by the reader, and by the kernel with the records behind it.
  unsigned long* consumed_ = nullptr;
  const unsigned long* produced_ = nullptr;
};

}  // namespace firsthop
