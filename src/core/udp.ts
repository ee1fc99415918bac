/** UDP (RFC 768; over IPv6 RFC 8200 section 8.1). Reading never throws. */
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "./checksum.js";
import { type IpPacket, putU16, u16 } from "./ethernet.js";

export const UDP_PROTOCOL = 17;
const HEADER_LENGTH = 8;
const CHECKSUM_OFFSET = 6;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly checksum: number;
  /**
   * `none`: left out, which only IPv4 allows. `pending`: the sum of the pseudo-header alone, which the sender's kernel
   * leaves for a network card to complete; seen where frames never pass one, as between namespaces.
   */
  readonly checksumForm: "full" | "none" | "pending" | "wrong";
  /** What the UDP length says is there, cut at the end of the IP datagram. */
  readonly payload: Uint8Array;
}

/** Null when the packet carries no UDP, is a fragment, or is shorter than the header. */
export function readUdp(ip: IpPacket): UdpDatagram | null {
  const { payload: segment } = ip;
  if (ip.protocol !== UDP_PROTOCOL || ip.fragment || segment.length < HEADER_LENGTH) return null;
  const length = u16(segment, 4);
  if (length < HEADER_LENGTH) return null;
  const datagram = segment.subarray(0, length);
  const checksum = u16(segment, CHECKSUM_OFFSET);
  return {
    sourcePort: u16(segment, 0),
    destinationPort: u16(segment, 2),
    checksum,
    checksumForm: checksumForm(ip, datagram, checksum),
    payload: datagram.subarray(HEADER_LENGTH),
  };
}

function checksumForm(ip: IpPacket, datagram: Uint8Array, checksum: number): UdpDatagram["checksumForm"] {
  if (checksum === 0) return ip.version === 4 ? "none" : "wrong";
  const pseudo = pseudoHeaderSum(ip.source, ip.destination, UDP_PROTOCOL, u16(datagram, 4));
  if (onesComplementSum(datagram, pseudo) === 0xffff) return "full";
  return checksum === pseudo ? "pending" : "wrong";
}

/** A UDP datagram with its checksum, without an IP header. */
export function buildUdp(
  source: { readonly address: Uint8Array; readonly port: number },
  destination: { readonly address: Uint8Array; readonly port: number },
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(HEADER_LENGTH + payload.length);
  putU16(datagram, 0, source.port);
  putU16(datagram, 2, destination.port);
  putU16(datagram, 4, datagram.length);
  datagram.set(payload, HEADER_LENGTH);
  const pseudo = pseudoHeaderSum(source.address, destination.address, UDP_PROTOCOL, datagram.length);
  // A sum of 0 would say that there is none.
  putU16(datagram, CHECKSUM_OFFSET, internetChecksum(datagram, pseudo) || 0xffff);
  return datagram;
}
