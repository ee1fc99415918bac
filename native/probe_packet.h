// The octets of probes and of their answers: ICMP and ICMPv6 echo (RFC 792, RFC 4443), ARP (RFC 826), neighbour
// solicitation (RFC 4861). Pure. Readers take whatever a stranger sent and say nothing rather than something wrong.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace firsthop {

using MacOctets = std::array<uint8_t, 6>;

struct ProbeAddress {
  std::array<uint8_t, 16> octets{};
  bool ipv6 = false;

  size_t size() const { return ipv6 ? 16 : 4; }
  bool operator==(const ProbeAddress& other) const { return ipv6 == other.ipv6 && octets == other.octets; }
};

// In the lower 48 bits.
uint64_t packMac(const MacOctets& mac);

ProbeAddress addressOf(const uint8_t* octets, bool ipv6);

// What an echo carries, so that its answer is known whatever the order in which answers come in.
struct EchoIdentity {
  // The same for all probes of a socket; the socket's filter lets no other answer through.
  uint32_t secret = 0;
  uint32_t slot = 0;
  uint64_t nonce = 0;
};

constexpr size_t kEchoLength = 8 + 16;
constexpr size_t kEchoDatagramLength = 20 + kEchoLength;
constexpr size_t kArpFrameLength = 14 + 28;
constexpr size_t kSolicitationFrameLength = 14 + 40 + 32;
constexpr size_t kProbeMax = kSolicitationFrameLength;

// Each returns the number of octets written, at most kProbeMax. The kernel fills in ICMPv6 checksums of echoes.
size_t writeEcho(uint8_t* into, bool ipv6, uint16_t identifier, uint16_t sequence, const EchoIdentity& identity);
// With its IPv4 header, for a raw socket that wants one: the kernel fills in length, checksum, and a source of zeros.
size_t writeEchoDatagram(uint8_t* into, uint16_t identifier, uint16_t sequence, const EchoIdentity& identity,
                         const ProbeAddress* source, const ProbeAddress& destination);
// `destination` null: broadcast.
size_t writeArpRequest(uint8_t* into, const MacOctets& own, const MacOctets* destination,
                       const ProbeAddress& source, const ProbeAddress& target);
// `destination` null: the solicited-node group.
size_t writeSolicitation(uint8_t* into, const MacOctets& own, const MacOctets* destination,
                         const ProbeAddress& source, const ProbeAddress& target);

struct EchoAnswer {
  uint16_t identifier = 0;
  EchoIdentity identity;
  // IPv4 only: an IPv6 datagram's is the kernel's to tell.
  ProbeAddress source;
};
// An IPv4 datagram, whole, as a raw socket gives it.
std::optional<EchoAnswer> readEchoAnswer4(const uint8_t* datagram, size_t length);
// An ICMPv6 message, its checksum verified by the kernel.
std::optional<EchoAnswer> readEchoAnswer6(const uint8_t* message, size_t length);

struct ArpAnswer {
  MacOctets senderMac{};
  ProbeAddress sender;
  MacOctets targetMac{};
  ProbeAddress target;
};
// An Ethernet frame with an ARP reply.
std::optional<ArpAnswer> readArpAnswer(const uint8_t* frame, size_t length);

struct SeenSender {
  ProbeAddress sender;
  MacOctets senderMac{};
};
// Who sent an ARP request or reply.
std::optional<SeenSender> readArpSender(const uint8_t* frame, size_t length);
// Whom a neighbour solicitation or advertisement makes known, when it names its MAC address. `source`: 16 octets.
std::optional<SeenSender> readNeighbourSender(const uint8_t* message, size_t length, const uint8_t* source);

struct NeighbourAnswer {
  ProbeAddress target;
  std::optional<MacOctets> mac;
};
// An ICMPv6 message that is a solicited neighbour advertisement.
std::optional<NeighbourAnswer> readAdvertisement(const uint8_t* message, size_t length);

}  // namespace firsthop
