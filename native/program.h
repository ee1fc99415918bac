// The automaton that a session runs, as src/core/automaton.ts declares it, in the form the engine executes.
// A program is immutable once it is validated; the engine and the kernel lane share it by pointer.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frame_guard.h"
#include "seal.h"

namespace firsthop {

constexpr int kTimers = 8;
constexpr int kCounters = 32;
constexpr int kSignals = 8;
constexpr int64_t kNever = INT64_MAX;
constexpr int16_t kNone = -1;

struct FramePattern {
  uint32_t port = 0;
  Bytes bytes;
  Bytes mask;
  // Where in the frame what the seal covers begins; negative: it has none.
  int32_t seal_at = -1;
  // How far ahead of the last one its number may be.
  uint32_t seal_window = 0;
  // With guards it is for frames that nobody has seen before: longer ones fit as well, and JavaScript gets them, too.
  std::vector<FrameGuard> guards;
};

struct KernelStep {
  enum class Kind : uint8_t { Netlink, Write, Send };
  Kind kind = Kind::Netlink;
  Bytes data;         // netlink message, or frame
  std::string label;  // for people; write: the path
  std::string value;  // write
  uint32_t port = 0;  // send
};

struct KernelPlan {
  std::vector<KernelStep> steps;
};

struct Operation {
  enum class Kind : uint8_t { Send, Arm, Cancel, Count, Kernel, Lease, Signal, ForgetSequence };
  Kind kind = Kind::Send;
  uint8_t slot = 0;       // timer, counter or signal; lease: 1 opens, 0 closes
  uint32_t index = 0;     // frame, plan or session
  uint32_t port = 0;      // send
  int32_t seal_at = -1;   // send: where what the seal covers begins
  int64_t after_ns = 0;   // arm
  int64_t jitter_ns = 0;  // arm: up to this much earlier
};

struct Transition {
  std::vector<Operation> operations;
  uint32_t next = 0;
  bool report = false;
};

struct Posture {
  std::vector<Transition> transitions;
  int16_t by_timer[kTimers];
  int16_t by_signal[kSignals];
  std::vector<int16_t> by_pattern;  // one for each pattern of the program
  int16_t on_control_lost = kNone;
  int16_t on_gave_way = kNone;

  Posture() {
    for (auto& one : by_timer) one = kNone;
    for (auto& one : by_signal) one = kNone;
  }
};

struct Program {
  std::shared_ptr<const Seal> seal;
  std::vector<Bytes> frames;
  std::vector<FramePattern> patterns;
  std::vector<std::shared_ptr<const KernelPlan>> kernel_plans;
  std::vector<Posture> postures;
};

}  // namespace firsthop
