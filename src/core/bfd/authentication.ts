/**
 * The authentication section (RFC 5880 sections 4.2 to 4.4 and 6.7). Digests are computed by whoever calls: the core
 * has none. They are plain hashes over the packet with the key in the digest's place, no HMAC.
 */
import type { Seal } from "../automaton.js";
import { CONTROL_LENGTH, type ControlPacket } from "./packet.js";

/** By their numbers on the wire. */
export const AUTHENTICATION_TYPES = {
  simple: 1,
  "keyed-md5": 2,
  "meticulous-keyed-md5": 3,
  "keyed-sha1": 4,
  "meticulous-keyed-sha1": 5,
} as const;
export type BfdAuthenticationType = keyof typeof AUTHENTICATION_TYPES;

export type Digest = (algorithm: "md5" | "sha1", octets: Uint8Array) => Uint8Array;

export interface BfdAuthentication {
  readonly type: BfdAuthenticationType;
  readonly keyId: number;
  /** 1 to 16 octets, for SHA1 to 20. */
  readonly key: Uint8Array;
  readonly digest: Digest;
}

/** Null: the section is right. `sequence` is null where the type has none. */
export type AuthenticationVerdict =
  | { readonly verified: true; readonly sequence: number | null }
  | { readonly verified: false; readonly reason: "auth-failure" | "auth-sequence" };

const SEQUENCE_OFFSET = 4;
const DIGEST_OFFSET = 8;
const algorithmOf = (type: BfdAuthenticationType): "md5" | "sha1" => (type.endsWith("md5") ? "md5" : "sha1");
const digestLength = (type: BfdAuthenticationType): number => (algorithmOf(type) === "md5" ? 16 : 20);

/**
 * Judges the section of a packet that has one.
 * @param lastSequence the last one accepted; null while none is known (section 6.8.1, bfd.AuthSeqKnown)
 */
export function verifyAuthentication(
  packet: ControlPacket,
  authentication: BfdAuthentication,
  lastSequence: number | null,
): AuthenticationVerdict {
  const { authentication: section } = packet;
  const failed = { verified: false, reason: "auth-failure" } as const;
  if (section[0] !== AUTHENTICATION_TYPES[authentication.type] || section[2] !== authentication.keyId)
    return failed;
  if (section[1] !== section.length) return failed;
  if (authentication.type === "simple") {
    return equal(section.subarray(3), authentication.key) ? { verified: true, sequence: null } : failed;
  }
  if (section.length !== DIGEST_OFFSET + digestLength(authentication.type)) return failed;
  const sequence = new DataView(section.buffer, section.byteOffset).getUint32(SEQUENCE_OFFSET);
  if (lastSequence !== null && !inWindow(sequence, lastSequence, packet.detectMult, authentication.type))
    return { verified: false, reason: "auth-sequence" };
  const wanted = digestOver(packet.octets, authentication);
  return equal(section.subarray(DIGEST_OFFSET), wanted) ? { verified: true, sequence } : failed;
}

/** The circular window of sections 6.7.3 and 6.7.4. */
function inWindow(sequence: number, last: number, detectMult: number, type: BfdAuthenticationType): boolean {
  const ahead = (sequence - last) >>> 0;
  return ahead >= (type.startsWith("meticulous") ? 1 : 0) && ahead <= sequenceWindow(detectMult);
}

/** The section of an outgoing packet, its digest still the key: see `sign`. */
export function authenticationSection(authentication: BfdAuthentication, sequence: number): Uint8Array {
  const { type, keyId, key } = authentication;
  if (type === "simple") {
    return Uint8Array.from([AUTHENTICATION_TYPES.simple, 3 + key.length, keyId, ...key]);
  }
  const section = new Uint8Array(DIGEST_OFFSET + digestLength(type));
  section.set([AUTHENTICATION_TYPES[type], section.length, keyId, 0]);
  new DataView(section.buffer).setUint32(SEQUENCE_OFFSET, sequence);
  section.set(key.subarray(0, digestLength(type)), DIGEST_OFFSET);
  return section;
}

/**
 * How a packet of this authentication is sealed by the heartbeat engine; null where its octets stay the same. Numbers of
 * what leaves always grow, which every type allows.
 */
export function sealOf({ type, key }: BfdAuthentication): Seal | null {
  if (type === "simple") return null;
  const padded = new Uint8Array(digestLength(type));
  padded.set(key.subarray(0, padded.length));
  return {
    algorithm: algorithmOf(type),
    key: padded,
    sequenceAt: CONTROL_LENGTH + SEQUENCE_OFFSET,
    digestAt: CONTROL_LENGTH + DIGEST_OFFSET,
    repeats: !type.startsWith("meticulous"),
  };
}

/** How far ahead the number of a neighbour's packet may be (sections 6.7.3 and 6.7.4). */
export function sequenceWindow(detectMult: number): number {
  return 3 * detectMult;
}

/** The section of a packet that is going to be sealed: without number and digest. */
export function blankSection(authentication: BfdAuthentication): Uint8Array {
  const section = authenticationSection(authentication, 0);
  return authentication.type === "simple" ? section : section.fill(0, SEQUENCE_OFFSET);
}

/** Puts the digest into a packet that was encoded with `authenticationSection`. */
export function sign(packet: Uint8Array, authentication: BfdAuthentication): Uint8Array {
  if (authentication.type === "simple") return packet;
  const signed = packet.slice();
  signed.set(digestOver(packet, authentication), CONTROL_LENGTH + DIGEST_OFFSET);
  return signed;
}

function digestOver(packet: Uint8Array, { type, key, digest }: BfdAuthentication): Uint8Array {
  const keyed = packet.slice();
  keyed.fill(0, CONTROL_LENGTH + DIGEST_OFFSET);
  keyed.set(key.subarray(0, digestLength(type)), CONTROL_LENGTH + DIGEST_OFFSET);
  return digest(algorithmOf(type), keyed);
}

/** In a time that does not depend on where the two differ. */
function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= (a[index] as number) ^ (b[index] as number);
  return difference === 0;
}
