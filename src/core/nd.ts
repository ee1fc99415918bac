/**
 * Neighbour discovery for virtual addresses: unsolicited and solicited advertisements. RFC 4861 section 4.4.
 */
import {
  formatIp,
  formatMac,
  ipToBytes,
  ipv6MulticastMac,
  macToBytes,
  solicitedNodeGroup,
} from "./address.js";
import { internetChecksum, pseudoHeaderSum } from "./checksum.js";
import { buildEthernet, buildIp, ETHERTYPE_IPV6, putU16, readEthernet, readIp, u16 } from "./ethernet.js";

const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const ALL_NODES = "ff02::1";
const UNSPECIFIED = "::";
const OPTION_SOURCE_LINK_LAYER = 1;
const OPTION_TARGET_LINK_LAYER = 2;

/** A neighbour solicitation or advertisement as it is on the wire; nothing of it is judged. */
export interface NeighbourMessage {
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly type: number;
  readonly code: number;
  readonly checksum: number;
  readonly checksumValid: boolean;
  /** Advertisements; false in solicitations. */
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
  readonly target: string;
  readonly sourceLinkLayer: string | null;
  readonly targetLinkLayer: string | null;
  /** The options are whole and none is of length 0. */
  readonly optionsValid: boolean;
}

export interface NeighbourSolicitation {
  readonly source: string;
  readonly destination: string;
  readonly sourceMac: string;
  readonly target: string;
  /**
   * From the source link-layer address option; null without one (a probe, or duplicate address detection).
   */
  readonly sourceLinkLayer: string | null;
}

export interface NeighbourAdvertisement {
  readonly destinationMac: string;
  readonly sourceMac: string;
  readonly source: string;
  readonly destination: string;
  readonly target: string;
  readonly targetLinkLayer: string;
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
}

/**
 * Null when the frame carries neither a neighbour solicitation nor an advertisement. RFC 4861 sections 4.3,
 * 4.4.
 */
export function readNeighbourMessage(frame: Uint8Array): NeighbourMessage | null {
  const ethernet = readEthernet(frame);
  if (ethernet?.etherType !== ETHERTYPE_IPV6) return null;
  const ip = readIp(frame, ethernet.payloadOffset);
  if (ip?.protocol !== ICMPV6 || ip.fragment) return null;
  const body = ip.payload;
  const type = body[0] as number;
  if (body.length < 24 || (type !== SOLICITATION && type !== ADVERTISEMENT)) return null;
  const flags = type === ADVERTISEMENT ? (body[4] as number) : 0;
  return {
    sourceMac: formatMac(ethernet.source),
    destinationMac: formatMac(ethernet.destination),
    source: formatIp(ip.source),
    destination: formatIp(ip.destination),
    hopLimit: ip.ttl,
    type,
    code: body[1] as number,
    checksum: u16(body, 2),
    checksumValid:
      internetChecksum(body, pseudoHeaderSum(ip.source, ip.destination, ICMPV6, body.length)) === 0,
    router: (flags & 0x80) !== 0,
    solicited: (flags & 0x40) !== 0,
    override: (flags & 0x20) !== 0,
    target: formatIp(body.subarray(8, 24)),
    ...readOptions(body.subarray(24)),
  };
}

type Options = Pick<NeighbourMessage, "sourceLinkLayer" | "targetLinkLayer" | "optionsValid">;

function readOptions(options: Uint8Array): Options {
  let found: Options = { sourceLinkLayer: null, targetLinkLayer: null, optionsValid: true };
  let offset = 0;
  while (offset < options.length) {
    const length = (options[offset + 1] ?? 0) * 8;
    if (length === 0 || offset + length > options.length) return { ...found, optionsValid: false };
    const address = formatMac(options.subarray(offset + 2, offset + 8));
    if (options[offset] === OPTION_SOURCE_LINK_LAYER) found = { ...found, sourceLinkLayer: address };
    if (options[offset] === OPTION_TARGET_LINK_LAYER) found = { ...found, targetLinkLayer: address };
    offset += length;
  }
  return found;
}

/** Null when the frame carries no valid neighbour solicitation (RFC 4861 section 7.1.1). */
export function readSolicitation(frame: Uint8Array): NeighbourSolicitation | null {
  const message = readNeighbourMessage(frame);
  if (!message || message.type !== SOLICITATION || message.code !== 0) return null;
  if (message.hopLimit !== 255 || !message.checksumValid || !message.optionsValid) return null;
  const { source, destination, sourceMac, target, sourceLinkLayer } = message;
  if (isMulticast(target)) return null;
  // Who has no address yet asks the solicited-node group, and names no link-layer address.
  const detection = source === UNSPECIFIED;
  if (detection && (destination !== solicitedNodeGroup(target) || sourceLinkLayer !== null)) return null;
  return { source, destination, sourceMac, target, sourceLinkLayer };
}

/** ff00::/8 */
function isMulticast(address: string): boolean {
  return ipToBytes(address)[0] === 0xff;
}

export function advertisementFrame(na: NeighbourAdvertisement): Uint8Array {
  const body = new Uint8Array(32);
  body[0] = ADVERTISEMENT;
  body[4] = (na.router ? 0x80 : 0) | (na.solicited ? 0x40 : 0) | (na.override ? 0x20 : 0);
  body.set(ipToBytes(na.target), 8);
  body.set([OPTION_TARGET_LINK_LAYER, 1], 24);
  body.set(macToBytes(na.targetLinkLayer), 26);
  const source = ipToBytes(na.source);
  const destination = ipToBytes(na.destination);
  putU16(body, 2, internetChecksum(body, pseudoHeaderSum(source, destination, ICMPV6, body.length)));
  const datagram = buildIp(source, destination, ICMPV6, body);
  return buildEthernet(macToBytes(na.destinationMac), macToBytes(na.sourceMac), ETHERTYPE_IPV6, datagram);
}

/**
 * Unsolicited advertisement of an address that this router is now Active for: R, O, not S. RFC 9568 6.4.2.
 */
export function unsolicitedAdvertisement(address: string, mac: string): Uint8Array {
  return advertisementFrame({
    destinationMac: ipv6MulticastMac(ALL_NODES),
    sourceMac: mac,
    source: address,
    destination: ALL_NODES,
    target: address,
    targetLinkLayer: mac,
    router: true,
    solicited: false,
    override: true,
  });
}

/**
 * The Active router's answer to a solicitation; duplicate address detection (source ::) is answered to all
 * nodes, not solicited (RFC 4861 section 7.2.4). Null when the frame is none, or comes from the virtual MAC
 * itself.
 */
export function answerSolicitation(frame: Uint8Array, mac: string): Uint8Array | null {
  const asked = readSolicitation(frame);
  if (!asked || asked.sourceMac === mac) return null;
  const detection = asked.source === UNSPECIFIED;
  const destination = detection ? ALL_NODES : asked.source;
  return advertisementFrame({
    destinationMac: detection ? ipv6MulticastMac(ALL_NODES) : (asked.sourceLinkLayer ?? asked.sourceMac),
    sourceMac: mac,
    source: asked.target,
    destination,
    target: asked.target,
    targetLinkLayer: mac,
    router: true,
    solicited: !detection,
    override: true,
  });
}
