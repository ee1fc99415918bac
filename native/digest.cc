#include "digest.h"

#include <cstring>

namespace firsthop {

namespace {

constexpr size_t kBlock = 64;

uint32_t rotate(uint32_t word, unsigned by) { return (word << by) | (word >> (32 - by)); }

uint32_t littleEndian(const uint8_t* from) {
  return from[0] | from[1] << 8 | from[2] << 16 | static_cast<uint32_t>(from[3]) << 24;
}

uint32_t bigEndian(const uint8_t* from) {
  return static_cast<uint32_t>(from[0]) << 24 | from[1] << 16 | from[2] << 8 | from[3];
}

// RFC 1321 section 3.4: the integer part of 4294967296 times abs(sin(i)).
constexpr uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr uint8_t kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

void md5Block(const uint8_t* block, uint32_t* state) {
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  for (unsigned i = 0; i < 64; i++) {
    uint32_t mixed = 0;
    unsigned word = 0;
    switch (i / 16) {
      case 0:
        mixed = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        mixed = (b & d) | (c & ~d);
        word = 5 * i + 1;
        break;
      case 2:
        mixed = b ^ c ^ d;
        word = 3 * i + 5;
        break;
      default:
        mixed = c ^ (b | ~d);
        word = 7 * i;
    }
    const uint32_t sum = a + mixed + kSines[i] + littleEndian(block + 4 * (word % 16));
    a = d;
    d = c;
    c = b;
    b += rotate(sum, kShifts[i / 16][i % 4]);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

void sha1Block(const uint8_t* block, uint32_t* state) {
  uint32_t words[80];
  for (unsigned i = 0; i < 16; i++) words[i] = bigEndian(block + 4 * i);
  for (unsigned i = 16; i < 80; i++) {
    words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (unsigned i = 0; i < 80; i++) {
    uint32_t mixed = 0;
    uint32_t constant = 0;
    switch (i / 20) {
      case 0:
        mixed = (b & c) | (~b & d);
        constant = 0x5a827999;
        break;
      case 1:
        mixed = b ^ c ^ d;
        constant = 0x6ed9eba1;
        break;
      case 2:
        mixed = (b & c) | (b & d) | (c & d);
        constant = 0x8f1bbcdc;
        break;
      default:
        mixed = b ^ c ^ d;
        constant = 0xca62c1d6;
    }
    const uint32_t sum = rotate(a, 5) + mixed + e + constant + words[i];
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = sum;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

}  // namespace

void digest(DigestKind kind, const uint8_t* octets, size_t length, uint8_t* into) {
  const bool md5 = kind == DigestKind::Md5;
  const auto block = md5 ? md5Block : sha1Block;
  uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  size_t done = 0;
  for (; length - done >= kBlock; done += kBlock) block(octets + done, state);
  // What is left, a one, zeros, and the length in bits: in one block or in two.
  uint8_t rest[2 * kBlock] = {};
  const size_t left = length - done;
  if (left > 0) std::memcpy(rest, octets + done, left);
  rest[left] = 0x80;
  const size_t padded = left + 9 <= kBlock ? kBlock : 2 * kBlock;
  const uint64_t bits = static_cast<uint64_t>(length) * 8;
  for (size_t i = 0; i < 8; i++) {
    rest[padded - 8 + i] = static_cast<uint8_t>(bits >> (md5 ? 8 * i : 56 - 8 * i));
  }
  for (size_t at = 0; at < padded; at += kBlock) block(rest + at, state);
  for (size_t i = 0; i < digestLength(kind); i++) {
    into[i] = static_cast<uint8_t>(state[i / 4] >> (md5 ? 8 * (i % 4) : 24 - 8 * (i % 4)));
  }
}

}  // namespace firsthop
