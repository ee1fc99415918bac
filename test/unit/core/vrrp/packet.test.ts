/** The VRRP message on the wire, both ways. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatIp, formatMac } from "../../../../src/core/address.js";
import { onesComplementSum } from "../../../../src/core/checksum.js";
import { readEthernet } from "../../../../src/core/ethernet.js";
import {
  type Advertisement,
  type ChecksumForm,
  GROUP_ADDRESS,
  GROUP_MAC,
  virtualMac,
} from "../../../../src/core/vrrp/advertisement.js";
import { decodeFrame } from "../../../../src/core/vrrp/fields.js";
import {
  comparisonMask,
  type Envelope,
  encodeAdvertisementDatagram,
  encodeAdvertisementFrame,
  encodeMessage,
  readVrrpFrame,
  toAdvertisement,
  withPriority,
} from "../../../../src/core/vrrp/packet.js";
import { checksumForm } from "../../../../src/core/vrrp/validate.js";
import { bytes, frameOf, hex, resealIp, vectorsOf } from "../frames.js";

/** What a frame says, read back far enough to build it again. */
function take(frame: Uint8Array) {
  const ethernet = readEthernet(frame);
  const read = readVrrpFrame(frame);
  if (!ethernet || !read?.message) throw new Error("no VRRP message");
  const family = read.ip.version === 4 ? ("ipv4" as const) : ("ipv6" as const);
  return {
    sourceMac: formatMac(ethernet.source),
    destinationMac: formatMac(ethernet.destination),
    source: formatIp(read.ip.source),
    destination: formatIp(read.ip.destination),
    advertisement: toAdvertisement(read.message, family),
    checksumForm: checksumForm(read.message, family) ?? ("message-only" as const),
    payload: read.ip.payload,
    ip: read.ip,
  };
}

// Reserved bits are sent as 0, and authentication data without a type too.
const REBUILT_OTHERWISE = new Set(["vrrp3-008"]);

describe("test vectors, both ways", () => {
  const good = vectorsOf("vrrp").filter(
    (one) => one.expect.verdict === "accept" && !REBUILT_OTHERWISE.has(one.id),
  );

  it.each(good.map((one) => [one.id, one.title, one.hex] as const))("%s %s", (_id, _title, text) => {
    const frame = bytes(text);
    const taken = take(frame);
    expect(hex(encodeMessage(taken))).toBe(hex(taken.payload));
    // Without what we never send (tags, options, authentication header), the whole frame too.
    const plain = frame[12] === 0x08 || frame[12] === 0x86;
    if (plain && (taken.ip.version === 6 || taken.ip.headerLength === 20) && !taken.ip.authenticationHeader) {
      expect(hex(encodeAdvertisementFrame(taken))).toBe(text);
      expect(hex(encodeAdvertisementDatagram(taken))).toBe(hex(taken.ip.datagram));
    }
  });

  it("reads the reserved nibble apart from the interval, and sends it as 0", () => {
    const taken = take(frameOf("vrrp3-008"));
    expect(taken.payload[4]).toBe(0xf0);
    expect(taken.advertisement.intervalUs).toBe(1_000_000);
    expect(encodeMessage(taken)[4]).toBe(0);
  });
});

describe("worked octets", () => {
  const base = { family: "ipv4", priority: 100, addresses: ["192.0.2.1"], intervalUs: 1_000_000 } as const;
  const from = { source: "192.0.2.2", destination: "224.0.0.18" };

  it("version 2", () => {
    const advertisement = { ...base, version: 2, vrid: 1, authType: 0, authData: new Uint8Array(8) } as const;
    expect(hex(encodeMessage({ advertisement, ...from, checksumForm: "pseudo-header" }))).toBe(
      "210164010001b8fac00002010000000000000000",
    );
  });

  it("version 3 over IPv4, with the pseudo-header", () => {
    const advertisement = { ...base, version: 3, vrid: 5, authType: 0, authData: new Uint8Array(0) } as const;
    expect(hex(encodeMessage({ advertisement, ...from, checksumForm: "pseudo-header" }))).toBe(
      "3105640100640602c0000201",
    );
  });

  it.each([
    [3, 0],
    [3, 40_960_000],
    [3, 15_000],
    [2, 0],
    [2, 500_000],
    [2, 256_000_000],
  ] as const)("version %i can't say an interval of %i us", (version, intervalUs) => {
    const advertisement = { ...base, version, intervalUs, vrid: 1, authType: 0, authData: new Uint8Array(0) };
    expect(() => encodeMessage({ advertisement, ...from, checksumForm: "message-only" })).toThrow(RangeError);
  });
});

// ---- properties
// ---------------------------------------------------------------------------------------------

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ipv4 = octets(4).map(formatIp);
const ipv6 = octets(16).map(formatIp);
const common = { vrid: fc.integer({ min: 1, max: 255 }), priority: fc.nat(255) };
const noAuthentication = { authType: fc.constant(0), authData: fc.constant(new Uint8Array(0)) };
const centiseconds = fc.integer({ min: 1, max: 4095 }).map((cs) => cs * 10_000);

const v2 = fc.record({
  version: fc.constant(2 as const),
  family: fc.constant("ipv4" as const),
  ...common,
  addresses: fc.array(ipv4, { maxLength: 20 }),
  intervalUs: fc.integer({ min: 1, max: 255 }).map((s) => s * 1_000_000),
  authType: fc.nat(255),
  authData: octets(8),
});
const v3 = (family: "ipv4" | "ipv6") =>
  fc.record({
    version: fc.constant(3 as const),
    family: fc.constant(family),
    ...common,
    addresses: fc.array(family === "ipv4" ? ipv4 : ipv6, { maxLength: 20 }),
    intervalUs: centiseconds,
    ...noAuthentication,
  });

const envelopes: fc.Arbitrary<Envelope> = fc
  .oneof(v2, v3("ipv4"), v3("ipv6"))
  .chain((advertisement: Advertisement) =>
    fc.record({
      advertisement: fc.constant(advertisement),
      source: advertisement.family === "ipv4" ? ipv4 : ipv6,
      destination: fc.constant(GROUP_ADDRESS[advertisement.family]),
      checksumForm: fc.constantFrom<ChecksumForm>("message-only", "pseudo-header"),
    }),
  );

function inFrame(envelope: Envelope): Uint8Array {
  const { family, vrid } = envelope.advertisement;
  return encodeAdvertisementFrame({
    ...envelope,
    sourceMac: virtualMac(family, vrid),
    destinationMac: GROUP_MAC[family],
  });
}

describe("any advertisement", () => {
  it("comes back from its frame", () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const frame = inFrame(envelope);
        const taken = take(frame);
        expect(taken.advertisement).toEqual(envelope.advertisement);
        expect([taken.source, taken.destination]).toEqual([envelope.source, envelope.destination]);
        expect(taken.ip.headerChecksumValid).toBe(true);
        const { version, family } = envelope.advertisement;
        const form =
          version === 2 ? "message-only" : family === "ipv6" ? "pseudo-header" : envelope.checksumForm;
        expect(readVrrpFrame(frame)?.message?.checksumValid).toMatchObject(
          form === "message-only" ? { messageOnly: true } : { withPseudoHeader: true },
        );
      }),
    );
  });

  it("with another priority is the frame that its sender would send", () => {
    fc.assert(
      fc.property(envelopes, fc.nat(255), (envelope, priority) => {
        const advertisement = { ...envelope.advertisement, priority };
        expect(hex(withPriority(inFrame(envelope), priority))).toBe(
          hex(inFrame({ ...envelope, advertisement })),
        );
      }),
    );
  });
});

describe("withPriority", () => {
  const bases = ["vrrp2-019", "vrrp2-020", "vrrp3-002", "vrrp3-008", "vrrp3-101"];

  it.each(bases)("keeps tags, options, padding, reserved bits and the form of the sum: %s", (id) => {
    const frame = frameOf(id);
    const before = readVrrpFrame(frame);
    const changed = withPriority(frame, 0);
    const after = changed && readVrrpFrame(changed);
    expect(after?.message).toMatchObject({ priority: 0, checksumValid: before?.message?.checksumValid });
    const different = [...(changed ?? [])].flatMap((octet, index) => (octet === frame[index] ? [] : [index]));
    const start = before?.ip.payloadOffset ?? 0;
    for (const index of different) expect([start + 2, start + 6, start + 7]).toContain(index);
    // There and back: nothing is lost.
    expect(hex(changed && withPriority(changed, before?.message?.priority ?? 0))).toBe(hex(frame));
  });

  it("leaves a wrong sum wrong", () => {
    const changed = withPriority(frameOf("vrrp3-005"), 0);
    expect(changed && readVrrpFrame(changed)?.message?.checksumValid).toEqual({
      messageOnly: false,
      withPseudoHeader: false,
    });
  });

  it("has no answer for what is signed, or no VRRP message", () => {
    expect(withPriority(frameOf("vrrp2-024"), 0)).toBeNull();
    expect(withPriority(frameOf("vrrp2-022"), 0)).toBeNull();
    expect(withPriority(frameOf("arp-001", "arp-nd"), 0)).toBeNull();
    expect(withPriority(new Uint8Array(3), 0)).toBeNull();
  });
});

describe("comparisonMask", () => {
  /** Offsets that may differ. */
  const open = (frame: Uint8Array): number[] =>
    [...comparisonMask(frame)].flatMap((mask, index) => (mask === 0xff ? [] : [index]));
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from }, (_, index) => from + index);

  it.each([
    ["IPv4: identification, header checksum, padding", "vrrp2-001", [18, 19, 24, 25, ...range(54, 60)]],
    ["tagged", "vrrp2-019", [22, 23, 28, 29, ...range(58, 60)]],
    ["options", "vrrp2-020", [18, 19, 24, 25, ...range(58, 60)]],
    ["IPv6: flow label", "vrrp3-101", [15, 16, 17]],
  ])("%s", (_what, id, offsets) => {
    expect(open(frameOf(id))).toEqual(offsets);
  });

  it("compares all of the traffic class", () => {
    expect(comparisonMask(frameOf("vrrp3-101"))[15]).toBe(0xf0);
  });

  it("lets through what a sender that counts its datagrams changes, and nothing else", () => {
    const frame = frameOf("vrrp2-001");
    const mask = comparisonMask(frame);
    const matches = (other: Uint8Array): boolean =>
      other.every((octet, index) => ((octet ^ (frame[index] as number)) & (mask[index] as number)) === 0);
    const next = frame.slice();
    next[19] = 7;
    expect(matches(resealIp(next))).toBe(true);
    for (let offset = 0; offset < frame.length; offset++) {
      const other = frame.slice();
      other[offset] = (other[offset] as number) ^ 1;
      expect(matches(other)).toBe(mask[offset] === 0);
    }
  });
});

describe("checksum of a message with octets behind it", () => {
  const message = encodeMessage(take(frameOf("vrrp3-001")));
  const build = (surplus: readonly number[]): Uint8Array => {
    const frame = frameOf("vrrp3-001").slice(0, 60);
    frame.set(surplus, 14 + 20 + message.length);
    frame[17] = 20 + message.length + surplus.length;
    return resealIp(frame);
  };

  it("does not cover a trailer", () => {
    expect(readVrrpFrame(build([1, 2, 3, 4]))?.message?.checksumValid.messageOnly).toBe(true);
  });

  it("may cover what the sender counted in", () => {
    const frame = build([1, 2, 3, 4]);
    const offset = 34;
    frame.fill(0, offset + 6, offset + 8);
    const sum = ~onesComplementSum(frame.subarray(offset, offset + message.length + 4)) & 0xffff;
    frame.set([sum >> 8, sum & 0xff], offset + 6);
    expect(readVrrpFrame(frame)?.message?.checksumValid.messageOnly).toBe(true);
  });
});

describe("decodeFrame", () => {
  it("says as much as there is", () => {
    const frame = frameOf("vrrp3-101");
    expect(decodeFrame(frame.subarray(0, 13))).toEqual({});
    expect(Object.keys(decodeFrame(frame.subarray(0, 53)))).toEqual(["eth"]);
    expect(Object.keys(decodeFrame(frame.subarray(0, 61)))).toEqual(["eth", "ip"]);
    expect(decodeFrame(frame.subarray(0, 62)).vrrp).toMatchObject({ vrid: 1, count: 2, addresses: [] });
    expect(decodeFrame(frame.subarray(0, 78)).vrrp).toMatchObject({ addresses: ["fe80::1"] });
  });

  it("names more than one tag", () => {
    const tagged = bytes(`01005e000012 00005e000101 88a8 0001 8100 0002 0800`);
    expect(decodeFrame(tagged)).toEqual({
      eth: { src: "00:00:5e:00:01:01", dst: "01:00:5e:00:00:12", etherType: "0x0800", vlan: [1, 2] },
    });
  });
});
