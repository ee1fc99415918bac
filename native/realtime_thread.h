// A thread with a name, a stack of its own that is in memory before it is needed, and a real-time priority where
// the system allows one. The stack is locked by itself: locking the whole process makes V8 abort.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>

namespace firsthop {

class RealtimeThread {
 public:
  RealtimeThread() = default;
  ~RealtimeThread() { join(); }
  RealtimeThread(const RealtimeThread&) = delete;
  RealtimeThread& operator=(const RealtimeThread&) = delete;

  // 0 or an errno.
  int start(const char* name, int priority, std::function<void()> run) {
    name_ = name;
    priority_ = priority;
    run_ = std::move(run);
    stack_ = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_POPULATE,
                    -1, 0);
    if (stack_ == MAP_FAILED) {
      stack_ = nullptr;
      return errno;
    }
    locked_ = ::mlock(stack_, kStackSize) == 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack_, kStackSize);
    const int error = pthread_create(&thread_, &attributes, entry, this);
    pthread_attr_destroy(&attributes);
    started_ = error == 0;
    return error;
  }

  void join() {
    if (started_) pthread_join(thread_, nullptr);
    started_ = false;
    if (stack_ != nullptr) ::munmap(stack_, kStackSize);
    stack_ = nullptr;
  }

  bool realtime() const { return realtime_; }
  bool locked() const { return locked_; }

 private:
  static constexpr size_t kStackSize = 1 << 20;

  static void* entry(void* self_pointer) {
    auto* self = static_cast<RealtimeThread*>(self_pointer);
    pthread_setname_np(pthread_self(), self->name_);
    sched_param parameters{};
    parameters.sched_priority = self->priority_;
    self->realtime_ = ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0;
    if (!self->realtime_) ::prctl(PR_SET_TIMERSLACK, 1UL);
    self->run_();
    return nullptr;
  }

  const char* name_ = "";
  int priority_ = 0;
  std::function<void()> run_;
  pthread_t thread_{};
  void* stack_ = nullptr;
  bool started_ = false;
  std::atomic<bool> realtime_{false};
  bool locked_ = false;
};

}  // namespace firsthop
