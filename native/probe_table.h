// All targets of a prober: by number, by slot, and by when something has to be done about them. Belongs to one thread.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "probe_target.h"

namespace firsthop {

class ProbeTable {
 public:
  static constexpr int64_t kNeverNs = INT64_MAX;

  // Gives it a slot; it is not due before push().
  ProbeTarget& add(std::unique_ptr<ProbeTarget> target);
  // Null if there is none.
  std::unique_ptr<ProbeTarget> remove(uint32_t id);
  ProbeTarget* find(uint32_t id);
  ProbeTarget* at(uint32_t slot) { return slot < targets_.size() ? targets_[slot].get() : nullptr; }
  // It is needed soon: between two probes of a target a processor has forgotten it, and a thousand come up in a row.
  void foresee(uint32_t slot) const;

  // Once for each target that is to come up; when it is put off meanwhile, it comes up later by itself.
  void push(const ProbeTarget& target);
  // Of the target that comes up next; kNeverNs without any.
  int64_t nextNs();
  // The target that comes up next, if it is time for it; else null. It comes up again after another push().
  ProbeTarget* pop(int64_t now_ns);

 private:
  struct Due {
    int64_t at_ns;
    uint32_t slot;
    uint32_t generation;
    bool operator<(const Due& other) const { return at_ns > other.at_ns; }
  };

  void drop();

  std::vector<std::unique_ptr<ProbeTarget>> targets_;
  std::vector<uint32_t> free_slots_;
  std::unordered_map<uint32_t, uint32_t> slots_;
  // A heap; at or before the time of its target, which may be gone.
  std::vector<Due> due_;
  uint32_t generation_ = 0;
};

}  // namespace firsthop
