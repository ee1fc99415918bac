// A thread that is joined at the end of its scope. Where none can be made, start() says so: std::thread throws then,
// which ends a process that is built without exceptions.
#pragma once
#include <pthread.h>

#include <csignal>
#include <functional>
#include <memory>
#include <utility>

namespace firsthop {

class JoinedThread {
 public:
  JoinedThread() = default;
  ~JoinedThread() { join(); }
  JoinedThread(const JoinedThread&) = delete;
  JoinedThread& operator=(const JoinedThread&) = delete;

  // 0 or an errno. Signals are the process's business: none interrupts this thread.
  int start(std::function<void()> run) {
    auto handed = std::make_unique<std::function<void()>>(std::move(run));
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread_, nullptr, entry, handed.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) return error;
    handed.release();  // the thread has it now
    started_ = true;
    return 0;
  }

  bool running() const { return started_; }

  void join() {
    if (started_) pthread_join(thread_, nullptr);
    started_ = false;
  }

 private:
  static void* entry(void* handed) {
    const std::unique_ptr<std::function<void()>> run(static_cast<std::function<void()>*>(handed));
    (*run)();
    return nullptr;
  }

  pthread_t thread_{};
  bool started_ = false;
};

}  // namespace firsthop
