// What every part of the addon says to JavaScript in the same way: wrong arguments, errors of the system, times.
#pragma once
#include <napi.h>
#include <uv.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace firsthop {

inline Napi::Value throwType(Napi::Env env, const std::string& text) {
  if (!env.IsExceptionPending()) Napi::TypeError::New(env, text).ThrowAsJavaScriptException();
  return env.Undefined();
}

// With the number as `errno` and the name as `code`.
inline Napi::Error errnoError(Napi::Env env, const std::string& what, int error) {
  Napi::Error failure = Napi::Error::New(env, what + ": " + std::strerror(error));
  failure.Set("errno", Napi::Number::New(env, error));
  failure.Set("code", uv_err_name(-error));
  return failure;
}

inline Napi::Value throwErrno(Napi::Env env, const std::string& what, int error) {
  errnoError(env, what, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

// With the name as `code`, in libuv's words, as Node's own errors are.
inline Napi::Value throwCode(Napi::Env env, const std::string& what, int error) {
  Napi::Error failure = Napi::Error::New(env, what + ": " + uv_strerror(-error));
  failure.Set("code", uv_err_name(-error));
  failure.ThrowAsJavaScriptException();
  return env.Undefined();
}

// A whole number within bounds, both included.
inline bool parseNumber(const Napi::Value& value, double low, double high, double* into) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= low && number <= high) || number != std::floor(number)) return false;
  *into = number;
  return true;
}

inline bool unsignedArgument(const Napi::CallbackInfo& info, size_t index, uint32_t* into) {
  double number = 0;
  if (info.Length() <= index || !parseNumber(info[index], 0, UINT32_MAX, &number)) return false;
  *into = static_cast<uint32_t>(number);
  return true;
}

// Empty where the environment is ending: it makes no arrays any more.
inline Napi::Value toUint8Array(Napi::Env env, const std::vector<uint8_t>& octets) {
  auto array = Napi::Uint8Array::New(env, octets.size());
  if (!array.IsEmpty() && !octets.empty()) std::memcpy(array.Data(), octets.data(), octets.size());
  return array;
}

inline double micros(int64_t ns) { return std::floor(static_cast<double>(ns) / 1000.0); }

}  // namespace firsthop
