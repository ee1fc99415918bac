// Sockets for trackers' probes (declared in src/native/outgoing-socket.ts): Node can neither bind one to an interface nor tell
// when a descriptor that it was given is connected. Runs on the JavaScript thread and never blocks.
#include "outgoing_socket_addon.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "addon_values.h"
#include "loop_handle.h"
#include "util/unique_fd.h"

namespace firsthop {

namespace {

struct Target {
  bool datagram = false;
  std::string address;
  std::string source;
  std::string interface;
  uint16_t port = 0;
};

// Addresses of both families in one.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool parseAddress(const std::string& text, uint16_t port, unsigned scope, SocketAddress& address) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
    return true;
  }
  address.storage = {};
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) v6->sin6_scope_id = scope;
  address.length = sizeof *v6;
  return true;
}

// 0, or an error number. The connection may still be on its way (EINPROGRESS counts as 0).
int beginConnection(const Target& target, UniqueFd& fd) {
  const unsigned scope = target.interface.empty() ? 0 : if_nametoindex(target.interface.c_str());
  SocketAddress to;
  if (!parseAddress(target.address, target.port, scope, to)) return EINVAL;
  const int kind = target.datagram ? SOCK_DGRAM : SOCK_STREAM;
  fd.reset(socket(to.family(), kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  if (!target.interface.empty() &&
      setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, target.interface.c_str(),
                 static_cast<socklen_t>(target.interface.size() + 1)) != 0)
    return errno;
  if (!target.source.empty()) {
    SocketAddress from;
    if (!parseAddress(target.source, 0, scope, from) || from.family() != to.family()) return EINVAL;
    // The port is chosen when the other end is known, so that frequent probes do not use them up.
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd.get(), from.get(), from.length) != 0) return errno;
  }
  // Node connects its datagram sockets itself: one that is connected already it can't send with.
  if (target.datagram) return 0;
  if (connect(fd.get(), to.get(), to.length) == 0 || errno == EINPROGRESS) return 0;
  return errno;
}

// A connection under way. It ends when it stands or failed, is cancelled, or its environment goes.
class Attempt : public PollHandle {
 public:
  // 0 or an errno.
  static int begin(Napi::Env env, const Target& target, Napi::Function done, LoopRef<Attempt>* into) {
    auto attempt = std::make_shared<Attempt>(env, done);
    int error = beginConnection(target, attempt->fd_);
    if (error == 0) error = attempt->start(attempt->fd_.get(), UV_WRITABLE);
    if (error == 0) *into = LoopRef<Attempt>(attempt);
    return error;
  }

  Attempt(Napi::Env env, Napi::Function done)
      : PollHandle(env, "firsthop:connect"), done_(Napi::Persistent(done)) {}

 private:
  void ready(int status) override {
    // libuv calls every error of a socket EBADF; the socket knows better.
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error == 0) error = -status;
    enough();
    const int fd = error == 0 ? fd_.release() : -1;
    close();
    tell(done_, {Napi::Number::New(env(), error), Napi::Number::New(env(), fd)});
  }

  UniqueFd fd_;
  Napi::FunctionReference done_;
};

bool readTarget(const Napi::CallbackInfo& info, Target& target) {
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction()) return false;
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Value port = options.Get("port");
  for (const char* key : {"kind", "address", "source", "interface"})
    if (!options.Get(key).IsString()) return false;
  if (!port.IsNumber() || port.As<Napi::Number>().Uint32Value() > 65535) return false;
  target.datagram = options.Get("kind").As<Napi::String>().Utf8Value() == "udp";
  target.address = options.Get("address").As<Napi::String>();
  target.source = options.Get("source").As<Napi::String>();
  target.interface = options.Get("interface").As<Napi::String>();
  target.port = static_cast<uint16_t>(port.As<Napi::Number>().Uint32Value());
  return target.interface.size() < IFNAMSIZ;
}

// connectSocket(target, done(errno, fd)): returns a function that cancels.
Napi::Value connectSocket(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Target target;
  if (!readTarget(info, target)) {
    return throwType(env, "a target and a callback are needed");
  }
  const Napi::Function done = info[1].As<Napi::Function>();
  LoopRef<Attempt> attempt;
  if (const int error = Attempt::begin(env, target, done, &attempt)) {
    done.Call({Napi::Number::New(env, error), Napi::Number::New(env, -1)});
  }
  return Napi::Function::New(env, [attempt](const Napi::CallbackInfo&) { attempt.close(); });
}

}  // namespace

void registerOutgoingSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("connectSocket", Napi::Function::New<connectSocket>(env, "connectSocket"));
}

}  // namespace firsthop
