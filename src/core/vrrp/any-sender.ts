/**
 * Advertisements that nobody has sent yet, as patterns: what stands in all of them alike, and what else must hold.
 *
 * The checks of `validate.ts` come later, in JavaScript, so nothing may fit a pattern that they would refuse. What they
 * do not look at is left open: MAC addresses, traffic class, identification, the bit that forbids fragments, the flow
 * label, and which addresses are listed.
 */
import { formatIp, ipToBytes, isLinkLocal, namesOneHost } from "../address.js";
import type { FrameGuard, FramePattern } from "../automaton.js";
import type { IpPacket } from "../ethernet.js";
import { PRIORITY_OWNER, VRRP_PROTOCOL } from "./advertisement.js";
import { familyOfPacket, type RawMessage, readVrrpFrame } from "./packet.js";

/** Whose advertisements fit. */
export interface Senders {
  /** Such a sender's advertisement. */
  readonly example: Uint8Array;
  /** Only from the example's source address; else from any that names one host (IPv6: a link-local one). */
  readonly sameSource: boolean;
  /** The receiver's own source address: from there come only its own advertisements, back to it. */
  readonly own: string;
  /** This priority at least. */
  readonly priority: number;
}

/** What does not depend on the sender or the receiver; the same for all virtual routers of a kind. */
interface Layout {
  readonly mask: Uint8Array;
  readonly guards: readonly FrameGuard[];
  readonly sourceAt: number;
  readonly priorityAt: number;
}

/** There are as many as ways to advertise: version, family, number of addresses. */
const LAYOUTS = new Map<string, Layout>();

/** Behind an Ethernet header without a tag. */
const IP_AT = 14;
/** Fragments: the offset and the flag for more; not the flag that forbids them. */
const FRAGMENT_BITS = [0x3f, 0xff];
/** fe80::/10 */
const LINK_LOCAL_BITS = [0xff, 0xc0];
/** The reserved bits before version 3's interval may have any value. */
const INTERVAL_BITS = [0x0f, 0xff];

/** Null where the checks would refuse the example itself, or where it can't be told beforehand what they take. */
export function advertisementOfAny(senders: Senders): Omit<FramePattern, "port"> | null {
  const { example, sameSource, own, priority } = senders;
  const { ip, message } = readVrrpFrame(example) ?? {};
  if (!ip || !message || !namesOneHost(ip.source)) return null;
  const family = familyOfPacket(ip);
  if (ip.payloadOffset !== IP_AT + (family === "ipv4" ? 20 : 40)) return null;
  if (family === "ipv6") {
    if (!isLinkLocal(message.addresses[0] ?? "::")) return null;
    if (!sameSource && !isLinkLocal(formatIp(ip.source))) return null;
  }
  const key = [message.version, family, message.count, message.authType, sameSource].join();
  const layout = LAYOUTS.get(key) ?? layoutOf(ip, message, sameSource);
  LAYOUTS.set(key, layout);
  const { mask, guards, sourceAt, priorityAt } = layout;
  return {
    bytes: example.slice(0, mask.length),
    mask,
    guards: [
      { guard: "octet", at: priorityAt, least: priority, most: PRIORITY_OWNER },
      { guard: "differs", at: sourceAt, octets: ipToBytes(own) },
      ...guards,
    ],
  };
}

function layoutOf(ip: IpPacket, message: RawMessage, sameSource: boolean): Layout {
  const at = ip.payloadOffset;
  const end = at + message.expectedLength;
  const mask = new Uint8Array(end);
  const equal = (from: number, to: number): unknown => mask.fill(0xff, from, to);
  const addresses = { from: at - 2 * ip.source.length, to: at };
  equal(12, IP_AT); // EtherType
  equal(addresses.from + (sameSource ? 0 : ip.source.length), addresses.to);
  const guards: FrameGuard[] = [];
  if (ip.version === 4) {
    equal(IP_AT, IP_AT + 1); // version, header length
    equal(IP_AT + 2, IP_AT + 4); // total length
    mask.set(FRAGMENT_BITS, IP_AT + 6);
    equal(IP_AT + 8, IP_AT + 10); // TTL, protocol
    guards.push({ guard: "checksum", from: IP_AT, to: at });
    if (!sameSource) guards.push(...oneHost4(addresses.from));
  } else {
    mask[IP_AT] = 0xf0; // version
    equal(IP_AT + 4, IP_AT + 8); // payload length, next header, hop limit
    if (!sameSource) mask.set(LINK_LOCAL_BITS, addresses.from);
    mask.set(LINK_LOCAL_BITS, at + 8);
  }
  equal(at, at + 2); // version, type, VRID
  equal(at + 3, at + 4); // count
  if (message.version === 3) {
    mask.set(INTERVAL_BITS, at + 4);
    const rest = VRRP_PROTOCOL + message.expectedLength;
    const pseudoHeader = { ...addresses, rest, optional: ip.version === 4 };
    guards.push({ guard: "checksum", from: at, to: end, pseudoHeader });
  } else {
    equal(at + 4, at + 6); // authentication type, interval
    if (message.authType !== 0) equal(end - 8, end);
    guards.push({ guard: "checksum", from: at, to: end });
  }
  return { mask, guards, sourceAt: addresses.from, priorityAt: at + 2 };
}

/** What `namesOneHost` says, for the source at `at`. */
function oneHost4(at: number): FrameGuard[] {
  return [
    { guard: "octet", at, least: 1, most: 223 },
    { guard: "differs", at, octets: Uint8Array.of(127) },
  ];
}
