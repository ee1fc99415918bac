/**
 * Frames: reading Ethernet, VLAN tags, IPv4 and IPv6 as far as they go, and building what carries VRRP.
 * Reading never throws; a field that is not there is missing from the result.
 */
import { internetChecksum } from "./checksum.js";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
const VLAN_TPIDS = new Set([0x8100, 0x88a8, 0x9100]);
const PROTOCOL_AH = 51;

/** An IP header and what it carries. All octets are views into the frame. */
export interface IpPacket {
  readonly version: 4 | 6;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** Protocol of the payload, behind IPv6 extension headers and an authentication header. */
  readonly protocol: number;
  /** Protocol or next header as the IP header itself names it. */
  readonly headerProtocol: number;
  /** TTL or hop limit. */
  readonly ttl: number;
  readonly trafficClass: number;
  readonly headerLength: number;
  /** IPv4 total length, or IPv6 payload length plus 40: what the header says, not what was captured. */
  readonly totalLength: number;
  readonly headerChecksumValid: boolean;
  /** A fragment other than a whole datagram. */
  readonly fragment: boolean;
  /** Authentication header in front of the payload (VRRPv2 authentication type 2). */
  readonly authenticationHeader: Uint8Array | null;
  /** The datagram from its first octet to where its length says, or to the end of the capture. */
  readonly datagram: Uint8Array;
  /** What the IP length says is there, cut at the end of the capture. Ethernet padding is not part of it. */
  readonly payload: Uint8Array;
  /** Offset of `payload` in the frame. */
  readonly payloadOffset: number;
}

export interface EthernetFrame {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly vlans: readonly number[];
  readonly etherType: number;
  readonly payload: Uint8Array;
  readonly payloadOffset: number;
}

/** Null when shorter than an Ethernet header. */
export function readEthernet(frame: Uint8Array): EthernetFrame | null {
  if (frame.length < 14) return null;
  const vlans: number[] = [];
  let offset = 12;
  let etherType = u16(frame, offset);
  while (VLAN_TPIDS.has(etherType) && frame.length >= offset + 6) {
    vlans.push(u16(frame, offset + 2) & 0xfff);
    offset += 4;
    etherType = u16(frame, offset);
  }
  return {
    destination: frame.subarray(0, 6),
    source: frame.subarray(6, 12),
    vlans,
    etherType,
    payload: frame.subarray(offset + 2),
    payloadOffset: offset + 2,
  };
}

/**
 * Reads an IP datagram that begins at `offset` of `bytes`; null when it is too short or of another version.
 */
export function readIp(bytes: Uint8Array, offset = 0): IpPacket | null {
  const version = (bytes[offset] ?? 0) >> 4;
  if (version === 4) return readIpv4(bytes, offset);
  return version === 6 ? readIpv6(bytes, offset) : null;
}

function readIpv4(bytes: Uint8Array, offset: number): IpPacket | null {
  const available = bytes.length - offset;
  if (available < 20) return null;
  const headerLength = (at(bytes, offset) & 0x0f) * 4;
  const totalLength = u16(bytes, offset + 2);
  if (headerLength < 20 || headerLength > available || totalLength < headerLength) return null;
  const end = offset + Math.min(totalLength, available);
  let protocol = at(bytes, offset + 9);
  let payloadOffset = offset + headerLength;
  let authenticationHeader: Uint8Array | null = null;
  const fragmentField = u16(bytes, offset + 6);
  if (protocol === PROTOCOL_AH && end - payloadOffset >= 12) {
    const length = (at(bytes, payloadOffset + 1) + 2) * 4;
    if (length >= 12 && payloadOffset + length <= end) {
      authenticationHeader = bytes.subarray(payloadOffset, payloadOffset + length);
      protocol = at(bytes, payloadOffset);
      payloadOffset += length;
    }
  }
  return {
    version: 4,
    source: bytes.subarray(offset + 12, offset + 16),
    destination: bytes.subarray(offset + 16, offset + 20),
    protocol,
    headerProtocol: at(bytes, offset + 9),
    ttl: at(bytes, offset + 8),
    trafficClass: at(bytes, offset + 1),
    headerLength,
    totalLength,
    headerChecksumValid: internetChecksum(bytes.subarray(offset, offset + headerLength)) === 0,
    fragment: (fragmentField & 0x3fff) !== 0,
    authenticationHeader,
    datagram: bytes.subarray(offset, end),
    payload: bytes.subarray(payloadOffset, end),
    payloadOffset,
  };
}

const IPV6_EXTENSIONS = new Set([0, 43, 60]);

function readIpv6(bytes: Uint8Array, offset: number): IpPacket | null {
  const available = bytes.length - offset;
  if (available < 40) return null;
  const totalLength = 40 + u16(bytes, offset + 4);
  const end = offset + Math.min(totalLength, available);
  let protocol = at(bytes, offset + 6);
  let payloadOffset = offset + 40;
  let fragment = false;
  // Each header is at least 8 octets, so the walk ends with the datagram.
  while (payloadOffset + 8 <= end) {
    if (IPV6_EXTENSIONS.has(protocol)) {
      const length = (at(bytes, payloadOffset + 1) + 1) * 8;
      protocol = at(bytes, payloadOffset);
      payloadOffset = Math.min(payloadOffset + length, end);
    } else if (protocol === 44) {
      fragment ||= (u16(bytes, payloadOffset + 2) & 0xfff9) !== 0;
      protocol = at(bytes, payloadOffset);
      payloadOffset += 8;
    } else break;
  }
  return {
    version: 6,
    source: bytes.subarray(offset + 8, offset + 24),
    destination: bytes.subarray(offset + 24, offset + 40),
    protocol,
    headerProtocol: at(bytes, offset + 6),
    ttl: at(bytes, offset + 7),
    trafficClass: (u16(bytes, offset) >> 4) & 0xff,
    headerLength: 40,
    totalLength,
    headerChecksumValid: true,
    fragment,
    authenticationHeader: null,
    datagram: bytes.subarray(offset, end),
    payload: bytes.subarray(payloadOffset, end),
    payloadOffset,
  };
}

/** Smallest Ethernet frame without its checksum; shorter ones are padded by the sender. */
export const ETHERNET_MINIMUM = 60;

/** An Ethernet frame, padded to the minimum. */
export function buildEthernet(
  destination: Uint8Array,
  source: Uint8Array,
  etherType: number,
  payload: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(Math.max(ETHERNET_MINIMUM, 14 + payload.length));
  frame.set(destination, 0);
  frame.set(source, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType & 0xff;
  frame.set(payload, 14);
  return frame;
}

/** Internetwork control, so that congestion is not taken for a failure. */
const TRAFFIC_CLASS_CS6 = 0xc0;

/** An IP datagram with TTL / hop limit 255 and traffic class CS6; the family follows from the addresses. */
export function buildIp(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  return source.length === 4
    ? buildIpv4(source, destination, protocol, payload)
    : buildIpv6(source, destination, protocol, payload);
}

function buildIpv4(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(20 + payload.length);
  datagram.set([0x45, TRAFFIC_CLASS_CS6, datagram.length >> 8, datagram.length & 0xff], 0);
  datagram[8] = 255;
  datagram[9] = protocol;
  datagram.set(source, 12);
  datagram.set(destination, 16);
  putU16(datagram, 10, internetChecksum(datagram.subarray(0, 20)));
  datagram.set(payload, 20);
  return datagram;
}

function buildIpv6(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(40 + payload.length);
  datagram[0] = 0x60 | (TRAFFIC_CLASS_CS6 >> 4);
  datagram[1] = (TRAFFIC_CLASS_CS6 & 0x0f) << 4;
  putU16(datagram, 4, payload.length);
  datagram[6] = protocol;
  datagram[7] = 255;
  datagram.set(source, 8);
  datagram.set(destination, 24);
  datagram.set(payload, 40);
  return datagram;
}

function at(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

/** Big-endian 16 bits; octets beyond the end read as zero. */
export function u16(bytes: Uint8Array, offset: number): number {
  return (at(bytes, offset) << 8) | at(bytes, offset + 1);
}

export function putU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}
