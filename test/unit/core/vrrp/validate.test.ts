/**
 * The receive checks of RFC 9568 section 7.1 and RFC 3768 section 7.1: one change to a good frame at a time,
 * and what becomes of it.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readVrrpFrame } from "../../../../src/core/vrrp/packet.js";
import {
  REJECT_REASONS,
  receive,
  type Verdict,
  type VrrpReceiver,
} from "../../../../src/core/vrrp/validate.js";
import { verifyAuthenticationHeader } from "../../../../src/vectors/authentication-header.js";
import { bytes, frameOf, receiver, reseal, resealIp, vectorsOf } from "../frames.js";

function judge(frame: Uint8Array, at: VrrpReceiver): Verdict {
  const read = readVrrpFrame(frame);
  return read ? receive(read.ip, read.message, at) : { verdict: "ignore", reason: "not-vrrp" };
}

/** "accept", "accept interval-mismatch", "discard ttl", "ignore own". */
function words(verdict: Verdict): string {
  return verdict.verdict === "accept"
    ? ["accept", ...verdict.warnings].join(" ")
    : `${verdict.verdict} ${verdict.reason}`;
}

type Repair = "as it is" | "IP sum" | "both sums";

interface Mutation {
  readonly what: string;
  readonly offset: number;
  readonly to: string;
  readonly repair: Repair;
  readonly expected: string;
}

const REPAIRS: Readonly<Record<Repair, (frame: Uint8Array) => Uint8Array>> = {
  "as it is": (frame) => frame,
  "IP sum": resealIp,
  "both sums": reseal,
};

function mutated(base: Uint8Array, { offset, to, repair }: Mutation): Uint8Array {
  const frame = base.slice();
  frame.set(bytes(to), offset);
  return REPAIRS[repair](frame);
}

const m = (what: string, offset: number, to: string, repair: Repair, expected: string): Mutation => ({
  what,
  offset,
  to,
  repair,
  expected,
});

/** A table against one frame, and the same frame cut off after each octet. */
function mutations(name: string, base: Uint8Array, at: VrrpReceiver, table: readonly Mutation[]): void {
  describe(name, () => {
    it("is accepted as it is", () => expect(words(judge(base, at))).toBe("accept"));

    it.each(table.map((one) => [one.what, one.repair, one.expected, one] as const))(
      "%s, %s: %s",
      (_what, _repair, expected, one) => {
        expect(words(judge(mutated(base, one), at))).toBe(expected);
      },
    );

    it("cut off anywhere is never accepted, unless only padding is gone", () => {
      const ip = readVrrpFrame(base)?.ip;
      const end = (ip?.payloadOffset ?? 0) + (ip?.payload.length ?? 0);
      for (let length = 0; length <= base.length; length++) {
        const verdict = words(judge(base.subarray(0, length), at));
        if (length >= end) expect(verdict).toBe("accept");
        else expect(["discard length", "ignore not-vrrp"]).toContain(verdict);
      }
    });

    it("with one bit turned anywhere in the message is never accepted", () => {
      const ip = readVrrpFrame(base)?.ip;
      const start = ip?.payloadOffset ?? 0;
      for (let bit = 0; bit < (ip?.payload.length ?? 0) * 8; bit++) {
        const frame = base.slice();
        const offset = start + (bit >> 3);
        frame[offset] = (frame[offset] as number) ^ (0x80 >> (bit & 7));
        const verdict = judge(frame, at);
        expect(verdict.verdict).toBe("discard");
        expect(["version", "type", "length", "checksum"]).toContain(
          verdict.verdict === "discard" ? verdict.reason : null,
        );
      }
    });
  });
}

// 14 Ethernet, 20 IPv4, 20 VRRP, 6 padding.
mutations("version 2", frameOf("vrrp2-001"), receiver({ version: 2 }), [
  m("destination MAC", 0, "ffffffffffff", "as it is", "accept"),
  m("source MAC", 6, "020000000001", "as it is", "accept"),
  m("ether type ARP", 12, "0806", "as it is", "ignore not-vrrp"),
  m("ether type IPv6", 12, "86dd", "as it is", "ignore not-vrrp"),
  m("IP version 5", 14, "55", "IP sum", "ignore not-vrrp"),
  m("IP header of 16 octets", 14, "44", "IP sum", "ignore not-vrrp"),
  m("IP header of 24 octets", 14, "46", "IP sum", "discard version"),
  m("TOS 0", 15, "00", "IP sum", "accept"),
  m("total length shorter by 1", 16, "0027", "IP sum", "discard length"),
  m("total length longer by 1", 16, "0029", "IP sum", "accept"),
  m("total length longer than the frame", 16, "ffff", "IP sum", "accept"),
  m("total length shorter than the header", 16, "0013", "IP sum", "ignore not-vrrp"),
  m("identification", 18, "1234", "IP sum", "accept"),
  m("identification", 18, "1234", "as it is", "ignore ip-header"),
  m("don't fragment", 20, "4000", "IP sum", "accept"),
  m("more fragments", 20, "2000", "IP sum", "ignore fragment"),
  m("fragment offset", 20, "0001", "IP sum", "ignore fragment"),
  m("TTL 254", 22, "fe", "IP sum", "discard ttl"),
  m("TTL 0", 22, "00", "IP sum", "discard ttl"),
  m("protocol UDP", 23, "11", "IP sum", "ignore not-vrrp"),
  m("IP checksum", 24, "0000", "as it is", "ignore ip-header"),
  m("source: ours", 26, "c0000209", "both sums", "ignore own"),
  m("source: another", 26, "c00002fe", "IP sum", "accept"),
  m("destination", 30, "c0000209", "IP sum", "accept"),
  m("version 3", 34, "31", "both sums", "discard version"),
  m("version 0", 34, "01", "both sums", "discard version"),
  m("version 15", 34, "f1", "both sums", "discard version"),
  m("type 0", 34, "20", "both sums", "discard type"),
  m("type 2", 34, "22", "both sums", "discard type"),
  m("VRID 2", 35, "02", "both sums", "discard vrid"),
  m("VRID 0", 35, "00", "both sums", "discard vrid"),
  m("VRID 2", 35, "02", "as it is", "discard checksum"),
  m("priority 0", 36, "00", "both sums", "accept"),
  m("priority 255", 36, "ff", "both sums", "accept"),
  m("priority 1", 36, "01", "as it is", "discard checksum"),
  m("count 2", 37, "02", "both sums", "discard length"),
  m("count 255", 37, "ff", "both sums", "discard length"),
  m("count 0", 37, "00", "both sums", "discard address-list"),
  m("authentication type 1", 38, "01", "both sums", "discard auth-type-mismatch"),
  m("authentication type 2", 38, "02", "both sums", "discard auth-type-mismatch"),
  m("authentication type 3", 38, "03", "both sums", "discard auth-type-invalid"),
  m("authentication type 255", 38, "ff", "both sums", "discard auth-type-invalid"),
  m("interval 2 s", 39, "02", "both sums", "discard interval"),
  m("interval 0", 39, "00", "both sums", "discard interval"),
  m("checksum", 40, "b8fb", "as it is", "discard checksum"),
  m("checksum 0", 40, "0000", "as it is", "discard checksum"),
  m("another address", 42, "c0000202", "both sums", "discard address-list"),
  m("another address, of the owner", 36, "ff010001b8fac0000202", "both sums", "accept address-list-mismatch"),
  m("authentication data, unused", 46, "7365637265740000", "both sums", "accept"),
  m("padding", 54, "ffffffffffff", "as it is", "accept"),
]);

mutations(
  "version 2 with a password",
  frameOf("vrrp2-004"),
  receiver({ version: 2, vrid: 10, authType: 1, authData: bytes("7365637265740000") }),
  [
    m("no authentication", 38, "00", "both sums", "discard auth-type-mismatch"),
    m("first octet", 46, "53", "both sums", "discard auth-failure"),
    m("last octet", 53, "01", "both sums", "discard auth-failure"),
    m("longer", 52, "21", "both sums", "discard auth-failure"),
    m("shorter", 51, "00", "both sums", "discard auth-failure"),
    m("another interval, right password", 39, "02", "both sums", "discard interval"),
  ],
);

// 14 Ethernet, 20 IPv4, 12 VRRP, 14 padding.
mutations("version 3 over IPv4", frameOf("vrrp3-001"), receiver({ vrid: 5 }), [
  m("source MAC", 6, "020000000001", "as it is", "accept"),
  m("total length shorter by 1", 16, "001f", "IP sum", "discard length"),
  m("total length with padding counted in", 16, "002e", "IP sum", "accept"),
  m("TTL 64", 22, "40", "IP sum", "discard ttl"),
  m("source: another, sum over the message", 26, "c00002fe", "IP sum", "accept"),
  m("version 2", 34, "21", "both sums", "discard version"),
  m("version 4", 34, "41", "both sums", "discard version"),
  m("type 0", 34, "30", "both sums", "discard type"),
  m("type 15", 34, "3f", "both sums", "discard type"),
  m("VRID 255", 35, "ff", "both sums", "discard vrid"),
  m("priority 0", 36, "00", "both sums", "accept"),
  m("count 0", 37, "00", "both sums", "discard count-zero"),
  m("count 2", 37, "02", "both sums", "discard length"),
  m("reserved bits", 38, "f0", "both sums", "accept"),
  m("interval 0, reserved bits set", 38, "f000", "both sums", "discard interval-zero"),
  m("interval 0", 38, "0000", "both sums", "discard interval-zero"),
  m("interval 1 cs", 38, "0001", "both sums", "accept interval-mismatch"),
  m("interval 4095 cs", 38, "0fff", "both sums", "accept interval-mismatch"),
  m("checksum", 40, "ffff", "as it is", "discard checksum"),
  m("another address", 42, "c0000202", "both sums", "accept address-list-mismatch"),
  m("padding", 46, "ffffffff", "as it is", "accept"),
]);

mutations(
  "version 3 over IPv4, with the pseudo-header",
  frameOf("vrrp3-002"),
  receiver({ vrid: 5, ipv4Checksum: "pseudo-header" }),
  [
    m("source: another", 26, "c00002fe", "IP sum", "discard checksum"),
    m("destination: another", 30, "e0000013", "IP sum", "discard checksum"),
    m("sum over the message", 34, "31", "both sums", "discard checksum"),
  ],
);

// 14 Ethernet, 40 IPv6, 40 VRRP.
mutations(
  "version 3 over IPv6",
  frameOf("vrrp3-101"),
  receiver({ family: "ipv6", primaryAddress: "fe80::9", addresses: ["2001:db8:1::1", "fe80::1"] }),
  [
    m("source MAC", 6, "020000000001", "as it is", "accept"),
    m("IP version 4", 14, "4c", "as it is", "ignore not-vrrp"),
    m("traffic class", 14, "6000", "as it is", "accept"),
    m("flow label", 15, "012345", "as it is", "accept"),
    m("payload length shorter by 1", 18, "0027", "as it is", "discard length"),
    m("payload length longer than the frame", 18, "ffff", "as it is", "accept"),
    m("payload length 0", 18, "0000", "as it is", "discard length"),
    m("next header UDP", 20, "11", "as it is", "ignore not-vrrp"),
    m("hop limit 254", 21, "fe", "as it is", "discard ttl"),
    m("source: another", 22, "fe80000000000000000000000000aaaa", "as it is", "discard checksum"),
    m("source: another", 22, "fe80000000000000000000000000aaaa", "both sums", "accept"),
    m("source: ours", 22, "fe800000000000000000000000000009", "both sums", "ignore own"),
    m("destination: another", 38, "ff020000000000000000000000000001", "as it is", "discard checksum"),
    m("version 2", 54, "21", "both sums", "discard version"),
    m("type 3", 54, "33", "both sums", "discard type"),
    m("VRID 2", 55, "02", "both sums", "discard vrid"),
    m("priority 255", 56, "ff", "both sums", "accept"),
    m("count 0", 57, "00", "both sums", "discard count-zero"),
    m("count 1", 57, "01", "both sums", "accept address-list-mismatch"),
    m("count 3", 57, "03", "both sums", "discard length"),
    m("interval 0", 58, "0000", "both sums", "discard interval-zero"),
    m("interval 10 cs", 58, "000a", "both sums", "accept interval-mismatch"),
    m("checksum", 60, "0000", "as it is", "discard checksum"),
    m("first address global", 62, "2001", "both sums", "discard first-address-not-link-local"),
    m("first address fec0::", 62, "fec0", "both sums", "discard first-address-not-link-local"),
    m("first address febf::", 62, "febf", "both sums", "accept address-list-mismatch"),
    m("last address", 93, "02", "both sums", "accept address-list-mismatch"),
  ],
);

describe("what depends on the receiver", () => {
  const V2 = frameOf("vrrp2-001");
  const V3 = frameOf("vrrp3-001");
  const at5 = (given: Partial<VrrpReceiver> = {}): VrrpReceiver => receiver({ vrid: 5, ...given });
  const V6 = frameOf("vrrp3-101");
  const at6 = receiver({
    family: "ipv6",
    addresses: ["fe80::1", "2001:db8:1::1"],
    primaryAddress: "fe80::9",
  });

  it.each<[string, Uint8Array, VrrpReceiver, string]>([
    ["version 2 at version 3", V2, receiver(), "discard version"],
    ["version 3 at version 2", V3, at5({ version: 2 }), "discard version"],
    ["version 2 over IPv6 at version 2", frameOf("vrrp3-108"), receiver({ version: 2 }), "discard version"],
    ["IPv6 at IPv4", V6, receiver(), "discard vrid"],
    ["IPv4 at IPv6", V3, at6, "discard vrid"],
    ["the addresses in another order", V6, at6, "accept"],
    [
      "one address too many",
      V3,
      at5({ addresses: ["192.0.2.1", "192.0.2.3"] }),
      "accept address-list-mismatch",
    ],
    ["addresses that nobody compares", V3, at5({ addresses: [], checkAddressList: false }), "accept"],
    ["one hop away, from a unicast peer", resealIp(withTtl(V3, 254)), at5({ minimumTtl: 254 }), "accept"],
    [
      "two hops away, where one is allowed",
      resealIp(withTtl(V3, 253)),
      at5({ minimumTtl: 254 }),
      "discard ttl",
    ],
    ["at the owner", V3, at5({ priority: 255 }), "accept"],
    [
      "at the owner, as first published",
      V3,
      at5({ priority: 255, ownerReceive: "discard" }),
      "discard owner",
    ],
    [
      "of the owner, at the owner",
      frameOf("vrrp3-015"),
      receiver({ priority: 255 }),
      "accept duplicate-owner",
    ],
    [
      "with the pseudo-header, at either",
      frameOf("vrrp3-002"),
      at5(),
      "accept legacy-pseudo-header-checksum",
    ],
    [
      "with the pseudo-header, at message only",
      frameOf("vrrp3-002"),
      at5({ ipv4Checksum: "message-only" }),
      "discard checksum",
    ],
    ["an authentication header that nobody verifies", ...signed({}), "discard auth-failure"],
    ["an authentication header with the right key", ...signed({ key: "ahkey" }), "accept"],
    ["an authentication header with another key", ...signed({ key: "other" }), "discard auth-failure"],
  ])("%s", (_what, frame, at, expected) => {
    expect(words(judge(frame, at))).toBe(expected);
  });

  function withTtl(frame: Uint8Array, ttl: number): Uint8Array {
    return frame.map((octet, index) => (index === 22 ? ttl : octet));
  }

  function signed({ key }: { readonly key?: string }): [Uint8Array, VrrpReceiver] {
    const verify =
      key === undefined
        ? {}
        : {
            verifyAuthenticationHeader: (ip: Parameters<typeof verifyAuthenticationHeader>[0]) =>
              verifyAuthenticationHeader(ip, key),
          };
    return [frameOf("vrrp2-024"), receiver({ version: 2, vrid: 3, authType: 2, ...verify })];
  }

  it("says who sent it, and in which form", () => {
    expect(judge(frameOf("vrrp3-002"), at5())).toMatchObject({
      verdict: "accept",
      source: "192.0.2.2",
      checksumForm: "pseudo-header",
      advertisement: { version: 3, vrid: 5, priority: 100, addresses: ["192.0.2.1"], intervalUs: 1_000_000 },
    });
  });
});

describe("the order of the checks", () => {
  // Every flaw at once; each is repaired in turn, and the next one shows.
  const flaws: readonly (readonly [offset: number, good: string, reason: string])[] = [
    [22, "ff", "ttl"],
    [34, "21", "version"],
    [34, "21", "type"],
    [37, "01", "length"],
    [40, "", "checksum"],
    [35, "01", "vrid"],
    [38, "00", "auth-type-invalid"],
    [42, "c0000201", "address-list"],
    [39, "01", "interval"],
  ];

  it("is that of the RFCs", () => {
    let frame: Uint8Array = frameOf("vrrp2-001").slice();
    for (const [offset, bad] of [
      [22, "fe"],
      [34, "42"],
      [35, "07"],
      [37, "09"],
      [38, "09"],
      [39, "09"],
      [42, "c0000209"],
      [40, "dead"],
    ] as const) {
      frame.set(bytes(bad), offset);
    }
    const at = receiver({ version: 2 });
    let sealed = false;
    const seen: string[] = [];
    for (const [offset, good, reason] of flaws) {
      frame = resealIp(sealed ? reseal(frame) : frame);
      const verdict = words(judge(frame, at));
      seen.push(verdict);
      expect(verdict).toBe(`discard ${reason}`);
      if (reason === "version") frame.set(bytes("22"), 34);
      else frame.set(bytes(good), offset);
      if (reason === "checksum") sealed = true;
    }
    expect(words(judge(reseal(frame), at))).toBe("accept");
    const order = Object.keys(REJECT_REASONS);
    const places = seen.map((one) => order.indexOf(one.split(" ")[1] as string));
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
});

describe("whatever comes in", () => {
  const frames = vectorsOf("vrrp").map((one) => bytes(one.hex));
  const receivers = [
    receiver(),
    receiver({ version: 2 }),
    receiver({ version: 2, authType: 1 }),
    receiver({ version: 2, authType: 2 }),
    receiver({ family: "ipv6" }),
  ];

  it("has a verdict, with a reason from the table", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...frames),
        fc.nat(80),
        fc.uint8Array({ maxLength: 100 }),
        fc.constantFrom(...receivers),
        (head, kept, tail, at) => {
          const verdict = judge(Uint8Array.of(...head.subarray(0, kept), ...tail), at);
          if (verdict.verdict === "discard") expect(Object.keys(REJECT_REASONS)).toContain(verdict.reason);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("changed in up to four octets and sealed again is judged without an exception", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...frames),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
        fc.constantFrom(...receivers),
        (base, changes, at) => {
          const frame = base.slice();
          for (const [offset, octet] of changes) frame[14 + (offset % (frame.length - 14))] = octet;
          const verdict = judge(reseal(frame), at);
          if (verdict.verdict === "accept") {
            expect(verdict.advertisement.version).toBe(at.version);
            expect(verdict.advertisement.vrid).toBe(at.vrid);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
