// The thread that carries out kernel plans, strictly in order. It is apart from the heartbeat thread because
// an rtnetlink request waits for the RTNL lock, which another process may hold for tens of milliseconds.
#pragma once
#include <condition_variable>
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
  // Carries out what is queued and ends the thread. After `limit_ms` no further plan is begun; the step under
  // way is waited for, because the kernel can't be interrupted in it.
  void stop(int limit_ms);

 private:
  struct Job {
    std::shared_ptr<const KernelPlan> plan;
    Done done;
  };

  void run();
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
  // Last: its destruction joins the thread, which uses all of the above.
  RealtimeThread thread_;
};

}  // namespace firsthop
