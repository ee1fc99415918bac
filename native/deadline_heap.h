// Deadlines of all sessions, soonest first. Re-arming a timer to a later time, which every heard
// advertisement does, costs a store and no heap operation: its entry stays where it is and is put right when
// it comes up. A timer has at most one entry, so the heap is never larger than the number of timers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "program.h"

namespace firsthop {

struct Session;

// One timer of a session. It must not move or vanish while it is in the heap.
struct Timer {
  int64_t deadline_ns = kNever;
  // The moment that the deadline counts from.
  int64_t base_ns = 0;
  // How much a beat comes after its schedule, since it was late once; less than its period.
  int64_t behind_ns = 0;
  Session* session = nullptr;
  uint32_t position = kOutside;
  uint8_t index = 0;
  // The deadline passed while nobody was there, and was put off for it.
  bool extended = false;

  static constexpr uint32_t kOutside = UINT32_MAX;
  bool running() const { return deadline_ns != kNever; }
};

class DeadlineHeap {
 public:
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

  void arm(Timer& timer, int64_t deadline_ns) {
    timer.deadline_ns = deadline_ns;
    if (timer.position == Timer::kOutside) {
      entries_.push_back({deadline_ns, &timer});
      up(static_cast<uint32_t>(entries_.size() - 1));
    } else if (deadline_ns < entries_[timer.position].at_ns) {
      entries_[timer.position].at_ns = deadline_ns;
      up(timer.position);
    }
  }

  static void cancel(Timer& timer) { timer.deadline_ns = kNever; }

  // The timer that is due first, or null.
  Timer* first() {
    while (!entries_.empty()) {
      Entry& top = entries_.front();
      if (top.at_ns == top.timer->deadline_ns) return top.timer;
      if (top.timer->running()) {
        top.at_ns = top.timer->deadline_ns;
        down(0);
      } else {
        take(*top.timer);
      }
    }
    return nullptr;
  }

  // Takes a timer's entry out, whatever its deadline.
  void take(Timer& timer) {
    const uint32_t hole = timer.position;
    if (hole == Timer::kOutside) return;
    timer.position = Timer::kOutside;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (hole == entries_.size()) return;
    entries_[hole] = last;
    last.timer->position = hole;
    up(hole);
    down(last.timer->position);
  }

 private:
  struct Entry {
    // At or before the timer's deadline.
    int64_t at_ns;
    Timer* timer;
  };

  void place(uint32_t position, Entry entry) {
    entries_[position] = entry;
    entry.timer->position = position;
  }

  void up(uint32_t position) {
    const Entry entry = entries_[position];
    while (position > 0) {
      const uint32_t parent = (position - 1) / 2;
      if (entries_[parent].at_ns <= entry.at_ns) break;
      place(position, entries_[parent]);
      position = parent;
    }
    place(position, entry);
  }

  void down(uint32_t position) {
    const Entry entry = entries_[position];
    for (;;) {
      uint32_t child = 2 * position + 1;
      if (child >= entries_.size()) break;
      if (child + 1 < entries_.size() && entries_[child + 1].at_ns < entries_[child].at_ns) child++;
      if (entry.at_ns <= entries_[child].at_ns) break;
      place(position, entries_[child]);
      position = child;
    }
    place(position, entry);
  }

  std::vector<Entry> entries_;
};

}  // namespace firsthop
