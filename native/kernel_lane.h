// The thread that carries out kernel plans, strictly in order. It is apart from the heartbeat thread because
// an rtnetlink request waits for the RTNL lock, which another process may hold for tens of milliseconds.
#pragma once
#include <condition_variable>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "program.h"
#include "realtime_thread.h"
#include "report_queue.h"
#include "util/unique_fd.h"

namespace firsthop {

class KernelLane {
 public:
  using SendFrames = std::function<void(uint32_t port, const Bytes* const* frames, size_t count)>;
  using Done = std::function<void(std::vector<StepFailure>&& failures)>;

  KernelLane(int priority, SendFrames send);
  ~KernelLane();
  KernelLane(const KernelLane&) = delete;
  KernelLane& operator=(const KernelLane&) = delete;

  // 0 or an errno.
  int start();
  void submit(std::shared_ptr<const KernelPlan> plan, Done done);
  // A plan is likely before this time: the thread stays awake for it, because to wake it would take longer than
  // the plan does.
  void expectUntil(int64_t until_ns);
  // Carries out what is queued and ends the thread. After `limit_ms` no further plan is begun; the step under
  // way is waited for, because the kernel can't be interrupted in it.
  void stop(int limit_ms);

 private:
  struct Job {
    std::shared_ptr<const KernelPlan> plan;
    Done done;
  };

  void run();
  void waitForJob();
  void wake();
  std::vector<StepFailure> perform(const KernelPlan& plan);
  int requestNetlink(const Bytes& message);
  int awaitAnswer();

  const int priority_;
  const SendFrames send_;
  UniqueFd wake_;
  UniqueFd netlink_;
  uint32_t sequence_ = 0;
  PiMutex mutex_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  int64_t stop_at_ns_ = 0;
  std::atomic<int64_t> awake_until_ns_{0};
  // Whether the thread looks for jobs by itself, so that nobody has to wake it.
  std::atomic<bool> looking_{false};
  std::atomic<bool> submitted_{false};
  // Last: its destruction joins the thread, which uses all of the above.
  RealtimeThread thread_;
};

}  // namespace firsthop
