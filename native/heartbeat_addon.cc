// The heartbeat engine for JavaScript; src/native/heartbeat.ts declares and documents this surface.
#include "heartbeat_addon.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "addon_values.h"
#include "heartbeat.h"
#include "heartbeat_parse.h"
#include "loop_handle.h"
#include "ownership.h"
#include "ownership_addon.h"
#include "prompt_loop_addon.h"

namespace firsthop {

namespace {

// A frame that makes a new program costs JavaScript about a millisecond: a flood of those must keep out neither
// timers nor the control socket.
constexpr size_t kFramesPerTurn = 32;
// Multicast groups of a port.
constexpr uint32_t kGroupsMax = 65536;

// The engine, as it tells JavaScript what happened.
class EngineHandle : public WakeHandle {
 public:
  // 0 or an errno.
  static int open(Napi::Env env, Napi::Function on_reports, int64_t control_timeout_ns,
                  std::shared_ptr<EngineHandle>* into) {
    auto made = std::make_shared<EngineHandle>(env, on_reports, control_timeout_ns);
    if (const int error = made->start()) return error;
    if (const int error = made->engine_.start()) {
      made->close();
      return error;
    }
    *into = std::move(made);
    return 0;
  }

  EngineHandle(Napi::Env env, Napi::Function on_reports, int64_t control_timeout_ns)
      : WakeHandle(env, "firsthop:heartbeat"),
        on_reports_(Napi::Persistent(on_reports)),
        engine_(Heartbeat::Options{control_timeout_ns, [this] { wake(); }}) {}

  Heartbeat& engine() { return engine_; }

 private:
  // Also at the end of the environment: the engine resigns, so that an Active router says so to its peers.
  void stop() override { engine_.stop(); }

  void woken() override {
    std::vector<Report> reports = engine_.takeReports(kFramesPerTurn);
    if (reports.empty()) return;
    // What is reported has been done; whoever works for the kernel on it, or beside it, goes first.
    finishTurnOrdinarily();
    // The rest comes after everybody else's turn of the loop.
    if (engine_.hasReports()) wake();
    Napi::Array list = Napi::Array::New(env(), reports.size());
    for (uint32_t i = 0; i < reports.size(); i++) list.Set(i, toObject(reports[i]));
    tell(on_reports_, {list});
  }

  Napi::Object toObject(Report& report) {
    Napi::Object object = Napi::Object::New(env());
    object.Set("atUs", micros(report.at_ns));
    switch (report.kind) {
      case Report::Kind::Transition:
        object.Set("type", "transition");
        object.Set("session", report.session);
        object.Set("epoch", report.epoch);
        object.Set("from", report.from);
        object.Set("to", report.to);
        object.Set("transition", report.transition);
        object.Set("carriedOutUs", micros(report.carried_out_ns));
        break;
      case Report::Kind::Frame: {
        object.Set("type", "frame");
        object.Set("port", report.session);
        object.Set("frame", toUint8Array(env(), report.frame));
        break;
      }
      case Report::Kind::Kernel:
      case Report::Kind::Performed: {
        const bool performed = report.kind == Report::Kind::Performed;
        object.Set("type", performed ? "performed" : "kernel");
        object.Set(performed ? "number" : "session", report.session);
        object.Set("epoch", report.epoch);
        Napi::Array failures = Napi::Array::New(env(), report.failures.size());
        for (uint32_t i = 0; i < report.failures.size(); i++) {
          Napi::Object failure = Napi::Object::New(env());
          failure.Set("label", report.failures[i].label);
          failure.Set("errno", uv_err_name(-report.failures[i].error));
          failures.Set(i, failure);
        }
        object.Set("failures", failures);
        break;
      }
      case Report::Kind::PortError:
        object.Set("type", "portError");
        object.Set("port", report.session);
        object.Set("errno", uv_err_name(-report.error));
        break;
      case Report::Kind::ControlRestored:
        object.Set("type", "controlRestored");
        object.Set("silentForUs", micros(report.carried_out_ns));
        break;
    }
    return object;
  }

  Napi::FunctionReference on_reports_;
  Heartbeat engine_;
};

class NativeHeartbeat : public Napi::ObjectWrap<NativeHeartbeat> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeHeartbeat",
                       {
                           InstanceMethod<&NativeHeartbeat::openLanPort>("openLanPort"),
                           InstanceMethod<&NativeHeartbeat::openDatagramPort>("openDatagramPort"),
                           InstanceMethod<&NativeHeartbeat::closePort>("closePort"),
                           InstanceMethod<&NativeHeartbeat::createSession>("createSession"),
                           InstanceMethod<&NativeHeartbeat::removeSession>("removeSession"),
                           InstanceMethod<&NativeHeartbeat::load>("load"),
                           InstanceMethod<&NativeHeartbeat::bindLease>("bindLease"),
                           InstanceMethod<&NativeHeartbeat::look>("look"),
                           InstanceMethod<&NativeHeartbeat::sequences>("sequences"),
                           InstanceMethod<&NativeHeartbeat::noteSequence>("noteSequence"),
                           InstanceMethod<&NativeHeartbeat::setSequences>("setSequences"),
                           InstanceMethod<&NativeHeartbeat::counters>("counters"),
                           InstanceMethod<&NativeHeartbeat::portCounters>("portCounters"),
                           InstanceMethod<&NativeHeartbeat::timing>("timing"),
                           InstanceMethod<&NativeHeartbeat::send>("send"),
                           InstanceMethod<&NativeHeartbeat::perform>("perform"),
                           InstanceMethod<&NativeHeartbeat::renew>("renew"),
                           InstanceMethod<&NativeHeartbeat::setAlive>("setAlive"),
                           InstanceMethod<&NativeHeartbeat::close>("close"),
                       });
  }

  explicit NativeHeartbeat(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeHeartbeat>(info) {
    uint32_t timeout_us = 0;
    if (!info[0].IsFunction() || !unsignedArgument(info, 1, &timeout_us) || timeout_us == 0) {
      throwType(info.Env(), "NativeHeartbeat(onReports, controlTimeoutUs) takes a function and a positive number");
      return;
    }
    std::shared_ptr<EngineHandle> opened;
    const int error = EngineHandle::open(info.Env(), info[0].As<Napi::Function>(), timeout_us * 1000LL, &opened);
    if (error != 0) throwCode(info.Env(), "the heartbeat engine can't start", error);
    else handle_ = LoopRef<EngineHandle>(opened);
  }

  ~NativeHeartbeat() override { handle_.close(); }

 private:
  // Null, with a pending error, after close.
  Heartbeat* engine(const Napi::CallbackInfo& info) {
    if (EngineHandle* handle = handle_.get()) return &handle->engine();
    Napi::Error::New(info.Env(), "the heartbeat engine is closed").ThrowAsJavaScriptException();
    return nullptr;
  }

  Napi::Value openLanPort(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return info.Env().Undefined();
    uint32_t ifindex = 0;
    Bytes filter;
    if (!unsignedArgument(info, 0, &ifindex) || ifindex == 0 || ifindex > INT32_MAX || !isShortList(info[2]) ||
        !isShortList(info[3])) {
      return throwType(info.Env(), "openLanPort(ifindex, filter, memberships, groups, udpPorts)");
    }
    if (!parseFilter(info[1], &filter)) return info.Env().Undefined();
    std::vector<sock_filter> program(filter.size() / sizeof(sock_filter));
    std::memcpy(program.data(), filter.data(), program.size() * sizeof(sock_filter));
    std::vector<Bytes> memberships(info[2].As<Napi::Array>().Length());
    for (uint32_t i = 0; i < memberships.size(); i++) {
      if (!parseBytes(info[2].As<Napi::Array>().Get(i), "membership", &memberships[i])) return info.Env().Undefined();
      if (memberships[i].size() != 6) return throwType(info.Env(), "a membership has 6 octets");
    }
    std::vector<std::string> groups(info[3].As<Napi::Array>().Length());
    for (uint32_t i = 0; i < groups.size(); i++) {
      const Napi::Value group = info[3].As<Napi::Array>().Get(i);
      if (!group.IsString()) return throwType(info.Env(), "a group must be an address in text form");
      groups[i] = group.As<Napi::String>().Utf8Value();
    }
    std::vector<uint16_t> udp_ports;
    if (info.Length() > 4 && info[4].IsArray()) {
      const auto list = info[4].As<Napi::Array>();
      for (uint32_t i = 0; i < list.Length(); i++) {
        const Napi::Value number = list.Get(i);
        const double value = number.IsNumber() ? number.As<Napi::Number>().DoubleValue() : 0;
        if (!(value >= 1 && value <= UINT16_MAX)) return throwType(info.Env(), "a UDP port is a number from 1 to 65535");
        udp_ports.push_back(static_cast<uint16_t>(value));
      }
    }
    uint32_t port = 0;
    const int error = heartbeat->openLanPort(static_cast<int>(ifindex), program, memberships, groups, &port, udp_ports);
    if (error != 0) return throwCode(info.Env(), "a packet socket can't be opened", error);
    return Napi::Number::New(info.Env(), port);
  }

  static bool isShortList(const Napi::Value& value) {
    return value.IsArray() && value.As<Napi::Array>().Length() <= kGroupsMax;
  }

  static bool parseFilter(Napi::Value value, Bytes* into) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      throwType(value.Env(), "filter must be a Uint8Array");
      return false;
    }
    const auto array = value.As<Napi::Uint8Array>();
    const size_t length = array.ElementLength();
    if (length == 0 || length % sizeof(sock_filter) != 0 || length / sizeof(sock_filter) > 4096) {
      throwType(value.Env(), "filter must hold 1 to 4096 instructions of 8 octets");
      return false;
    }
    into->assign(array.Data(), array.Data() + length);
    return true;
  }

  Napi::Value openDatagramPort(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return info.Env().Undefined();
    uint32_t ifindex = 0;
    if (!info[0].IsBoolean() || !unsignedArgument(info, 1, &ifindex) || ifindex > INT32_MAX) {
      return throwType(info.Env(), "openDatagramPort(ipv6, ifindex)");
    }
    uint32_t port = 0;
    const int error = heartbeat->openDatagramPort(info[0].As<Napi::Boolean>(), static_cast<int>(ifindex), &port);
    if (error != 0) return throwCode(info.Env(), "a raw socket can't be opened", error);
    return Napi::Number::New(info.Env(), port);
  }

  Napi::Value closePort(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t port = 0;
    if (heartbeat == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &port)) return throwType(info.Env(), "closePort(port)");
    return Napi::Boolean::New(info.Env(), heartbeat->closePort(port));
  }

  Napi::Value createSession(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return info.Env().Undefined();
    return Napi::Number::New(info.Env(), heartbeat->createSession());
  }

  Napi::Value removeSession(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t session = 0;
    if (heartbeat == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &session)) return throwType(info.Env(), "removeSession(session)");
    return Napi::Boolean::New(info.Env(), heartbeat->removeSession(session));
  }

  // load(session, program, posture, operations, baseUs, epoch)
  Napi::Value load(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    uint32_t posture = 0;
    uint32_t epoch = 0;
    if (info.Length() < 6 || !unsignedArgument(info, 0, &session) || !unsignedArgument(info, 2, &posture) ||
        !info[4].IsNumber() || !unsignedArgument(info, 5, &epoch)) {
      return throwType(env, "load(session, program, posture, operations, baseUs, epoch)");
    }
    std::shared_ptr<const Program> program;
    std::vector<Operation> operations;
    if (info[1].IsNull()) {
      program = heartbeat->program(session);
      if (program == nullptr) return throwType(env, "the session has no program yet");
    } else {
      std::shared_ptr<Program> parsed;
      if (!parseProgram(info[1], &parsed)) return env.Undefined();
      program = std::move(parsed);
    }
    if (posture >= program->postures.size()) return throwType(env, "entry.posture is not in the program");
    if (!parseOperations(info[3], *program, "entry.operations", &operations)) return env.Undefined();
    const double base_us = info[4].As<Napi::Number>().DoubleValue();
    if (!(base_us >= 0 && base_us < 9e12)) return throwType(env, "entry.baseUs is no time");
    switch (heartbeat->load(session, std::move(program), posture, operations, static_cast<int64_t>(base_us * 1000),
                            epoch)) {
      case Heartbeat::LoadResult::Loaded:
        return Napi::Boolean::New(env, true);
      case Heartbeat::LoadResult::Stale:
        return Napi::Boolean::New(env, false);
      case Heartbeat::LoadResult::NoSession:
        break;
    }
    return throwType(env, "there is no such session");
  }

  // bindLease(session, table, slot, overdueUs, limitUs)
  Napi::Value bindLease(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    uint32_t slot = 0;
    if (info.Length() < 5 || !unsignedArgument(info, 0, &session) || !unsignedArgument(info, 2, &slot) ||
        !info[3].IsNumber() || !info[4].IsNumber()) {
      return throwType(env, "bindLease(session, table, slot, overdueUs, limitUs)");
    }
    LeasePlace place;
    if (!info[1].IsNull()) {
      const std::shared_ptr<Ownership> table = ownershipOf(info[1]);
      if (table == nullptr) return throwType(env, "bindLease: table must be null or what openOwnership returned");
      fh_lease* lease = table->lease(slot);
      if (lease == nullptr) return throwType(env, "bindLease: there is no such slot");
      const double overdue_us = info[3].As<Napi::Number>().DoubleValue();
      const double limit_us = info[4].As<Napi::Number>().DoubleValue();
      if (!(overdue_us >= 0 && overdue_us < 9e12 && limit_us >= 0 && limit_us < 9e12)) {
        return throwType(env, "bindLease: overdueUs and limitUs must be durations");
      }
      place.lease = std::shared_ptr<fh_lease>(table, lease);
      place.head = std::shared_ptr<const fh_table_head>(table, table->head());
      place.overdue_ns = static_cast<int64_t>(overdue_us * 1000);
      place.limit_ns = static_cast<int64_t>(limit_us * 1000);
    }
    if (!heartbeat->bindLease(session, std::move(place))) return throwType(env, "there is no such session");
    return env.Undefined();
  }

  Napi::Value look(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    if (!unsignedArgument(info, 0, &session) || !info[1].IsBoolean()) return throwType(env, "look(session, freeze)");
    Heartbeat::Frozen frozen;
    if (!heartbeat->look(session, info[1].As<Napi::Boolean>(), &frozen)) return env.Null();
    Napi::Array deadlines = Napi::Array::New(env, frozen.deadlines_ns.size());
    for (uint32_t i = 0; i < frozen.deadlines_ns.size(); i++) {
      const int64_t at_ns = frozen.deadlines_ns[i];
      if (at_ns == kNever) {
        deadlines.Set(i, env.Null());
      } else {
        deadlines.Set(i, micros(at_ns));
      }
    }
    Napi::Array counters = Napi::Array::New(env, frozen.counters.size());
    for (uint32_t i = 0; i < frozen.counters.size(); i++) counters.Set(i, static_cast<double>(frozen.counters[i]));
    Napi::Object object = Napi::Object::New(env);
    object.Set("posture", frozen.posture);
    object.Set("deadlinesUs", deadlines);
    object.Set("counters", counters);
    return object;
  }

  Napi::Value sequences(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    Heartbeat::Sequences found;
    if (!unsignedArgument(info, 0, &session) || !heartbeat->sequences(session, &found)) {
      return throwType(env, "sequences(session): there is no such session");
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("sent", found.sent);
    object.Set("heard", found.known ? Napi::Value::From(env, found.heard) : env.Null());
    return object;
  }

  Napi::Value setSequences(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    Heartbeat::Sequences from;
    from.known = info.Length() > 2 && unsignedArgument(info, 2, &from.heard);
    if (!unsignedArgument(info, 0, &session) || !unsignedArgument(info, 1, &from.sent) ||
        !heartbeat->setSequences(session, from)) {
      return throwType(env, "setSequences(session, sent, heard): there is no such session");
    }
    return env.Undefined();
  }

  Napi::Value noteSequence(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return env.Undefined();
    uint32_t session = 0;
    uint32_t heard = 0;
    if (!unsignedArgument(info, 0, &session) || !unsignedArgument(info, 1, &heard) ||
        !heartbeat->noteSequence(session, heard)) {
      return throwType(env, "noteSequence(session, heard): there is no such session");
    }
    return env.Undefined();
  }

  Napi::Value counters(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t session = 0;
    if (heartbeat == nullptr) return info.Env().Undefined();
    double counters[kCounters];
    if (!unsignedArgument(info, 0, &session) || !heartbeat->counters(session, counters)) {
      return throwType(info.Env(), "counters(session): there is no such session");
    }
    auto array = Napi::Float64Array::New(info.Env(), kCounters);
    // There is none where the environment is ending.
    if (!array.IsEmpty()) std::copy(counters, counters + kCounters, array.Data());
    return array;
  }

  Napi::Value portCounters(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t port = 0;
    PortCounters counters;
    if (heartbeat == nullptr) return info.Env().Undefined();
    if (!unsignedArgument(info, 0, &port) || !heartbeat->portCounters(port, &counters)) {
      return throwType(info.Env(), "portCounters(port): there is no such port");
    }
    Napi::Object object = Napi::Object::New(info.Env());
    const auto set = [&](const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); };
    set("received", counters.received);
    set("matched", counters.matched);
    set("delivered", counters.delivered);
    set("droppedUnread", counters.dropped_unread);
    set("droppedByKernel", counters.dropped_by_kernel);
    set("sent", counters.sent);
    set("sendErrors", counters.send_errors);
    return object;
  }

  Napi::Value timing(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    if (heartbeat == nullptr) return info.Env().Undefined();
    const Napi::Env env = info.Env();
    const EngineTiming timing = heartbeat->timing();
    Napi::Object object = Napi::Object::New(env);
    Napi::Array bounds = Napi::Array::New(env);
    Napi::Array counts = Napi::Array::New(env);
    for (uint32_t i = 0; i < EngineTiming::kBoundsUs.size(); i++) bounds.Set(i, EngineTiming::kBoundsUs[i]);
    for (uint32_t i = 0; i < timing.lateness_counts.size(); i++) {
      counts.Set(i, static_cast<double>(timing.lateness_counts[i]));
    }
    object.Set("wakeups", static_cast<double>(timing.wakeups));
    object.Set("latenessMaxUs", micros(timing.lateness_max_ns));
    object.Set("latenessBoundsUs", bounds);
    object.Set("latenessCounts", counts);
    object.Set("skippedPeriods", static_cast<double>(timing.skipped_periods));
    object.Set("standIns", static_cast<double>(timing.stand_ins));
    object.Set("realtime", timing.realtime);
    object.Set("memoryLocked", timing.memory_locked);
    return object;
  }

  Napi::Value send(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t port = 0;
    Bytes frame;
    if (heartbeat == nullptr) return info.Env().Undefined();
    if (info.Length() < 2 || !unsignedArgument(info, 0, &port)) return throwType(info.Env(), "send(port, frame)");
    if (!parseBytes(info[1], "frame", &frame)) return info.Env().Undefined();
    return Napi::Boolean::New(info.Env(), heartbeat->send(port, frame));
  }

  Napi::Value perform(const Napi::CallbackInfo& info) {
    Heartbeat* heartbeat = engine(info);
    uint32_t number = 0;
    if (heartbeat == nullptr) return info.Env().Undefined();
    if (info.Length() < 2 || !unsignedArgument(info, 1, &number)) return throwType(info.Env(), "perform(steps, number)");
    auto plan = std::make_shared<KernelPlan>();
    if (!parseKernelSteps(info[0], "steps", plan.get())) return info.Env().Undefined();
    heartbeat->perform(std::move(plan), number);
    return info.Env().Undefined();
  }

  Napi::Value renew(const Napi::CallbackInfo& info) {
    if (EngineHandle* handle = handle_.get()) handle->engine().renew();
    return info.Env().Undefined();
  }

  Napi::Value setAlive(const Napi::CallbackInfo& info) {
    if (!info[0].IsBoolean()) return throwType(info.Env(), "setAlive(alive)");
    if (EngineHandle* handle = handle_.get()) handle->setAlive(info[0].As<Napi::Boolean>());
    return info.Env().Undefined();
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    handle_.close();
    return info.Env().Undefined();
  }

  LoopRef<EngineHandle> handle_;
};

}  // namespace

void registerHeartbeat(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeHeartbeat", NativeHeartbeat::define(env));
  exports.Set("monotonicUs", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), micros(Heartbeat::nowNs()));
  }));
}

}  // namespace firsthop
