// Finds the session that expects a frame: tuple space search. Patterns of one length and mask form a group;
// within it one hash of the masked octets leads to the candidates, which are then compared in full. A LAN
// with hundreds of virtual routers has one or two groups, so a frame costs one or two hashes however many
// routers there are.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "program.h"

namespace firsthop {

// What is compared lies side by side in two arrays, because there are many routers and each is asked once an interval:
// what a frame costs is memory that no cache holds any more.
//
// `Owner` tells whose pattern it is, and is compared by value.
template <typename Owner>
class Classifier {
 public:
  struct Match {
    Owner owner;
    uint32_t pattern;
  };

  void add(const FramePattern& pattern, Owner owner, uint32_t index) { groupOf(pattern).add(pattern, {owner, index}); }

  void remove(const FramePattern& pattern, Owner owner) {
    for (auto group = groups_.begin(); group != groups_.end(); ++group) {
      if ((*group)->mask != pattern.mask) continue;
      (*group)->remove(pattern, owner);
      if ((*group)->count == 0) groups_.erase(group);
      return;
    }
  }

  // The first expectation that equals the frame under its mask and that `accept` takes, or null.
  template <typename Accept>
  const Match* find(const uint8_t* frame, size_t length, Accept accept) const {
    for (const auto& group : groups_) {
      if (group->mask.size() != length) continue;
      if (const Match* match = group->find(frame, accept)) return match;
    }
    return nullptr;
  }

  // The same for frames that only begin like that: what is behind is not compared.
  template <typename Accept>
  const Match* findBeginning(const uint8_t* frame, size_t length, Accept accept) const {
    for (const auto& group : groups_) {
      if (group->mask.size() > length) continue;
      if (const Match* match = group->find(frame, accept)) return match;
    }
    return nullptr;
  }

  const Match* find(const uint8_t* frame, size_t length) const {
    return find(frame, length, [](const Match&) { return true; });
  }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  static constexpr size_t kWord = sizeof(uint64_t);
  static constexpr size_t kSlotsMin = 16;

  struct Slot {
    uint64_t hash = 0;
    Match match{Owner{}, kFree};
    bool taken() const { return match.pattern != kFree; }
  };

  // A hash table with open addressing; at least half of its slots are free.
  struct Group {
    Bytes mask;
    size_t words = 0;
    size_t count = 0;
    std::vector<Slot> slots = std::vector<Slot>(kSlotsMin);
    // The masked octets of each slot, in whole words.
    std::vector<uint64_t> octets;

    explicit Group(const Bytes& its_mask) : mask(its_mask), words((mask.size() + kWord - 1) / kWord) {
      octets.resize(slots.size() * words);
    }

    uint64_t word(const uint8_t* frame, size_t at) const {
      return load(frame, at, mask.size()) & load(mask.data(), at, mask.size());
    }

    // Sixteen octets in two multiplications; collisions are compared away, so it need not be cryptographic.
    uint64_t hash(const uint8_t* frame) const {
      uint64_t h = 0x9e3779b97f4a7c15ULL ^ mask.size();
      for (size_t at = 0; at < words; at++) {
        h = (h ^ word(frame, at)) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
      }
      return h;
    }

    bool equals(size_t slot, const uint8_t* frame) const {
      const uint64_t* its = &octets[slot * words];
      for (size_t at = 0; at < words; at++) {
        if (its[at] != word(frame, at)) return false;
      }
      return true;
    }

    size_t home(uint64_t its_hash) const { return its_hash & (slots.size() - 1); }
    size_t after(size_t slot) const { return (slot + 1) & (slots.size() - 1); }

    template <typename Accept>
    const Match* find(const uint8_t* frame, Accept accept) const {
      const uint64_t wanted = hash(frame);
      for (size_t at = home(wanted); slots[at].taken(); at = after(at)) {
        if (slots[at].hash == wanted && equals(at, frame) && accept(slots[at].match)) return &slots[at].match;
      }
      return nullptr;
    }

    void add(const FramePattern& pattern, const Match& match) {
      if (2 * (count + 1) > slots.size()) grow();
      size_t at = home(hash(pattern.bytes.data()));
      while (slots[at].taken()) at = after(at);
      slots[at] = {hash(pattern.bytes.data()), match};
      for (size_t i = 0; i < words; i++) octets[at * words + i] = word(pattern.bytes.data(), i);
      count++;
    }

    void remove(const FramePattern& pattern, Owner owner) {
      const uint64_t wanted = hash(pattern.bytes.data());
      for (size_t at = home(wanted); slots[at].taken();) {
        if (slots[at].hash == wanted && slots[at].match.owner == owner) {
          takeOut(at);
        } else {
          at = after(at);
        }
      }
    }

    // Those behind it move up, so that none is cut off from its home.
    void takeOut(size_t hole) {
      for (size_t at = after(hole); slots[at].taken(); at = after(at)) {
        const size_t from_home = (at - home(slots[at].hash)) & (slots.size() - 1);
        const size_t from_hole = (at - hole) & (slots.size() - 1);
        if (from_home < from_hole) continue;
        move(at, hole);
        hole = at;
      }
      slots[hole] = {};
      count--;
    }

    void move(size_t from, size_t to) {
      slots[to] = slots[from];
      std::memcpy(&octets[to * words], &octets[from * words], words * kWord);
    }

    void grow() {
      std::vector<Slot> old_slots(2 * slots.size());
      std::vector<uint64_t> old_octets(old_slots.size() * words);
      old_slots.swap(slots);
      old_octets.swap(octets);
      for (size_t from = 0; from < old_slots.size(); from++) {
        if (!old_slots[from].taken()) continue;
        size_t at = home(old_slots[from].hash);
        while (slots[at].taken()) at = after(at);
        slots[at] = old_slots[from];
        std::memcpy(&octets[at * words], &old_octets[from * words], words * kWord);
      }
    }
  };

  static uint64_t load(const uint8_t* from, size_t word, size_t length) {
    const size_t at = word * kWord;
    uint64_t value = 0;
    if (at + kWord <= length) {
      std::memcpy(&value, from + at, kWord);
    } else {
      std::memcpy(&value, from + at, length - at);
    }
    return value;
  }

  Group& groupOf(const FramePattern& pattern) {
    for (auto& group : groups_) {
      if (group->mask == pattern.mask) return *group;
    }
    groups_.push_back(std::make_unique<Group>(pattern.mask));
    return *groups_.back();
  }

  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace firsthop
