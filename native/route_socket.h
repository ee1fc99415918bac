// What users of rtnetlink sockets share: to open one, and to walk over what it holds. `body` is called with each message,
// or with the type of each attribute and the attribute.
#pragma once
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "util/unique_fd.h"

namespace firsthop::netlink {

constexpr size_t kReceiveBuffer = 1 << 16;

// 0, or an error number. `room_octets`: how much may wait in the socket.
inline int openRouteSocket(UniqueFd& fd, int flags, int room_octets) {
  fd.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd.valid()) return errno;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room_octets, sizeof room_octets) != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room_octets, sizeof room_octets);
  return 0;
}

// The same for one that hears the news of these groups (RTMGRP_…), and never blocks.
inline int openNewsSocket(UniqueFd& fd, uint32_t groups, int room_octets) {
  if (const int error = openRouteSocket(fd, SOCK_NONBLOCK, room_octets)) return error;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

template <typename Body>
void eachAttribute(const void* first, size_t length, Body body) {
  int left = static_cast<int>(length);
  for (auto* attribute = static_cast<const rtattr*>(first); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left))
    body(static_cast<uint16_t>(attribute->rta_type & NLA_TYPE_MASK), attribute);
}

template <typename Body>
void eachMessage(const uint8_t* data, size_t length, Body body) {
  int left = static_cast<int>(length);
  for (auto* message = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left))
    body(message);
}

// Reads what a dump of this sequence number answers, to its end: 0, or an error number. `torn`: what is told does not
// fit together, because it changed meanwhile.
template <typename Body>
int readDump(int fd, std::vector<uint8_t>& buffer, uint32_t sequence, bool& torn, Body body) {
  int error = 0;
  for (bool done = false; !done;) {
    const ssize_t length = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return length < 0 ? errno : EIO;
    eachMessage(buffer.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      if (message->nlmsg_seq != sequence) return;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) torn = true;
      if (message->nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (message->nlmsg_type == NLMSG_ERROR) {
        error = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
        done = true;
      } else {
        body(message);
      }
    });
  }
  return error;
}

// Reads the news that came in. False: some were lost for want of room.
template <typename Body>
bool readNews(int fd, std::vector<uint8_t>& buffer, Body body) {
  bool complete = true;
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_length = sizeof from;
    const ssize_t length =
        ::recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == ENOBUFS) {
      complete = false;
      continue;
    }
    if (length <= 0) return complete;
    if (from.nl_pid != 0) continue;  // other processes can write to this socket, too
    eachMessage(buffer.data(), static_cast<size_t>(length), body);
  }
}

}  // namespace firsthop::netlink
