/** Patterns for advertisements that nobody sent yet: what fits them, and that nothing does which the checks refuse. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatIp, ipToBytes, namesOneHost } from "../../../../src/core/address.js";
import type { FramePattern } from "../../../../src/core/automaton.js";
import { internetChecksum, pseudoHeaderSum } from "../../../../src/core/checksum.js";
import { putU16 } from "../../../../src/core/ethernet.js";
import { advertisementOfAny } from "../../../../src/core/vrrp/any-sender.js";
import { readVrrpFrame } from "../../../../src/core/vrrp/packet.js";
import { receive, type VrrpReceiver } from "../../../../src/core/vrrp/validate.js";
import { bytes, fits, frameOf, receiver, reseal, resealIp } from "../frames.js";

type Pattern = Omit<FramePattern, "port">;

/** The frame with octets changed; `sums`: checksums done again. */
function changed(frame: Uint8Array, offset: number, to: string, sums = true): Uint8Array {
  const copy = frame.slice();
  copy.set(bytes(to), offset);
  return sums ? reseal(copy) : copy;
}

function withPseudoHeader(frame: Uint8Array): Uint8Array {
  const copy = resealIp(frame);
  const { ip } = readVrrpFrame(copy) ?? {};
  if (!ip) throw new Error("not a VRRP frame");
  putU16(ip.payload, 6, 0);
  const pseudo = pseudoHeaderSum(ip.source, ip.destination, 112, ip.payload.length);
  putU16(ip.payload, 6, internetChecksum(ip.payload, pseudo));
  return copy;
}

interface Case {
  readonly title: string;
  readonly frame: Uint8Array;
  readonly at: VrrpReceiver;
  readonly sameSource?: boolean;
}

const V2 = frameOf("vrrp2-001");
const V3 = frameOf("vrrp3-001");
const V6 = frameOf("vrrp3-101");
const AT_V6 = receiver({
  family: "ipv6",
  primaryAddress: "fe80::9",
  addresses: ["fe80::1", "2001:db8:1::1"],
});
const PASSWORD = receiver({ version: 2, vrid: 10, authType: 1, authData: bytes("7365637265740000") });

const CASES: readonly Case[] = [
  { title: "version 2", frame: V2, at: receiver({ version: 2, checkAddressList: false }) },
  {
    title: "version 2 with a password",
    frame: frameOf("vrrp2-004"),
    at: { ...PASSWORD, checkAddressList: false },
  },
  { title: "version 3 over IPv4", frame: V3, at: receiver({ vrid: 5 }) },
  { title: "version 3 over IPv4, unicast", frame: V3, at: receiver({ vrid: 5 }), sameSource: true },
  { title: "version 3 over IPv6", frame: V6, at: AT_V6 },
  { title: "version 3 over IPv6, unicast", frame: V6, at: AT_V6, sameSource: true },
];

const LEAST = 90;

function patternOf({ frame, at, sameSource = false }: Case): Pattern {
  const pattern = advertisementOfAny({
    example: frame,
    sameSource,
    own: at.primaryAddress,
    priority: LEAST,
  });
  if (!pattern) throw new Error("no pattern");
  return pattern;
}

/** Octets worth changing, and what to. */
function changes(frame: Uint8Array): fc.Arbitrary<Uint8Array> {
  const offset = fc.oneof(
    fc.nat({ max: frame.length - 1 }),
    // The IP header's start and the sources of both families; the message of both.
    fc.constantFrom(
      14,
      15,
      16,
      17,
      20,
      21,
      22,
      23,
      26,
      29,
      34,
      35,
      36,
      37,
      38,
      39,
      54,
      55,
      56,
      57,
      58,
      59,
      62,
    ),
  );
  const octet = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 1, 127, 224, 254, 255));
  const sums = fc.constantFrom("none", "IP", "both", "pseudo-header");
  const tail = fc.uint8Array({ maxLength: 20 });
  return fc
    .tuple(fc.array(fc.tuple(offset, octet), { maxLength: 3 }), sums, tail, fc.nat({ max: 9 }))
    .map(([list, how, behind, cut]) => {
      let made: Uint8Array = frame.slice();
      for (const [at, to] of list) if (at < made.length) made[at] = to;
      if (how === "IP") made = resealIp(made);
      if (how === "both") made = reseal(made);
      if (how === "pseudo-header" && readVrrpFrame(made)?.message) made = withPseudoHeader(made);
      return cut === 0 ? made.slice(0, made.length - behind.length) : Uint8Array.of(...made, ...behind);
    });
}

describe.each(CASES)("$title", (one) => {
  const { frame, at, sameSource } = one;
  const pattern = patternOf(one);
  const end = pattern.mask.length;
  const v6 = at.family === "ipv6";
  const sourceAt = v6 ? 22 : 26;
  const messageAt = v6 ? 54 : 34;
  const alone = changed(frame, sourceAt + (v6 ? 15 : 3), "77");

  it("fits whatever Ethernet puts behind it, and without that", () => {
    for (const each of [frame, frame.slice(0, end), Uint8Array.of(...frame.slice(0, end), 1, 2, 3)])
      expect(fits(pattern, each)).toBe(true);
    expect(fits(pattern, frame.slice(0, end - 1))).toBe(false);
  });

  it("fits what the checks do not look at", () => {
    expect(fits(pattern, changed(frame, 0, "0200000000010200000000aa"))).toBe(true);
    expect(fits(pattern, alone)).toBe(!sameSource);
    const others = v6
      ? [changed(frame, 14, "6fabcdef")]
      : [changed(frame, 15, "00"), changed(frame, 18, "12344000")];
    for (const other of others) expect(fits(pattern, other)).toBe(true);
  });

  it("fits from its priority on", () => {
    for (const priority of [0, 1, LEAST - 1, LEAST, 200, 255]) {
      const octet = priority.toString(16).padStart(2, "0");
      expect(fits(pattern, changed(frame, messageAt + 2, octet))).toBe(priority >= LEAST);
    }
  });

  it("takes the checksums that the checks take", () => {
    expect(fits(pattern, changed(frame, messageAt + 6, "1234", false))).toBe(false);
    if (v6) return;
    expect(fits(pattern, changed(frame, 24, "1234", false))).toBe(false);
    expect(fits(pattern, withPseudoHeader(frame))).toBe(at.version === 3);
  });

  it("does not fit the receiver's own", () => {
    const own = frame.slice();
    own.set(ipToBytes(at.primaryAddress), sourceAt);
    expect(fits(pattern, reseal(own))).toBe(false);
  });

  it("fits nothing that the checks would refuse, nor what says something else", () => {
    let fitting = 0;
    const { intervalUs } = acceptedBy(frame, at)?.advertisement ?? {};
    fc.assert(
      fc.property(changes(frame), (made) => {
        if (!fits(pattern, made)) return;
        fitting++;
        const accepted = acceptedBy(made, at);
        expect(accepted?.advertisement.priority).toBeGreaterThanOrEqual(LEAST);
        expect(accepted).toMatchObject({ fromBackup: false, advertisement: { intervalUs } });
        const ip = readVrrpFrame(made)?.ip;
        const example = readVrrpFrame(frame)?.ip;
        if (!ip || !example) throw new Error("no IP packet");
        expect(namesOneHost(ip.source)).toBe(true);
        expect(formatIp(ip.destination)).toBe(formatIp(example.destination));
        if (sameSource) expect(formatIp(ip.source)).toBe(formatIp(example.source));
      }),
      { numRuns: 3_000 },
    );
    expect(fitting).toBeGreaterThan(50);
  });
});

function acceptedBy(frame: Uint8Array, at: VrrpReceiver) {
  const read = readVrrpFrame(frame);
  const verdict = read && receive(read.ip, read.message, at);
  return verdict?.verdict === "accept" ? verdict : null;
}

/** Captured from FRR 8.4.4 and keepalived 2.2.7, VRID 10, priority 120, on a link that does not pad. */
const CAPTURED = {
  "version 2": [
    "01005e00001200005e00010a080045c00028f15d4000ff70e732c0000202e0000012210a78010001a4f1c00002010000000000000000",
    "01005e00001200005e00010a080045c0002800030000ff70188ec0000202e0000012210a78010001a4f1c00002010000000000000000",
  ],
  "version 3 over IPv4": [
    "01005e00001200005e00010a080045c0002005464000ff70d352c0000202e0000012310a7801000af256c0000201",
    "01005e00001200005e00010a080045c0002000030000ff701896c0000202e0000012310a7801000af256c0000201",
  ],
  "version 3 over IPv6": [
    `33330000001200005e00020a86dd6c03892f002870fffe800000000000006e409d35b8397231ff020000000000000000000000000012
     310a7802000af69cfe80000000000000000000000000000120010db8000100000000000000000001`,
    `33330000001200005e00020a86dd6c058446002870fffe80000000000000000000fffe010001ff020000000000000000000000000012
     310a7802000a2d7cfe80000000000000000000000000000120010db8000100000000000000000001`,
  ],
};

describe("what other programs send fits what firsthop would", () => {
  it.each(Object.entries(CAPTURED))("%s", (title, captured) => {
    const one = CASES.find((each) => each.title === title);
    if (!one) throw new Error("no such case");
    const version3 = one.at.version === 3;
    const at = one.at.family === "ipv6" ? 54 : 34;
    // As this router would send it: VRID 10, and an interval of 100 ms in version 3.
    const vrid = changed(one.frame, at + 1, "0a");
    const pattern = patternOf({ ...one, frame: version3 ? changed(vrid, at + 4, "000a") : vrid });
    for (const hex of captured) expect(fits(pattern, bytes(hex))).toBe(true);
  });
});

describe("there is none", () => {
  const senders = { sameSource: false, own: "192.0.2.9", priority: 1 };

  it.each([
    ["from a source that names no host", changed(V3, 26, "7f000001")],
    ["over IPv6 from elsewhere than the link", changed(V6, 22, "20010db8000000000000000000000001")],
    ["over IPv6 without a link-local address first", changed(V6, 62, "2001")],
    ["behind a VLAN tag", Uint8Array.of(...V3.slice(0, 12), 0x81, 0, 0, 0, ...V3.slice(12))],
    ["of something else than VRRP", changed(V3, 23, "11")],
  ])("%s", (_, example) => {
    expect(advertisementOfAny({ ...senders, example })).toBeNull();
  });
});
