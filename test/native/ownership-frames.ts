/** Frames for the ownership programs' fixtures, and ways to spoil them. */
import { ipToBytes, macToBytes, solicitedNodeGroup } from "../../src/core/address.js";
import { arpFrame } from "../../src/core/arp.js";
import { internetChecksum, pseudoHeaderSum } from "../../src/core/checksum.js";
import { buildEthernet, buildIp, ETHERTYPE_IPV4, ETHERTYPE_IPV6, putU16 } from "../../src/core/ethernet.js";
import { GROUP_ADDRESS, GROUP_MAC, type IpFamily } from "../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementFrame } from "../../src/core/vrrp/packet.js";

export const HOST_MAC = "02:00:00:00:00:01";
export const PEER_MAC = "02:00:00:00:00:02";

/** A UDP packet on its way to somewhere else. */
export function packet(destination: string, family: IpFamily = "ipv4", source = HOST_MAC): Uint8Array {
  const [from, to] = family === "ipv4" ? ["192.0.2.9", "198.51.100.1"] : ["2001:db8::9", "2001:db8:1::1"];
  const datagram = buildIp(ipToBytes(from), ipToBytes(to), 17, new Uint8Array(20));
  const etherType = family === "ipv4" ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  return buildEthernet(macToBytes(destination), macToBytes(source), etherType, datagram);
}

export interface ClaimOptions {
  readonly family?: IpFamily;
  readonly version?: 2 | 3;
  readonly vrid?: number;
  readonly priority?: number;
  readonly addresses?: readonly string[];
  /** Default: the VRRP group. */
  readonly destinationMac?: string;
  readonly destination?: string;
  /** Default: the peer's own, so that it is no group's. */
  readonly sourceMac?: string;
}

/** An advertisement of another router. */
export function claim(options: ClaimOptions = {}): Uint8Array {
  const { family = "ipv4", version = 3, vrid = 10, priority = 100 } = options;
  const addresses = options.addresses ?? (family === "ipv4" ? ["192.0.2.1"] : ["fe80::1", "2001:db8::1"]);
  return encodeAdvertisementFrame({
    advertisement: {
      version,
      family,
      vrid,
      priority,
      addresses,
      intervalUs: version === 2 ? 1_000_000 : 10_000,
      authType: 0,
      authData: new Uint8Array(8),
    },
    source: family === "ipv4" ? "192.0.2.3" : "fe80::3",
    destination: options.destination ?? GROUP_ADDRESS[family],
    sourceMac: options.sourceMac ?? PEER_MAC,
    destinationMac: options.destinationMac ?? GROUP_MAC[family],
    checksumForm: "message-only",
  });
}

/** VRRPv2 behind an authentication header of 24 octets (RFC 2338), as keepalived sends it. */
export function authenticatedClaim(sourceMac = PEER_MAC): Uint8Array {
  const frame = claim({ version: 2 });
  const vrrp = frame.slice(34, 34 + 20);
  const payload = new Uint8Array(24 + vrrp.length);
  payload.set([112, 4], 0);
  payload.set(vrrp, 24);
  const datagram = buildIp(ipToBytes("192.0.2.3"), ipToBytes("224.0.0.18"), 51, payload);
  return buildEthernet(macToBytes(GROUP_MAC.ipv4), macToBytes(sourceMac), ETHERTYPE_IPV4, datagram);
}

/** The IPv4 header grown by options. */
export function withOptions(frame: Uint8Array, octets: number): Uint8Array {
  const grown = new Uint8Array(frame.length + octets);
  grown.set(frame.subarray(0, 34));
  grown.fill(1, 34, 34 + octets);
  grown.set(frame.subarray(34), 34 + octets);
  grown[14] = 0x40 | ((20 + octets) / 4);
  const length = (frame[16] as number) * 256 + (frame[17] as number) + octets;
  putU16(grown, 16, length);
  return grown;
}

export function arpRequest(
  target: string,
  options: {
    readonly sender?: string;
    readonly destination?: string;
    readonly operation?: number;
    readonly sourceMac?: string;
  } = {},
): Uint8Array {
  return arpFrame(options.destination ?? "ff:ff:ff:ff:ff:ff", options.sourceMac ?? HOST_MAC, {
    operation: options.operation ?? 1,
    senderMac: HOST_MAC,
    senderIp: options.sender ?? "192.0.2.9",
    targetMac: "00:00:00:00:00:00",
    targetIp: target,
  });
}

export function solicitation(
  target: string,
  options: { readonly destinationMac?: string; readonly type?: number; readonly option?: boolean } = {},
): Uint8Array {
  const source = ipToBytes("2001:db8::9");
  const group = ipToBytes(solicitedNodeGroup(target));
  const message = new Uint8Array(options.option === false ? 24 : 32);
  message[0] = options.type ?? 135;
  message.set(ipToBytes(target), 8);
  if (message.length > 24) message.set([1, 1, ...macToBytes(HOST_MAC)], 24);
  putU16(message, 2, internetChecksum(message, pseudoHeaderSum(source, group, 58, message.length)));
  const destination =
    options.destinationMac === undefined
      ? new Uint8Array([0x33, 0x33, ...group.subarray(12)])
      : macToBytes(options.destinationMac);
  const to = options.destinationMac === undefined ? group : ipToBytes(target);
  return buildEthernet(destination, macToBytes(HOST_MAC), ETHERTYPE_IPV6, buildIp(source, to, 58, message));
}

/** With VLAN tags in band: the outer one first, as numbers or [EtherType, tag]. */
export function tagged(
  frame: Uint8Array,
  ...tags: readonly (number | readonly [number, number])[]
): Uint8Array {
  const grown = new Uint8Array(frame.length + 4 * tags.length);
  grown.set(frame.subarray(0, 12));
  tags.forEach((tag, index) => {
    const [etherType, value] = typeof tag === "number" ? [0x8100, tag] : tag;
    putU16(grown, 12 + 4 * index, etherType);
    putU16(grown, 14 + 4 * index, value);
  });
  grown.set(frame.subarray(12), 12 + 4 * tags.length);
  return grown;
}

/** With octets replaced. */
export function spoiled(frame: Uint8Array, ...changes: readonly (readonly [number, number])[]): Uint8Array {
  const copy = frame.slice();
  for (const [at, value] of changes) copy[at] = value;
  return copy;
}
