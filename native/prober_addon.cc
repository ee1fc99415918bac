// The prober as a JavaScript object; src/native/prober.ts declares and documents it.
#include "prober_addon.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "addon_values.h"
#include "loop_handle.h"
#include "prober.h"

namespace firsthop {

namespace {

constexpr double kMinIntervalUs = 1000;
constexpr double kMaxIntervalUs = 86'400e6;

Napi::Value errnoName(Napi::Env env, int error) {
  return error == 0 ? env.Null() : Napi::Value(Napi::String::New(env, uv_err_name(-error)));
}

bool parseAddress(const std::string& text, ProbeAddress* into) {
  uint8_t octets[16];
  const bool ipv6 = text.find(':') != std::string::npos;
  if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, text.c_str(), octets) != 1) return false;
  *into = addressOf(octets, ipv6);
  return true;
}

// Null, undefined: none.
bool parseSource(const Napi::Value& value, bool ipv6, std::optional<ProbeAddress>* into) {
  into->reset();
  if (value.IsNull() || value.IsUndefined()) return true;
  ProbeAddress address;
  if (!value.IsString() || !parseAddress(value.As<Napi::String>(), &address) || address.ipv6 != ipv6) return false;
  *into = address;
  return true;
}

// Empty, or what is wrong.
std::string parseSettings(const Napi::Object& options, ProbeSettings* into) {
  const Napi::Value kind = options.Get("kind");
  const std::string word = kind.IsString() ? kind.As<Napi::String>().Utf8Value() : "";
  if (word == "icmp") into->kind = ProbeKind::kIcmp;
  else if (word == "arp") into->kind = ProbeKind::kArp;
  else if (word == "nd") into->kind = ProbeKind::kNd;
  else return "kind must be \"icmp\", \"arp\" or \"nd\"";
  const Napi::Value interface = options.Get("interface");
  if (interface.IsString()) into->interface = interface.As<Napi::String>().Utf8Value();
  else if (!interface.IsUndefined() && !interface.IsNull()) return "interface must be a text";
  if (into->interface.size() >= IFNAMSIZ) return "interface must have at most 15 octets";
  if (into->interface.find('\0') != std::string::npos) return "interface must be a name";
  if (into->interface.empty() && into->kind != ProbeKind::kIcmp) return "interface is needed for " + word;
  const Napi::Value address = options.Get("address");
  if (!address.IsString() || !parseAddress(address.As<Napi::String>(), &into->address))
    return "address must be an IPv4 or IPv6 address";
  if (into->kind == ProbeKind::kArp && into->address.ipv6) return "address must be IPv4 for arp";
  if (into->kind == ProbeKind::kNd && !into->address.ipv6) return "address must be IPv6 for nd";
  if (!parseSource(options.Get("source"), into->address.ipv6, &into->source))
    return "source must be an address of the same family, or null";
  double number = 0;
  if (!parseNumber(options.Get("intervalUs"), kMinIntervalUs, kMaxIntervalUs, &number))
    return "intervalUs must be a whole number from 1000 to 86400000000";
  into->interval_ns = static_cast<int64_t>(number) * 1000;
  if (!parseNumber(options.Get("timeoutUs"), kMinIntervalUs, number, &number))
    return "timeoutUs must be a whole number from 1000 to intervalUs";
  into->timeout_ns = static_cast<int64_t>(number) * 1000;
  if (!parseNumber(options.Get("fall"), 1, 1e6, &number)) return "fall must be a whole number from 1 to 1000000";
  into->fall = static_cast<uint32_t>(number);
  if (!parseNumber(options.Get("rise"), 1, 1e6, &number)) return "rise must be a whole number from 1 to 1000000";
  into->rise = static_cast<uint32_t>(number);
  const Napi::Value known = options.Get("verdict");
  const std::string verdict = known.IsString() ? known.As<Napi::String>().Utf8Value() : "unknown";
  if (verdict == "up") into->verdict = ProbeVerdict::kUp;
  else if (verdict == "down") into->verdict = ProbeVerdict::kDown;
  else if (verdict != "unknown") return "verdict must be \"unknown\", \"up\" or \"down\"";
  return {};
}

// 0: none.
Napi::Value macText(Napi::Env env, uint64_t mac) {
  if (mac == 0) return env.Null();
  char text[18];
  const auto octet = [mac](int shift) { return static_cast<unsigned>(mac >> shift & 0xff); };
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", octet(40), octet(32), octet(24), octet(16), octet(8),
                octet(0));
  return Napi::String::New(env, text);
}

// The prober, as it tells JavaScript what is new.
class ProberHandle : public WakeHandle {
 public:
  // 0 or an errno.
  static int open(Napi::Env env, Napi::Function on_reports, Napi::Function on_sightings,
                  const std::string& network_namespace, std::shared_ptr<ProberHandle>* into) {
    auto made = std::make_shared<ProberHandle>(env, on_reports, on_sightings, network_namespace);
    if (const int error = made->start()) return error;
    // What is probed keeps no process alive.
    made->setAlive(false);
    if (const int error = made->prober_.start()) {
      made->close();
      return error;
    }
    *into = std::move(made);
    return 0;
  }

  ProberHandle(Napi::Env env, Napi::Function on_reports, Napi::Function on_sightings,
               const std::string& network_namespace)
      : WakeHandle(env, "firsthop:prober"),
        on_reports_(Napi::Persistent(on_reports)),
        on_sightings_(Napi::Persistent(on_sightings)),
        prober_(Prober::Options{network_namespace, [this] { wake(); }}) {}

  Prober& prober() { return prober_; }

 private:
  void stop() override { prober_.stop(); }

  void woken() override {
    tellAll(on_reports_, prober_.takeReports());
    // The listener may have closed it.
    if (!closing()) tellAll(on_sightings_, prober_.takeSightings());
  }

  template <typename T>
  void tellAll(const Napi::FunctionReference& listener, const std::vector<T>& news) {
    if (news.empty()) return;
    Napi::HandleScope scope(env());
    Napi::Array all = Napi::Array::New(env(), news.size());
    for (uint32_t i = 0; i < news.size(); i++) {
      Napi::HandleScope inner(env());
      all.Set(i, toObject(news[i]));
    }
    tell(listener, {all});
  }

  Napi::Object toObject(const Sighting& seen) {
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(seen.address.ipv6 ? AF_INET6 : AF_INET, seen.address.octets.data(), text, sizeof(text));
    Napi::Object object = Napi::Object::New(env());
    object.Set("follower", seen.follower);
    object.Set("address", text);
    object.Set("mac", macText(env(), packMac(seen.mac)));
    return object;
  }

  Napi::Object toObject(const ProbeReport& report) {
    static constexpr const char* kOutcomes[] = {"none", "answered", "timeout", "error", "untried"};
    static constexpr const char* kVerdicts[] = {"unknown", "up", "down"};
    Napi::Object object = Napi::Object::New(env());
    object.Set("target", report.target);
    object.Set("outcome", kOutcomes[static_cast<size_t>(report.outcome)]);
    object.Set("errno", errnoName(env(), report.error));
    object.Set("verdict", kVerdicts[static_cast<size_t>(report.verdict)]);
    object.Set("crossings", report.crossings);
    object.Set("streak", report.streak);
    object.Set("atUs", micros(report.at_ns));
    object.Set("roundTripUs", micros(report.round_trip_ns));
    return object;
  }

  Napi::FunctionReference on_reports_;
  Napi::FunctionReference on_sightings_;
  Prober prober_;
};

class NativeProber : public Napi::ObjectWrap<NativeProber> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeProber",
                       {
                           InstanceMethod<&NativeProber::add>("add"),
                           InstanceMethod<&NativeProber::remove>("remove"),
                           InstanceMethod<&NativeProber::changeSource>("changeSource"),
                           InstanceMethod<&NativeProber::follow>("follow"),
                           InstanceMethod<&NativeProber::unfollow>("unfollow"),
                           InstanceMethod<&NativeProber::refresh>("refresh"),
                           InstanceMethod<&NativeProber::counters>("counters"),
                           InstanceMethod<&NativeProber::statistics>("statistics"),
                           InstanceMethod<&NativeProber::close>("close"),
                       });
  }

  explicit NativeProber(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeProber>(info) {
    const bool placed = info.Length() > 2 && !info[2].IsUndefined();
    if (info.Length() < 2 || !info[0].IsFunction() || !info[1].IsFunction() || (placed && !info[2].IsString())) {
      throwType(info.Env(), "NativeProber(onReports, onSightings, namespace?) takes two functions and a path");
      return;
    }
    const std::string path = placed ? info[2].As<Napi::String>().Utf8Value() : std::string();
    std::shared_ptr<ProberHandle> opened;
    const int error = ProberHandle::open(info.Env(), info[0].As<Napi::Function>(), info[1].As<Napi::Function>(), path,
                                         &opened);
    if (error != 0) throwCode(info.Env(), "the prober can't start", error);
    else handle_ = LoopRef<ProberHandle>(opened);
  }

  ~NativeProber() override { handle_.close(); }

 private:
  // Null, with a pending error, after close.
  Prober* prober(const Napi::CallbackInfo& info) {
    if (ProberHandle* handle = handle_.get()) return &handle->prober();
    Napi::Error::New(info.Env(), "the prober is closed").ThrowAsJavaScriptException();
    return nullptr;
  }

  Napi::Value add(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    if (prober == nullptr) return info.Env().Undefined();
    if (info.Length() < 1 || !info[0].IsObject()) return throwType(info.Env(), "options must be an object");
    ProbeSettings settings;
    const std::string wrong = parseSettings(info[0].As<Napi::Object>(), &settings);
    if (!wrong.empty()) return throwType(info.Env(), wrong);
    return Napi::Number::New(info.Env(), prober->add(settings));
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    uint32_t target = 0;
    if (prober == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &target)) return throwType(info.Env(), "remove(target)");
    return Napi::Boolean::New(info.Env(), prober->remove(target));
  }

  Napi::Value changeSource(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    uint32_t target = 0;
    if (prober == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &target) || info.Length() < 2) return throwType(info.Env(), "changeSource(target, source)");
    const bool ipv6 = info[1].IsString() && info[1].As<Napi::String>().Utf8Value().find(':') != std::string::npos;
    std::optional<ProbeAddress> source;
    if (!parseSource(info[1], ipv6, &source)) return throwType(info.Env(), "source must be an address, or null");
    return Napi::Boolean::New(info.Env(), prober->changeSource(target, source));
  }

  Napi::Value follow(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    if (prober == nullptr) return info.Env().Undefined();
    const std::string name = info.Length() > 0 && info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
    if (name.empty() || name.size() >= IFNAMSIZ || name.find('\0') != std::string::npos)
      return throwType(info.Env(), "follow(interface)");
    return Napi::Number::New(info.Env(), prober->follow(name));
  }

  Napi::Value unfollow(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    uint32_t follower = 0;
    if (prober == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &follower)) return throwType(info.Env(), "unfollow(follower)");
    return Napi::Boolean::New(info.Env(), prober->unfollow(follower));
  }

  Napi::Value refresh(const Napi::CallbackInfo& info) {
    if (ProberHandle* handle = handle_.get()) handle->prober().refresh();
    return info.Env().Undefined();
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Prober* prober = this->prober(info);
    uint32_t target = 0;
    if (prober == nullptr) return env.Undefined();
    if (!unsignedArgument(info, 0, &target)) return throwType(env, "counters(target)");
    const auto counters = prober->counters(target);
    if (!counters) return env.Null();
    Napi::Object object = Napi::Object::New(env);
    const auto set = [&](const char* name, const std::atomic<uint64_t>& value) {
      object.Set(name, static_cast<double>(value.load(std::memory_order_relaxed)));
    };
    set("sent", counters->sent);
    set("answered", counters->answered);
    set("timeouts", counters->timeouts);
    set("errors", counters->errors);
    set("late", counters->late);
    set("skipped", counters->skipped);
    const int64_t answered_ns = counters->answered_at_ns.load(std::memory_order_relaxed);
    object.Set("answeredAtUs", answered_ns == 0 ? env.Null() : Napi::Value(Napi::Number::New(env, micros(answered_ns))));
    object.Set("roundTripUs", answered_ns == 0 ? env.Null()
                                               : Napi::Value(Napi::Number::New(
                                                     env, micros(counters->round_trip_ns.load(std::memory_order_relaxed)))));
    object.Set("mac", macText(env, counters->mac.load(std::memory_order_relaxed)));
    return object;
  }

  Napi::Value statistics(const Napi::CallbackInfo& info) {
    Prober* prober = this->prober(info);
    if (prober == nullptr) return info.Env().Undefined();
    const ProberStatistics statistics = prober->statistics();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("wakeups", static_cast<double>(statistics.wakeups));
    object.Set("foreign", static_cast<double>(statistics.foreign));
    object.Set("cpuUs", micros(statistics.cpu_ns));
    return object;
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    handle_.close();
    return info.Env().Undefined();
  }

  LoopRef<ProberHandle> handle_;
};

}  // namespace

void registerProber(Napi::Env env, Napi::Object exports) { exports.Set("NativeProber", NativeProber::define(env)); }

}  // namespace firsthop
