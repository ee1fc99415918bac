// see netlink_presence.h
#include "netlink_presence.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace firsthop::netlink {

namespace {

constexpr int kSoNetnsCookie = 71;

// Abstract: a leading zero octet, no file. Returns the length to hand over, 0 when the name is too long.
socklen_t abstractAddress(const std::string& name, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) return 0;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

}  // namespace

int holdName(const std::string& name, UniqueFd& fd) {
  sockaddr_un address;
  const socklen_t length = abstractAddress(name, address);
  if (length == 0) return ENAMETOOLONG;
  UniqueFd opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!opened.valid()) return errno;
  if (bind(opened.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return errno;
  if (listen(opened.get(), SOMAXCONN) != 0) return errno;
  fd = std::move(opened);
  return 0;
}

bool isNameHeld(const std::string& name) {
  sockaddr_un address;
  const socklen_t length = abstractAddress(name, address);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid() || length == 0) return false;
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    // A full queue of connections nobody accepts still means that somebody is there.
    return errno == EAGAIN;
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

int lockPath(const std::string& path, UniqueFd& fd) {
  UniqueFd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.valid()) return errno;
  if (flock(opened.get(), LOCK_EX | LOCK_NB) != 0) return errno;
  fd = std::move(opened);
  return 0;
}

uint64_t namespaceCookie() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!fd.valid() || getsockopt(fd.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) != 0) return 0;
  return cookie;
}

}  // namespace firsthop::netlink
