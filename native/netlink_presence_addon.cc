// Who is there: names and locks that one process at a time may have, for JavaScript (declared in src/native/netlink.ts).
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "addon_values.h"
#include "netlink_addon.h"
#include "netlink_presence.h"

namespace firsthop::netlink {

namespace {

std::string textArgument(const Napi::CallbackInfo& info) {
  if (info.Length() > 0 && info[0].IsString()) return info[0].As<Napi::String>();
  throwType(info.Env(), "a text is needed");
  return {};
}

// A function that lets go of a descriptor; so does the garbage collector, and the end of the process.
Napi::Function releaser(Napi::Env env, UniqueFd fd) {
  auto held = std::make_shared<UniqueFd>(std::move(fd));
  return Napi::Function::New(env, [held](const Napi::CallbackInfo&) { held->reset(); });
}

Napi::Value holdNamespaceName(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  UniqueFd fd;
  if (const int error = holdName(name, fd)) return throwErrno(info.Env(), "name " + name, error);
  return releaser(info.Env(), std::move(fd));
}

Napi::Value isNamespaceNameHeld(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), isNameHeld(name));
}

Napi::Value tryLock(const Napi::CallbackInfo& info) {
  const std::string path = textArgument(info);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  UniqueFd fd;
  const int error = lockPath(path, fd);
  if (error == EWOULDBLOCK) return info.Env().Null();
  if (error != 0) return throwErrno(info.Env(), "lock " + path, error);
  return releaser(info.Env(), std::move(fd));
}

Napi::Value cookie(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), std::to_string(namespaceCookie()));
}

}  // namespace

void registerPresence(Napi::Env env, Napi::Object exports) {
  exports.Set("holdNamespaceName", Napi::Function::New<holdNamespaceName>(env, "holdNamespaceName"));
  exports.Set("isNamespaceNameHeld", Napi::Function::New<isNamespaceNameHeld>(env, "isNamespaceNameHeld"));
  exports.Set("tryLock", Napi::Function::New<tryLock>(env, "tryLock"));
  exports.Set("namespaceCookie", Napi::Function::New<cookie>(env, "namespaceCookie"));
}

}  // namespace firsthop::netlink
