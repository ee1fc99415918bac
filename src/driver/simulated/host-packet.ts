/** Numbered packets of simulated hosts: UDP-like datagrams to somewhere behind the routers. */
import { ipToBytes } from "../../core/address.js";
import {
  buildEthernet,
  buildIp,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  readEthernet,
  readIp,
} from "../../core/ethernet.js";

const UDP = 17;
const UDP_HEADER = 8;
const MARK = new TextEncoder().encode("firsthop host ");
const UPSTREAM = { ipv4: "198.51.100.1", ipv6: "2001:db8:ffff::1" } as const;

export interface HostPacket {
  readonly host: string;
  readonly sequence: number;
}

export function encodeHostPacket(
  packet: HostPacket & {
    readonly source: string;
    readonly sourceMac: Uint8Array;
    readonly destinationMac: Uint8Array;
  },
): Uint8Array {
  const text = new TextEncoder().encode(`${packet.sequence} ${packet.host}`);
  const payload = new Uint8Array(UDP_HEADER + MARK.length + text.length);
  payload.set(MARK, UDP_HEADER);
  payload.set(text, UDP_HEADER + MARK.length);
  const family = packet.source.includes(":") ? "ipv6" : "ipv4";
  return buildEthernet(
    packet.destinationMac,
    packet.sourceMac,
    family === "ipv4" ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6,
    buildIp(ipToBytes(packet.source), ipToBytes(UPSTREAM[family]), UDP, payload),
  );
}

/** Null for a frame that is no host's packet. */
export function decodeHostPacket(frame: Uint8Array): HostPacket | null {
  const ethernet = readEthernet(frame);
  const ip = ethernet && readIp(frame, ethernet.payloadOffset);
  if (ip?.protocol !== UDP) return null;
  const body = ip.payload.subarray(UDP_HEADER);
  if (body.length < MARK.length || MARK.some((octet, index) => body[index] !== octet)) return null;
  const [sequence = "", host = ""] = new TextDecoder().decode(body.subarray(MARK.length)).split(" ");
  return { host, sequence: Number(sequence) };
}
