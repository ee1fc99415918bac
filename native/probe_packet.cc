// see probe_packet.h
#include "probe_packet.h"

#include <cstring>

namespace firsthop {

namespace {

constexpr uint8_t kEchoReply4 = 0;
constexpr uint8_t kEchoRequest4 = 8;
constexpr uint8_t kEchoRequest6 = 128;
constexpr uint8_t kEchoReply6 = 129;
constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;
constexpr uint8_t kIcmp4 = 1;
constexpr uint8_t kIcmp6 = 58;
constexpr uint8_t kOptionSourceLinkLayer = 1;
constexpr uint8_t kOptionTargetLinkLayer = 2;
constexpr uint8_t kSolicited = 0x40;
constexpr uint16_t kArpRequest = 1;
constexpr uint16_t kArpReply = 2;

void put16(uint8_t* into, uint16_t value) {
  into[0] = static_cast<uint8_t>(value >> 8);
  into[1] = static_cast<uint8_t>(value);
}

uint16_t get16(const uint8_t* from) { return static_cast<uint16_t>(from[0] << 8 | from[1]); }

// RFC 1071.
uint32_t sum(const uint8_t* octets, size_t length, uint32_t start = 0) {
  uint32_t total = start;
  for (size_t at = 0; at + 1 < length; at += 2) total += get16(octets + at);
  if (length % 2 == 1) total += static_cast<uint32_t>(octets[length - 1]) << 8;
  return total;
}

uint16_t fold(uint32_t total) {
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint16_t>(~total);
}

void writeIdentity(uint8_t* into, const EchoIdentity& identity) {
  // The secret in network order, as a filter reads words; the rest is nobody's but ours.
  put16(into, static_cast<uint16_t>(identity.secret >> 16));
  put16(into + 2, static_cast<uint16_t>(identity.secret));
  std::memcpy(into + 4, &identity.slot, 4);
  std::memcpy(into + 8, &identity.nonce, 8);
}

EchoAnswer readEcho(const uint8_t* message) {
  EchoAnswer answer;
  answer.identifier = get16(message + 4);
  answer.identity.secret = static_cast<uint32_t>(get16(message + 8)) << 16 | get16(message + 10);
  std::memcpy(&answer.identity.slot, message + 12, 4);
  std::memcpy(&answer.identity.nonce, message + 16, 8);
  return answer;
}

void writeEthernet(uint8_t* into, const MacOctets& destination, const MacOctets& source, uint16_t ether_type) {
  std::memcpy(into, destination.data(), 6);
  std::memcpy(into + 6, source.data(), 6);
  put16(into + 12, ether_type);
}

MacOctets macAt(const uint8_t* octets) {
  MacOctets mac;
  std::memcpy(mac.data(), octets, 6);
  return mac;
}

}  // namespace

uint64_t packMac(const MacOctets& mac) {
  uint64_t packed = 0;
  for (const uint8_t octet : mac) packed = packed << 8 | octet;
  return packed;
}

ProbeAddress addressOf(const uint8_t* octets, bool ipv6) {
  ProbeAddress address;
  address.ipv6 = ipv6;
  std::memcpy(address.octets.data(), octets, address.size());
  return address;
}

size_t writeEcho(uint8_t* into, bool ipv6, uint16_t identifier, uint16_t sequence, const EchoIdentity& identity) {
  into[0] = ipv6 ? kEchoRequest6 : kEchoRequest4;
  into[1] = 0;
  put16(into + 2, 0);
  put16(into + 4, identifier);
  put16(into + 6, sequence);
  writeIdentity(into + 8, identity);
  if (!ipv6) put16(into + 2, fold(sum(into, kEchoLength)));
  return kEchoLength;
}

size_t writeEchoDatagram(uint8_t* into, uint16_t identifier, uint16_t sequence, const EchoIdentity& identity,
                         const ProbeAddress* source, const ProbeAddress& destination) {
  std::memset(into, 0, 20);
  into[0] = 0x45;
  put16(into + 2, kEchoDatagramLength);
  put16(into + 6, 0x4000);  // don't fragment: so it needs no identification
  into[8] = 64;
  into[9] = kIcmp4;
  if (source != nullptr) std::memcpy(into + 12, source->octets.data(), 4);
  std::memcpy(into + 16, destination.octets.data(), 4);
  return 20 + writeEcho(into + 20, false, identifier, sequence, identity);
}

size_t writeArpRequest(uint8_t* into, const MacOctets& own, const MacOctets* destination,
                       const ProbeAddress& source, const ProbeAddress& target) {
  MacOctets broadcast;
  broadcast.fill(0xff);
  writeEthernet(into, destination != nullptr ? *destination : broadcast, own, 0x0806);
  uint8_t* arp = into + 14;
  put16(arp, 1);
  put16(arp + 2, 0x0800);
  arp[4] = 6;
  arp[5] = 4;
  put16(arp + 6, kArpRequest);
  std::memcpy(arp + 8, own.data(), 6);
  std::memcpy(arp + 14, source.octets.data(), 4);
  std::memset(arp + 18, 0, 6);
  std::memcpy(arp + 24, target.octets.data(), 4);
  return kArpFrameLength;
}

size_t writeSolicitation(uint8_t* into, const MacOctets& own, const MacOctets* destination,
                         const ProbeAddress& source, const ProbeAddress& target) {
  // RFC 4291 section 2.7.1, RFC 2464 section 7.
  std::array<uint8_t, 16> group{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff};
  std::memcpy(group.data() + 13, target.octets.data() + 13, 3);
  const MacOctets group_mac{0x33, 0x33, group[12], group[13], group[14], group[15]};
  writeEthernet(into, destination != nullptr ? *destination : group_mac, own, 0x86dd);
  uint8_t* ip = into + 14;
  const size_t length = 32;
  ip[0] = 0x60;
  ip[1] = ip[2] = ip[3] = 0;
  put16(ip + 4, length);
  ip[6] = kIcmp6;
  ip[7] = 255;
  std::memcpy(ip + 8, source.octets.data(), 16);
  std::memcpy(ip + 24, destination != nullptr ? target.octets.data() : group.data(), 16);
  uint8_t* message = ip + 40;
  std::memset(message, 0, length);
  message[0] = kSolicitation;
  std::memcpy(message + 8, target.octets.data(), 16);
  message[24] = kOptionSourceLinkLayer;
  message[25] = 1;
  std::memcpy(message + 26, own.data(), 6);
  const uint32_t pseudo = sum(ip + 8, 32, static_cast<uint32_t>(length) + kIcmp6);
  put16(message + 2, fold(sum(message, length, pseudo)));
  return kSolicitationFrameLength;
}

std::optional<EchoAnswer> readEchoAnswer4(const uint8_t* datagram, size_t length) {
  if (length < 20 || datagram[0] >> 4 != 4 || datagram[9] != kIcmp4) return std::nullopt;
  const size_t header = static_cast<size_t>(datagram[0] & 0x0f) * 4;
  if (header < 20 || length < header + kEchoLength) return std::nullopt;
  const uint8_t* message = datagram + header;
  // A raw socket gets its datagrams before anyone checked the message's checksum.
  if (message[0] != kEchoReply4 || message[1] != 0 || fold(sum(message, length - header)) != 0) return std::nullopt;
  EchoAnswer answer = readEcho(message);
  answer.source = addressOf(datagram + 12, false);
  return answer;
}

std::optional<EchoAnswer> readEchoAnswer6(const uint8_t* message, size_t length) {
  if (length < kEchoLength || message[0] != kEchoReply6 || message[1] != 0) return std::nullopt;
  return readEcho(message);
}

namespace {

const uint8_t* arpOf(const uint8_t* frame, size_t length) {
  if (length < kArpFrameLength || get16(frame + 12) != 0x0806) return nullptr;
  const uint8_t* arp = frame + 14;
  const bool ipv4_on_ethernet = get16(arp) == 1 && get16(arp + 2) == 0x0800 && arp[4] == 6 && arp[5] == 4;
  return ipv4_on_ethernet ? arp : nullptr;
}

// False: options that no message may have (RFC 4861 section 7.1).
bool findLinkLayer(const uint8_t* message, size_t length, uint8_t wanted, std::optional<MacOctets>* mac) {
  for (size_t at = 24; at < length;) {
    const size_t size = at + 1 < length ? message[at + 1] * 8u : 0;
    if (size == 0 || at + size > length) return false;
    if (message[at] == wanted && size == 8) *mac = macAt(message + at + 2);
    at += size;
  }
  return true;
}

}  // namespace

std::optional<ArpAnswer> readArpAnswer(const uint8_t* frame, size_t length) {
  const uint8_t* arp = arpOf(frame, length);
  if (arp == nullptr || get16(arp + 6) != kArpReply) return std::nullopt;
  return ArpAnswer{macAt(arp + 8), addressOf(arp + 14, false), macAt(arp + 18), addressOf(arp + 24, false)};
}

std::optional<SeenSender> readArpSender(const uint8_t* frame, size_t length) {
  const uint8_t* arp = arpOf(frame, length);
  if (arp == nullptr || (get16(arp + 6) != kArpReply && get16(arp + 6) != kArpRequest)) return std::nullopt;
  return SeenSender{addressOf(arp + 14, false), macAt(arp + 8)};
}

std::optional<SeenSender> readNeighbourSender(const uint8_t* message, size_t length, const uint8_t* source) {
  if (length < 24 || message[1] != 0) return std::nullopt;
  const bool solicitation = message[0] == kSolicitation;
  if (!solicitation && message[0] != kAdvertisement) return std::nullopt;
  std::optional<MacOctets> mac;
  if (!findLinkLayer(message, length, solicitation ? kOptionSourceLinkLayer : kOptionTargetLinkLayer, &mac) || !mac)
    return std::nullopt;
  return SeenSender{addressOf(solicitation ? source : message + 8, true), *mac};
}

std::optional<NeighbourAnswer> readAdvertisement(const uint8_t* message, size_t length) {
  if (length < 24 || message[0] != kAdvertisement || message[1] != 0) return std::nullopt;
  if ((message[4] & kSolicited) == 0) return std::nullopt;
  NeighbourAnswer answer;
  answer.target = addressOf(message + 8, true);
  if (!findLinkLayer(message, length, kOptionTargetLinkLayer, &answer.mac)) return std::nullopt;
  return answer;
}

}  // namespace firsthop
