/**
 * The VRRP message on the wire.
 *
 * Version 2 (RFC 3768 section 5.1), n IPv4 addresses, 16 + 4n octets:
 *
 *     | 2 | 1 |  VRID  | Priority | Count |
 *     | Auth Type | Adver Int (s) | Checksum  |
 *     | IP Address (1..n)                     |
 *     | Authentication Data (8 octets)        |
 *
 * Version 3 (RFC 9568 section 5.1), n IPv4 or IPv6 addresses, 8 + 4n or 8 + 16n octets:
 *
 *     | 3 | 1 |  VRID  | Priority | Count |
 *     | rsvd | Max Advertise Interval (cs, 12 bit) | Checksum |
 *     | IPvX Address (1..n)                   |
 */
import { formatIp, ipToBytes, macToBytes } from "../address.js";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "../checksum.js";
import {
  buildEthernet,
  buildIp,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  type IpPacket,
  putU16,
  readEthernet,
  readIp,
  u16,
} from "../ethernet.js";
import { type Advertisement, type ChecksumForm, type IpFamily, VRRP_PROTOCOL } from "./advertisement.js";

/** RFC 9568 section 5.2.2; the second one is draft-ietf-rtgwg-vrrp-bfd-p2p's and not assigned. */
export const MESSAGE_TYPE = { advertisement: 1, backupAdvertisement: 2 } as const;
export type MessageType = (typeof MESSAGE_TYPE)[keyof typeof MESSAGE_TYPE];

const HEADER_LENGTH = 8;
const AUTH_DATA_LENGTH = 8;
const CENTISECOND_US = 10_000;
const SECOND_US = 1_000_000;

/** The message as far as it can be read: a short one lacks what is not there. */
export interface RawMessage {
  readonly version: number;
  readonly type: number;
  readonly vrid: number;
  readonly priority: number;
  readonly count: number;
  /** v2: authentication type; 0 in v3. */
  readonly authType: number;
  /** v3: the reserved nibble, which the interval must be read without; 0 in v2. */
  readonly reserved: number;
  /** v2: seconds; v3: centiseconds. */
  readonly interval: number;
  readonly checksum: number;
  readonly checksumValid: { readonly messageOnly: boolean; readonly withPseudoHeader: boolean };
  /** Octets that version, count and family ask for. */
  readonly expectedLength: number;
  readonly addresses: readonly string[];
  /** v2; null when it is not there. */
  readonly authData: Uint8Array | null;
}

export function familyOfPacket(ip: IpPacket): IpFamily {
  return ip.version === 4 ? "ipv4" : "ipv6";
}

/** Octets of a message with `count` addresses. Whatever is not version 3 is read like version 2. */
export function messageLength(version: number, family: IpFamily, count: number): number {
  const addresses = count * (family === "ipv4" ? 4 : 16);
  return HEADER_LENGTH + addresses + (version === 3 ? 0 : AUTH_DATA_LENGTH);
}

/** Null when fewer than 8 octets are there. */
export function readMessage(ip: IpPacket): RawMessage | null {
  const message = ip.payload;
  if (message.length < HEADER_LENGTH) return null;
  const octet = (offset: number): number => message[offset] as number;
  const version = octet(0) >> 4;
  const count = octet(3);
  const family = familyOfPacket(ip);
  const expectedLength = messageLength(version, family, count);
  const addressLength = family === "ipv4" ? 4 : 16;
  const addresses: string[] = [];
  for (let index = 0; index < count; index++) {
    const start = HEADER_LENGTH + index * addressLength;
    if (start + addressLength > message.length) break;
    addresses.push(formatIp(message.subarray(start, start + addressLength)));
  }
  // Version 2 has no addresses but those of IPv4, whatever carries it.
  const authStart = HEADER_LENGTH + count * 4;
  const hasAuthData = version === 2 && message.length >= authStart + AUTH_DATA_LENGTH;
  return {
    version,
    type: octet(0) & 0x0f,
    vrid: octet(1),
    priority: octet(2),
    count,
    authType: version === 3 ? 0 : octet(4),
    reserved: version === 3 ? octet(4) >> 4 : 0,
    interval: version === 3 ? u16(message, 4) & 0x0fff : octet(5),
    checksum: u16(message, 6),
    checksumValid: checksumValid(ip, message, expectedLength),
    expectedLength,
    addresses,
    authData: hasAuthData ? message.subarray(authStart, authStart + AUTH_DATA_LENGTH) : null,
  };
}

/**
 * Octets behind the last address are no error, and no RFC says whether they are summed: a trailer is not,
 * padding that a sender counted into its datagram is. Either is taken.
 */
function checksumValid(ip: IpPacket, payload: Uint8Array, length: number): RawMessage["checksumValid"] {
  const whole = sumValid(ip, payload);
  if (payload.length <= length) return whole;
  const message = sumValid(ip, payload.subarray(0, length));
  return {
    messageOnly: whole.messageOnly || message.messageOnly,
    withPseudoHeader: whole.withPseudoHeader || message.withPseudoHeader,
  };
}

function sumValid(ip: IpPacket, message: Uint8Array): RawMessage["checksumValid"] {
  const sum = onesComplementSum(message);
  const pseudo = pseudoHeaderSum(ip.source, ip.destination, VRRP_PROTOCOL, message.length);
  return {
    messageOnly: sum === 0xffff,
    withPseudoHeader: onesComplementSum(new Uint8Array(0), sum + pseudo) === 0xffff,
  };
}

/** The advertisement that a well-formed message holds. */
export function toAdvertisement(message: RawMessage, family: IpFamily): Advertisement {
  const v2 = message.version === 2;
  return {
    version: v2 ? 2 : 3,
    family,
    vrid: message.vrid,
    priority: message.priority,
    addresses: message.addresses,
    intervalUs: message.interval * (v2 ? SECOND_US : CENTISECOND_US),
    authType: message.authType,
    authData: message.authData ?? new Uint8Array(0),
  };
}

/** Where an advertisement goes from and to, and how it is summed. */
export interface Envelope {
  readonly advertisement: Advertisement;
  readonly source: string;
  readonly destination: string;
  /** Decides only for VRRPv3 over IPv4. */
  readonly checksumForm: ChecksumForm;
  /** Default: an advertisement. */
  readonly type?: MessageType;
}

/**
 * The message alone. Intervals that a version can't express are the caller's error: v3 takes 1..4095
 * centiseconds, v2 1..255 seconds.
 * @throws RangeError
 */
export function encodeMessage(envelope: Envelope): Uint8Array {
  const { advertisement, source, destination, checksumForm } = envelope;
  const { version, family, vrid, priority, addresses, intervalUs, authType, authData } = advertisement;
  const message = new Uint8Array(messageLength(version, family, addresses.length));
  const type = envelope.type ?? MESSAGE_TYPE.advertisement;
  message.set([(version << 4) | type, vrid, priority, addresses.length], 0);
  if (version === 2) {
    message.set([authType, wireInterval(intervalUs, SECOND_US, 255)], 4);
    message.set(authData.subarray(0, AUTH_DATA_LENGTH), message.length - AUTH_DATA_LENGTH);
  } else {
    putU16(message, 4, wireInterval(intervalUs, CENTISECOND_US, 4095));
  }
  let offset = HEADER_LENGTH;
  for (const address of addresses) {
    const bytes = ipToBytes(address);
    message.set(bytes, offset);
    offset += bytes.length;
  }
  const pseudo =
    version === 3 && (family === "ipv6" || checksumForm === "pseudo-header")
      ? pseudoHeaderSum(ipToBytes(source), ipToBytes(destination), VRRP_PROTOCOL, message.length)
      : 0;
  putU16(message, 6, internetChecksum(message, pseudo));
  return message;
}

function wireInterval(intervalUs: number, unitUs: number, max: number): number {
  const value = intervalUs / unitUs;
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new RangeError(`an interval of ${intervalUs} us can't be sent: ${unitUs} us times 1 to ${max}`);
  }
  return value;
}

/** The IP datagram (TTL 255), for sockets that take whole datagrams. */
export function encodeAdvertisementDatagram(envelope: Envelope): Uint8Array {
  return buildIp(
    ipToBytes(envelope.source),
    ipToBytes(envelope.destination),
    VRRP_PROTOCOL,
    encodeMessage(envelope),
  );
}

/** The Ethernet frame, padded to the minimum. */
export function encodeAdvertisementFrame(
  envelope: Envelope & { readonly sourceMac: string; readonly destinationMac: string },
): Uint8Array {
  const etherType = envelope.advertisement.family === "ipv4" ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  return buildEthernet(
    macToBytes(envelope.destinationMac),
    macToBytes(envelope.sourceMac),
    etherType,
    encodeAdvertisementDatagram(envelope),
  );
}

/** An Ethernet frame that carries VRRP, taken apart; null when it carries something else. */
export function readVrrpFrame(
  frame: Uint8Array,
): { readonly ip: IpPacket; readonly message: RawMessage | null } | null {
  const ethernet = readEthernet(frame);
  const version =
    ethernet?.etherType === ETHERTYPE_IPV4 ? 4 : ethernet?.etherType === ETHERTYPE_IPV6 ? 6 : null;
  const ip = ethernet && version && readIp(frame, ethernet.payloadOffset);
  if (!ip || ip.version !== version || ip.protocol !== VRRP_PROTOCOL) return null;
  return { ip, message: readMessage(ip) };
}

/**
 * The same frame with another priority, its checksum done again in whatever form the frame used: the two sums
 * differ by the same amount. Null when the frame is none that carries a VRRP message, or is signed.
 */
export function withPriority(frame: Uint8Array, priority: number): Uint8Array | null {
  const read = readVrrpFrame(frame);
  if (!read?.message || read.ip.authenticationHeader) return null;
  const copy = frame.slice();
  const offset = read.ip.payloadOffset;
  // RFC 1624: HC' = ~(~HC + ~m + m'), where m is the word of priority and count.
  const before = u16(frame, offset + 2);
  copy[offset + 2] = priority;
  const after = u16(copy, offset + 2);
  const sum = (~read.message.checksum & 0xffff) + (~before & 0xffff) + after;
  putU16(copy, offset + 6, ~onesComplementSum(new Uint8Array(0), sum) & 0xffff);
  return copy;
}

/**
 * What two advertisements of one sender may differ in although they say the same: IPv4 identification and
 * header checksum, the IPv6 flow label, and the padding that Ethernet needs.
 */
export function comparisonMask(frame: Uint8Array): Uint8Array {
  const mask = new Uint8Array(frame.length).fill(0xff);
  const ethernet = readEthernet(frame);
  const ip = ethernet && readIp(frame, ethernet.payloadOffset);
  if (!ethernet || !ip) return mask;
  const start = ethernet.payloadOffset;
  if (ip.version === 4) {
    mask.fill(0, start + 4, start + 6);
    mask.fill(0, start + 10, start + 12);
  } else {
    mask[start + 1] = 0xf0;
    mask.fill(0, start + 2, start + 4);
  }
  mask.fill(0, Math.min(frame.length, start + ip.totalLength));
  return mask;
}
