// Deadlines of all sessions, soonest first. Re-arming a timer to a later time, which every heard advertisement
// does, costs a store and no heap operation: the entry stays where it is and is put right when it comes up.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace firsthop {

struct DeadlineEntry {
  int64_t at_ns;
  uint32_t session;
  uint8_t timer;
};

class DeadlineHeap {
 public:
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const DeadlineEntry& top() const { return entries_.front(); }

  void push(DeadlineEntry entry) {
    entries_.push_back(entry);
    std::push_heap(entries_.begin(), entries_.end(), later);
  }

  void pop() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    entries_.pop_back();
  }

 private:
  static bool later(const DeadlineEntry& a, const DeadlineEntry& b) { return a.at_ns > b.at_ns; }
  std::vector<DeadlineEntry> entries_;
};

}  // namespace firsthop
