// see probe_table.h
#include "probe_table.h"

#include <algorithm>
#include <utility>

namespace firsthop {

ProbeTarget& ProbeTable::add(std::unique_ptr<ProbeTarget> target) {
  target->generation = ++generation_;
  if (free_slots_.empty()) {
    target->slot = static_cast<uint32_t>(targets_.size());
    targets_.emplace_back();
  } else {
    target->slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[target->id] = target->slot;
  std::unique_ptr<ProbeTarget>& place = targets_[target->slot];
  place = std::move(target);
  return *place;
}

std::unique_ptr<ProbeTarget> ProbeTable::remove(uint32_t id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return nullptr;
  const uint32_t slot = found->second;
  slots_.erase(found);
  free_slots_.push_back(slot);
  return std::move(targets_[slot]);
}

ProbeTarget* ProbeTable::find(uint32_t id) {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : targets_[found->second].get();
}

void ProbeTable::foresee(uint32_t slot) const {
  constexpr size_t kCacheLine = 64;
  if (slot >= targets_.size()) return;
  const auto* target = reinterpret_cast<const char*>(targets_[slot].get());
  if (target == nullptr) return;
  for (size_t at = 0; at < sizeof(ProbeTarget); at += kCacheLine) __builtin_prefetch(target + at, 1);
}

void ProbeTable::push(const ProbeTarget& target) {
  due_.push_back({target.nextNs(), target.slot, target.generation});
  std::push_heap(due_.begin(), due_.end());
}

int64_t ProbeTable::nextNs() {
  while (!due_.empty()) {
    const Due top = due_.front();
    const ProbeTarget* target = at(top.slot);
    const bool live = target != nullptr && target->generation == top.generation;
    if (live && target->nextNs() == top.at_ns) return top.at_ns;
    drop();
    if (live) push(*target);
  }
  return kNeverNs;
}

ProbeTarget* ProbeTable::pop(int64_t now_ns) {
  if (nextNs() > now_ns) return nullptr;
  ProbeTarget* target = at(due_.front().slot);
  drop();
  for (size_t next = 0; next < 3 && next < due_.size(); next++) foresee(due_[next].slot);
  return target;
}

void ProbeTable::drop() {
  std::pop_heap(due_.begin(), due_.end());
  due_.pop_back();
}

}  // namespace firsthop
