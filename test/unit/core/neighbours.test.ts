/** ARP and neighbour discovery: what is announced, what is answered, and what is not. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answerArp, arpFrame, gratuitousArp, readArp } from "../../../src/core/arp.js";
import {
  advertisementFrame,
  answerSolicitation,
  readNeighbourMessage,
  readSolicitation,
  unsolicitedAdvertisement,
} from "../../../src/core/nd.js";
import { announcementFrame } from "../../../src/core/vrrp/frames.js";
import { bytes, frameOf, hex } from "./frames.js";

const V4_MAC = "00:00:5e:00:01:05";
const V6_MAC = "00:00:5e:00:02:05";
const vector = (id: string): Uint8Array => frameOf(id, "arp-nd");

/** A copy with one octet changed. */
function flipped(frame: Uint8Array, offset: number, mask = 0xff): Uint8Array {
  const copy = frame.slice();
  copy[offset] = (copy[offset] as number) ^ mask;
  return copy;
}

describe("ARP", () => {
  it("announces with the target hardware address broadcast, or as the errata name it", () => {
    expect(hex(announcementFrame("192.0.2.1", V4_MAC))).toBe(hex(vector("arp-001")));
    expect(hex(gratuitousArp("192.0.2.1", V4_MAC, V4_MAC))).toBe(hex(vector("arp-002")));
  });

  it("answers a request, and defends against a probe", () => {
    expect(hex(answerArp(vector("arp-003"), V4_MAC))).toBe(hex(vector("arp-004")));
    const answer = answerArp(vector("arp-006"), V4_MAC);
    expect(answer && readArp(answer)).toEqual({
      operation: 2,
      senderMac: V4_MAC,
      senderIp: "192.0.2.1",
      targetMac: "02:00:00:00:01:02",
      targetIp: "0.0.0.0",
    });
  });

  it("answers neither replies nor what comes from the virtual MAC", () => {
    expect(answerArp(vector("arp-004"), V4_MAC)).toBeNull();
    expect(answerArp(vector("arp-001"), V4_MAC)).toBeNull();
  });

  it.each([
    ["ether type", 12],
    ["hardware type", 15],
    ["protocol type", 16],
    ["hardware length", 18],
    ["protocol length", 19],
  ])("with another %s is none", (_what, offset) => {
    expect(readArp(flipped(vector("arp-003"), offset))).toBeNull();
  });

  it("cut short is none", () => {
    for (let length = 0; length < 42; length++)
      expect(readArp(vector("arp-003").subarray(0, length))).toBeNull();
    expect(readArp(vector("arp-003").subarray(0, 42))).not.toBeNull();
  });

  it("comes back from its frame", () => {
    const mac = fc
      .uint8Array({ minLength: 6, maxLength: 6 })
      .map((one) => hex(one).match(/../g)?.join(":") ?? "");
    const ip = fc.ipV4();
    fc.assert(
      fc.property(fc.nat(0xffff), mac, ip, mac, ip, (operation, senderMac, senderIp, targetMac, targetIp) => {
        const arp = { operation, senderMac, senderIp, targetMac, targetIp };
        expect(readArp(arpFrame("ff:ff:ff:ff:ff:ff", senderMac, arp))).toEqual(arp);
      }),
    );
  });
});

describe("neighbour discovery", () => {
  it("announces: router, override, not solicited", () => {
    expect(hex(announcementFrame("fe80::5", V6_MAC))).toBe(hex(vector("nd-001")));
    expect(hex(unsolicitedAdvertisement("2001:db8::1", V6_MAC))).toBe(hex(vector("nd-002")));
  });

  it("answers a solicitation", () => {
    expect(hex(answerSolicitation(vector("nd-003"), V6_MAC))).toBe(hex(vector("nd-004")));
  });

  it("answers duplicate address detection to all nodes, not solicited", () => {
    const answer = answerSolicitation(vector("nd-005"), V6_MAC);
    expect(answer && readNeighbourMessage(answer)).toMatchObject({
      destinationMac: "33:33:00:00:00:01",
      destination: "ff02::1",
      router: true,
      solicited: false,
      override: true,
      targetLinkLayer: V6_MAC,
      checksumValid: true,
    });
  });

  it("without the link-layer option answers to where the frame came from", () => {
    // nd-005's shape (no option), from a host with an address: unicast probing of RFC 4861 section 7.2.2.
    const probe = resealed("nd-005", (frame) => frame.set(bytes("fe800000000000000000000000000050"), 22));
    const answer = answerSolicitation(probe, V6_MAC);
    expect(answer && readNeighbourMessage(answer)).toMatchObject({
      destinationMac: "02:00:00:00:01:09",
      destination: "fe80::50",
      solicited: true,
    });
  });

  // RFC 4861 section 7.1.1, what a receiver must discard.
  it.each<[string, string, (frame: Uint8Array) => void]>([
    ["hop limit 254", "nd-003", (frame) => frame.fill(254, 21, 22)],
    ["a code other than 0", "nd-003", (frame) => frame.fill(1, 55, 56)],
    ["an option of length 0", "nd-003", (frame) => frame.fill(0, 79, 80)],
    ["an option longer than the message", "nd-003", (frame) => frame.fill(2, 79, 80)],
    ["a multicast target", "nd-003", (frame) => frame.fill(0xff, 62, 63)],
    ["no source, and an option", "nd-003", (frame) => frame.fill(0, 22, 38)],
    ["no source, to one node", "nd-005", (frame) => frame.set(bytes("fe800000000000000000000000000005"), 38)],
    ["an advertisement's type", "nd-003", (frame) => frame.fill(136, 54, 55)],
  ])("does not answer one with %s", (_what, id, change) => {
    expect(readSolicitation(resealed(id, change))).toBeNull();
    expect(answerSolicitation(resealed(id, change), V6_MAC)).toBeNull();
  });

  it("does not answer one with a wrong checksum, nor one from the virtual MAC", () => {
    for (const offset of [22, 38, 55, 56, 57, 62, 77, 80, 85]) {
      expect(readSolicitation(flipped(vector("nd-003"), offset))).toBeNull();
    }
    expect(answerSolicitation(vector("nd-003"), "02:00:00:00:01:01")).toBeNull();
  });

  it("cut short is none", () => {
    const frame = vector("nd-003");
    for (let length = 0; length < frame.length; length++) {
      expect(readSolicitation(frame.subarray(0, length))).toBeNull();
    }
  });

  it("comes back from its frame", () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.ipV6(),
        (router, solicited, override, target) => {
          const frame = advertisementFrame({
            destinationMac: "33:33:00:00:00:01",
            sourceMac: V6_MAC,
            source: "fe80::1",
            destination: "ff02::1",
            target,
            targetLinkLayer: V6_MAC,
            router,
            solicited,
            override,
          });
          const read = readNeighbourMessage(frame);
          expect(read).toMatchObject({
            router,
            solicited,
            override,
            checksumValid: true,
            sourceLinkLayer: null,
          });
          expect(frame).toHaveLength(86);
        },
      ),
    );
  });
});

/** A test vector's message changed, its checksum done again. */
function resealed(id: string, change: (frame: Uint8Array) => void): Uint8Array {
  const frame = vector(id).slice();
  change(frame);
  frame.fill(0, 56, 58);
  let sum = frame.length - 54 + 58;
  for (let offset = 22; offset < frame.length; offset += 2) {
    sum += ((frame[offset] as number) << 8) | (frame[offset + 1] as number);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame[56] = (~sum & 0xffff) >> 8;
  frame[57] = ~sum & 0xff;
  return frame;
}

describe("whatever comes in", () => {
  it("is read without an exception", () => {
    const heads = ["nd-003", "nd-004", "arp-003"].map(vector);
    fc.assert(
      fc.property(
        fc.constantFrom(...heads),
        fc.nat(90),
        fc.uint8Array({ maxLength: 80 }),
        (head, kept, tail) => {
          const frame = Uint8Array.of(...head.subarray(0, kept), ...tail);
          readArp(frame);
          readNeighbourMessage(frame);
          answerArp(frame, V4_MAC);
          answerSolicitation(frame, V6_MAC);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
