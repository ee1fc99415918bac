// From the native threads to JavaScript: bounded, in order of happening. Frames have a bound of their own, so
// that no flood keeps out what the router must know (transitions, results of kernel plans). Those are few by
// nature: what a session does while JavaScript is silent ends with `controlLost`. Handed out in portions, so that
// the event loop gets its turns however much there is to read; what waits is bounded in time by what a frame costs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pi_mutex.h"
#include "program.h"

namespace firsthop {

struct StepFailure {
  std::string label;
  int error;
};

struct Report {
  enum class Kind : uint8_t { Transition, Frame, Kernel, Performed, PortError, ControlRestored };
  Kind kind = Kind::Frame;
  uint32_t session = 0;  // also: port, or number of a performed list
  uint32_t epoch = 0;
  uint32_t from = 0;
  uint32_t to = 0;
  uint32_t transition = 0;
  int64_t at_ns = 0;
  int64_t carried_out_ns = 0;
  int error = 0;
  Bytes frame;
  std::vector<StepFailure> failures;
};

class ReportQueue {
 public:
  static constexpr size_t kFramesMax = 1024;
  static constexpr size_t kFrameOctetsMax = 2 << 20;

  // False when the frame found no place.
  bool pushFrame(Report&& report) {
    std::lock_guard<PiMutex> lock(mutex_);
    if (frames_ >= kFramesMax || frame_octets_ + report.frame.size() > kFrameOctetsMax) return false;
    frames_++;
    frame_octets_ += report.frame.size();
    reports_.push_back(std::move(report));
    return true;
  }

  void push(Report&& report) {
    std::lock_guard<PiMutex> lock(mutex_);
    reports_.push_back(std::move(report));
  }

  // The oldest ones, up to and with the `frames_max`th frame.
  std::vector<Report> take(size_t frames_max = SIZE_MAX) {
    std::vector<Report> taken;
    std::lock_guard<PiMutex> lock(mutex_);
    for (size_t frames_taken = 0; !reports_.empty() && frames_taken < frames_max; reports_.pop_front()) {
      Report& oldest = reports_.front();
      if (oldest.kind == Report::Kind::Frame) {
        frames_taken++;
        frames_--;
        frame_octets_ -= oldest.frame.size();
      }
      taken.push_back(std::move(oldest));
    }
    return taken;
  }

  bool empty() {
    std::lock_guard<PiMutex> lock(mutex_);
    return reports_.empty();
  }

 private:
  PiMutex mutex_;
  std::deque<Report> reports_;
  size_t frames_ = 0;
  size_t frame_octets_ = 0;
};

}  // namespace firsthop
