// News of links and addresses, for JavaScript (declared in src/native/netlink.ts). They come in on its thread.
#include <memory>
#include <vector>

#include "addon_values.h"
#include "loop_handle.h"
#include "netlink.h"
#include "netlink_addon.h"
#include "netlink_values.h"

namespace firsthop::netlink {

namespace {

// Tells what became of links and addresses, and whether that is all of it.
class NewsWatch : public PollHandle {
 public:
  // 0 or an errno.
  static int open(Napi::Env env, Napi::Function listener, std::shared_ptr<NewsWatch>* into) {
    auto watch = std::make_shared<NewsWatch>(env, listener);
    int error = watch->monitor_.open();
    if (error == 0) error = watch->start(watch->monitor_.fd(), UV_READABLE);
    if (error == 0) *into = std::move(watch);
    return error;
  }

  NewsWatch(Napi::Env env, Napi::Function listener)
      : PollHandle(env, "firsthop:netlink-news"), listener_(Napi::Persistent(listener)) {}

 private:
  void ready(int) override {
    std::vector<News> found;
    const bool complete = monitor_.read(found);
    if (found.empty() && complete) return;
    tell(listener_, {toNews(env(), found), Napi::Boolean::New(env(), complete)});
  }

  Monitor monitor_;
  Napi::FunctionReference listener_;
};

class MonitorObject : public Napi::ObjectWrap<MonitorObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NetlinkMonitor", {InstanceMethod<&MonitorObject::close>("close")});
  }

  explicit MonitorObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MonitorObject>(info) {
    const Napi::Env env = info.Env();
    if (info.Length() < 1 || !info[0].IsFunction()) {
      throwType(env, "listener must be a function");
      return;
    }
    std::shared_ptr<NewsWatch> watch;
    if (const int error = NewsWatch::open(env, info[0].As<Napi::Function>(), &watch)) {
      throwErrno(env, "netlink monitor", error);
      return;
    }
    watch_ = LoopRef<NewsWatch>(watch);
    Ref();  // news keep coming until close(), whether or not the object is still referred to
  }

 private:
  Napi::Value close(const Napi::CallbackInfo& info) {
    if (watch_.get() == nullptr) return info.Env().Undefined();
    watch_.close();
    Unref();
    return info.Env().Undefined();
  }

  LoopRef<NewsWatch> watch_;
};

}  // namespace

void registerMonitors(Napi::Env env, Napi::Object exports) {
  exports.Set("NetlinkMonitor", MonitorObject::define(env));
}

}  // namespace firsthop::netlink
