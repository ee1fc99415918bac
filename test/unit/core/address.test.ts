/** Addresses as text and octets. RFC 4291 section 2.2, RFC 5952. */
import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canonicalIp,
  compareAddresses,
  formatIp,
  formatMac,
  ipToBytes,
  ipv6MulticastMac,
  isLinkLocal,
  macToBytes,
  namesOneHost,
  parseIp,
  parseMac,
  prefixContains,
  solicitedNodeGroup,
} from "../../../src/core/address.js";

describe("canonical text", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8::0001", "2001:db8::1"],
    // One zero group stays; the longest run goes, the first of two equal ones.
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["fe80::0:5", "fe80::5"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  it.each([
    "",
    "192.0.2",
    "192.0.2.1.1",
    "192.0.2.256",
    "192.0.2.01",
    "192.0.2.-1",
    " 192.0.2.1",
    "192.0.2.1/24",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "1::2::3",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    ":::",
    "12345::",
    "fe80::1%eth0",
    "192.0.2.1::",
    "::192.0.2.1:1",
    "::192.0.2",
    "gggg::",
  ])("%j is none", (text) => {
    expect(canonicalIp(text)).toBeNull();
    expect(() => ipToBytes(text)).toThrow(RangeError);
  });

  it("any octets come back from their text", () => {
    const octets = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
        .map((one) => Uint8Array.from(one)),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(octets, (address) => {
        const text = formatIp(address);
        expect(parseIp(text)).toEqual(address);
        expect(isIP(text)).toBe(address.length === 4 ? 4 : 6);
        expect(canonicalIp(text)).toBe(text);
      }),
    );
  });

  it("agrees with the platform on what is an address", () => {
    const piece = fc.constantFrom("0", "1", "ff", "fe80", "192.0.2.1", ":", "::", ":", ".", "25", "00");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 18 }), (pieces) => {
        const text = pieces.join("");
        expect(parseIp(text) !== null).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("order", () => {
  it.each([
    ["192.0.2.10", "192.0.2.9", 1],
    ["192.0.2.9", "192.0.2.200", -1],
    ["10.0.0.1", "9.255.255.255", 1],
    ["192.0.2.1", "192.0.2.1", 0],
    ["fe80::a", "fe80::9", 1],
    ["fe80::9", "fe80::10", -1],
    ["2001:db8::1", "fe80::1", -1],
  ])("%s against %s: %i", (a, b, sign) => {
    expect(Math.sign(compareAddresses(a, b))).toBe(sign);
  });
});

describe("kinds and derived addresses", () => {
  it.each([
    ["fe80::1", true],
    ["febf:ffff::1", true],
    ["fec0::1", false],
    ["fe00::1", false],
    ["2001:db8::1", false],
    ["169.254.0.1", false],
  ])("%s link-local: %s", (address, expected) => {
    expect(isLinkLocal(address)).toBe(expected);
  });

  it("solicited-node groups and their MACs", () => {
    expect(solicitedNodeGroup("fe80::5")).toBe("ff02::1:ff00:5");
    expect(solicitedNodeGroup("2001:db8::12:3456:789a")).toBe("ff02::1:ff56:789a");
    expect(ipv6MulticastMac("ff02::1:ff56:789a")).toBe("33:33:ff:56:78:9a");
    expect(ipv6MulticastMac("ff02::12")).toBe("33:33:00:00:00:12");
  });

  it.each([
    ["192.0.2.0", 24, "192.0.2.255", true],
    ["192.0.2.0", 24, "192.0.3.0", false],
    ["192.0.2.128", 25, "192.0.2.127", false],
    ["192.0.2.1", 32, "192.0.2.1", true],
    ["0.0.0.0", 0, "203.0.113.9", true],
    ["2001:db8::", 33, "2001:db8:8000::", false],
    ["2001:db8::", 32, "2001:db8:8000::", true],
    ["::", 0, "192.0.2.1", false],
  ])("%s/%i holds %s: %s", (network, length, address, expected) => {
    expect(prefixContains(network, length, address)).toBe(expected);
  });
});

describe("MAC addresses", () => {
  it("read and written", () => {
    expect(formatMac(macToBytes("00:00:5E:00:01:0a"))).toBe("00:00:5e:00:01:0a");
  });

  it.each([
    "",
    "00:00:5e:00:01",
    "00:00:5e:00:01:0a:0b",
    "00-00-5e-00-01-0a",
    "0:0:5e:0:1:a",
    "00:00:5e:00:01:0g",
  ])("%j is none", (text) => {
    expect(parseMac(text)).toBeNull();
    expect(() => macToBytes(text)).toThrow(RangeError);
  });
});

describe("a source address", () => {
  const named = (text: string): boolean => namesOneHost(ipToBytes(text));

  it.each(["0.0.0.0", "127.0.0.1", "224.0.0.18", "255.255.255.255", "::", "::1", "ff02::12"])(
    "%s names no host",
    (source) => {
      expect(named(source)).toBe(false);
    },
  );

  it.each(["192.0.2.2", "10.0.0.1", "223.255.255.254", "fe80::2", "2001:db8::1", "::2"])(
    "%s names one",
    (source) => {
      expect(named(source)).toBe(true);
    },
  );
});
