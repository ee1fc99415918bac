// A digest with a sequence number in each frame, as src/core/automaton.ts declares it: made for what leaves, judged in
// what comes in. It knows where octets are, and no protocol.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "digest.h"

namespace firsthop {

using Bytes = std::vector<uint8_t>;

struct Seal {
  DigestKind kind = DigestKind::Md5;
  // As long as the digest; takes its place while that is computed.
  Bytes key;
  // Places relative to the first octet that is covered. The digest ends what is covered.
  uint32_t sequence_at = 0;
  uint32_t digest_at = 0;
  // Whether a number may come twice.
  bool repeats = false;

  size_t covered() const { return digest_at + digestLength(kind); }
};

// What is covered may be this long.
constexpr size_t kSealedMax = 256;

// Numbers and seals a frame that has room for that. The 16-bit checksum right before what is covered (UDP) follows.
void sealFrame(const Seal& seal, Bytes& frame, size_t at, uint32_t sequence);

// Whether the digest is right; then `sequence` is the frame's number.
bool sealHolds(const Seal& seal, const uint8_t* frame, size_t length, size_t at, uint32_t* sequence);

}  // namespace firsthop
