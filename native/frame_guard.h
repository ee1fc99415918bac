// What must hold of a frame beside the octets that a pattern compares, as src/core/automaton.ts declares it: for frames
// that nobody has seen before. It knows where octets are, and no protocol.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "seal.h"

namespace firsthop {

struct FrameGuard {
  enum class Kind : uint8_t { Octet, Differs, Checksum };
  // Whether a checksum covers the pseudo-header, too.
  enum class Pseudo : uint8_t { Never, Always, Either };

  // Octets from `from` up to, not including, `to`.
  struct Range {
    uint16_t from = 0;
    uint16_t to = 0;
  };

  Kind kind = Kind::Octet;
  // octet
  uint8_t least = 0;
  uint8_t most = 0;
  // octet and differs
  uint16_t at = 0;
  // differs
  Bytes octets;
  // checksum: what it covers, and its pseudo-header: octets of the frame, and a number for all else that is in it.
  Range covered;
  Range pseudo;
  uint16_t pseudo_rest = 0;
  Pseudo with_pseudo = Pseudo::Never;
};

// Whether all guards hold. The frame is as long as the pattern that they belong to, or longer.
bool guardsHold(const std::vector<FrameGuard>& guards, const uint8_t* frame);

}  // namespace firsthop
