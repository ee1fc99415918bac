/**
 * Receiving: RFC 9568 section 7.1, RFC 3768 section 7.1, in the order of the RFCs; the first check that fails
 * decides. The result is a value: a bad packet is an event like any other.
 */
import { formatIp, isLinkLocal } from "../address.js";
import type { IpPacket } from "../ethernet.js";
import {
  type Advertisement,
  type ChecksumForm,
  type IpFamily,
  PRIORITY_OWNER,
  VRRP_PROTOCOL,
  type VrrpVersion,
} from "./advertisement.js";
import { familyOfPacket, MESSAGE_TYPE, type RawMessage, toAdvertisement } from "./packet.js";

/** What the verdict depends on: the virtual router that receives. */
export interface VrrpReceiver {
  readonly version: VrrpVersion;
  readonly family: IpFamily;
  readonly vrid: number;
  readonly priority: number;
  readonly primaryAddress: string;
  readonly addresses: readonly string[];
  readonly intervalUs: number;
  /** v2: 0 none, 1 simple text, 2 authentication header. */
  readonly authType: number;
  /** v2, type 1: 8 octets. */
  readonly authData: Uint8Array;
  /** v2, type 2: whether the authentication header verifies. Needs a digest, which the core has not. */
  readonly verifyAuthenticationHeader?: (ip: IpPacket) => boolean;
  /** Compare the address list: v2 drops a difference (unless the sender is the owner), v3 warns. */
  readonly checkAddressList: boolean;
  readonly ipv4Checksum: "either" | ChecksumForm;
  /** RFC 9568 as printed drops advertisements at the owner; erratum 8298 lets the election run. */
  readonly ownerReceive: "process" | "discard";
  /** Unicast peers whose packets come through routers: their TTL may be lower. Default 255. */
  readonly minimumTtl?: number;
  /** Whether backup advertisements (draft-ietf-rtgwg-vrrp-bfd-p2p) count; to others they are an unknown type. */
  readonly backupAdvertisements?: boolean;
}

/** Reasons in the order of the checks. */
export const REJECT_REASONS = {
  ttl: { counter: "ip-ttl-errors", section: "RFC 9568 7.1", text: "TTL or hop limit is not 255" },
  version: {
    counter: "version-errors",
    section: "RFC 9568 7.1",
    text: "another VRRP version than configured",
  },
  type: {
    counter: "invalid-type-pkts-rcvd",
    section: "RFC 9568 5.2.2",
    text: "the type is not ADVERTISEMENT",
  },
  length: {
    counter: "packet-length-errors",
    section: "RFC 9568 7.1",
    text: "the message is shorter than its fields ask for",
  },
  checksum: { counter: "checksum-errors", section: "RFC 9568 5.2.8", text: "the checksum is wrong" },
  vrid: {
    counter: "vrid-errors",
    section: "RFC 9568 7.1",
    text: "the VRID is not configured on this interface",
  },
  owner: { counter: null, section: "RFC 9568 7.1", text: "this router owns the addresses" },
  "count-zero": {
    counter: "address-list-errors",
    section: "RFC 9568 5.2.5, erratum 8299",
    text: "no address is listed",
  },
  "first-address-not-link-local": {
    counter: "address-list-errors",
    section: "RFC 9568 5.2.9, erratum 8300",
    text: "the first IPv6 address is not link-local",
  },
  "interval-zero": {
    counter: "interval-errors",
    section: "RFC 9568 5.2.7, erratum 8301",
    text: "the interval is 0",
  },
  "auth-type-invalid": {
    counter: "invalid-auth-type",
    section: "RFC 2338 5.3.6",
    text: "unknown authentication type",
  },
  "auth-type-mismatch": {
    counter: "auth-type-mismatch",
    section: "RFC 2338 7.1",
    text: "another authentication type than configured",
  },
  "auth-failure": {
    counter: "authentication-failures",
    section: "RFC 2338 7.1",
    text: "the password is another one",
  },
  "address-list": {
    counter: "address-list-errors",
    section: "RFC 3768 7.1",
    text: "the address list is another one",
  },
  interval: { counter: "interval-errors", section: "RFC 3768 7.1", text: "the interval is another one" },
} as const;

export type RejectReason = keyof typeof REJECT_REASONS;

type CamelCase<Leaf extends string> = Leaf extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Leaf;

/** Counters that rejected advertisements move, as properties: `ip-ttl-errors` is `ipTtlErrors`. */
export type RejectCounter = CamelCase<NonNullable<(typeof REJECT_REASONS)[RejectReason]["counter"]>>;

/** The counter that a reason moves; null for the one that no standard counts. */
export function rejectCounter(reason: RejectReason): RejectCounter | null {
  const leaf = REJECT_REASONS[reason].counter;
  return leaf && (leaf.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) as RejectCounter);
}

export type ReceiveWarning =
  | "legacy-pseudo-header-checksum"
  | "duplicate-owner"
  | "address-list-mismatch"
  | "interval-mismatch";

export type Verdict =
  | {
      readonly verdict: "accept";
      readonly advertisement: Advertisement;
      /** It is a backup advertisement: who sent it is not Active. */
      readonly fromBackup: boolean;
      readonly source: string;
      readonly checksumForm: ChecksumForm;
      readonly warnings: readonly ReceiveWarning[];
    }
  | { readonly verdict: "discard"; readonly reason: RejectReason }
  /** Not for the checks: no VRRP, a fragment, a broken IP header, or our own advertisement that came back. */
  | { readonly verdict: "ignore"; readonly reason: "not-vrrp" | "fragment" | "ip-header" | "own" };

const discard = (reason: RejectReason): Verdict => ({ verdict: "discard", reason });

/** Passes an IP datagram and its message through the checks. */
export function receive(ip: IpPacket, message: RawMessage | null, receiver: VrrpReceiver): Verdict {
  if (ip.protocol !== VRRP_PROTOCOL) return { verdict: "ignore", reason: "not-vrrp" };
  if (ip.fragment) return { verdict: "ignore", reason: "fragment" };
  if (!ip.headerChecksumValid) return { verdict: "ignore", reason: "ip-header" };
  const source = formatIp(ip.source);
  if (source === receiver.primaryAddress) return { verdict: "ignore", reason: "own" };
  if (ip.ttl < (receiver.minimumTtl ?? 255)) return discard("ttl");
  if (!message) return discard("length");
  const family = familyOfPacket(ip);
  const flaw = checkMessage(message, family, receiver) ?? checkAuthentication(ip, message, receiver);
  if (flaw) return discard(flaw);
  return checkConsistency(message, family, source, receiver);
}

function checkMessage(message: RawMessage, family: IpFamily, receiver: VrrpReceiver): RejectReason | null {
  // Version 2 knows IPv4 only: over IPv6 it is no version at all.
  if (message.version !== receiver.version || (message.version === 2 && family === "ipv6")) return "version";
  if (!isKnownType(message, receiver)) return "type";
  if (!isComplete(message)) return "length";
  if (!checksumForm(message, family, receiver.ipv4Checksum)) return "checksum";
  if (message.vrid !== receiver.vrid || family !== receiver.family) return "vrid";
  if (receiver.priority === PRIORITY_OWNER && receiver.ownerReceive === "discard") return "owner";
  if (message.version !== 3) return null;
  if (message.count === 0) return "count-zero";
  if (family === "ipv6" && !isLinkLocal(message.addresses[0] as string))
    return "first-address-not-link-local";
  return message.interval === 0 ? "interval-zero" : null;
}

function isKnownType({ version, type }: RawMessage, { backupAdvertisements }: VrrpReceiver): boolean {
  if (type === MESSAGE_TYPE.backupAdvertisement) return backupAdvertisements === true && version === 3;
  return type === MESSAGE_TYPE.advertisement;
}

/** Everything that version and count ask for is there. Surplus octets are no error by the RFCs. */
function isComplete(message: RawMessage): boolean {
  return message.addresses.length === message.count && (message.version === 3 || message.authData !== null);
}

/** The form under which the checksum is right, if one is; message-only where both are. */
export function checksumForm(
  message: RawMessage,
  family: IpFamily,
  accepted: VrrpReceiver["ipv4Checksum"] = "either",
): ChecksumForm | null {
  const { messageOnly, withPseudoHeader } = message.checksumValid;
  if (message.version === 2) return messageOnly ? "message-only" : null;
  if (family === "ipv6") return withPseudoHeader ? "pseudo-header" : null;
  if (messageOnly && accepted !== "pseudo-header") return "message-only";
  return withPseudoHeader && accepted !== "message-only" ? "pseudo-header" : null;
}

function checkAuthentication(ip: IpPacket, message: RawMessage, receiver: VrrpReceiver): RejectReason | null {
  if (message.version !== 2) return null;
  if (message.authType > 2) return "auth-type-invalid";
  if (message.authType !== receiver.authType) return "auth-type-mismatch";
  if (message.authType === 1) return sameOctets(message.authData, receiver.authData) ? null : "auth-failure";
  if (message.authType === 2) return receiver.verifyAuthenticationHeader?.(ip) ? null : "auth-failure";
  return null;
}

/** All eight octets, in a time that does not depend on where they differ. */
function sameOctets(a: Uint8Array | null, b: Uint8Array): boolean {
  if (!a || a.length !== b.length) return false;
  let difference = 0;
  for (const [index, octet] of a.entries()) difference |= octet ^ (b[index] as number);
  return difference === 0;
}

function checkConsistency(
  message: RawMessage,
  family: IpFamily,
  source: string,
  receiver: VrrpReceiver,
): Verdict {
  const advertisement = toAdvertisement(message, family);
  const form = checksumForm(message, family, receiver.ipv4Checksum) as ChecksumForm;
  const warnings: ReceiveWarning[] = [];
  if (form === "pseudo-header" && family === "ipv4" && receiver.ipv4Checksum === "either") {
    warnings.push("legacy-pseudo-header-checksum");
  }
  if (receiver.priority === PRIORITY_OWNER && message.priority === PRIORITY_OWNER)
    warnings.push("duplicate-owner");
  if (receiver.checkAddressList && !sameAddresses(message.addresses, receiver.addresses)) {
    if (message.version === 2 && message.priority !== PRIORITY_OWNER) return discard("address-list");
    warnings.push("address-list-mismatch");
  }
  if (advertisement.intervalUs !== receiver.intervalUs) {
    if (message.version === 2) return discard("interval");
    warnings.push("interval-mismatch");
  }
  const fromBackup = message.type === MESSAGE_TYPE.backupAdvertisement;
  return { verdict: "accept", advertisement, fromBackup, source, checksumForm: form, warnings };
}

/** Count and list, as a set: the order should be the same everywhere, but is not checked. */
function sameAddresses(a: readonly string[], b: readonly string[]): boolean {
  const known = new Set(b);
  return a.length === b.length && new Set(a).size === known.size && a.every((address) => known.has(address));
}
