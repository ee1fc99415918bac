/**
 * The BFD control packet on the wire: RFC 5880 section 4.1, in UDP as RFC 5881 has it.
 *
 *     | Vers (3) | Diag (5) | Sta (2) P F C A D M | Detect Mult | Length |
 *     | My Discriminator                                                |
 *     | Your Discriminator                                              |
 *     | Desired Min TX Interval (us)                                    |
 *     | Required Min RX Interval (us)                                   |
 *     | Required Min Echo RX Interval (us)                              |
 *     | Authentication Section (A set): type, length, key id, …         |
 */
import { ipToBytes, macToBytes } from "../address.js";
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
import { buildUdp, readUdp, UDP_PROTOCOL, type UdpDatagram } from "../udp.js";

/** RFC 5881 section 4: single-hop control packets. */
export const BFD_CONTROL_PORT = 3784;
/** RFC 5881 section 4: source ports are taken from here on. */
export const BFD_SOURCE_PORT_MIN = 49_152;
export const BFD_SOURCE_PORTS = 65_536 - BFD_SOURCE_PORT_MIN;
export const BFD_VERSION = 1;
export const CONTROL_LENGTH = 24;
/** With the A bit: room for type and length at least. */
export const AUTHENTICATED_LENGTH_MIN = 26;
const FLAGS_OFFSET = 1;

/** By their numbers on the wire. */
export const BFD_STATES = ["adminDown", "down", "init", "up"] as const;
export type BfdStateName = (typeof BFD_STATES)[number];

/** RFC 5880 section 4.1, RFC 6428. */
export const DIAGNOSTIC = {
  none: 0,
  detectionTimeExpired: 1,
  echoFailed: 2,
  neighbourSignalledDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
  misconnectivity: 9,
} as const;

export interface BfdFlags {
  readonly poll: boolean;
  readonly final: boolean;
  readonly controlPlaneIndependent: boolean;
  readonly authPresent: boolean;
  readonly demand: boolean;
  readonly multipoint: boolean;
}

/** The packet as it is written, whether or not it is right. */
export interface ControlPacket {
  readonly version: number;
  readonly diagnostic: number;
  readonly state: BfdStateName;
  readonly flags: BfdFlags;
  readonly detectMult: number;
  /** The Length field. */
  readonly length: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
  /** What follows the mandatory part as far as Length says; empty without the A bit. */
  readonly authentication: Uint8Array;
  /** All octets that Length says are there: what a digest is taken over. */
  readonly octets: Uint8Array;
}

const FLAG_BITS: readonly (readonly [keyof BfdFlags, number])[] = [
  ["poll", 0x20],
  ["final", 0x10],
  ["controlPlaneIndependent", 0x08],
  ["authPresent", 0x04],
  ["demand", 0x02],
  ["multipoint", 0x01],
];

export const NO_FLAGS: BfdFlags = {
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  authPresent: false,
  demand: false,
  multipoint: false,
};

/** Null when fewer octets are there than every control packet has. */
export function readControl(payload: Uint8Array): ControlPacket | null {
  if (payload.length < CONTROL_LENGTH) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const first = view.getUint8(0);
  const second = view.getUint8(FLAGS_OFFSET);
  const length = view.getUint8(3);
  const flags = Object.fromEntries(
    FLAG_BITS.map(([name, bit]) => [name, (second & bit) !== 0]),
  ) as unknown as BfdFlags;
  return {
    version: first >> 5,
    diagnostic: first & 0x1f,
    state: BFD_STATES[second >> 6] as BfdStateName,
    flags,
    detectMult: view.getUint8(2),
    length,
    myDiscriminator: view.getUint32(4),
    yourDiscriminator: view.getUint32(8),
    desiredMinTxUs: view.getUint32(12),
    requiredMinRxUs: view.getUint32(16),
    requiredMinEchoRxUs: view.getUint32(20),
    authentication: flags.authPresent ? payload.subarray(CONTROL_LENGTH, length) : new Uint8Array(0),
    octets: payload.subarray(0, length),
  };
}

/** What a packet says, for encoding; the rest follows from it. */
export type ControlContent = Omit<
  ControlPacket,
  "version" | "length" | "authentication" | "octets" | "flags"
> & {
  readonly flags?: Partial<Omit<BfdFlags, "authPresent">>;
  /** The whole authentication section; sets the A bit. */
  readonly authentication?: Uint8Array;
};

export function encodeControl(content: ControlContent): Uint8Array {
  const { authentication } = content;
  const packet = new Uint8Array(CONTROL_LENGTH + (authentication?.length ?? 0));
  const view = new DataView(packet.buffer);
  const flags: BfdFlags = { ...NO_FLAGS, ...content.flags, authPresent: authentication !== undefined };
  view.setUint8(0, (BFD_VERSION << 5) | content.diagnostic);
  view.setUint8(FLAGS_OFFSET, stateAndFlags(content.state, flags));
  view.setUint8(2, content.detectMult);
  view.setUint8(3, packet.length);
  view.setUint32(4, content.myDiscriminator);
  view.setUint32(8, content.yourDiscriminator);
  view.setUint32(12, content.desiredMinTxUs);
  view.setUint32(16, content.requiredMinRxUs);
  view.setUint32(20, content.requiredMinEchoRxUs);
  if (authentication) packet.set(authentication, CONTROL_LENGTH);
  return packet;
}

function stateAndFlags(state: BfdStateName, flags: BfdFlags): number {
  return FLAG_BITS.reduce(
    (octet, [name, bit]) => (flags[name] ? octet | bit : octet),
    BFD_STATES.indexOf(state) << 6,
  );
}

/** Where a control packet goes from and to. */
export interface BfdEndpoints {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
}

/** The IP datagram: TTL or hop limit 255, CS6, UDP to port 3784 (RFC 5881 sections 4 and 5). */
export function encodeControlDatagram(
  content: ControlContent,
  endpoints: BfdEndpoints,
  control: Uint8Array = encodeControl(content),
): Uint8Array {
  const source = ipToBytes(endpoints.source);
  const destination = ipToBytes(endpoints.destination);
  const udp = buildUdp(
    { address: source, port: endpoints.sourcePort },
    { address: destination, port: BFD_CONTROL_PORT },
    control,
  );
  return buildIp(source, destination, UDP_PROTOCOL, udp);
}

/** The Ethernet frame, padded to the minimum. */
export function encodeControlFrame(
  content: ControlContent,
  endpoints: BfdEndpoints & { readonly sourceMac: string; readonly destinationMac: string },
): Uint8Array {
  return buildEthernet(
    macToBytes(endpoints.destinationMac),
    macToBytes(endpoints.sourceMac),
    endpoints.source.includes(":") ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4,
    encodeControlDatagram(content, endpoints),
  );
}

export interface BfdFrame {
  readonly ip: IpPacket;
  readonly udp: UdpDatagram;
  /** Null when it is too short for one. */
  readonly control: ControlPacket | null;
}

/** What an IP datagram carries of single-hop BFD; null when it carries something else. */
export function readBfdPacket(ip: IpPacket): BfdFrame | null {
  const udp = readUdp(ip);
  return udp?.destinationPort === BFD_CONTROL_PORT ? { ip, udp, control: readControl(udp.payload) } : null;
}

/** An Ethernet frame that carries single-hop BFD, taken apart; null when it carries something else. */
export function readBfdFrame(frame: Uint8Array): BfdFrame | null {
  const ethernet = readEthernet(frame);
  const version =
    ethernet?.etherType === ETHERTYPE_IPV4 ? 4 : ethernet?.etherType === ETHERTYPE_IPV6 ? 6 : null;
  const ip = ethernet && version && readIp(frame, ethernet.payloadOffset);
  return ip && ip.version === version ? readBfdPacket(ip) : null;
}

/** What a sender changes from one packet to the next while its parameters stay. */
export interface ControlVariation {
  readonly state: BfdStateName;
  readonly diagnostic: number;
  readonly poll?: boolean;
  readonly final?: boolean;
}

/**
 * The frame that the same sender would send in another state: its checksum is done again where it had one; a digest
 * stays as it was. Null when the frame carries no control packet.
 */
export function withVariation(frame: Uint8Array, variation: ControlVariation): Uint8Array | null {
  const read = readBfdFrame(frame);
  if (!read?.control) return null;
  const offset = read.ip.payloadOffset + 8;
  const copy = frame.slice();
  const { state, diagnostic, poll = false, final = false } = variation;
  copy[offset] = (read.control.version << 5) | diagnostic;
  copy[offset + FLAGS_OFFSET] = stateAndFlags(state, { ...read.control.flags, poll, final });
  if (read.udp.checksumForm !== "full") return copy;
  // RFC 1624: HC' = ~(~HC + ~m + m').
  const sum = (~read.udp.checksum & 0xffff) + (~u16(frame, offset) & 0xffff) + u16(copy, offset);
  const folded = (sum & 0xffff) + (sum >>> 16);
  putU16(copy, offset - 2, ~((folded & 0xffff) + (folded >>> 16)) & 0xffff || 0xffff);
  return copy;
}
