// Requests to the kernel, for JavaScript (declared in src/native/netlink.ts). They run in libuv's pool, one at a time for
// each socket, in the order in which they were given.
#include <linux/netlink.h>

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "addon_values.h"
#include "netlink.h"
#include "netlink_addon.h"
#include "netlink_values.h"

namespace firsthop::netlink {

namespace {

struct Request {
  napi_deferred deferred = nullptr;
  std::vector<KernelStep> steps;
  std::optional<DumpKind> dumpKind;
  // Results, written in the pool.
  std::vector<StepFailure> failures;
  std::vector<News> found;
  int error = 0;
};

// A socket and the requests that wait for it. The queue belongs to the JavaScript thread, the socket to whichever
// pool thread runs the one request that is under way.
struct Lane {
  Socket socket;
  std::deque<std::unique_ptr<Request>> waiting;
  bool running = false;
  bool closed = false;  // as soon as nothing waits any more

  void closeWhenIdle() {
    if (closed && !running && waiting.empty()) socket.close();
  }
};

class LaneWorker : public Napi::AsyncWorker {
 public:
  static void startNext(Napi::Env env, const std::shared_ptr<Lane>& lane) {
    if (lane->running || lane->waiting.empty()) return;
    lane->running = true;
    auto request = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    (new LaneWorker(env, lane, std::move(request)))->Queue();  // deletes itself when it is done
  }

 protected:
  void Execute() override {
    if (request_->dumpKind) request_->error = lane_->socket.dump(*request_->dumpKind, request_->found);
    else request_->failures = lane_->socket.run(request_->steps);
  }

  void OnOK() override {
    const Napi::Env env = Env();
    lane_->running = false;
    startNext(env, lane_);
    lane_->closeWhenIdle();
    if (!request_->dumpKind) {
      napi_resolve_deferred(env, request_->deferred, failures(env));
    } else if (request_->error == 0) {
      napi_resolve_deferred(env, request_->deferred, toRows(env, request_->found));
    } else {
      napi_reject_deferred(env, request_->deferred, errnoError(env, "netlink dump", request_->error).Value());
    }
  }

 private:
  LaneWorker(Napi::Env env, std::shared_ptr<Lane> lane, std::unique_ptr<Request> request)
      : Napi::AsyncWorker(env, "firsthop:netlink"), lane_(std::move(lane)), request_(std::move(request)) {}

  Napi::Array failures(Napi::Env env) const {
    Napi::Array rows = Napi::Array::New(env, request_->failures.size());
    uint32_t count = 0;
    for (const StepFailure& failure : request_->failures) {
      Napi::Object row = Napi::Object::New(env);
      row.Set("index", Napi::Number::New(env, static_cast<double>(failure.index)));
      row.Set("errno", failure.error);
      row.Set("text", failure.text);
      rows.Set(count++, row);
    }
    return rows;
  }

  std::shared_ptr<Lane> lane_;
  std::unique_ptr<Request> request_;
};

class SocketObject : public Napi::ObjectWrap<SocketObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NetlinkSocket",
                       {InstanceMethod<&SocketObject::run>("run"), InstanceMethod<&SocketObject::dump>("dump"),
                        InstanceMethod<&SocketObject::close>("close")});
  }

  explicit SocketObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SocketObject>(info), lane_(std::make_shared<Lane>()) {
    if (const int error = lane_->socket.open()) throwErrno(info.Env(), "netlink socket", error);
  }

 private:
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (info.Length() < 1 || !info[0].IsArray()) return wrongSteps(env);
    const Napi::Array steps = info[0].As<Napi::Array>();
    auto request = std::make_unique<Request>();
    for (uint32_t index = 0; index < steps.Length(); ++index) {
      Napi::HandleScope scope(env);
      const Napi::Value value = steps.Get(index);
      if (!value.IsObject()) return wrongSteps(env);
      const Napi::Object step = value.As<Napi::Object>();
      const Napi::Value message = step.Get("message");
      const Napi::Value path = step.Get("path");
      const Napi::Value text = step.Get("value");
      if (isMessage(message)) {
        const auto bytes = message.As<Napi::Uint8Array>();
        request->steps.emplace_back(Message(bytes.Data(), bytes.Data() + bytes.ByteLength()));
      } else if (message.IsUndefined() && path.IsString() && text.IsString()) {
        request->steps.emplace_back(FileWrite{path.As<Napi::String>(), text.As<Napi::String>()});
      } else {
        return wrongSteps(env);
      }
    }
    return enqueue(env, std::move(request));
  }

  // A whole request whose length field says the truth: anything else would make the kernel read something else.
  static bool isMessage(const Napi::Value& value) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return false;
    const auto bytes = value.As<Napi::Uint8Array>();
    nlmsghdr header;
    if (bytes.ByteLength() < sizeof header) return false;
    std::memcpy(&header, bytes.Data(), sizeof header);
    return header.nlmsg_len == bytes.ByteLength();
  }

  static Napi::Value wrongSteps(Napi::Env env) {
    return throwType(env, "steps must be an array of { message } and { path, value }");
  }

  Napi::Value dump(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string kind = info.Length() > 0 && info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
    auto request = std::make_unique<Request>();
    if (kind == "links") request->dumpKind = DumpKind::kLinks;
    else if (kind == "addresses") request->dumpKind = DumpKind::kAddresses;
    else if (kind == "routes") request->dumpKind = DumpKind::kRoutes;
    if (!request->dumpKind) {
      return throwType(env, "dump must be \"links\", \"addresses\" or \"routes\"");
    }
    return enqueue(env, std::move(request));
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    lane_->closed = true;
    lane_->closeWhenIdle();
    return info.Env().Undefined();
  }

  Napi::Value enqueue(Napi::Env env, std::unique_ptr<Request> request) {
    if (lane_->closed) return throwErrno(env, "netlink socket", EBADF);
    // Not node-addon-api's wrapper: where the environment is ending, that one hands out an unset promise.
    napi_value promise = nullptr;
    if (napi_create_promise(env, &request->deferred, &promise) != napi_ok) return env.Undefined();
    lane_->waiting.push_back(std::move(request));
    LaneWorker::startNext(env, lane_);
    return Napi::Value(env, promise);
  }

  std::shared_ptr<Lane> lane_;
};

}  // namespace

void registerSockets(Napi::Env env, Napi::Object exports) { exports.Set("NetlinkSocket", SocketObject::define(env)); }

}  // namespace firsthop::netlink
