// Sockets for trackers' probes (declared in src/native/outgoing-socket.ts): Node can neither bind one to an interface nor tell
// when a descriptor that it was given is connected. Runs on the JavaScript thread and never blocks.
#include "outgoing_socket_addon.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

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
struct Attempt {
  uv_poll_t poll{};
  UniqueFd fd;
  Napi::FunctionReference done;
  std::unique_ptr<Napi::AsyncContext> context;
  napi_async_cleanup_hook_handle hook = nullptr;
  // The function that cancels refers to it, too.
  std::shared_ptr<Attempt*> handle;
  bool closing = false;
};

void closeAttempt(Attempt* attempt) {
  if (attempt->closing) return;
  attempt->closing = true;
  *attempt->handle = nullptr;
  attempt->done.Reset();
  attempt->context.reset();
  uv_poll_stop(&attempt->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&attempt->poll), [](uv_handle_t* handle) {
    std::unique_ptr<Attempt> owned(static_cast<Attempt*>(handle->data));
    napi_remove_async_cleanup_hook(owned->hook);
  });
}

void onWritable(uv_poll_t* poll, int status, int) {
  auto* attempt = static_cast<Attempt*>(poll->data);
  // libuv calls every error of a socket EBADF; the socket knows better.
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(attempt->fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0) error = -status;
  uv_poll_stop(poll);
  const Napi::Env env = attempt->done.Env();
  Napi::HandleScope scope(env);
  const int fd = error == 0 ? attempt->fd.release() : -1;
  Napi::FunctionReference done = std::move(attempt->done);
  std::unique_ptr<Napi::AsyncContext> context = std::move(attempt->context);
  closeAttempt(attempt);
  done.MakeCallback(env.Global(), {Napi::Number::New(env, error), Napi::Number::New(env, fd)}, *context);
  if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}

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
    Napi::TypeError::New(env, "a target and a callback are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto attempt = std::make_unique<Attempt>();
  auto handle = std::make_shared<Attempt*>(nullptr);
  attempt->handle = handle;
  int error = beginConnection(target, attempt->fd);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  if (error == 0) error = -uv_poll_init(loop, &attempt->poll, attempt->fd.get());
  if (error != 0) {
    info[1].As<Napi::Function>().Call({Napi::Number::New(env, error), Napi::Number::New(env, -1)});
    return Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  }
  attempt->poll.data = attempt.get();
  attempt->done = Napi::Persistent(info[1].As<Napi::Function>());
  attempt->context = std::make_unique<Napi::AsyncContext>(env, "firsthop:connect");
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* data) { closeAttempt(static_cast<Attempt*>(data)); },
      attempt.get(), &attempt->hook);
  uv_poll_start(&attempt->poll, UV_WRITABLE, onWritable);
  *handle = attempt.release();  // closeAttempt() ends it
  return Napi::Function::New(env, [handle](const Napi::CallbackInfo&) {
    if (*handle != nullptr) closeAttempt(*handle);
  });
}

}  // namespace

void registerOutgoingSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("connectSocket", Napi::Function::New<connectSocket>(env, "connectSocket"));
}

}  // namespace firsthop
