/** Sealed frames of the simulated heartbeat engine, as native/seal.cc has them. */
import { createHash } from "node:crypto";
import type { HeartbeatProgram, Seal } from "../../core/automaton.js";
import { onesComplementSum } from "../../core/checksum.js";
import { putU16, u16 } from "../../core/ethernet.js";
import type { Session } from "./session.js";

/** The frame as it leaves: with the next number, where it is a sealed one. */
export function frameToSend(session: Session, index: number, sealAt: number | undefined): Uint8Array {
  const { frames, seal } = session.program as HeartbeatProgram;
  const frame = frames[index] as Uint8Array;
  if (sealAt === undefined || !seal) return frame;
  session.sequenceSent = (session.sequenceSent + 1) >>> 0;
  const sealed = frame.slice();
  const view = new DataView(sealed.buffer);
  view.setUint32(sealAt + seal.sequenceAt, session.sequenceSent);
  sealed.set(digestOf(seal, sealed, sealAt), sealAt + seal.digestAt);
  const checksum = u16(frame, sealAt - 2);
  if (checksum === 0) return sealed;
  // RFC 1624: HC' = ~(~HC + ~m + m').
  const changed = (octets: Uint8Array): number =>
    onesComplementSum(octets.subarray(sealAt + seal.sequenceAt, sealAt + seal.digestAt + seal.key.length));
  let sum = (~checksum & 0xffff) + (~changed(frame) & 0xffff) + changed(sealed);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  putU16(sealed, sealAt - 2, ~sum & 0xffff || 0xffff);
  return sealed;
}

/** Whether a frame that equals a pattern is believed; its number is noted then. */
export function believes(session: Session, pattern: number, frame: Uint8Array): boolean {
  const { patterns, seal } = session.program as HeartbeatProgram;
  const { sealAt, sealWindow = 0 } = patterns[pattern] ?? {};
  if (sealAt === undefined || !seal) return true;
  const digestAt = sealAt + seal.digestAt;
  const digest = frame.subarray(digestAt, digestAt + seal.key.length);
  if (!Buffer.from(digest).equals(digestOf(seal, frame, sealAt))) return false;
  const number = new DataView(frame.buffer, frame.byteOffset).getUint32(sealAt + seal.sequenceAt);
  if (session.sequenceHeard !== null) {
    const ahead = (number - session.sequenceHeard) >>> 0;
    if (ahead > sealWindow || (ahead === 0 && !seal.repeats)) return false;
  }
  session.sequenceHeard = number;
  return true;
}

function digestOf(seal: Seal, frame: Uint8Array, sealAt: number): Buffer {
  const covered = frame.slice(sealAt, sealAt + seal.digestAt + seal.key.length);
  covered.set(seal.key, seal.digestAt);
  return createHash(seal.algorithm).update(covered).digest();
}
