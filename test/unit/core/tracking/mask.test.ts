/** The mask table's matching, and thresholds of neighbours. */
import { describe, expect, it } from "vitest";
import {
  enoughAnswer,
  isVirtualRouterMac,
  type MaskEntry,
  maskLookup,
  parseMaskEntry,
  parseNeighbourThreshold,
} from "../../../../src/core/tracking/index.js";

const table = (...texts: string[]): MaskEntry[] => texts.map((text) => parseMaskEntry(text) as MaskEntry);

describe("entries of the mask table", () => {
  it.each([
    ["192.0.2.200/25", "192.0.2.128/25"],
    ["192.0.2.1", "192.0.2.1"],
    ["192.0.2.1/32", "192.0.2.1"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["10.255.255.255/9", "10.128.0.0/9"],
    ["2001:DB8:0:0::1/64", "2001:db8::/64"],
    ["2001:db8::1/128", "2001:db8::1"],
    ["fe80::1/10", "fe80::/10"],
    ["02:00:00:00:00:AB", "02:00:00:00:00:ab"],
  ])("%s is %s", (written, canonical) => {
    expect(parseMaskEntry(written)?.text).toBe(canonical);
  });

  it.each([
    "",
    "host",
    "192.0.2.1/33",
    "192.0.2.1/",
    "192.0.2.1/08",
    "192.0.2.1/-1",
    "192.0.2/24",
    "::/129",
    "1.2.3.4/8/8",
    "02:00:00:00:00",
  ])("%j is none", (written) => {
    expect(parseMaskEntry(written)).toBeNull();
  });
});

describe("the mask table", () => {
  const entries = table(
    "192.0.2.0/24",
    "192.0.2.128/25",
    "192.0.2.130",
    "02:00:00:00:00:17",
    "2001:db8::/32",
  );
  it.each([
    ["192.0.2.1", null, "192.0.2.0/24"],
    ["192.0.2.200", null, "192.0.2.128/25"],
    ["192.0.2.130", null, "192.0.2.130"],
    ["192.0.2.130", "02:00:00:00:00:17", "02:00:00:00:00:17"],
    ["198.51.100.1", "02:00:00:00:00:17", "02:00:00:00:00:17"],
    [null, "02:00:00:00:00:17", "02:00:00:00:00:17"],
    ["2001:db8:5::1", null, "2001:db8::/32"],
    ["198.51.100.1", "02:00:00:00:00:18", undefined],
    ["2001:db9::1", null, undefined],
    [null, null, undefined],
  ])("names the entry that says most about %s, %s: %s", (address, mac, entry) => {
    expect(maskLookup(entries)(address, mac)?.text).toBe(entry);
    expect(maskLookup([...entries].reverse())(address, mac)?.text).toBe(entry);
  });

  it("tells the families apart, and takes everybody with a prefix of no length", () => {
    const lookup = maskLookup(table("0.0.0.0/0", "::/32"));
    expect(lookup("203.0.113.1", null)?.text).toBe("0.0.0.0/0");
    expect(lookup("::1", null)?.text).toBe("::/32");
    expect(lookup("2001:db8::1", null)).toBeNull();
  });
});

describe("a threshold of neighbours", () => {
  it("is a number or a percentage", () => {
    expect(parseNeighbourThreshold(3)).toEqual({ kind: "count", value: 3 });
    expect(parseNeighbourThreshold("50%")).toEqual({ kind: "percent", value: 50 });
    expect(parseNeighbourThreshold("100%")).toEqual({ kind: "percent", value: 100 });
    for (const wrong of [0, -1, 1.5, "3", "0%", "101%", "50 %", "", null, undefined, "050%"])
      expect(parseNeighbourThreshold(wrong)).toBeNull();
  });

  it("is reached or not", () => {
    const half = { kind: "percent", value: 50 } as const;
    expect([0, 1, 2].map((answering) => enoughAnswer(half, answering, 3))).toEqual([false, false, true]);
    expect(enoughAnswer(half, 0, 0)).toBe(true);
    const three = { kind: "count", value: 3 } as const;
    expect([2, 3].map((answering) => enoughAnswer(three, answering, 9))).toEqual([false, true]);
    expect(enoughAnswer(three, 0, 0)).toBe(false);
    // Asked, answering, masked.
    const spared = (asked: number, answering: number, masked: number) =>
      enoughAnswer(three, answering, asked, masked);
    expect([spared(0, 0, 1), spared(2, 1, 2), spared(2, 2, 2)]).toEqual([true, false, true]);
    expect([spared(3, 2, 9), spared(4, 3, 1), spared(4, 2, 1)]).toEqual([false, true, false]);
  });

  it("leaves virtual routers out", () => {
    expect(isVirtualRouterMac("00:00:5e:00:01:0a")).toBe(true);
    expect(isVirtualRouterMac("00:00:5e:00:02:0a")).toBe(true);
    expect(isVirtualRouterMac("00:00:5e:00:03:0a")).toBe(false);
  });
});
