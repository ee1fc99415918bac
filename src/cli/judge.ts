/**
 * What `decode` says about one frame: its fields, and whether a router would take it. Without a configured
 * receiver everything is judged that does not depend on one: the receiver is assumed to be configured like
 * the sender.
 */
import { ipToBytes } from "../core/address.js";
import { type BfdFields, bfdFields } from "../core/bfd/fields.js";
import {
  BFD_CONTROL_PORT,
  BFD_SOURCE_PORT_MIN,
  type BfdFrame,
  readBfdPacket,
  readControl,
} from "../core/bfd/packet.js";
import { BFD_REJECT_REASONS, type BfdReceiver, receive as receiveBfd } from "../core/bfd/validate.js";
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, type IpPacket, readEthernet, readIp } from "../core/ethernet.js";
import {
  type ChecksumForm,
  GROUP_ADDRESS,
  type IpFamily,
  VRRP_PROTOCOL,
} from "../core/vrrp/advertisement.js";
import { ethernetFields, type FrameFields, messageFields, packetFields } from "../core/vrrp/fields.js";
import { familyOfPacket, type RawMessage, readMessage, toAdvertisement } from "../core/vrrp/packet.js";
import { REJECT_REASONS, receive, type Verdict, type VrrpReceiver } from "../core/vrrp/validate.js";
import type { CapturedFrame } from "./capture.js";

/** What the user said about the receiver; the rest is taken from the frame. */
export interface AssumedReceiver {
  readonly vrid?: number;
  readonly version?: 2 | 3;
  readonly priority?: number;
  readonly addresses?: readonly string[];
  readonly intervalUs?: number;
  /** 8 octets, for authentication type 1; null: no authentication. */
  readonly password?: Uint8Array | null;
  readonly ipv4Checksum?: "either" | ChecksumForm;
}

/** For the payload alone: what it is, and what the IP header would have said. */
export interface AssumedHeader {
  /** Default: vrrp. */
  readonly protocol?: "vrrp" | "bfd";
  readonly family?: IpFamily;
  readonly source?: string;
  readonly destination?: string;
}

export interface Judgement {
  readonly verdict: "accept" | "discard" | "ignore";
  /** The first failing check; null when accepted. */
  readonly reason: string | null;
  /** The reason in words. */
  readonly text: string | null;
  /** Where it is written. */
  readonly section: string | null;
  /** Statistics leaf that a discarded frame moves. */
  readonly counter: string | null;
  readonly warnings: readonly string[];
  /** The fields as they are on the wire. */
  readonly decoded: FrameFields & BfdFields;
}

const IGNORED_TEXT: Readonly<Record<string, string>> = {
  "not-vrrp": "this is no VRRP frame",
  fragment: "this is a fragment; VRRP messages are never fragmented",
  "ip-header": "the checksum of the IPv4 header is wrong",
  own: "this is the receiver's own advertisement",
  "udp-checksum": "the UDP checksum is wrong",
};

export function judge(frame: CapturedFrame, receiver: AssumedReceiver, header: AssumedHeader): Judgement {
  const ethernet = frame.layer === "ethernet" ? readEthernet(frame.bytes) : null;
  const eth = ethernet ? { eth: ethernetFields(ethernet) } : {};
  if (frame.layer === "payload" && header.protocol === "bfd")
    return judgeBfd(assumedDatagram(frame.bytes), {});
  const ip = ipOf(frame, header);
  if (!ip) return ignored("not-vrrp", eth);
  const bfd = readBfdPacket(ip);
  if (bfd) return judgeBfd(bfd, { ...eth, ip: packetFields(ip).ip });
  const message = ip.protocol === VRRP_PROTOCOL && !ip.fragment ? readMessage(ip) : null;
  const uncheckable = message !== null && frame.layer === "payload" && header.source === undefined;
  const judged = uncheckable ? trustPseudoHeader(message, familyOfPacket(ip)) : message;
  const { ip: ipFields, ...carried } = packetFields(ip);
  const decoded: FrameFields = {
    ...eth,
    ...(frame.layer === "payload" ? {} : { ip: ipFields }),
    ...carried,
    ...(uncheckable ? { vrrp: withoutPseudoHeader(message) } : {}),
  };
  const verdict = receive(ip, judged, receiverFor(message, familyOfPacket(ip), receiver));
  return conclude(verdict, decoded, judged !== message);
}

/** A control packet, as a session would judge it that is configured like the sender and that the packet is for. */
function judgeBfd(
  frame: BfdFrame,
  carrier: { readonly [K in keyof FrameFields]?: FrameFields[K] | undefined },
): Judgement {
  const { udp, bfd } = bfdFields(frame);
  const decoded = {
    ...carrier,
    ...(carrier.ip && udp ? { udp } : {}),
    ...(bfd ? { bfd } : {}),
  } as Judgement["decoded"];
  const signed = frame.control?.flags.authPresent === true;
  // Its key is not known here; that the section is there is all that can be seen.
  const unsigned = frame.control && signed ? withoutAuthentication(frame) : frame;
  const session: BfdReceiver = { authentication: null, lastSequence: null };
  const any = (): BfdReceiver => session;
  const verdict = receiveBfd(unsigned, { byDiscriminator: any, bySource: any, byHead: any });
  switch (verdict.verdict) {
    case "ignore":
      return ignored(verdict.reason, decoded);
    case "discard": {
      const { text, section } = BFD_REJECT_REASONS[verdict.reason];
      return {
        verdict: "discard",
        reason: verdict.reason,
        text,
        section,
        counter: null,
        warnings: [],
        decoded,
      };
    }
    case "accept": {
      const warnings = signed ? ["authentication-unchecked"] : [];
      return { verdict: "accept", reason: null, text: null, section: null, counter: null, warnings, decoded };
    }
  }
}

/** The same packet judged without its signature, unless the section itself can't be one. */
function withoutAuthentication(frame: BfdFrame): BfdFrame {
  const { control } = frame;
  if (!control || control.authentication.length < 2) return frame;
  return { ...frame, control: { ...control, flags: { ...control.flags, authPresent: false } } };
}

function assumedDatagram(payload: Uint8Array): BfdFrame {
  const ip = assumedPacket(payload, {});
  const udp = {
    sourcePort: BFD_SOURCE_PORT_MIN,
    destinationPort: BFD_CONTROL_PORT,
    checksum: 0,
    checksumForm: "none" as const,
    payload,
  };
  return { ip, udp, control: readControl(payload) };
}

function ignored(reason: string, decoded: Judgement["decoded"]): Judgement {
  const text = IGNORED_TEXT[reason] ?? null;
  return { verdict: "ignore", reason, text, section: null, counter: null, warnings: [], decoded };
}

function conclude(verdict: Verdict, decoded: FrameFields, unchecked: boolean): Judgement {
  switch (verdict.verdict) {
    case "ignore":
      return ignored(verdict.reason, decoded);
    case "discard": {
      const { text, section, counter } = REJECT_REASONS[verdict.reason];
      return { verdict: "discard", reason: verdict.reason, text, section, counter, warnings: [], decoded };
    }
    case "accept": {
      const warnings = unchecked ? ["checksum-unchecked"] : verdict.warnings;
      return { verdict: "accept", reason: null, text: null, section: null, counter: null, warnings, decoded };
    }
  }
}

function ipOf(frame: CapturedFrame, header: AssumedHeader): IpPacket | null {
  switch (frame.layer) {
    case "ethernet": {
      const ethernet = readEthernet(frame.bytes);
      if (!ethernet || (ethernet.etherType !== ETHERTYPE_IPV4 && ethernet.etherType !== ETHERTYPE_IPV6))
        return null;
      return readIp(frame.bytes, ethernet.payloadOffset);
    }
    case "ip":
      return readIp(frame.bytes);
    case "payload":
      return assumedPacket(frame.bytes, header);
  }
}

/** The header that a message without one would have had: everything right with it. */
function assumedPacket(payload: Uint8Array, header: AssumedHeader): IpPacket {
  const family = header.family ?? familyOfLength(payload);
  const unspecified = family === "ipv4" ? "0.0.0.0" : "::";
  return {
    version: family === "ipv4" ? 4 : 6,
    source: ipToBytes(header.source ?? unspecified),
    destination: ipToBytes(header.destination ?? GROUP_ADDRESS[family]),
    protocol: VRRP_PROTOCOL,
    headerProtocol: VRRP_PROTOCOL,
    ttl: 255,
    trafficClass: 0xc0,
    headerLength: 0,
    totalLength: payload.length,
    headerChecksumValid: true,
    fragment: false,
    authenticationHeader: null,
    datagram: payload,
    payload,
    payloadOffset: 0,
  };
}

/** IPv6 where version and count leave no other reading of the length. */
function familyOfLength(payload: Uint8Array): IpFamily {
  const version = (payload[0] ?? 0) >> 4;
  const count = payload[3] ?? 0;
  return version === 3 && count > 0 && payload.length >= 8 + 16 * count ? "ipv6" : "ipv4";
}

/** Without the IP addresses a sum over the pseudo-header can be neither confirmed nor refuted. */
function trustPseudoHeader(message: RawMessage, family: IpFamily): RawMessage {
  const decided = message.version === 2 || (family === "ipv4" && message.checksumValid.messageOnly);
  if (decided) return message;
  return { ...message, checksumValid: { ...message.checksumValid, withPseudoHeader: true } };
}

/** The fields without a statement that the missing addresses do not allow. */
function withoutPseudoHeader(message: RawMessage): Readonly<Record<string, unknown>> {
  return { ...messageFields(message), checksumValid: { messageOnly: message.checksumValid.messageOnly } };
}

/** The receiver that the user described, completed with what the sender says. */
function receiverFor(message: RawMessage | null, family: IpFamily, given: AssumedReceiver): VrrpReceiver {
  const sender = message ? toAdvertisement(message, family) : null;
  const version = given.version ?? (message?.version === 2 ? 2 : 3);
  const authType = given.password === undefined ? (message?.authType ?? 0) : given.password === null ? 0 : 1;
  return {
    version,
    family,
    // No router has VRID 0: a frame with it matches none.
    vrid: given.vrid ?? (message?.vrid || 1),
    priority: given.priority ?? 100,
    primaryAddress: "",
    addresses: given.addresses ?? sender?.addresses ?? [],
    intervalUs: given.intervalUs ?? sender?.intervalUs ?? 1_000_000,
    authType,
    authData: given.password ?? message?.authData ?? new Uint8Array(8),
    // Its key is not known here; that the header is there is all that can be seen.
    verifyAuthenticationHeader: (ip) => ip.authenticationHeader !== null,
    checkAddressList: given.addresses !== undefined,
    ipv4Checksum: given.ipv4Checksum ?? "either",
    ownerReceive: "process",
    backupAdvertisements: true,
  };
}
