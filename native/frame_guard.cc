#include "frame_guard.h"

#include <cstring>

namespace firsthop {

namespace {

// RFC 1071, not folded: a frame is too short for an overflow.
uint32_t sumOf(const uint8_t* frame, FrameGuard::Range range) {
  uint32_t sum = 0;
  size_t at = range.from;
  for (; at + 1 < range.to; at += 2) sum += static_cast<uint32_t>(frame[at] << 8 | frame[at + 1]);
  if (at < range.to) sum += static_cast<uint32_t>(frame[at] << 8);
  return sum;
}

bool isRight(uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

bool checksumHolds(const FrameGuard& guard, const uint8_t* frame) {
  const uint32_t covered = sumOf(frame, guard.covered);
  if (guard.with_pseudo != FrameGuard::Pseudo::Always && isRight(covered)) return true;
  if (guard.with_pseudo == FrameGuard::Pseudo::Never) return false;
  return isRight(covered + sumOf(frame, guard.pseudo) + guard.pseudo_rest);
}

bool holds(const FrameGuard& guard, const uint8_t* frame) {
  switch (guard.kind) {
    case FrameGuard::Kind::Octet:
      return frame[guard.at] >= guard.least && frame[guard.at] <= guard.most;
    case FrameGuard::Kind::Differs:
      return std::memcmp(frame + guard.at, guard.octets.data(), guard.octets.size()) != 0;
    case FrameGuard::Kind::Checksum:
      return checksumHolds(guard, frame);
  }
  return false;
}

}  // namespace

bool guardsHold(const std::vector<FrameGuard>& guards, const uint8_t* frame) {
  for (const FrameGuard& one : guards) {
    if (!holds(one, frame)) return false;
  }
  return true;
}

}  // namespace firsthop
