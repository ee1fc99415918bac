// Routes to some prefixes, followed (declared in src/native/routes.ts). News are read on the JavaScript thread, dumps
// are made in libuv's pool: a table may hold a million routes.
#include "route_addon.h"

#include <uv.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "route_table.h"

namespace firsthop::netlink {

namespace {

// The poll handle outlives the JavaScript object by the loop iteration that closing takes.
struct Watch {
  uv_poll_t poll{};
  RouteMonitor monitor;
  std::vector<RoutePrefix> prefixes;
  Napi::FunctionReference changed;
  std::unique_ptr<Napi::AsyncContext> context;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool closing = false;
};

void closeWatch(Watch* watch) {
  if (watch->closing) return;
  watch->closing = true;
  watch->changed.Reset();
  watch->context.reset();
  uv_poll_stop(&watch->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll), [](uv_handle_t* handle) {
    std::unique_ptr<Watch> owned(static_cast<Watch*>(handle->data));
    napi_remove_async_cleanup_hook(owned->hook);
  });
}

void deliver(uv_poll_t* poll, int, int) {
  auto* watch = static_cast<Watch*>(poll->data);
  if (!watch->monitor.read(watch->prefixes)) return;
  const Napi::Env env = watch->changed.Env();
  Napi::HandleScope scope(env);
  watch->changed.MakeCallback(env.Global(), {}, *watch->context);
  if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}

class DumpWorker : public Napi::AsyncWorker {
 public:
  DumpWorker(Napi::Env env, std::vector<RoutePrefix> wanted)
      : Napi::AsyncWorker(env, "firsthop:routes"), wanted_(std::move(wanted)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { error_ = dumpRoutes(wanted_, found_); }

  void OnOK() override {
    const Napi::Env env = Env();
    if (error_ == 0) {
      deferred_.Resolve(rows(env));
      return;
    }
    Napi::Error error = Napi::Error::New(env, std::string("routes: ") + std::strerror(error_));
    error.Set("errno", Napi::Number::New(env, error_));
    deferred_.Reject(error.Value());
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
  Napi::Promise::Deferred deferred_;
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
      Napi::TypeError::New(env, "a function is needed").ThrowAsJavaScriptException();
      return;
    }
    auto watch = std::make_unique<Watch>();
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    int error = watch->monitor.open();
    if (error == 0) error = -uv_poll_init(loop, &watch->poll, watch->monitor.fd());
    if (error != 0) {
      Napi::Error::New(env, std::string("routes: ") + std::strerror(error)).ThrowAsJavaScriptException();
      return;
    }
    watch->poll.data = watch.get();
    watch->changed = Napi::Persistent(info[0].As<Napi::Function>());
    watch->context = std::make_unique<Napi::AsyncContext>(env, "firsthop:route-news");
    napi_add_async_cleanup_hook(
        env, [](napi_async_cleanup_hook_handle, void* data) { closeWatch(static_cast<Watch*>(data)); },
        watch.get(), &watch->hook);
    uv_poll_start(&watch->poll, UV_READABLE, deliver);
    watch_ = watch.release();  // closeWatch() ends it
    Ref();                     // news keep coming until close(), whether or not the object is still referred to
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
      Napi::TypeError::New(info.Env(), "a list of prefixes is needed").ThrowAsJavaScriptException();
      return info.Env().Undefined();
    }
    if (watch_ != nullptr) watch_->prefixes = std::move(prefixes);
    return info.Env().Undefined();
  }

  Napi::Value dump(const Napi::CallbackInfo& info) {
    auto* worker = new DumpWorker(info.Env(), watch_ ? watch_->prefixes : std::vector<RoutePrefix>());
    const Napi::Promise promise = worker->promise();
    worker->Queue();  // deletes itself when it is done
    return promise;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    if (watch_ != nullptr) {
      closeWatch(watch_);
      watch_ = nullptr;
      Unref();
    }
    return info.Env().Undefined();
  }

  Watch* watch_ = nullptr;
};

}  // namespace

}  // namespace firsthop::netlink

namespace firsthop {

void registerRoutes(Napi::Env env, Napi::Object exports) {
  exports.Set("RouteWatch", netlink::WatchObject::define(env));
}

}  // namespace firsthop
