/** ARP for virtual addresses: gratuitous requests, and the answers of an Active router. RFC 826, RFC 5227. */
import { formatIp, formatMac, ipToBytes, macToBytes } from "./address.js";
import { buildEthernet, ETHERTYPE_ARP, putU16, readEthernet, u16 } from "./ethernet.js";

const REQUEST = 1;
const REPLY = 2;
const BROADCAST = "ff:ff:ff:ff:ff:ff";

export interface ArpPacket {
  readonly operation: number;
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac: string;
  readonly targetIp: string;
}

/** Null when the frame carries no ARP for IPv4 over Ethernet. */
export function readArp(frame: Uint8Array): ArpPacket | null {
  const ethernet = readEthernet(frame);
  const body = ethernet?.payload;
  if (!body || ethernet.etherType !== ETHERTYPE_ARP || body.length < 28) return null;
  if (u16(body, 0) !== 1 || u16(body, 2) !== 0x0800 || body[4] !== 6 || body[5] !== 4) return null;
  return {
    operation: u16(body, 6),
    senderMac: formatMac(body.subarray(8, 14)),
    senderIp: formatIp(body.subarray(14, 18)),
    targetMac: formatMac(body.subarray(18, 24)),
    targetIp: formatIp(body.subarray(24, 28)),
  };
}

export function arpFrame(destination: string, source: string, arp: ArpPacket): Uint8Array {
  const body = new Uint8Array(28);
  putU16(body, 0, 1);
  putU16(body, 2, 0x0800);
  body.set([6, 4], 4);
  putU16(body, 6, arp.operation);
  body.set(macToBytes(arp.senderMac), 8);
  body.set(ipToBytes(arp.senderIp), 14);
  body.set(macToBytes(arp.targetMac), 18);
  body.set(ipToBytes(arp.targetIp), 24);
  return buildEthernet(macToBytes(destination), macToBytes(source), ETHERTYPE_ARP, body);
}

/**
 * Gratuitous ARP request, RFC 9568 section 6.4.2. Sent from the virtual MAC, which is what moves a switch.
 * The target hardware address is ignored by receivers; broadcast is the common form, errata 7947 and 7949
 * name the virtual MAC.
 */
export function gratuitousArp(address: string, mac: string, targetMac: string = BROADCAST): Uint8Array {
  return arpFrame(BROADCAST, mac, {
    operation: REQUEST,
    senderMac: mac,
    senderIp: address,
    targetMac,
    targetIp: address,
  });
}

/**
 * The Active router's answer to a request, a probe of RFC 5227 (sender 0.0.0.0) included: it defends the
 * address. Null when the frame is no request, or comes from the virtual MAC: that is an echo, or another
 * Active's announcement.
 */
export function answerArp(frame: Uint8Array, mac: string): Uint8Array | null {
  const request = readArp(frame);
  if (!request || request.operation !== REQUEST || request.senderMac === mac) return null;
  return arpFrame(request.senderMac, mac, {
    operation: REPLY,
    senderMac: mac,
    senderIp: request.targetIp,
    targetMac: request.senderMac,
    targetIp: request.senderIp,
  });
}
