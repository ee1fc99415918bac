/** Frames for tests: those of the test vectors, and the repair of checksums after something was changed. */
import { readFileSync } from "node:fs";
import type { FramePattern } from "../../../src/core/automaton.js";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "../../../src/core/checksum.js";
import { putU16, readEthernet, readIp } from "../../../src/core/ethernet.js";
import type { VrrpReceiver } from "../../../src/core/vrrp/validate.js";
import { guardsHold } from "../../../src/driver/simulated/guards.js";

export interface VrrpVector {
  readonly id: string;
  readonly title: string;
  readonly hex: string;
  readonly expect: { readonly verdict: string; readonly decoded: { readonly [layer: string]: unknown } };
}

export function vectorsOf(file: string): readonly VrrpVector[] {
  const text = readFileSync(new URL(`../../vectors/${file}.json`, import.meta.url), "utf8");
  return (JSON.parse(text) as { vectors: VrrpVector[] }).vectors;
}

/** The frame of one test vector of a file. */
export function frameOf(id: string, file = "vrrp"): Uint8Array {
  const vector = vectorsOf(file).find((one) => one.id === id);
  if (!vector) throw new Error(`no test vector ${id}`);
  return bytes(vector.hex);
}

export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s+/g, ""), "hex"));
}

export function hex(frame: Uint8Array | null): string {
  return frame ? Buffer.from(frame).toString("hex") : "none";
}

/** The frame with its IPv4 header checksum done again. */
export function resealIp(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  const start = readEthernet(copy)?.payloadOffset ?? 14;
  if (((copy[start] as number) & 0xf0) !== 0x40) return copy;
  const header = copy.subarray(start, start + ((copy[start] as number) & 0x0f) * 4);
  putU16(header, 10, 0);
  putU16(header, 10, internetChecksum(header));
  return copy;
}

/**
 * The frame with both checksums done again; the message's in the form that its version and family have by
 * default.
 */
export function reseal(frame: Uint8Array): Uint8Array {
  const copy = resealIp(frame);
  const ip = readIp(copy, readEthernet(copy)?.payloadOffset ?? 14);
  if (!ip) return copy;
  const pseudo = ip.version === 6 ? pseudoHeaderSum(ip.source, ip.destination, 112, ip.payload.length) : 0;
  putU16(ip.payload, 6, 0);
  putU16(ip.payload, 6, ~onesComplementSum(ip.payload, pseudo) & 0xffff);
  return copy;
}

/** Whether a frame fits a pattern that has guards. */
export function fits(pattern: Omit<FramePattern, "port">, frame: Uint8Array): boolean {
  const { bytes: wanted, mask, guards } = pattern;
  if (frame.length < mask.length) return false;
  const same = mask.every((bits, at) => (((frame[at] as number) ^ (wanted[at] as number)) & bits) === 0);
  return same && guardsHold(guards ?? [], frame);
}

/** A receiver that takes the baseline frames of its version and family. */
export function receiver(given: Partial<VrrpReceiver> = {}): VrrpReceiver {
  return {
    version: 3,
    family: "ipv4",
    vrid: 1,
    priority: 50,
    primaryAddress: "192.0.2.9",
    addresses: ["192.0.2.1"],
    intervalUs: 1_000_000,
    authType: 0,
    authData: new Uint8Array(8),
    checkAddressList: true,
    ipv4Checksum: "either",
    ownerReceive: "process",
    ...given,
  };
}
