// The payload of a numbered packet: magic, sequence number, send stamp (CLOCK_MONOTONIC ns), then zeros; big endian.
#pragma once
#include <cstddef>
#include <cstdint>

namespace firsthop {

constexpr uint64_t kPayloadMagic = 0x66697273'74686f70;  // "firsthop"
constexpr size_t kPayloadMinimum = 24;

inline void writeBigEndian(uint8_t* at, uint64_t value) {
  for (int index = 7; index >= 0; --index, value >>= 8) at[index] = static_cast<uint8_t>(value);
}

inline uint64_t readBigEndian(const uint8_t* at) {
  uint64_t value = 0;
  for (int index = 0; index < 8; ++index) value = value << 8 | at[index];
  return value;
}

inline void writeNumberedPayload(uint8_t* payload, uint64_t sequence, int64_t sentNs) {
  writeBigEndian(payload, kPayloadMagic);
  writeBigEndian(payload + 8, sequence);
  writeBigEndian(payload + 16, static_cast<uint64_t>(sentNs));
}

}  // namespace firsthop
