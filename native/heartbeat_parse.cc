#include "heartbeat_parse.h"

#include <cmath>
#include <cstring>
#include <string>

namespace firsthop {

namespace {

constexpr uint32_t kListMax = 65536;
// Every posture has a table of all patterns.
constexpr size_t kTableMax = 1 << 20;
constexpr size_t kFrameMax = 4608;
constexpr double kMicrosMax = 9e15 / 1000;  // as nanoseconds still exact in a double, and far from overflow

// A value that could not be read (a getter threw, the environment is ending) is empty and belongs to no environment;
// the exception is pending already.
bool fail(Napi::Env env, const std::string& text) {
  if (static_cast<napi_env>(env) == nullptr) return false;
  if (!env.IsExceptionPending()) Napi::TypeError::New(env, text).ThrowAsJavaScriptException();
  return false;
}

bool getNumber(Napi::Object from, const char* key, double max, const std::string& where, double* into) {
  const Napi::Value value = from.Get(key);
  if (from.Env().IsExceptionPending()) return false;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= max) || number != std::floor(number)) {
    const std::string limit = std::to_string(static_cast<long long>(max));
    return fail(from.Env(), where + "." + key + " must be an integer from 0 to " + limit);
  }
  *into = number;
  return true;
}

bool getIndex(Napi::Object from, const char* key, size_t size, const std::string& where, uint32_t* into) {
  double number = 0;
  if (size == 0) return fail(from.Env(), where + "." + key + " points into an empty list");
  if (!getNumber(from, key, static_cast<double>(size - 1), where, &number)) return false;
  *into = static_cast<uint32_t>(number);
  return true;
}

bool getString(Napi::Object from, const char* key, const std::string& where, std::string* into) {
  const Napi::Value value = from.Get(key);
  if (from.Env().IsExceptionPending()) return false;
  if (!value.IsString()) return fail(from.Env(), where + "." + key + " must be a string");
  *into = value.As<Napi::String>().Utf8Value();
  return true;
}

// Left out: false.
bool getFlag(Napi::Object from, const char* key, const std::string& where, bool* into) {
  const Napi::Value value = from.Get(key);
  if (value.IsEmpty()) return false;
  if (!value.IsUndefined() && !value.IsBoolean()) return fail(from.Env(), where + "." + key + " must be true or false");
  *into = value.IsBoolean() && value.As<Napi::Boolean>().Value();
  return true;
}

// False also where it can't be told; then an exception is pending.
bool has(Napi::Object from, const char* key) { return from.Has(key) && !from.Env().IsExceptionPending(); }

bool toList(Napi::Env env, Napi::Value value, const std::string& where, Napi::Array* into) {
  if (!value.IsArray()) return fail(env, where + " must be an array");
  *into = value.As<Napi::Array>();
  return into->Length() <= kListMax || fail(env, where + " is too long");
}

bool getList(Napi::Object from, const char* key, const std::string& where, Napi::Array* into) {
  const Napi::Value value = from.Get(key);
  if (from.Env().IsExceptionPending()) return false;
  return toList(from.Env(), value, where + "." + key, into);
}

bool getElement(Napi::Array list, uint32_t index, const std::string& where, Napi::Object* into) {
  const Napi::Value value = list.Get(index);
  if (list.Env().IsExceptionPending()) return false;
  if (!value.IsObject()) return fail(list.Env(), where + " must be an object");
  *into = value.As<Napi::Object>();
  return true;
}

std::string at(const std::string& where, uint32_t index) { return where + "[" + std::to_string(index) + "]"; }

// Where in a frame what the program's seal covers begins; there must be a checksum's room before it.
bool parseSealAt(Napi::Object from, const Program& program, const Bytes& frame, const std::string& where, int32_t* into) {
  if (!has(from, "sealAt")) return !from.Env().IsExceptionPending();
  double number = 0;
  if (program.seal == nullptr) return fail(from.Env(), where + ".sealAt: the program has no seal");
  if (!getNumber(from, "sealAt", kFrameMax, where, &number)) return false;
  if (number < 2 || number + static_cast<double>(program.seal->covered()) > static_cast<double>(frame.size())) {
    return fail(from.Env(), where + ".sealAt leaves no room for the seal");
  }
  *into = static_cast<int32_t>(number);
  return true;
}

bool parseSeal(Napi::Object from, Program* program) {
  if (!has(from, "seal")) return !from.Env().IsExceptionPending();
  const Napi::Value value = from.Get("seal");
  if (!value.IsObject()) return fail(from.Env(), "program.seal must be an object");
  const Napi::Object given = value.As<Napi::Object>();
  auto seal = std::make_unique<Seal>();
  std::string algorithm;
  if (!getString(given, "algorithm", "program.seal", &algorithm)) return false;
  if (algorithm != "md5" && algorithm != "sha1") return fail(from.Env(), "program.seal.algorithm must be md5 or sha1");
  seal->kind = algorithm == "md5" ? DigestKind::Md5 : DigestKind::Sha1;
  if (!parseBytes(given.Get("key"), "program.seal.key", &seal->key)) return false;
  if (seal->key.size() != digestLength(seal->kind)) {
    return fail(from.Env(), "program.seal.key must be as long as the digest");
  }
  double number = 0;
  if (!getNumber(given, "sequenceAt", kSealedMax, "program.seal", &number)) return false;
  seal->sequence_at = static_cast<uint32_t>(number);
  if (!getNumber(given, "digestAt", kSealedMax - kDigestMax, "program.seal", &number)) return false;
  seal->digest_at = static_cast<uint32_t>(number);
  if (seal->sequence_at % 2 != 0 || seal->digest_at < seal->sequence_at + 4) {
    return fail(from.Env(), "program.seal: the number stands at an even place before the digest");
  }
  if (!getFlag(given, "repeats", "program.seal", &seal->repeats)) return false;
  program->seal = std::move(seal);
  return true;
}

bool parseOperation(Napi::Object from, const Program& program, const std::string& where, Operation* into) {
  std::string kind;
  if (!getString(from, "op", where, &kind)) return false;
  double number = 0;
  if (kind == "send") {
    into->kind = Operation::Kind::Send;
    if (!getNumber(from, "port", UINT32_MAX, where, &number)) return false;
    into->port = static_cast<uint32_t>(number);
    if (!getIndex(from, "frame", program.frames.size(), where, &into->index)) return false;
    return parseSealAt(from, program, program.frames[into->index], where, &into->seal_at);
  }
  if (kind == "arm" || kind == "cancel") {
    into->kind = kind == "arm" ? Operation::Kind::Arm : Operation::Kind::Cancel;
    if (!getNumber(from, "timer", kTimers - 1, where, &number)) return false;
    into->slot = static_cast<uint8_t>(number);
    if (kind == "cancel") return true;
    if (!getNumber(from, "afterUs", kMicrosMax, where, &number)) return false;
    into->after_ns = static_cast<int64_t>(number * 1000);
    if (!has(from, "jitterUs")) return !from.Env().IsExceptionPending();
    if (!getNumber(from, "jitterUs", number, where, &number)) return false;
    into->jitter_ns = static_cast<int64_t>(number * 1000);
    return true;
  }
  if (kind == "count") {
    into->kind = Operation::Kind::Count;
    if (!getNumber(from, "counter", kCounters - 1, where, &number)) return false;
    into->slot = static_cast<uint8_t>(number);
    return true;
  }
  if (kind == "kernel") {
    into->kind = Operation::Kind::Kernel;
    return getIndex(from, "plan", program.kernel_plans.size(), where, &into->index);
  }
  if (kind == "lease") {
    bool open = false;
    into->kind = Operation::Kind::Lease;
    if (!getFlag(from, "open", where, &open)) return false;
    into->slot = open ? 1 : 0;
    return true;
  }
  if (kind == "signal") {
    into->kind = Operation::Kind::Signal;
    if (!getNumber(from, "session", UINT32_MAX, where, &number)) return false;
    into->index = static_cast<uint32_t>(number);
    if (!getNumber(from, "signal", kSignals - 1, where, &number)) return false;
    into->slot = static_cast<uint8_t>(number);
    return true;
  }
  if (kind == "forgetSequence") {
    into->kind = Operation::Kind::ForgetSequence;
    return true;
  }
  const char* known = "; it must be send, arm, cancel, count, kernel, lease, signal or forgetSequence";
  return fail(from.Env(), where + ".op is '" + kind + "'" + known);
}

bool parseTrigger(Napi::Object from, const Program& program, const std::string& where, int16_t index, Posture* posture) {
  std::string on;
  if (!getString(from, "on", where, &on)) return false;
  int16_t* slot = nullptr;
  double number = 0;
  uint32_t pattern = 0;
  if (on == "timer") {
    if (!getNumber(from, "timer", kTimers - 1, where, &number)) return false;
    slot = &posture->by_timer[static_cast<size_t>(number)];
  } else if (on == "pattern") {
    if (!getIndex(from, "pattern", program.patterns.size(), where, &pattern)) return false;
    slot = &posture->by_pattern[pattern];
  } else if (on == "signal") {
    if (!getNumber(from, "signal", kSignals - 1, where, &number)) return false;
    slot = &posture->by_signal[static_cast<size_t>(number)];
  } else if (on == "controlLost") {
    slot = &posture->on_control_lost;
  } else if (on == "gaveWay") {
    slot = &posture->on_gave_way;
  } else {
    return fail(from.Env(), where + ".on is '" + on + "'; it must be timer, pattern, signal, controlLost or gaveWay");
  }
  if (*slot != kNone) return fail(from.Env(), where + " is the trigger of another transition already");
  *slot = index;
  return true;
}

bool parsePosture(Napi::Object from, const Program& program, size_t postures, const std::string& where,
                  Posture* posture) {
  Napi::Array transitions;
  if (!getList(from, "transitions", where, &transitions)) return false;
  if (transitions.Length() > INT16_MAX) return fail(from.Env(), where + " has too many transitions");
  posture->by_pattern.assign(program.patterns.size(), kNone);
  posture->transitions.resize(transitions.Length());
  for (uint32_t i = 0; i < transitions.Length(); i++) {
    Napi::HandleScope scope(from.Env());
    const std::string here = at(where + ".transitions", i);
    Napi::Object object;
    if (!getElement(transitions, i, here, &object)) return false;
    Transition& transition = posture->transitions[i];
    const Napi::Value trigger = object.Get("trigger");
    if (!trigger.IsObject()) return fail(from.Env(), here + ".trigger must be an object");
    if (!parseTrigger(trigger.As<Napi::Object>(), program, here + ".trigger", static_cast<int16_t>(i), posture)) return false;
    if (!getIndex(object, "next", postures, here, &transition.next)) return false;
    if (!getFlag(object, "report", here, &transition.report)) return false;
    if (!parseOperations(object.Get("operations"), program, (here + ".operations").c_str(), &transition.operations)) {
      return false;
    }
  }
  return true;
}

// A part of the octets that a pattern compares.
bool parseRange(Napi::Object from, const char* first, const char* behind, const Bytes& frame, const std::string& where,
                FrameGuard::Range* into) {
  double begin = 0;
  double end = 0;
  const auto size = static_cast<double>(frame.size());
  if (!getNumber(from, first, size, where, &begin) || !getNumber(from, behind, size, where, &end)) return false;
  if (begin > end) return fail(from.Env(), where + "." + behind + " must not be before " + first);
  into->from = static_cast<uint16_t>(begin);
  into->to = static_cast<uint16_t>(end);
  return true;
}

bool parsePseudoHeader(Napi::Object from, const Bytes& frame, const std::string& where, FrameGuard* into) {
  if (!has(from, "pseudoHeader")) return !from.Env().IsExceptionPending();
  const Napi::Value value = from.Get("pseudoHeader");
  const std::string here = where + ".pseudoHeader";
  if (!value.IsObject()) return fail(from.Env(), here + " must be an object");
  const Napi::Object given = value.As<Napi::Object>();
  double rest = 0;
  bool optional = false;
  if (!parseRange(given, "from", "to", frame, here, &into->pseudo)) return false;
  if (!getNumber(given, "rest", UINT16_MAX, here, &rest) || !getFlag(given, "optional", here, &optional)) return false;
  into->pseudo_rest = static_cast<uint16_t>(rest);
  into->with_pseudo = optional ? FrameGuard::Pseudo::Either : FrameGuard::Pseudo::Always;
  return true;
}

bool parseGuard(Napi::Object from, const Bytes& frame, const std::string& where, FrameGuard* into) {
  std::string kind;
  if (!getString(from, "guard", where, &kind)) return false;
  if (kind == "checksum") {
    into->kind = FrameGuard::Kind::Checksum;
    return parseRange(from, "from", "to", frame, where, &into->covered) && parsePseudoHeader(from, frame, where, into);
  }
  uint32_t place = 0;
  double number = 0;
  if (!getIndex(from, "at", frame.size(), where, &place)) return false;
  into->at = static_cast<uint16_t>(place);
  if (kind == "octet") {
    into->kind = FrameGuard::Kind::Octet;
    if (!getNumber(from, "least", UINT8_MAX, where, &number)) return false;
    into->least = static_cast<uint8_t>(number);
    if (!getNumber(from, "most", UINT8_MAX, where, &number)) return false;
    into->most = static_cast<uint8_t>(number);
    return true;
  }
  if (kind == "differs") {
    into->kind = FrameGuard::Kind::Differs;
    if (!parseBytes(from.Get("octets"), (where + ".octets").c_str(), &into->octets)) return false;
    if (!into->octets.empty() && place + into->octets.size() <= frame.size()) return true;
    return fail(from.Env(), where + ".octets must lie in the pattern");
  }
  return fail(from.Env(), where + ".guard is '" + kind + "'; it must be octet, differs or checksum");
}

bool parseGuards(Napi::Object from, const std::string& where, FramePattern* into) {
  if (!has(from, "guards")) return !from.Env().IsExceptionPending();
  Napi::Array guards;
  if (!getList(from, "guards", where, &guards)) return false;
  into->guards.resize(guards.Length());
  for (uint32_t i = 0; i < guards.Length(); i++) {
    const std::string here = at(where + ".guards", i);
    Napi::Object object;
    if (!getElement(guards, i, here, &object)) return false;
    if (!parseGuard(object, into->bytes, here, &into->guards[i])) return false;
  }
  return true;
}

bool parsePatterns(Napi::Object from, Program* program) {
  Napi::Array patterns;
  if (!getList(from, "patterns", "program", &patterns)) return false;
  program->patterns.resize(patterns.Length());
  for (uint32_t i = 0; i < patterns.Length(); i++) {
    const std::string here = at("program.patterns", i);
    Napi::Object object;
    double port = 0;
    FramePattern& pattern = program->patterns[i];
    if (!getElement(patterns, i, here, &object)) return false;
    if (!getNumber(object, "port", UINT32_MAX, here, &port)) return false;
    pattern.port = static_cast<uint32_t>(port);
    if (!parseBytes(object.Get("bytes"), (here + ".bytes").c_str(), &pattern.bytes)) return false;
    if (!parseBytes(object.Get("mask"), (here + ".mask").c_str(), &pattern.mask)) return false;
    if (pattern.bytes.size() != pattern.mask.size()) return fail(from.Env(), here + ": bytes and mask differ in length");
    if (pattern.bytes.empty()) return fail(from.Env(), here + " is empty");
    if (!parseGuards(object, here, &pattern)) return false;
    if (!parseSealAt(object, *program, pattern.bytes, here, &pattern.seal_at)) return false;
    if (pattern.seal_at < 0) continue;
    if (!getNumber(object, "sealWindow", UINT32_MAX, here, &port)) return false;
    pattern.seal_window = static_cast<uint32_t>(port);
  }
  return true;
}

bool parseParts(Napi::Object from, Program* program) {
  Napi::Array list;
  if (!getList(from, "frames", "program", &list)) return false;
  program->frames.resize(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    if (!parseBytes(list.Get(i), at("program.frames", i).c_str(), &program->frames[i])) return false;
  }
  if (!parseSeal(from, program) || !parsePatterns(from, program)) return false;
  if (!getList(from, "kernelPlans", "program", &list)) return false;
  for (uint32_t i = 0; i < list.Length(); i++) {
    auto plan = std::make_shared<KernelPlan>();
    if (!parseKernelSteps(list.Get(i), at("program.kernelPlans", i).c_str(), plan.get())) return false;
    program->kernel_plans.push_back(std::move(plan));
  }
  return true;
}

}  // namespace

bool parseBytes(Napi::Value value, const char* where, Bytes* into) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    return fail(value.Env(), std::string(where) + " must be a Uint8Array");
  }
  const auto array = value.As<Napi::Uint8Array>();
  if (array.ElementLength() > kFrameMax) return fail(value.Env(), std::string(where) + " is longer than a frame");
  into->assign(array.Data(), array.Data() + array.ElementLength());
  return true;
}

bool parseOperations(Napi::Value value, const Program& program, const char* where, std::vector<Operation>* into) {
  Napi::Array list;
  if (!toList(value.Env(), value, where, &list)) return false;
  into->resize(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::HandleScope scope(value.Env());
    Napi::Object object;
    if (!getElement(list, i, at(where, i), &object)) return false;
    if (!parseOperation(object, program, at(where, i), &(*into)[i])) return false;
  }
  return true;
}

bool parseKernelSteps(Napi::Value value, const char* where, KernelPlan* into) {
  Napi::Array list;
  if (!toList(value.Env(), value, where, &list)) return false;
  into->steps.resize(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::HandleScope scope(value.Env());
    const std::string here = at(where, i);
    Napi::Object object;
    std::string kind;
    if (!getElement(list, i, here, &object) || !getString(object, "step", here, &kind)) return false;
    KernelStep& step = into->steps[i];
    if (kind == "netlink") {
      step.kind = KernelStep::Kind::Netlink;
      if (!getString(object, "label", here, &step.label)) return false;
      if (!parseBytes(object.Get("message"), (here + ".message").c_str(), &step.data)) return false;
      uint32_t length = 0;
      if (step.data.size() >= 16) std::memcpy(&length, step.data.data(), sizeof(length));
      if (length == 0 || length != step.data.size()) {
        return fail(value.Env(), here + ".message must be one netlink message whose header has its length");
      }
    } else if (kind == "write") {
      step.kind = KernelStep::Kind::Write;
      if (!getString(object, "path", here, &step.label) || !getString(object, "value", here, &step.value)) return false;
    } else if (kind == "send") {
      double port = 0;
      step.kind = KernelStep::Kind::Send;
      if (!getNumber(object, "port", UINT32_MAX, here, &port)) return false;
      step.port = static_cast<uint32_t>(port);
      if (!parseBytes(object.Get("frame"), (here + ".frame").c_str(), &step.data)) return false;
    } else {
      return fail(value.Env(), here + ".step is '" + kind + "'; it must be netlink, write or send");
    }
  }
  return true;
}

bool parseProgram(Napi::Value value, std::shared_ptr<Program>* into) {
  const Napi::Env env = value.Env();
  if (!value.IsObject()) return fail(env, "program must be an object");
  const Napi::Object from = value.As<Napi::Object>();
  auto program = std::make_shared<Program>();
  if (!parseParts(from, program.get())) return false;
  Napi::Array postures;
  if (!getList(from, "postures", "program", &postures)) return false;
  if (postures.Length() == 0) return fail(env, "program.postures is empty");
  if (postures.Length() * program->patterns.size() > kTableMax) {
    return fail(env, "program has too many postures and patterns");
  }
  program->postures.resize(postures.Length());
  for (uint32_t i = 0; i < postures.Length(); i++) {
    Napi::HandleScope scope(env);
    Napi::Object object;
    const std::string here = at("program.postures", i);
    if (!getElement(postures, i, here, &object)) return false;
    if (!parsePosture(object, *program, postures.Length(), here, &program->postures[i])) return false;
  }
  *into = std::move(program);
  return true;
}

}  // namespace firsthop
