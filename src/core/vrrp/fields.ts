/**
 * The fields of a frame under the names of the wire, for people and for comparison with test vectors. As far
 * as the frame can be read: what is not there is missing.
 */
import { formatIp, formatMac } from "../address.js";
import { type EthernetFrame, type IpPacket, readEthernet, readIp } from "../ethernet.js";
import { VRRP_PROTOCOL } from "./advertisement.js";
import { type RawMessage, readMessage } from "./packet.js";

export interface FrameFields {
  readonly eth?: EthernetFields;
  readonly ip?: Readonly<Record<string, string | number>>;
  readonly ah?: AuthenticationHeaderFields;
  readonly vrrp?: Readonly<Record<string, unknown>>;
}

export interface EthernetFields {
  readonly src: string;
  readonly dst: string;
  readonly etherType: string;
  /** One tag's number; of several tags all, outermost first. */
  readonly vlan?: number | readonly number[];
}

export interface AuthenticationHeaderFields {
  readonly nextHeader: number;
  readonly payloadLength: number;
  readonly spi: string;
  readonly sequence: number;
  readonly icv: string;
}

/** Everything that an Ethernet frame says up to its VRRP message. */
export function decodeFrame(frame: Uint8Array): FrameFields {
  const ethernet = readEthernet(frame);
  if (!ethernet) return {};
  const ip = readIp(frame, ethernet.payloadOffset);
  const eth = ethernetFields(ethernet);
  return ip ? { eth, ...packetFields(ip) } : { eth };
}

/** An IP datagram and what it carries of VRRP. */
export function packetFields(ip: IpPacket): FrameFields {
  const message = ip.protocol === VRRP_PROTOCOL && !ip.fragment ? readMessage(ip) : null;
  return {
    ip: ipFields(ip),
    ...(ip.authenticationHeader ? { ah: authenticationHeaderFields(ip.authenticationHeader) } : {}),
    ...(message ? { vrrp: messageFields(message) } : {}),
  };
}

export function ethernetFields({ source, destination, vlans, etherType }: EthernetFrame): EthernetFields {
  return {
    src: formatMac(source),
    dst: formatMac(destination),
    etherType: hex16(etherType),
    ...(vlans.length === 0 ? {} : { vlan: vlans.length === 1 ? (vlans[0] as number) : vlans }),
  };
}

export function ipFields(ip: IpPacket): Readonly<Record<string, string | number>> {
  const ends = { src: formatIp(ip.source), dst: formatIp(ip.destination), protocol: ip.headerProtocol };
  return ip.version === 4
    ? {
        version: 4,
        ...ends,
        ttl: ip.ttl,
        tos: ip.trafficClass,
        headerLength: ip.headerLength,
        totalLength: ip.totalLength,
      }
    : {
        version: 6,
        ...ends,
        hopLimit: ip.ttl,
        trafficClass: ip.trafficClass,
        payloadLength: ip.totalLength - ip.headerLength,
      };
}

/** RFC 4302 section 2. */
export function authenticationHeaderFields(header: Uint8Array): AuthenticationHeaderFields {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  return {
    nextHeader: view.getUint8(0),
    payloadLength: view.getUint8(1),
    spi: `0x${view.getUint32(4).toString(16).padStart(8, "0")}`,
    sequence: view.getUint32(8),
    icv: hexText(header.subarray(12)),
  };
}

export function messageFields(message: RawMessage): Readonly<Record<string, unknown>> {
  return {
    version: message.version,
    type: message.type,
    vrid: message.vrid,
    priority: message.priority,
    count: message.count,
    ...(message.version === 3
      ? { reserved: message.reserved, maxAdverIntCentiseconds: message.interval }
      : { authType: message.authType, adverIntSeconds: message.interval }),
    checksum: hex16(message.checksum),
    checksumValid: message.checksumValid,
    addresses: message.addresses,
    ...(message.authData === null ? {} : { authData: hexText(message.authData) }),
  };
}

export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
}

export function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, "0")}`;
}
