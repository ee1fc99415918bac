// The event loop in the real-time class, as long as each of its turns is a short one (declared in
// src/native/prompt-loop.ts). The kernel counts the processor time of a turn, and its signal takes the thread out of the
// class in the middle of a long one: whoever computes for seconds must not keep a processor from those who forward.
#include "prompt_loop_addon.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "loop_handle.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace firsthop {

namespace {

// Below every thread that keeps appointments.
constexpr int kPriority = 1;
// Of processor time, in one turn. A failure takes about one millisecond of it.
constexpr long kBudgetNs = 20'000'000;
constexpr int kSignal = SIGXCPU;

// This thread's loop is one, and it left the class until its next turn.
thread_local bool is_prompt = false;
volatile sig_atomic_t left_class = 0;

// Threads and commands that it starts are ordinary ones.
bool schedule(int policy) {
  sched_param parameters{};
  parameters.sched_priority = policy == SCHED_OTHER ? 0 : kPriority;
  return ::sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &parameters) == 0;
}

// Whoever was given another class by the administrator keeps it, and does not pass it on to commands.
void keepForItself(int policy) {
  sched_param parameters{};
  if (::sched_getparam(0, &parameters) == 0) ::sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &parameters);
}

void onBudgetSpent(int) {
  const int before = errno;
  left_class = 1;
  schedule(SCHED_OTHER);
  errno = before;
}

class PromptLoop : public LoopHandle {
 public:
  static bool open(Napi::Env env) {
    const int given = ::sched_getscheduler(0);
    if (given != SCHED_OTHER) {
      keepForItself(given);
      return false;
    }
    auto made = std::make_shared<PromptLoop>(env);
    if (!made->makeTimer() || !schedule(SCHED_RR)) return false;
    if (uv_prepare_init(made->loop(), &made->prepare_) != 0) return false;
    made->adopt();
    made->setAlive(false);
    uv_prepare_start(&made->prepare_, [](uv_prepare_t* prepare) {
      static_cast<PromptLoop*>(static_cast<LoopHandle*>(prepare->data))->beginTurn();
    });
    made->beginTurn();
    is_prompt = true;
    return true;
  }

  explicit PromptLoop(Napi::Env env) : LoopHandle(env, "firsthop:prompt-loop") {}
  ~PromptLoop() override {
    if (has_timer_) ::timer_delete(timer_);
  }

 private:
  bool makeTimer() {
    struct sigaction action {};
    action.sa_handler = onBudgetSpent;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (::sigaction(kSignal, &action, nullptr) != 0) return false;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kSignal;
    event.sigev_notify_thread_id = static_cast<pid_t>(::syscall(SYS_gettid));
    has_timer_ = ::timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) == 0;
    return has_timer_;
  }

  // A turn begins where the loop waits: what it waits for follows.
  void beginTurn() {
    itimerspec budget{};
    budget.it_value.tv_nsec = kBudgetNs;
    ::timer_settime(timer_, 0, &budget, nullptr);
    if (left_class == 0) return;
    left_class = 0;
    schedule(SCHED_RR);
  }

  uv_handle_t* handle() override { return reinterpret_cast<uv_handle_t*>(&prepare_); }
  void stop() override {
    uv_prepare_stop(&prepare_);
    ::timer_delete(timer_);
    has_timer_ = false;
    is_prompt = false;
    schedule(SCHED_OTHER);
  }

  uv_prepare_t prepare_{};
  timer_t timer_{};
  bool has_timer_ = false;
};

Napi::Value runPromptly(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), PromptLoop::open(info.Env()));
}

}  // namespace

void finishTurnOrdinarily() {
  if (!is_prompt || left_class != 0) return;
  left_class = 1;
  schedule(SCHED_OTHER);
}

void registerPromptLoop(Napi::Env env, Napi::Object exports) {
  exports.Set("runPromptly", Napi::Function::New<runPromptly>(env, "runPromptly"));
}

}  // namespace firsthop
