// A thread with a name, a stack of its own that is in memory before it is needed, and a real-time priority
// where the system allows one. The stack is locked by itself: locking the whole process makes V8 abort.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

#include "util/locked_memory.h"

namespace firsthop {

class RealtimeThread {
 public:
  RealtimeThread() = default;
  ~RealtimeThread() { join(); }
  RealtimeThread(const RealtimeThread&) = delete;
  RealtimeThread& operator=(const RealtimeThread&) = delete;

  // 0 or an errno. Returns when the thread has its priority, or was refused it.
  int start(const char* name, int priority, std::function<void()> run) {
    name_ = name;
    priority_ = priority;
    run_ = std::move(run);
    if (!stack_.map(kStackSize, kGuardSize)) return errno;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack_.data() + kGuardSize, kStackSize - kGuardSize);
    // Signals are the process's business: none interrupts this thread.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread_, &attributes, entry, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error != 0) return error;
    started_ = true;
    std::unique_lock<std::mutex> lock(mutex_);
    set_up_.wait(lock, [this] { return ready_; });
    return 0;
  }

  void join() {
    if (started_) pthread_join(thread_, nullptr);
    started_ = false;
    stack_.release();
  }

  // Valid once `start` returned.
  bool realtime() const { return realtime_; }
  bool locked() const { return stack_.locked(); }

 private:
  static constexpr size_t kGuardSize = 64 * 1024;  // a page of whatever size
  static constexpr size_t kStackSize = (1 << 20) + kGuardSize;

  static void* entry(void* self_pointer) {
    auto* self = static_cast<RealtimeThread*>(self_pointer);
    pthread_setname_np(pthread_self(), self->name_);
    sched_param parameters{};
    parameters.sched_priority = self->priority_;
    {
      std::lock_guard<std::mutex> lock(self->mutex_);
      self->realtime_ = ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0;
      if (!self->realtime_) ::prctl(PR_SET_TIMERSLACK, 1UL);
      self->ready_ = true;
      self->set_up_.notify_one();
    }
    self->run_();
    return nullptr;
  }

  const char* name_ = "";
  int priority_ = 0;
  std::function<void()> run_;
  pthread_t thread_{};
  LockedMemory stack_;
  bool started_ = false;
  std::mutex mutex_;
  std::condition_variable set_up_;
  bool ready_ = false;
  bool realtime_ = false;
};

}  // namespace firsthop
