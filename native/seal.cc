#include "seal.h"

#include <cstring>

namespace firsthop {

namespace {

uint32_t sumOf(const uint8_t* octets, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2) sum += static_cast<uint32_t>(octets[i] << 8 | octets[i + 1]);
  return sum;
}

void digestOf(const Seal& seal, const uint8_t* covered, uint8_t* into) {
  uint8_t keyed[kSealedMax];
  std::memcpy(keyed, covered, seal.digest_at);
  std::memcpy(keyed + seal.digest_at, seal.key.data(), digestLength(seal.kind));
  digest(seal.kind, keyed, seal.covered(), into);
}

}  // namespace

void sealFrame(const Seal& seal, Bytes& frame, size_t at, uint32_t sequence) {
  if (at < 2 || frame.size() < at + seal.covered()) return;
  uint8_t* covered = frame.data() + at;
  uint8_t* changed = covered + seal.sequence_at;
  const size_t length = seal.covered() - seal.sequence_at;
  const uint32_t before = sumOf(changed, length);
  for (int i = 0; i < 4; i++) changed[i] = static_cast<uint8_t>(sequence >> (24 - 8 * i));
  digestOf(seal, covered, covered + seal.digest_at);
  uint8_t* checksum = covered - 2;
  const uint32_t old = static_cast<uint32_t>(checksum[0] << 8 | checksum[1]);
  if (old == 0) return;
  // RFC 1624: HC' = ~(~HC + ~m + m'); a sum of ones' complements may be taken word by word or at once.
  uint32_t fold = before;
  while (fold > 0xffff) fold = (fold & 0xffff) + (fold >> 16);
  uint32_t sum = (~old & 0xffff) + (~fold & 0xffff) + sumOf(changed, length);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  uint32_t now = ~sum & 0xffff;
  if (now == 0) now = 0xffff;
  checksum[0] = static_cast<uint8_t>(now >> 8);
  checksum[1] = static_cast<uint8_t>(now);
}

bool sealHolds(const Seal& seal, const uint8_t* frame, size_t length, size_t at, uint32_t* sequence) {
  if (length < at + seal.covered()) return false;
  const uint8_t* covered = frame + at;
  uint8_t wanted[kDigestMax];
  digestOf(seal, covered, wanted);
  // In a time that does not depend on where the two differ.
  uint8_t difference = 0;
  for (size_t i = 0; i < digestLength(seal.kind); i++) {
    difference = static_cast<uint8_t>(difference | (wanted[i] ^ covered[seal.digest_at + i]));
  }
  uint32_t number = 0;
  for (int i = 0; i < 4; i++) number = number << 8 | covered[seal.sequence_at + static_cast<size_t>(i)];
  *sequence = number;
  return difference == 0;
}

}  // namespace firsthop
