// The measuring instruments as JavaScript objects; src/native/traffic.ts declares and documents them.
#include "traffic_addon.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "traffic.h"
#include "traffic_packet.h"

namespace firsthop {

namespace {

constexpr double kMaxPacketsPerSecond = 1e6;
constexpr double kMaxCapacity = 1e9;
constexpr double kMaxDatagram = 1472;
constexpr double kMaxSnapLength = 1 << 11;
constexpr double kMaxWaitMs = 1000;

double microseconds(int64_t ns) { return static_cast<double>(ns) / 1000; }

// Reads options; the first wrong one is thrown as a TypeError, and `ok()` is false from then on.
class OptionReader {
 public:
  explicit OptionReader(const Napi::CallbackInfo& info) : env_(info.Env()) {
    if (info.Length() < 1 || !info[0].IsObject())
      refuse("options must be an object");
    else
      options_ = info[0].As<Napi::Object>();
  }

  bool ok() const { return ok_; }
  void refuse(const std::string& message) {
    if (ok_) Napi::TypeError::New(env_, message).ThrowAsJavaScriptException();
    ok_ = false;
  }
  Napi::Value get(const char* name) { return ok_ ? options_.Get(name) : env_.Undefined(); }
  bool has(const char* name) {
    const Napi::Value value = get(name);
    return !value.IsUndefined() && !value.IsNull();
  }
  double number(const char* name, double fallback, double low, double high) {
    if (!has(name) && !std::isnan(fallback)) return fallback;
    const Napi::Value value = get(name);
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    if (number >= low && number <= high) return number;
    refuse(std::string(name) + " must be a number from " + format(low) + " to " + format(high));
    return low;
  }
  std::string text(const char* name) {
    if (!has(name)) return {};
    if (get(name).IsString()) return get(name).As<Napi::String>().Utf8Value();
    refuse(std::string(name) + " must be a string");
    return {};
  }
  bool flag(const char* name) {
    if (!has(name)) return false;
    if (get(name).IsBoolean()) return get(name).As<Napi::Boolean>().Value();
    refuse(std::string(name) + " must be true or false");
    return false;
  }
  Place place(const char* threadName, double realtimePriority) {
    return {text("namespace"), threadName,
            static_cast<int>(number("realtimePriority", realtimePriority, 0, 99))};
  }

 private:
  static std::string format(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
  }
  Napi::Env env_;
  Napi::Object options_;
  bool ok_ = true;
};

bool octets(const Napi::Value& value, std::vector<uint8_t>& out) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return false;
  const auto array = value.As<Napi::Uint8Array>();
  out.assign(array.Data(), array.Data() + array.ElementLength());
  return true;
}

void throwFailure(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what);
  error.Value().Set("errno", Napi::Number::New(env, failure.error));
  error.ThrowAsJavaScriptException();
}

// Half-open range [from, to) out of the arguments, cut to [0, end).
std::pair<uint64_t, uint64_t> rangeOf(const Napi::CallbackInfo& info, uint64_t end) {
  const auto at = [&](size_t index, uint64_t fallback) -> uint64_t {
    if (info.Length() <= index || !info[index].IsNumber()) return fallback;
    const double value = info[index].As<Napi::Number>().DoubleValue();
    if (!(value > 0)) return 0;
    return value < static_cast<double>(end) ? static_cast<uint64_t>(value) : end;
  };
  const uint64_t from = at(0, 0);
  return {from, std::max(from, at(1, end))};
}

bool readDestination(OptionReader& options, SourceOptions& out) {
  const std::string text = options.text("destination");
  const auto port = static_cast<uint16_t>(options.number("port", NAN, 1, 65535));
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&out.destination);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&out.destination);
  if (inet_pton(AF_INET, text.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    out.destinationLength = sizeof *ipv4;
  } else if (inet_pton(AF_INET6, text.c_str(), &ipv6->sin6_addr) == 1) {
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(port);
    out.destinationLength = sizeof *ipv6;
  } else {
    options.refuse("destination must be an IPv4 or IPv6 address");
  }
  return options.ok();
}

bool readFrames(OptionReader& options, SourceOptions& out) {
  const Napi::Value value = options.get("frames");
  if (!value.IsArray()) {
    options.refuse("frames must be an array");
    return false;
  }
  const auto frames = value.As<Napi::Array>();
  for (uint32_t index = 0; index < frames.Length(); ++index) {
    std::vector<uint8_t> frame;
    const Napi::Value item = frames[index];
    if (!octets(item, frame) || frame.size() < ETH_HLEN) {
      options.refuse("frames must be Uint8Arrays with an Ethernet header");
      return false;
    }
    out.frames.push_back(std::move(frame));
  }
  if (out.frames.empty()) options.refuse("frames must not be empty");
  if (out.interface.empty()) options.refuse("frames need an interface");
  return options.ok();
}

class SourceObject : public Napi::ObjectWrap<SourceObject> {
 public:
  explicit SourceObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SourceObject>(info) {
    OptionReader reader(info);
    SourceOptions options;
    options.place = reader.place("fh-source", 20);
    options.packetsPerSecond = reader.number("packetsPerSecond", NAN, 1, kMaxPacketsPerSecond);
    options.capacity = static_cast<uint64_t>(reader.number("capacity", NAN, 1, kMaxCapacity));
    options.limit = static_cast<uint64_t>(reader.number("limit", 0, 0, kMaxCapacity));
    options.payloadSize =
        static_cast<uint32_t>(reader.number("payloadSize", 64, kPayloadMinimum, kMaxDatagram));
    options.interface = reader.text("interface");
    if (!reader.ok() || !(reader.has("frames") ? readFrames(reader, options) : readDestination(reader, options)))
      return;
    if (const Failure failure = source_.start(options)) throwFailure(info.Env(), failure);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TrafficSource",
                       {InstanceMethod<&SourceObject::status>("status"),
                        InstanceMethod<&SourceObject::stamps>("stamps"),
                        InstanceMethod<&SourceObject::stop>("stop")});
  }

 private:
  Napi::Value status(const Napi::CallbackInfo& info) {
    Napi::Object status = Napi::Object::New(info.Env());
    status.Set("sent", static_cast<double>(source_.sent()));
    status.Set("errors", static_cast<double>(source_.errors()));
    status.Set("lastErrno", static_cast<double>(source_.lastError()));
    status.Set("realtime", source_.realtime());
    return status;
  }
  Napi::Value stamps(const Napi::CallbackInfo& info) {
    const auto [from, to] = rangeOf(info, source_.sent());
    auto result = Napi::Float64Array::New(info.Env(), to - from);
    if (result.IsEmpty()) return info.Env().Undefined();  // the environment is ending
    for (uint64_t index = from; index < to; ++index)
      result[index - from] = microseconds(source_.stampNs(index));
    return result;
  }
  void stop(const Napi::CallbackInfo&) { source_.stop(); }

  TrafficSource source_;
};

class SinkObject : public Napi::ObjectWrap<SinkObject> {
 public:
  explicit SinkObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SinkObject>(info) {
    OptionReader reader(info);
    SinkOptions options;
    options.place = reader.place("fh-sink", 5);
    options.interface = reader.text("interface");
    options.port = static_cast<uint16_t>(reader.number("port", NAN, 1, 65535));
    options.capacity = static_cast<uint64_t>(reader.number("capacity", NAN, 1, kMaxCapacity));
    if (!reader.ok()) return;
    if (const Failure failure = sink_.start(options)) throwFailure(info.Env(), failure);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TrafficSink",
                       {InstanceMethod<&SinkObject::status>("status"),
                        InstanceMethod<&SinkObject::arrivals>("arrivals"),
                        InstanceMethod<&SinkObject::stop>("stop")});
  }

 private:
  Napi::Value status(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Object status = Napi::Object::New(env);
    status.Set("received", static_cast<double>(sink_.received()));
    status.Set("outOfRange", static_cast<double>(sink_.outOfRange()));
    status.Set("droppedByKernel", static_cast<double>(sink_.dropped()));
    const size_t count = sink_.senders();
    Napi::Array senders = Napi::Array::New(env, count);
    for (size_t index = 0; index < count; ++index) {
      const TrafficSink::Mac mac = sink_.sender(index);
      char text[18];
      std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                    mac[5]);
      Napi::Object sender = Napi::Object::New(env);
      sender.Set("mac", text);
      sender.Set("packets", static_cast<double>(sink_.senderPackets(index)));
      senders[static_cast<uint32_t>(index)] = sender;
    }
    status.Set("senders", senders);
    return status;
  }
  Napi::Value arrivals(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const auto [from, to] = rangeOf(info, sink_.capacity());
    auto firstUs = Napi::Float64Array::New(env, to - from);
    auto copies = Napi::Uint32Array::New(env, to - from);
    auto via = Napi::Uint8Array::New(env, to - from);
    if (firstUs.IsEmpty() || copies.IsEmpty() || via.IsEmpty()) return env.Undefined();  // the environment is ending
    for (uint64_t index = from; index < to; ++index) {
      const uint32_t count = sink_.copies(index);
      copies[index - from] = count;
      via[index - from] = sink_.via(index);
      firstUs[index - from] =
          count == 0 ? std::numeric_limits<double>::quiet_NaN() : microseconds(sink_.firstNs(index));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("firstUs", firstUs);
    result.Set("copies", copies);
    result.Set("via", via);
    return result;
  }
  void stop(const Napi::CallbackInfo&) { sink_.stop(); }

  TrafficSink sink_;
};

// `filter`: Uint8Array of struct sock_filter, or an array of { etherType, protocol? }.
bool readFilter(OptionReader& options, CaptureOptions& out) {
  const Napi::Value value = options.get("filter");
  std::vector<uint8_t> program;
  if (octets(value, program)) {
    if (program.empty() || program.size() % sizeof(sock_filter) != 0)
      options.refuse("filter must be whole instructions of 8 octets");
    out.filter.resize(program.size() / sizeof(sock_filter));
    std::memcpy(out.filter.data(), program.data(), out.filter.size() * sizeof(sock_filter));
    return options.ok();
  }
  if (!value.IsArray()) {
    options.refuse("filter must be a BPF program (Uint8Array) or an array of protocols");
    return false;
  }
  std::vector<ProtocolMatch> matches;
  const auto array = value.As<Napi::Array>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    const Napi::Value item = array[index];
    const Napi::Value etherType = item.IsObject() ? item.As<Napi::Object>().Get("etherType") : item;
    const Napi::Value protocol = item.IsObject() ? item.As<Napi::Object>().Get("protocol") : item;
    if (!item.IsObject() || !etherType.IsNumber() || !(protocol.IsNumber() || protocol.IsUndefined())) {
      options.refuse("filter must consist of { etherType, protocol? }");
      return false;
    }
    matches.push_back({static_cast<uint16_t>(etherType.As<Napi::Number>().Uint32Value()),
                       static_cast<uint8_t>(
                           protocol.IsNumber() ? protocol.As<Napi::Number>().Uint32Value() : 0)});
  }
  out.filter = protocolFilter(matches, out.snapLength);
  return true;
}

class CaptureObject : public Napi::ObjectWrap<CaptureObject> {
 public:
  explicit CaptureObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CaptureObject>(info) {
    OptionReader reader(info);
    CaptureOptions options;
    options.place = reader.place("fh-capture", 5);
    options.interface = reader.text("interface");
    options.outgoing = reader.flag("outgoing");
    options.snapLength = static_cast<uint32_t>(reader.number("snapLength", 128, 14, kMaxSnapLength));
    options.blockTimeoutMs =
        static_cast<uint32_t>(reader.number("waitMs", PacketRing::kBlockTimeoutMs, 1, kMaxWaitMs));
    options.capacity = static_cast<uint64_t>(reader.number("capacity", NAN, 1, kMaxCapacity));
    if (!reader.ok() || !readFilter(reader, options)) return;
    if (const Failure failure = capture_.start(options)) throwFailure(info.Env(), failure);
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "FrameCapture",
                       {InstanceMethod<&CaptureObject::status>("status"),
                        InstanceMethod<&CaptureObject::frames>("frames"),
                        InstanceMethod<&CaptureObject::stop>("stop")});
  }

 private:
  Napi::Value status(const Napi::CallbackInfo& info) {
    Napi::Object status = Napi::Object::New(info.Env());
    status.Set("captured", static_cast<double>(capture_.count()));
    status.Set("overflowed", static_cast<double>(capture_.overflowed()));
    status.Set("droppedByKernel", static_cast<double>(capture_.dropped()));
    return status;
  }
  Napi::Value frames(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const auto [from, to] = rangeOf(info, capture_.count());
    const uint64_t count = to - from;
    const uint32_t snapLength = capture_.snapLength();
    auto atUs = Napi::Float64Array::New(env, count);
    auto ifindex = Napi::Uint32Array::New(env, count);
    auto length = Napi::Uint32Array::New(env, count);
    auto captured = Napi::Uint16Array::New(env, count);
    auto packetType = Napi::Uint8Array::New(env, count);
    auto octets = Napi::Uint8Array::New(env, count * snapLength);
    for (const Napi::Value& made : std::initializer_list<Napi::Value>{atUs, ifindex, length, captured, packetType, octets}) {
      if (made.IsEmpty()) return env.Undefined();  // the environment is ending
    }
    for (uint64_t index = 0; index < count; ++index) {
      const CapturedFrame& frame = capture_.frame(from + index);
      atUs[index] = microseconds(frame.atNs);
      ifindex[index] = frame.ifindex;
      length[index] = frame.length;
      captured[index] = frame.captured;
      packetType[index] = frame.packetType;
      std::memcpy(octets.Data() + index * snapLength, capture_.octets(from + index), frame.captured);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("atUs", atUs);
    result.Set("ifindex", ifindex);
    result.Set("length", length);
    result.Set("captured", captured);
    result.Set("packetType", packetType);
    result.Set("snapLength", static_cast<double>(snapLength));
    result.Set("octets", octets);
    return result;
  }
  void stop(const Napi::CallbackInfo&) { capture_.stop(); }

  FrameCapture capture_;
};

Napi::Value monotonicNowUs(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), microseconds(monotonicNs()));
}

}  // namespace

void registerTraffic(Napi::Env env, Napi::Object exports) {
  exports.Set("TrafficSource", SourceObject::define(env));
  exports.Set("TrafficSink", SinkObject::define(env));
  exports.Set("FrameCapture", CaptureObject::define(env));
  exports.Set("trafficNowUs", Napi::Function::New(env, monotonicNowUs, "trafficNowUs"));
}

}  // namespace firsthop
