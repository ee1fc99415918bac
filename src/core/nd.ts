/** Neighbour discovery for virtual addresses: unsolicited and solicited advertisements. RFC 4861 section 4.4. */
import { formatIp, formatMac, ipToBytes, ipv6MulticastMac, macToBytes } from "./address.js";
import { internetChecksum, pseudoHeaderSum } from "./checksum.js";
import { buildEthernet, ETHERTYPE_IPV6, putU16, readEthernet, readIp } from "./ethernet.js";

const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const ALL_NODES = "ff02::1";
const UNSPECIFIED = "::";
const OPTION_SOURCE_LINK_LAYER = 1;
const OPTION_TARGET_LINK_LAYER = 2;

export interface NeighbourSolicitation {
  readonly source: string;
  readonly destination: string;
  readonly sourceMac: string;
  readonly target: string;
  /** From the source link-layer address option; null without one (a probe, or duplicate address detection). */
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

/** Null when the frame carries no valid neighbour solicitation (RFC 4861 section 7.1.1). */
export function readSolicitation(frame: Uint8Array): NeighbourSolicitation | null {
  const ethernet = readEthernet(frame);
  if (ethernet?.etherType !== ETHERTYPE_IPV6) return null;
  const ip = readIp(frame, ethernet.payloadOffset);
  if (!ip || ip.protocol !== ICMPV6 || ip.ttl !== 255) return null;
  const body = ip.payload;
  if (body.length < 24 || body[0] !== SOLICITATION || body[1] !== 0) return null;
  if (internetChecksum(body, pseudoHeaderSum(ip.source, ip.destination, ICMPV6, body.length)) !== 0) return null;
  return {
    source: formatIp(ip.source),
    destination: formatIp(ip.destination),
    sourceMac: formatMac(ethernet.source),
    target: formatIp(body.subarray(8, 24)),
    sourceLinkLayer: linkLayerOption(body.subarray(24)),
  };
}

function linkLayerOption(options: Uint8Array): string | null {
  let offset = 0;
  while (offset + 8 <= options.length) {
    const length = (options[offset + 1] as number) * 8;
    if (length === 0) return null;
    if (options[offset] === OPTION_SOURCE_LINK_LAYER) return formatMac(options.subarray(offset + 2, offset + 8));
    offset += length;
  }
  return null;
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
  const datagram = new Uint8Array(40 + body.length);
  datagram[0] = 0x60;
  putU16(datagram, 4, body.length);
  datagram[6] = ICMPV6;
  datagram[7] = 255;
  datagram.set(source, 8);
  datagram.set(destination, 24);
  datagram.set(body, 40);
  return buildEthernet(macToBytes(na.destinationMac), macToBytes(na.sourceMac), ETHERTYPE_IPV6, datagram);
}

/** Unsolicited advertisement of an address that this router is now Active for: R, O, not S. RFC 9568 6.4.2. */
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
 * The Active router's answer to a solicitation; duplicate address detection (source ::) is answered to all nodes,
 * not solicited (RFC 4861 section 7.2.4). Null when the frame is none.
 */
export function answerSolicitation(frame: Uint8Array, mac: string): Uint8Array | null {
  const asked = readSolicitation(frame);
  if (!asked) return null;
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
