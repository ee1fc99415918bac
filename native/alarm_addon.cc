// An alarm for JavaScript (declared in src/native/alarm.ts): Node's timers count whole milliseconds, and are up to two
// of them late. The kernel's timer is a descriptor that the event loop polls among all the others. Runs on the
// JavaScript thread.
#include "alarm_addon.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>

#include "addon_values.h"
#include "loop_handle.h"
#include "util/unique_fd.h"

namespace firsthop {

namespace {

// 285 years, in microseconds: whole in a double, and in nanoseconds still in 64 bits.
constexpr double kLatestUs = 9e15;

class Alarm : public PollHandle {
 public:
  // 0 or an errno.
  static int open(Napi::Env env, Napi::Function due, std::shared_ptr<Alarm>* into) {
    auto made = std::make_shared<Alarm>(env, due);
    made->fd_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!made->fd_.valid()) return errno;
    if (const int error = made->start(made->fd_.get(), UV_READABLE)) return error;
    made->setAlive(false);
    *into = std::move(made);
    return 0;
  }

  Alarm(Napi::Env env, Napi::Function due) : PollHandle(env, "firsthop:alarm"), due_(Napi::Persistent(due)) {}

  // Monotonic; 0: none.
  void set(int64_t at_ns) {
    itimerspec when{};
    when.it_value.tv_sec = at_ns / 1'000'000'000;
    when.it_value.tv_nsec = at_ns % 1'000'000'000;
    ::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    setAlive(at_ns != 0);
  }

 private:
  void ready(int /*status*/) override {
    uint64_t times = 0;
    // It may have been set anew since the loop was told.
    if (::read(fd_.get(), &times, sizeof times) != sizeof times) return;
    setAlive(false);
    tell(due_, {});
  }

  UniqueFd fd_;
  Napi::FunctionReference due_;
};

class NativeAlarm : public Napi::ObjectWrap<NativeAlarm> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeAlarm",
                       {
                           InstanceMethod<&NativeAlarm::set>("set"),
                           InstanceMethod<&NativeAlarm::close>("close"),
                       });
  }

  explicit NativeAlarm(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeAlarm>(info) {
    if (info.Length() < 1 || !info[0].IsFunction()) {
      throwType(info.Env(), "NativeAlarm(onDue) takes a function");
      return;
    }
    std::shared_ptr<Alarm> opened;
    if (const int error = Alarm::open(info.Env(), info[0].As<Napi::Function>(), &opened))
      throwCode(info.Env(), "there is no timer", error);
    else handle_ = LoopRef<Alarm>(opened);
  }

  ~NativeAlarm() override { handle_.close(); }

 private:
  Napi::Value set(const Napi::CallbackInfo& info) {
    const bool none = info.Length() < 1 || info[0].IsNull();
    double at_us = 0;
    if (!none && !parseNumber(info[0], 1, kLatestUs, &at_us))
      return throwType(info.Env(), "set(atUs) takes a whole number of microseconds, or null");
    if (Alarm* alarm = handle_.get()) alarm->set(static_cast<int64_t>(at_us) * 1000);
    return info.Env().Undefined();
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    handle_.close();
    return info.Env().Undefined();
  }

  LoopRef<Alarm> handle_;
};

}  // namespace

void registerAlarms(Napi::Env env, Napi::Object exports) { exports.Set("NativeAlarm", NativeAlarm::define(env)); }

}  // namespace firsthop
