// Routes to some prefixes, followed (declared in src/native/routes.ts). News are read on the JavaScript thread, dumps
// are made in libuv's pool: a table may hold a million routes.
#include "route_addon.h"

#include <memory>
#include <string>
#include <vector>

#include "addon_values.h"
#include "loop_handle.h"
#include "route_table.h"

namespace firsthop::netlink {

namespace {

// Tells that routes to its prefixes may have changed.
class RouteWatch : public PollHandle {
 public:
  // 0 or an errno.
  static int open(Napi::Env env, Napi::Function changed, std::shared_ptr<RouteWatch>* into) {
    auto watch = std::make_shared<RouteWatch>(env, changed);
    int error = watch->monitor_.open();
    if (error == 0) error = watch->start(watch->monitor_.fd(), UV_READABLE);
    if (error == 0) *into = std::move(watch);
    return error;
  }

  RouteWatch(Napi::Env env, Napi::Function changed)
      : PollHandle(env, "firsthop:route-news"), changed_(Napi::Persistent(changed)) {}

  std::vector<RoutePrefix> prefixes;

 private:
  void ready(int) override {
    if (monitor_.read(prefixes)) tell(changed_, {});
  }

  RouteMonitor monitor_;
  Napi::FunctionReference changed_;
};

class DumpWorker : public Napi::AsyncWorker {
 public:
  DumpWorker(Napi::Env env, std::vector<RoutePrefix> wanted, napi_deferred deferred)
      : Napi::AsyncWorker(env, "firsthop:routes"), wanted_(std::move(wanted)), deferred_(deferred) {}

 protected:
  void Execute() override { error_ = dumpRoutes(wanted_, found_); }

  void OnOK() override {
    const Napi::Env env = Env();
    if (error_ == 0) napi_resolve_deferred(env, deferred_, rows(env));
    else napi_reject_deferred(env, deferred_, errnoError(env, "routes", error_).Value());
  }

 private:
  Napi::Array rows(Napi::Env env) const {
    Napi::Array rows = Napi::Array::New(env, found_.size());
    for (size_t index = 0; index < found_.size(); ++index) {
      Napi::HandleScope scope(env);
      const RouteEntry& route = found_[index];
      Napi::Array hops = Napi::Array::New(env, route.hops.size());
      for (size_t at = 0; at < route.hops.size(); ++at) {
        Napi::Object hop = Napi::Object::New(env);
        const std::string& via = route.hops[at].via;
        hop.Set("via", via.empty() ? env.Null() : Napi::Value(Napi::String::New(env, via)));
        hop.Set("ifindex", Napi::Number::New(env, route.hops[at].ifindex));
        hops.Set(static_cast<uint32_t>(at), hop);
      }
      Napi::Object row = Napi::Object::New(env);
      row.Set("prefix", formatPrefix(route.prefix));
      row.Set("table", Napi::Number::New(env, route.table));
      row.Set("protocol", Napi::Number::New(env, route.protocol));
      row.Set("nextHops", hops);
      rows.Set(static_cast<uint32_t>(index), row);
    }
    return rows;
  }

  std::vector<RoutePrefix> wanted_;
  std::vector<RouteEntry> found_;
  int error_ = 0;
  const napi_deferred deferred_;
};

class WatchObject : public Napi::ObjectWrap<WatchObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RouteWatch",
                       {InstanceMethod<&WatchObject::setPrefixes>("setPrefixes"),
                        InstanceMethod<&WatchObject::dump>("dump"), InstanceMethod<&WatchObject::close>("close")});
  }

  explicit WatchObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WatchObject>(info) {
    const Napi::Env env = info.Env();
    if (info.Length() < 1 || !info[0].IsFunction()) {
      throwType(env, "a function is needed");
      return;
    }
    std::shared_ptr<RouteWatch> watch;
    if (const int error = RouteWatch::open(env, info[0].As<Napi::Function>(), &watch)) {
      throwErrno(env, "routes", error);
      return;
    }
    watch_ = LoopRef<RouteWatch>(watch);
    Ref();  // news keep coming until close(), whether or not the object is still referred to
  }

 private:
  Napi::Value setPrefixes(const Napi::CallbackInfo& info) {
    std::vector<RoutePrefix> prefixes;
    const bool list = info.Length() > 0 && info[0].IsArray();
    const Napi::Array given = list ? info[0].As<Napi::Array>() : Napi::Array::New(info.Env());
    for (uint32_t at = 0; at < given.Length(); ++at) {
      const Napi::Value value = given.Get(at);
      const auto prefix = value.IsString() ? parsePrefix(value.As<Napi::String>()) : std::nullopt;
      if (prefix) prefixes.push_back(*prefix);
    }
    if (!list || prefixes.size() != given.Length()) {
      return throwType(info.Env(), "a list of prefixes is needed");
    }
    if (RouteWatch* watch = watch_.get()) watch->prefixes = std::move(prefixes);
    return info.Env().Undefined();
  }

  Napi::Value dump(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const RouteWatch* watch = watch_.get();
    napi_deferred deferred = nullptr;
    napi_value promise = nullptr;
    // Not node-addon-api's wrapper: where the environment is ending, that one hands out an unset promise.
    if (napi_create_promise(env, &deferred, &promise) != napi_ok) return env.Undefined();
    auto prefixes = watch != nullptr ? watch->prefixes : std::vector<RoutePrefix>();
    (new DumpWorker(env, std::move(prefixes), deferred))->Queue();  // deletes itself when it is done
    return Napi::Value(env, promise);
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    if (watch_.get() == nullptr) return info.Env().Undefined();
    watch_.close();
    Unref();
    return info.Env().Undefined();
  }

  LoopRef<RouteWatch> watch_;
};

}  // namespace

}  // namespace firsthop::netlink

namespace firsthop {

void registerRoutes(Napi::Env env, Napi::Object exports) {
  exports.Set("RouteWatch", netlink::WatchObject::define(env));
}

}  // namespace firsthop
