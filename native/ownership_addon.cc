// Forwarding ownership for JavaScript; src/native/ownership.ts declares and documents this surface.
#include "ownership_addon.h"

#include <arpa/inet.h>
#include <uv.h>

#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "addon_values.h"
#include "netlink_encode.h"

namespace firsthop {

namespace {

constexpr napi_type_tag kHandleTag = {0x6f776e6572736869, 0x7068616e646c6531};
constexpr double kMaxUs = 9e12;  // more than a hundred days

template <typename Enum>
struct Named {
  const char* name;
  Enum value;
};
constexpr Named<Ownership::Hook> kHooks[] = {
    {"xdp", Ownership::Hook::kXdpNative},
    {"xdp-generic", Ownership::Hook::kXdpGeneric},
    {"tc", Ownership::Hook::kTc},
    {"tc-clsact", Ownership::Hook::kClsact},
};
constexpr Named<Ownership::Program> kPrograms[] = {
    {"xdp", Ownership::Program::kXdp},
    {"ingress", Ownership::Program::kIngress},
    {"egress", Ownership::Program::kEgress},
    {"bare-xdp-pass", Ownership::Program::kBareXdpPass},
    {"bare-xdp-drop", Ownership::Program::kBareXdpDrop},
    {"bare-tc-pass", Ownership::Program::kBareTcPass},
    {"bare-tc-drop", Ownership::Program::kBareTcDrop},
    {"bare-tc-end", Ownership::Program::kBareTcEnd},
};
constexpr Named<bpf::Place> kPlaces[] = {
    {"xdp", bpf::Place::kXdpNative},
    {"xdp-generic", bpf::Place::kXdpGeneric},
    {"tcx-ingress", bpf::Place::kTcxIngress},
    {"tcx-egress", bpf::Place::kTcxEgress},
    {"clsact-ingress", bpf::Place::kClsactIngress},
    {"clsact-egress", bpf::Place::kClsactEgress},
};

template <typename Enum, size_t Count>
bool byName(const Napi::Value& value, const Named<Enum> (&table)[Count], Enum& into) {
  if (!value.IsString()) return false;
  const std::string name = value.As<Napi::String>().Utf8Value();
  for (const auto& one : table) {
    if (name != one.name) continue;
    into = one.value;
    return true;
  }
  return false;
}
template <typename Enum, size_t Count>
const char* nameIn(const Named<Enum> (&table)[Count], Enum value) {
  for (const auto& one : table)
    if (one.value == value) return one.name;
  return "";
}

Napi::Value throwFailure(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what);
  error.Set("code", uv_err_name(-failure.error));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

template <typename Integer>
bool integer(const Napi::Value& value, Integer& into, double high = std::numeric_limits<Integer>::max()) {
  double found = 0;
  if (!parseNumber(value, 0, high, &found)) return false;
  into = static_cast<Integer>(found);
  return true;
}
bool slotOf(const Napi::Value& value, uint32_t& slot) {
  double found = 0;
  if (!parseNumber(value, 1, FH_SLOTS - 1, &found)) return false;
  slot = static_cast<uint32_t>(found);
  return true;
}

uint64_t nanos(double us) { return static_cast<uint64_t>(us) * 1000; }
uint64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string macText(const fh_u8* mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string addressText(const std::array<uint8_t, 16>& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const bool ipv4 = std::equal(kMapped.begin(), kMapped.end(), address.begin());
  inet_ntop(ipv4 ? AF_INET : AF_INET6, address.data() + (ipv4 ? kMapped.size() : 0), text, sizeof text);
  return text;
}

bool addressOf(const Napi::Value& value, std::array<uint8_t, 16>& into) {
  if (!value.IsString()) return false;
  const auto parsed = netlink::parseIpAddress(value.As<Napi::String>().Utf8Value());
  if (!parsed) return false;
  into = parsed->octets;
  if (parsed->size() == 4) {
    std::copy(kMapped.begin(), kMapped.end(), into.begin());
    std::copy_n(parsed->octets.begin(), 4, into.begin() + kMapped.size());
  }
  return true;
}

// Null, or what is wrong.
const char* parseKey(const Napi::Object& options, fh_group_key& key) {
  if (!integer(options.Get("ifindex"), key.ifindex) || key.ifindex == 0) return "ifindex must be an interface's";
  const Napi::Value vlans = options.Get("vlans");
  if (!vlans.IsUndefined()) {
    if (!vlans.IsArray() || vlans.As<Napi::Array>().Length() > 2) return "vlans must be at most two, the outer one first";
    const auto list = vlans.As<Napi::Array>();
    for (uint32_t index = 0; index < list.Length(); ++index)
      if (!integer(list.Get(index), key.vlan[index], 4094) || key.vlan[index] == 0) return "vlans must be 1 to 4094";
  }
  const Napi::Value mac = options.Get("mac");
  const auto octets = mac.IsString() ? netlink::parseMac(mac.As<Napi::String>().Utf8Value()) : std::nullopt;
  if (!octets) return "mac must be a MAC address";
  std::copy(octets->begin(), octets->end(), key.mac);
  return nullptr;
}

const char* parseGroup(const Napi::Object& options, OwnershipGroup& group) {
  if (const char* flaw = parseKey(options, group.key)) return flaw;
  const Napi::Value addresses = options.Get("addresses");
  if (!addresses.IsArray()) return "addresses must be an array";
  const auto list = addresses.As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); ++index) {
    std::array<uint8_t, 16> address{};
    if (!addressOf(list.Get(index), address)) return "addresses must be IP addresses";
    group.addresses.push_back(address);
  }
  double overdueUs = 0;
  double limitUs = 0;
  if (!parseNumber(options.Get("overdueUs"), 0, kMaxUs, &overdueUs)) return "overdueUs must be a number of microseconds";
  if (!parseNumber(options.Get("limitUs"), 0, kMaxUs, &limitUs)) return "limitUs must be a number of microseconds";
  group.overdueNs = nanos(overdueUs);
  group.limitNs = nanos(limitUs);
  return nullptr;
}

void setKey(Napi::Object object, const fh_group_key& key) {
  Napi::Array vlans = Napi::Array::New(object.Env());
  for (const uint16_t vlan : key.vlan)
    if (vlan != 0) vlans.Set(vlans.Length(), Napi::Number::New(object.Env(), vlan));
  object.Set("ifindex", key.ifindex);
  object.Set("vlans", vlans);
  object.Set("mac", macText(key.mac));
}

Napi::Object leaseObject(Napi::Env env, const fh_lease& lease) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("claim", static_cast<double>(lease.claim));
  object.Set("renewedUs", micros(lease.renewed_ns));
  object.Set("overdueUs", micros(lease.overdue_ns));
  object.Set("limitUs", micros(lease.limit_ns));
  object.Set("yielded", static_cast<double>(lease.yielded));
  object.Set("yieldedUs", micros(lease.yielded_ns));
  object.Set("owner", Ownership::isOwner(lease, nowNs()));
  return object;
}

Napi::Array attachedArray(Napi::Env env, const std::vector<bpf::Attached>& attached) {
  Napi::Array list = Napi::Array::New(env);
  for (const auto& one : attached) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("ifindex", one.ifindex);
    object.Set("place", nameIn(kPlaces, one.place));
    object.Set("programId", one.programId);
    list.Set(list.Length(), object);
  }
  return list;
}

Napi::Object foundObject(Napi::Env env, const FoundOwnership& found) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("tableId", found.tableId);
  object.Set("abi", found.abi);
  object.Set("token", found.token);
  object.Set("yields", static_cast<double>(found.yields));
  object.Set("attached", attachedArray(env, found.attached));
  Napi::Array groups = Napi::Array::New(env);
  for (const auto& group : found.groups) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("slot", group.slot);
    setKey(item, group.key);
    item.Set("lease", leaseObject(env, group.lease));
    groups.Set(groups.Length(), item);
  }
  object.Set("groups", groups);
  return object;
}

bool parseFound(const Napi::Value& value, FoundOwnership& found) {
  if (!value.IsObject()) return false;
  const auto object = value.As<Napi::Object>();
  if (!integer(object.Get("tableId"), found.tableId) || !integer(object.Get("abi"), found.abi)) return false;
  const Napi::Value attached = object.Get("attached");
  if (!attached.IsArray()) return false;
  const auto list = attached.As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); ++index) {
    const Napi::Value item = list.Get(index);
    bpf::Attached one;
    if (!item.IsObject() || !integer(item.As<Napi::Object>().Get("ifindex"), one.ifindex) ||
        !byName(item.As<Napi::Object>().Get("place"), kPlaces, one.place) ||
        !integer(item.As<Napi::Object>().Get("programId"), one.programId))
      return false;
    found.attached.push_back(one);
  }
  return true;
}

bool parseToken(const Napi::Value& options, uint32_t& token) {
  return options.IsObject() && integer(options.As<Napi::Object>().Get("token"), token);
}

class OwnershipHandle : public Napi::ObjectWrap<OwnershipHandle> {
 public:
  explicit OwnershipHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<OwnershipHandle>(info) {
    if (info.Length() == 1 && info[0].IsExternal())
      ownership_ = std::move(*info[0].As<Napi::External<std::shared_ptr<Ownership>>>().Data());
    else
      throwType(info.Env(), "use openOwnership");
    info.This().As<Napi::Object>().TypeTag(&kHandleTag);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeOwnership",
                       {
                           InstanceMethod<&OwnershipHandle::attach>("attach"),
                           InstanceMethod<&OwnershipHandle::attachBare>("attachBare"),
                           InstanceMethod<&OwnershipHandle::detach>("detach"),
                           InstanceMethod<&OwnershipHandle::attached>("attached"),
                           InstanceMethod<&OwnershipHandle::mend>("mend"),
                           InstanceMethod<&OwnershipHandle::setGroup>("setGroup"),
                           InstanceMethod<&OwnershipHandle::removeGroup>("removeGroup"),
                           InstanceMethod<&OwnershipHandle::groups>("groups"),
                           InstanceMethod<&OwnershipHandle::setLease>("setLease"),
                           InstanceMethod<&OwnershipHandle::lease>("lease"),
                           InstanceMethod<&OwnershipHandle::counters>("counters"),
                           InstanceMethod<&OwnershipHandle::yields>("yields"),
                           InstanceMethod<&OwnershipHandle::testRun>("testRun"),
                           InstanceMethod<&OwnershipHandle::close>("close"),
                       });
  }

  const std::shared_ptr<Ownership>& ownership() const { return ownership_; }

 private:
  static Napi::Value done(Napi::Env env, const Failure& failure) {
    return failure ? throwFailure(env, failure) : env.Undefined();
  }

  Napi::Value attach(const Napi::CallbackInfo& info) {
    uint32_t ifindex = 0;
    Ownership::Hook hook{};
    if (!integer(info[0], ifindex) || !byName(info[1], kHooks, hook))
      return throwType(info.Env(), "attach(ifindex, \"xdp\" | \"xdp-generic\" | \"tc\" | \"tc-clsact\")");
    Ownership::Hook used{};
    if (Failure failure = ownership_->attach(ifindex, hook, used)) return throwFailure(info.Env(), failure);
    return Napi::String::New(info.Env(), nameIn(kHooks, used));
  }

  Napi::Value attachBare(const Napi::CallbackInfo& info) {
    uint32_t ifindex = 0;
    bpf::Place place{};
    Ownership::Program program{};
    if (!integer(info[0], ifindex) || !byName(info[1], kPlaces, place) || !byName(info[2], kPrograms, program) ||
        program < Ownership::Program::kBareXdpPass)
      return throwType(info.Env(), "attachBare(ifindex, place, program)");
    return done(info.Env(), ownership_->attachBare(ifindex, place, program));
  }

  Napi::Value detach(const Napi::CallbackInfo& info) {
    uint32_t ifindex = 0;
    if (!integer(info[0], ifindex)) return throwType(info.Env(), "detach(ifindex)");
    return done(info.Env(), ownership_->detach(ifindex));
  }

  Napi::Value mend(const Napi::CallbackInfo& info) {
    uint32_t ifindex = 0;
    if (!integer(info[0], ifindex)) return throwType(info.Env(), "mend(ifindex)");
    std::vector<bpf::Attached> lost;
    if (Failure failure = ownership_->mend(ifindex, lost)) return throwFailure(info.Env(), failure);
    return attachedArray(info.Env(), lost);
  }

  Napi::Value attached(const Napi::CallbackInfo& info) { return attachedArray(info.Env(), ownership_->attached()); }

  Napi::Value setGroup(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    OwnershipGroup group;
    if (!slotOf(info[0], slot) || !info[1].IsObject()) return throwType(info.Env(), "setGroup(slot, group)");
    if (const char* flaw = parseGroup(info[1].As<Napi::Object>(), group)) return throwType(info.Env(), flaw);
    return done(info.Env(), ownership_->setGroup(slot, group));
  }

  Napi::Value removeGroup(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    if (!slotOf(info[0], slot)) return throwType(info.Env(), "removeGroup(slot)");
    return done(info.Env(), ownership_->removeGroup(slot));
  }

  Napi::Value groups(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Array list = Napi::Array::New(env);
    for (const auto& [slot, group] : ownership_->groups()) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("slot", slot);
      setKey(object, group.key);
      Napi::Array addresses = Napi::Array::New(env);
      for (const auto& address : group.addresses)
        addresses.Set(addresses.Length(), Napi::String::New(env, addressText(address)));
      object.Set("addresses", addresses);
      object.Set("overdueUs", micros(group.overdueNs));
      object.Set("limitUs", micros(group.limitNs));
      list.Set(list.Length(), object);
    }
    return list;
  }

  // An opening's number is the time, so that each is greater than those before, whichever process made them.
  Napi::Value setLease(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    const double renewedUs = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
    if (!slotOf(info[0], slot) || !info[1].IsBoolean() || !(info[2].IsUndefined() || info[2].IsNumber()) ||
        !(renewedUs >= 0 && renewedUs < kMaxUs * 1e3))
      return throwType(info.Env(), "setLease(slot, open, renewedUs?)");
    fh_lease* lease = ownership_->lease(slot);
    const uint64_t now = nowNs();
    const bool open = info[1].As<Napi::Boolean>().Value();
    __atomic_store_n(&lease->renewed_ns, info[2].IsUndefined() ? now : nanos(renewedUs), __ATOMIC_RELEASE);
    __atomic_store_n(&lease->claim, open ? now / 1000 : 0, __ATOMIC_RELEASE);
    return info.Env().Undefined();
  }

  Napi::Value lease(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    if (!slotOf(info[0], slot)) return throwType(info.Env(), "lease(slot)");
    return leaseObject(info.Env(), *ownership_->lease(slot));
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    if (!slotOf(info[0], slot)) return throwType(info.Env(), "counters(slot)");
    fh_counters sum{};
    if (const int error = ownership_->counters(slot, sum)) return throwFailure(info.Env(), Failure::of(error, "counters"));
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("owned", static_cast<double>(sum.owned));
    object.Set("notOwned", static_cast<double>(sum.not_owned));
    object.Set("unanswered", static_cast<double>(sum.unanswered));
    object.Set("keptIn", static_cast<double>(sum.kept_in));
    return object;
  }

  Napi::Value yields(const Napi::CallbackInfo& info) {
    const uint64_t count = __atomic_load_n(&ownership_->head()->yields, __ATOMIC_RELAXED);
    return Napi::Number::New(info.Env(), static_cast<double>(count));
  }

  Napi::Value testRun(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Ownership::Program program{};
    if (!byName(info[0], kPrograms, program) || !info[1].IsTypedArray() ||
        info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
      return throwType(env, "testRun(program, frame, options?)");
    const auto frame = info[1].As<Napi::Uint8Array>();
    bpf::TestRun run;
    run.frame.assign(frame.Data(), frame.Data() + frame.ElementLength());
    uint16_t vlan = 0;
    if (info[2].IsObject()) {
      const auto options = info[2].As<Napi::Object>();
      const auto optional = [&](const char* name, auto& into) {
        return options.Get(name).IsUndefined() || integer(options.Get(name), into);
      };
      if (!optional("repeat", run.repeat) || !optional("ifindex", run.ifindex) || !optional("vlanTci", vlan))
        return throwType(env, "repeat, ifindex and vlanTci must be numbers");
    }
    if (Failure failure = ownership_->testRun(program, run, vlan)) return throwFailure(env, failure);
    Napi::Object object = Napi::Object::New(env);
    object.Set("verdict", static_cast<double>(static_cast<int32_t>(run.verdict)));
    object.Set("ns", run.durationNs);
    object.Set("frame", toUint8Array(env, run.frame));
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) { return done(info.Env(), ownership_->close()); }

  std::shared_ptr<Ownership> ownership_;
};

// The class of handles, which lives as long as the functions that make them.
using HandleClass = std::shared_ptr<Napi::FunctionReference>;

Napi::Value handleOf(const HandleClass& handles, Napi::Env env, std::shared_ptr<Ownership> ownership) {
  return handles->New({Napi::External<std::shared_ptr<Ownership>>::New(env, &ownership)});
}

Napi::Value open(const HandleClass& handles, const Napi::CallbackInfo& info) {
  uint32_t token = 0;
  if (!parseToken(info[0], token)) return throwType(info.Env(), "openOwnership({ token })");
  std::shared_ptr<Ownership> made;
  if (Failure failure = Ownership::open(token, made)) return throwFailure(info.Env(), failure);
  return handleOf(handles, info.Env(), std::move(made));
}

Napi::Value adopt(const HandleClass& handles, const Napi::CallbackInfo& info) {
  uint32_t token = 0;
  FoundOwnership found;
  if (!parseFound(info[0], found) || !parseToken(info[1], token))
    return throwType(info.Env(), "adoptOwnership(found, { token })");
  std::shared_ptr<Ownership> made;
  if (Failure failure = Ownership::adopt(found, token, made)) return throwFailure(info.Env(), failure);
  return handleOf(handles, info.Env(), std::move(made));
}

bool parseIfindexes(const Napi::Value& value, std::vector<uint32_t>& ifindexes) {
  if (!value.IsArray()) return false;
  const auto list = value.As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); ++index) {
    uint32_t ifindex = 0;
    if (!integer(list.Get(index), ifindex)) return false;
    ifindexes.push_back(ifindex);
  }
  return true;
}

// Whoever holds the kernel's RTNL lock keeps these questions waiting, for seconds at times, and JavaScript must not wait.
class ListWorker : public Napi::AsyncWorker {
 public:
  ListWorker(Napi::Env env, std::vector<uint32_t> ifindexes, napi_deferred deferred)
      : Napi::AsyncWorker(env, "firsthop:programs"), ifindexes_(std::move(ifindexes)), deferred_(deferred) {}

 protected:
  void Execute() override {
    for (const uint32_t ifindex : ifindexes_) {
      std::vector<bpf::Attached> there;
      const bool known = !bpf::list(ifindex, there);
      found_.push_back(known ? std::optional(std::move(there)) : std::nullopt);
    }
  }

  void OnOK() override {
    Napi::Array lists = Napi::Array::New(Env(), found_.size());
    for (uint32_t index = 0; index < found_.size(); ++index) {
      const auto& there = found_[index];
      lists.Set(index, there ? Napi::Value(attachedArray(Env(), *there)) : Env().Null());
    }
    napi_resolve_deferred(Env(), deferred_, lists);
  }

 private:
  const std::vector<uint32_t> ifindexes_;
  std::vector<std::optional<std::vector<bpf::Attached>>> found_;
  const napi_deferred deferred_;
};

Napi::Value list(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<uint32_t> ifindexes;
  if (!parseIfindexes(info[0], ifindexes)) return throwType(env, "listPrograms(ifindexes)");
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  // Not node-addon-api's wrapper: where the environment is ending, that one hands out an unset promise.
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return env.Undefined();
  (new ListWorker(env, std::move(ifindexes), deferred))->Queue();  // deletes itself when it is done
  return Napi::Value(env, promise);
}

Napi::Value find(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<uint32_t> ifindexes;
  if (!parseIfindexes(info[0], ifindexes)) return throwType(env, "findOwnership(ifindexes)");
  std::vector<FoundOwnership> found;
  if (Failure failure = Ownership::find(ifindexes, found)) return throwFailure(env, failure);
  Napi::Array result = Napi::Array::New(env);
  for (const auto& one : found) result.Set(result.Length(), foundObject(env, one));
  return result;
}

Napi::Value clear(const Napi::CallbackInfo& info) {
  FoundOwnership found;
  if (!parseFound(info[0], found)) return throwType(info.Env(), "clearOwnership(found)");
  if (Failure failure = Ownership::clear(found)) return throwFailure(info.Env(), failure);
  return info.Env().Undefined();
}

Napi::Value flood(const Napi::CallbackInfo& info) {
  uint32_t ifindex = 0;
  uint32_t count = 0;
  if (!integer(info[0], ifindex) || !info[1].IsTypedArray() || !integer(info[2], count) || count == 0)
    return throwType(info.Env(), "floodFrames(ifindex, frame, count)");
  const auto frame = info[1].As<Napi::Uint8Array>();
  uint64_t tookNs = 0;
  if (Failure failure = Ownership::flood(ifindex, {frame.Data(), frame.Data() + frame.ElementLength()}, count, tookNs))
    return throwFailure(info.Env(), failure);
  return Napi::Number::New(info.Env(), static_cast<double>(tookNs));
}

}  // namespace

std::shared_ptr<Ownership> ownershipOf(const Napi::Value& handle) {
  if (!handle.IsObject()) return nullptr;
  const auto object = handle.As<Napi::Object>();
  if (!object.CheckTypeTag(&kHandleTag)) return nullptr;
  return OwnershipHandle::Unwrap(object)->ownership();
}

void registerOwnership(Napi::Env env, Napi::Object exports) {
  const auto handles = std::make_shared<Napi::FunctionReference>(Napi::Persistent(OwnershipHandle::define(env)));
  const auto function = [&](const char* name, auto body) { exports.Set(name, Napi::Function::New(env, body, name)); };
  function("openOwnership", [handles](const Napi::CallbackInfo& info) { return open(handles, info); });
  function("adoptOwnership", [handles](const Napi::CallbackInfo& info) { return adopt(handles, info); });
  function("findOwnership", [](const Napi::CallbackInfo& info) { return find(info); });
  function("listPrograms", [](const Napi::CallbackInfo& info) { return list(info); });
  function("floodFrames", [](const Napi::CallbackInfo& info) { return flood(info); });
  function("clearOwnership", [](const Napi::CallbackInfo& info) { return clear(info); });
}

}  // namespace firsthop
