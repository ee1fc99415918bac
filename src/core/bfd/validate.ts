/**
 * Receiving: RFC 5880 section 6.8.6 and RFC 5881 section 5, in the order of the RFCs; the first check that fails
 * decides. The result is a value: a bad packet is an event like any other.
 */
import { formatIp } from "../address.js";
import { type BfdAuthentication, verifyAuthentication } from "./authentication.js";
import {
  AUTHENTICATED_LENGTH_MIN,
  BFD_VERSION,
  type BfdFrame,
  CONTROL_LENGTH,
  type ControlPacket,
} from "./packet.js";

/** A session, as far as the verdict depends on it. */
export interface BfdReceiver {
  readonly authentication: BfdAuthentication | null;
  /** Of the last packet that verified; null while unknown. */
  readonly lastSequence: number | null;
}

/** How a packet finds its session. */
export interface SessionSelector<R extends BfdReceiver> {
  /** By Your Discriminator; null: there is none. */
  byDiscriminator(discriminator: number): R | null;
  /** By the sender, for a packet that does not know us yet. */
  bySource(source: string): R | null;
  /** A tail's session (RFC 8562 section 5.7), by source address and My Discriminator. */
  byHead(source: string, discriminator: number): R | null;
}

/** Reasons in the order of the checks. */
export const BFD_REJECT_REASONS = {
  ttl: { section: "RFC 5881 5", text: "TTL or hop limit is not 255" },
  version: { section: "RFC 5880 6.8.6", text: "the version is not 1" },
  length: { section: "RFC 5880 6.8.6", text: "the Length field and what is there do not go together" },
  "detect-mult-zero": { section: "RFC 5880 6.8.6", text: "Detect Mult is 0" },
  "multipoint-bit": {
    section: "RFC 5880 6.8.6",
    text: "the Multipoint bit is set, and nobody listens to this head",
  },
  "my-discriminator-zero": { section: "RFC 5880 6.8.6", text: "My Discriminator is 0" },
  "unknown-session": { section: "RFC 5880 6.8.6", text: "there is no such session" },
  "your-discriminator-zero": {
    section: "RFC 5880 6.8.6",
    text: "Your Discriminator is 0 although the sender claims to hear us",
  },
  "auth-unexpected": { section: "RFC 5880 6.8.6", text: "it is authenticated, the session is not" },
  "auth-missing": { section: "RFC 5880 6.8.6", text: "it is not authenticated, the session is" },
  "auth-sequence": { section: "RFC 5880 6.7.3", text: "the sequence number is outside the window" },
  "auth-failure": { section: "RFC 5880 6.7", text: "the authentication does not verify" },
} as const;

export type BfdRejectReason = keyof typeof BFD_REJECT_REASONS;

export type BfdVerdict<R extends BfdReceiver> =
  | {
      readonly verdict: "accept";
      readonly packet: ControlPacket;
      readonly source: string;
      readonly session: R;
      /** To remember for the next packet. */
      readonly sequence: number | null;
    }
  | { readonly verdict: "discard"; readonly reason: BfdRejectReason }
  | { readonly verdict: "ignore"; readonly reason: "ip-header" | "udp-checksum" };

/** Judges one control packet. */
export function receive<R extends BfdReceiver>(frame: BfdFrame, sessions: SessionSelector<R>): BfdVerdict<R> {
  const { ip, udp, control } = frame;
  if (!ip.headerChecksumValid) return { verdict: "ignore", reason: "ip-header" };
  if (udp.checksumForm === "wrong") return { verdict: "ignore", reason: "udp-checksum" };
  const flaw = flawOf(frame);
  if (flaw !== null) return { verdict: "discard", reason: flaw };
  const packet = control as ControlPacket;
  const source = formatIp(ip.source);
  const session = select(packet, source, sessions);
  if (typeof session === "string") return { verdict: "discard", reason: session };
  if (packet.flags.authPresent && !session.authentication)
    return { verdict: "discard", reason: "auth-unexpected" };
  if (!session.authentication) return { verdict: "accept", packet, source, session, sequence: null };
  if (!packet.flags.authPresent) return { verdict: "discard", reason: "auth-missing" };
  const verified = verifyAuthentication(packet, session.authentication, session.lastSequence);
  return verified.verified
    ? { verdict: "accept", packet, source, session, sequence: verified.sequence }
    : { verdict: "discard", reason: verified.reason };
}

/** What is wrong with a packet whoever it is for. */
function flawOf({ ip, udp, control }: BfdFrame): BfdRejectReason | null {
  if (ip.ttl !== 255) return "ttl";
  const { payload } = udp;
  if (payload.length > 0 && (payload[0] as number) >> 5 !== BFD_VERSION) return "version";
  if (!control) return "length";
  const least = control.flags.authPresent ? AUTHENTICATED_LENGTH_MIN : CONTROL_LENGTH;
  if (control.length < least || control.length > payload.length) return "length";
  if (control.detectMult === 0) return "detect-mult-zero";
  return null;
}

function select<R extends BfdReceiver>(
  packet: ControlPacket,
  source: string,
  sessions: SessionSelector<R>,
): R | BfdRejectReason {
  const { myDiscriminator, yourDiscriminator, flags, state } = packet;
  if (flags.multipoint) {
    // RFC 8562 section 5.13.1: tails know their head by its address and discriminator, never by ours.
    if (myDiscriminator === 0) return "my-discriminator-zero";
    return sessions.byHead(source, myDiscriminator) ?? "multipoint-bit";
  }
  if (myDiscriminator === 0) return "my-discriminator-zero";
  if (yourDiscriminator !== 0) return sessions.byDiscriminator(yourDiscriminator) ?? "unknown-session";
  if (state !== "down" && state !== "adminDown") return "your-discriminator-zero";
  return sessions.bySource(source) ?? "unknown-session";
}
