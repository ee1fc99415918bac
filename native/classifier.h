// Finds the session that expects a frame: tuple space search. Patterns of one length and mask form a group;
// within it one hash of the masked octets leads to the candidates, which are then compared in full. A LAN
// with hundreds of virtual routers has one or two groups, so a frame costs one or two hashes however many
// routers there are.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "program.h"

namespace firsthop {

// `Owner` tells whose pattern it is, and is compared by value.
template <typename Owner>
class Classifier {
 public:
  struct Match {
    Owner owner;
    uint32_t pattern;
  };

  void add(const FramePattern& pattern, Owner owner, uint32_t index) {
    Group& group = groupOf(pattern);
    group.entries.emplace(hash(pattern.bytes.data(), pattern.mask), Entry{masked(pattern), {owner, index}});
  }

  void remove(const FramePattern& pattern, Owner owner) {
    for (auto group = groups_.begin(); group != groups_.end(); ++group) {
      if ((*group)->mask != pattern.mask) continue;
      auto& entries = (*group)->entries;
      auto [it, end] = entries.equal_range(hash(pattern.bytes.data(), pattern.mask));
      while (it != end) it = it->second.match.owner == owner ? entries.erase(it) : std::next(it);
      if (entries.empty()) groups_.erase(group);
      return;
    }
  }

  // The first expectation that equals the frame under its mask and that `accept` takes, or null.
  template <typename Accept>
  const Match* find(const uint8_t* frame, size_t length, Accept accept) const {
    for (const auto& group : groups_) {
      if (group->mask.size() != length) continue;
      auto [it, end] = group->entries.equal_range(hash(frame, group->mask));
      for (; it != end; ++it) {
        if (equals(it->second.octets, frame, group->mask) && accept(it->second.match)) return &it->second.match;
      }
    }
    return nullptr;
  }

  const Match* find(const uint8_t* frame, size_t length) const {
    return find(frame, length, [](const Match&) { return true; });
  }

 private:
  struct Entry {
    Bytes octets;
    Match match;
  };
  struct Group {
    Bytes mask;
    std::unordered_multimap<uint64_t, Entry> entries;
  };

  Group& groupOf(const FramePattern& pattern) {
    for (auto& group : groups_) {
      if (group->mask == pattern.mask) return *group;
    }
    groups_.push_back(std::make_unique<Group>());
    groups_.back()->mask = pattern.mask;
    return *groups_.back();
  }

  static Bytes masked(const FramePattern& pattern) {
    Bytes octets(pattern.bytes);
    for (size_t i = 0; i < octets.size(); i++) octets[i] &= pattern.mask[i];
    return octets;
  }

  static uint64_t load(const uint8_t* from, size_t count) {
    uint64_t word = 0;
    std::memcpy(&word, from, count);
    return word;
  }

  // Sixteen octets in two multiplications; collisions are compared away, so it need not be cryptographic.
  static uint64_t hash(const uint8_t* frame, const Bytes& mask) {
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ mask.size();
    for (size_t i = 0; i < mask.size(); i += 8) {
      const size_t count = mask.size() - i < 8 ? mask.size() - i : 8;
      h = (h ^ (load(frame + i, count) & load(mask.data() + i, count))) * 0xff51afd7ed558ccdULL;
      h ^= h >> 32;
    }
    return h;
  }

  static bool equals(const Bytes& octets, const uint8_t* frame, const Bytes& mask) {
    for (size_t i = 0; i < mask.size(); i++) {
      if ((frame[i] & mask[i]) != octets[i]) return false;
    }
    return true;
  }

  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace firsthop
