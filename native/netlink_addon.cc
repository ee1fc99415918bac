// The Node-API surface of everything netlink (declared in src/native/netlink.ts). Requests run in libuv's pool, one
// at a time for each socket, in the order in which they were given; news come in on the JavaScript thread.
#include "netlink_addon.h"

#include <linux/if_link.h>
#include <net/if.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <memory>

#include "addon_values.h"
#include "loop_handle.h"
#include "netlink.h"
#include "netlink_presence.h"

namespace firsthop::netlink {

namespace {

// ---- arguments ------------------------------------------------------------------------------------------------

// Reads an options object; the first thing that is wrong is remembered and thrown as a TypeError by failed().
class OptionsReader {
 public:
  explicit OptionsReader(const Napi::CallbackInfo& info) : env_(info.Env()) {
    if (info.Length() < 1 || !info[0].IsObject()) {
      complain("options", "an object");
      object_ = Napi::Object::New(env_);
    } else {
      object_ = info[0].As<Napi::Object>();
    }
  }

  bool has(const char* key) { return !object_.Get(key).IsUndefined(); }

  uint32_t u32(const char* key, uint32_t maximum = UINT32_MAX) {
    const Napi::Value value = object_.Get(key);
    if (value.IsNumber()) {
      const double number = value.As<Napi::Number>().DoubleValue();
      if (number >= 0 && number <= maximum && number == std::floor(number)) return static_cast<uint32_t>(number);
    }
    complain(key, "a whole number in range");
    return 0;
  }

  uint32_t ifindex(const char* key) {
    const uint32_t value = u32(key, INT32_MAX);
    if (value == 0) complain(key, "the index of an interface");
    return value;
  }

  bool boolean(const char* key) {
    const Napi::Value value = object_.Get(key);
    if (!value.IsBoolean()) complain(key, "true or false");
    return value.IsBoolean() && value.As<Napi::Boolean>().Value();
  }

  std::string text(const char* key, size_t maximum) {
    const Napi::Value value = object_.Get(key);
    std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
    if (!value.IsString() || text.size() > maximum || text.find('\0') != std::string::npos) {
      complain(key, "a text that is not too long");
      return {};
    }
    return text;
  }

  std::string linkName(const char* key) {
    std::string name = text(key, IFNAMSIZ - 1);
    if (name.empty()) complain(key, "the name of an interface");
    return name;
  }

  MacAddress mac(const char* key) {
    const auto mac = parseMac(text(key, 17));
    if (!mac) complain(key, "a MAC address");
    return mac.value_or(MacAddress{});
  }

  IpAddress ip(const char* key) {
    const auto ip = parseIpAddress(text(key, 45));
    if (!ip) complain(key, "an IP address");
    return ip.value_or(IpAddress{});
  }

  uint32_t macvlanMode(const char* key) {
    const std::string mode = text(key, 16);
    if (mode == "private") return MACVLAN_MODE_PRIVATE;
    if (mode == "source") return MACVLAN_MODE_SOURCE;
    complain(key, "\"private\" or \"source\"");
    return 0;
  }

  std::vector<std::pair<uint16_t, uint32_t>> ipv4Conf(const char* key) {
    std::vector<std::pair<uint16_t, uint32_t>> settings;
    const Napi::Value value = object_.Get(key);
    if (!value.IsObject()) {
      complain(key, "an object");
      return settings;
    }
    const Napi::Object object = value.As<Napi::Object>();
    const Napi::Array names = object.GetPropertyNames();
    for (uint32_t at = 0; at < names.Length(); ++at) {
      const std::string name = names.Get(at).ToString();
      const auto index = ipv4ConfIndex(name);
      const Napi::Value setting = object.Get(name);
      if (!index || !setting.IsNumber()) {
        complain(key, "known settings with numbers");
        return settings;
      }
      settings.emplace_back(*index, setting.As<Napi::Number>().Uint32Value());
    }
    return settings;
  }

  // Throws what was found wrong, if anything.
  bool failed() {
    if (complaint_.empty()) return false;
    throwType(env_, complaint_);
    return true;
  }

 private:
  void complain(const std::string& key, const std::string& expected) {
    if (complaint_.empty()) complaint_ = key + " must be " + expected;
  }

  Napi::Env env_;
  Napi::Object object_;
  std::string complaint_;
};

// ---- the encoder ----------------------------------------------------------------------------------------------

Napi::Value toBytes(Napi::Env env, const Message& message) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, message.size());
  if (buffer.IsEmpty()) return env.Undefined();  // the environment is ending
  std::memcpy(buffer.Data(), message.data(), message.size());
  return Napi::Uint8Array::New(env, message.size(), buffer, 0);
}

Napi::Value createMacvlan(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const CreateMacvlan request{options.ifindex("parentIfindex"), options.linkName("name"), options.mac("mac"),
                              options.macvlanMode("mode")};
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeCreateMacvlan(request));
}

Napi::Value changeLink(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  LinkChange change;
  if (options.has("ifindex")) change.ifindex = options.ifindex("ifindex");
  else change.name = options.linkName("name");
  if (options.has("up")) change.up = options.boolean("up");
  if (options.has("macvlanMode")) change.macvlanMode = options.macvlanMode("macvlanMode");
  if (options.has("addrGenMode")) change.addrGenMode = static_cast<uint8_t>(options.u32("addrGenMode", 3));
  if (options.has("alias")) change.alias = options.text("alias", 255);
  if (options.has("group")) change.group = options.u32("group");
  if (options.has("masterIfindex")) change.masterIfindex = options.u32("masterIfindex", INT32_MAX);
  if (options.has("mac")) change.mac = options.mac("mac");
  if (options.has("ipv4")) change.ipv4Conf = options.ipv4Conf("ipv4");
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeLinkChange(change));
}

Napi::Value deleteLink(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const uint32_t ifindex = options.ifindex("ifindex");
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeDeleteLink(ifindex));
}

Napi::Value deleteGroup(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const uint32_t group = options.u32("group");
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeDeleteGroup(group));
}

Napi::Value changeAddress(const Napi::CallbackInfo& info, bool add) {
  OptionsReader options(info);
  AddressChange change;
  change.add = add;
  change.ifindex = options.ifindex("ifindex");
  change.address = options.ip("address");
  const uint32_t longest = change.address.size() * 8;
  change.prefixLength = static_cast<uint8_t>(options.u32("prefixLength", longest));
  if (options.has("hostScope")) change.hostScope = options.boolean("hostScope");
  if (options.has("routeMetric")) change.routeMetric = options.u32("routeMetric");
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeAddress(change));
}

Napi::Value changeBlackhole(const Napi::CallbackInfo& info, bool add) {
  OptionsReader options(info);
  BlackholeChange change;
  change.add = add;
  change.address = options.ip("address");
  if (options.has("table")) change.table = options.u32("table");
  return options.failed() ? info.Env().Undefined() : toBytes(info.Env(), encodeBlackhole(change));
}

Napi::Value addAddress(const Napi::CallbackInfo& info) { return changeAddress(info, true); }
Napi::Value deleteAddress(const Napi::CallbackInfo& info) { return changeAddress(info, false); }
Napi::Value addBlackhole(const Napi::CallbackInfo& info) { return changeBlackhole(info, true); }
Napi::Value deleteBlackhole(const Napi::CallbackInfo& info) { return changeBlackhole(info, false); }

// ---- what the kernel tells ------------------------------------------------------------------------------------

Napi::Value numberOrNull(Napi::Env env, uint32_t value) {
  return value == 0 ? env.Null() : Napi::Value(Napi::Number::New(env, value));
}

Napi::Value textOrNull(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::Value(Napi::String::New(env, text));
}

Napi::Object toObject(Napi::Env env, const LinkRecord& link) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ifindex", link.ifindex);
  object.Set("name", link.name);
  object.Set("mac", link.mac);
  object.Set("mtu", link.mtu);
  object.Set("adminUp", Napi::Boolean::New(env, link.adminUp));
  object.Set("carrier", Napi::Boolean::New(env, link.carrier));
  object.Set("kind", textOrNull(env, link.kind));
  object.Set("slaveKind", textOrNull(env, link.slaveKind));
  object.Set("parentIfindex", numberOrNull(env, link.parentIfindex));
  object.Set("masterIfindex", numberOrNull(env, link.masterIfindex));
  object.Set("alias", link.alias ? Napi::Value(Napi::String::New(env, *link.alias)) : env.Null());
  object.Set("group", link.group);
  object.Set("macvlanMode", link.macvlanMode);
  object.Set("vrfTable", numberOrNull(env, link.vrfTable));
  return object;
}

Napi::Object toObject(Napi::Env env, const AddressRecord& address) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ifindex", address.ifindex);
  object.Set("address", address.address);
  object.Set("prefixLength", Napi::Number::New(env, address.prefixLength));
  object.Set("family", address.ipv6 ? "ipv6" : "ipv4");
  object.Set("tentative", Napi::Boolean::New(env, address.tentative));
  object.Set("secondary", Napi::Boolean::New(env, address.secondary));
  object.Set("origin", Napi::Number::New(env, address.origin));
  return object;
}

Napi::Object toObject(Napi::Env env, const RouteRecord& route) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("family", route.ipv6 ? "ipv6" : "ipv4");
  object.Set("destination", route.destination);
  object.Set("prefixLength", Napi::Number::New(env, route.prefixLength));
  object.Set("table", route.table);
  return object;
}

// A dump's rows, without the wrapping that news have.
Napi::Array toRows(Napi::Env env, const std::vector<News>& found) {
  Napi::Array rows = Napi::Array::New(env, found.size());
  for (size_t index = 0; index < found.size(); ++index) {
    Napi::HandleScope scope(env);
    Napi::Object row;
    if (const auto* link = std::get_if<LinkNews>(&found[index])) row = toObject(env, link->link);
    else if (const auto* address = std::get_if<AddressNews>(&found[index])) row = toObject(env, address->address);
    else row = toObject(env, std::get<RouteRecord>(found[index]));
    rows.Set(static_cast<uint32_t>(index), row);
  }
  return rows;
}

Napi::Array toNews(Napi::Env env, const std::vector<News>& found) {
  Napi::Array all = Napi::Array::New(env);
  uint32_t count = 0;
  for (const News& one : found) {
    Napi::HandleScope scope(env);
    Napi::Object news = Napi::Object::New(env);
    if (const auto* link = std::get_if<LinkNews>(&one)) {
      news.Set("gone", Napi::Boolean::New(env, link->gone));
      news.Set("link", toObject(env, link->link));
    } else if (const auto* address = std::get_if<AddressNews>(&one)) {
      news.Set("gone", Napi::Boolean::New(env, address->gone));
      news.Set("address", toObject(env, address->address));
    } else {
      continue;
    }
    all.Set(count++, news);
  }
  return all;
}

// ---- requests -------------------------------------------------------------------------------------------------

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
    request->steps.reserve(steps.Length());
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

// ---- news -----------------------------------------------------------------------------------------------------

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

// ---- presence -------------------------------------------------------------------------------------------------

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

}  // namespace firsthop::netlink

namespace firsthop {

using namespace netlink;

void registerNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeCreateMacvlan", Napi::Function::New<createMacvlan>(env, "encodeCreateMacvlan"));
  exports.Set("encodeChangeLink", Napi::Function::New<changeLink>(env, "encodeChangeLink"));
  exports.Set("encodeDeleteLink", Napi::Function::New<deleteLink>(env, "encodeDeleteLink"));
  exports.Set("encodeDeleteGroup", Napi::Function::New<deleteGroup>(env, "encodeDeleteGroup"));
  exports.Set("encodeAddAddress", Napi::Function::New<addAddress>(env, "encodeAddAddress"));
  exports.Set("encodeDeleteAddress", Napi::Function::New<deleteAddress>(env, "encodeDeleteAddress"));
  exports.Set("encodeAddBlackhole", Napi::Function::New<addBlackhole>(env, "encodeAddBlackhole"));
  exports.Set("encodeDeleteBlackhole", Napi::Function::New<deleteBlackhole>(env, "encodeDeleteBlackhole"));
  exports.Set("NetlinkSocket", SocketObject::define(env));
  exports.Set("NetlinkMonitor", MonitorObject::define(env));
  exports.Set("holdNamespaceName", Napi::Function::New<holdNamespaceName>(env, "holdNamespaceName"));
  exports.Set("isNamespaceNameHeld", Napi::Function::New<isNamespaceNameHeld>(env, "isNamespaceNameHeld"));
  exports.Set("tryLock", Napi::Function::New<tryLock>(env, "tryLock"));
  exports.Set("namespaceCookie", Napi::Function::New<cookie>(env, "namespaceCookie"));
}

}  // namespace firsthop
