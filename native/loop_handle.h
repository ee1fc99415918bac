// What libuv's loop owns and JavaScript is told by: a descriptor that is polled, or a native thread that wakes the loop.
// A handle outlives the JavaScript object that opened it, because closing takes a turn of the loop, also at the end of
// an environment: it keeps itself until it is closed, and who uses it holds a LoopRef. All of it on the JavaScript
// thread, but for WakeHandle::wake().
#pragma once
#include <napi.h>
#include <uv.h>

#include <memory>
#include <vector>

namespace firsthop {

class LoopHandle : public std::enable_shared_from_this<LoopHandle> {
 public:
  virtual ~LoopHandle() = default;
  LoopHandle(const LoopHandle&) = delete;
  LoopHandle& operator=(const LoopHandle&) = delete;

  // Once or more often. Nothing is told any more, but for what is being told.
  void close();
  bool closing() const { return closing_; }
  // Whether it keeps the process alive.
  void setAlive(bool alive);

 protected:
  // `name`: of its async resource.
  LoopHandle(Napi::Env env, const char* name) : env_(env), context_(env, name) {}

  // Has to hold from when the handle is initialised.
  virtual uv_handle_t* handle() = 0;
  // It is about to close: nothing may wake the loop from here on.
  virtual void stop() {}

  uv_loop_t* loop() const;
  // The handle is initialised: from here on the loop owns it, until close().
  void adopt();
  Napi::Env env() const { return env_; }
  // Calls a listener; what that throws is an uncaught exception of the environment.
  void tell(const Napi::FunctionReference& listener, const std::vector<napi_value>& arguments);

 private:
  static void onClosed(uv_handle_t* handle);

  Napi::Env env_;
  Napi::AsyncContext context_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::shared_ptr<LoopHandle> self_;
  bool closing_ = false;
};

// A descriptor that the loop polls.
class PollHandle : public LoopHandle {
 protected:
  using LoopHandle::LoopHandle;
  // 0 or an errno; `events` as libuv has them. The descriptor has to last until the handle is closed, or ready() said
  // enough().
  int start(int fd, int events);
  void enough() { uv_poll_stop(&poll_); }
  // `status`: 0, or libuv's error.
  virtual void ready(int status) = 0;

 private:
  uv_handle_t* handle() override { return reinterpret_cast<uv_handle_t*>(&poll_); }
  uv_poll_t poll_{};
};

// What other threads wake the loop for.
class WakeHandle : public LoopHandle {
 public:
  // Of any thread, from start() until stop() returned. Wake-ups before the loop's next turn are one.
  void wake() { uv_async_send(&async_); }

 protected:
  using LoopHandle::LoopHandle;
  // 0 or an errno.
  int start();
  virtual void woken() = 0;

 private:
  uv_handle_t* handle() override { return reinterpret_cast<uv_handle_t*>(&async_); }
  uv_async_t async_{};
};

// A handle as its JavaScript object has it: null once it is closed, whoever closed it.
template <typename T>
class LoopRef {
 public:
  LoopRef() = default;
  explicit LoopRef(const std::shared_ptr<T>& handle) : handle_(handle) {}

  T* get() const {
    const std::shared_ptr<T> handle = handle_.lock();
    return handle && !handle->closing() ? handle.get() : nullptr;  // the loop keeps it
  }
  void close() const {
    if (T* handle = get()) handle->close();
  }

 private:
  std::weak_ptr<T> handle_;
};

}  // namespace firsthop
