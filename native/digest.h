// MD5 (RFC 1321) and SHA-1 (RFC 3174), because BFD (RFC 5880 section 6.7) has no other digests and computes one for
// each packet. They are here, and not those of the OpenSSL that Node.js brings: which version that is differs from
// one Node.js to the next, and it allocates memory, which the heartbeat thread avoids. Nothing secret depends on them
// beyond what the protocol itself asks for.
#pragma once
#include <cstddef>
#include <cstdint>

namespace firsthop {

enum class DigestKind : uint8_t { Md5, Sha1 };

constexpr size_t kDigestMax = 20;
constexpr size_t digestLength(DigestKind kind) { return kind == DigestKind::Md5 ? 16 : 20; }

// Writes digestLength(kind) octets.
void digest(DigestKind kind, const uint8_t* octets, size_t length, uint8_t* into);

}  // namespace firsthop
