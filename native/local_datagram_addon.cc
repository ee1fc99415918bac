// One datagram to a local socket (declared in src/native/local-datagram.ts): Node has streams of the local kind only. Runs on the
// JavaScript thread and never blocks.
#include "local_datagram_addon.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "addon_values.h"
#include "util/unique_fd.h"

namespace firsthop {

namespace {

// 0, or an error number.
int sendDatagram(const std::string& path, const std::string& text) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const bool abstract = !path.empty() && path[0] == '@';
  // A name in the file system ends with a zero, an abstract one begins with it and has the length it has.
  const size_t room = sizeof to.sun_path - (abstract ? 0 : 1);
  if (path.empty() || (path[0] != '/' && !abstract)) return EAFNOSUPPORT;
  if (path.size() > room || path.find('\0') != std::string::npos) return ENAMETOOLONG;
  std::memcpy(to.sun_path, path.data(), path.size());
  if (abstract) to.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  const ssize_t sent =
      sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length);
  return sent < 0 ? errno : 0;
}

Napi::Value sendLocalDatagram(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsString()) {
    return throwType(env, "the name of a socket and a text are needed");
  }
  return Napi::Number::New(
      env, sendDatagram(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value()));
}

}  // namespace

void registerLocalDatagrams(Napi::Env env, Napi::Object exports) {
  exports.Set("sendLocalDatagram", Napi::Function::New<sendLocalDatagram>(env, "sendLocalDatagram"));
}

}  // namespace firsthop
