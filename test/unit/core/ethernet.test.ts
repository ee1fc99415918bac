/** Frames taken apart and put together. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatIp, formatMac, ipToBytes, macToBytes } from "../../../src/core/address.js";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "../../../src/core/checksum.js";
import {
  buildEthernet,
  buildIp,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  type IpPacket,
  readEthernet,
  readIp,
} from "../../../src/core/ethernet.js";
import { bytes, hex } from "./frames.js";

const V4 = [ipToBytes("192.0.2.2"), ipToBytes("224.0.0.18")] as const;
const V6 = [ipToBytes("fe80::2"), ipToBytes("ff02::12")] as const;
const PAYLOAD = bytes("0102030405060708090a");

function packet(datagram: Uint8Array, offset = 0): IpPacket {
  const read = readIp(datagram, offset);
  if (!read) throw new Error("not read");
  return read;
}

/** A copy with other octets from `offset` on. */
function changed(frame: Uint8Array, offset: number, octets: readonly number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(octets, offset);
  return copy;
}

describe("Internet checksum (RFC 1071)", () => {
  it("of the RFC's example", () => {
    expect(onesComplementSum(bytes("0001f203f4f5f6f7"))).toBe(0xddf2);
  });

  it("takes an odd last octet as the high one", () => {
    expect(onesComplementSum(bytes("010203"))).toBe(0x0102 + 0x0300);
  });

  it("of anything with its checksum put in is 0", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 1500 }), (data) => {
        if (data.length % 2 === 1) return;
        const sum = internetChecksum(data);
        expect(internetChecksum(Uint8Array.of(...data, sum >> 8, sum & 0xff))).toBe(0);
      }),
    );
  });

  it("pseudo-headers", () => {
    // c000 + 0202 + e000 + 0012 + 0070 + 000c = 1a290
    expect(pseudoHeaderSum(...V4, 112, 12)).toBe(0xa291);
    // fe80 + 0002 + ff02 + 0012 + 003a + 0001 + 0002 = 1fdd3
    expect(pseudoHeaderSum(...V6, 58, 0x1_0002)).toBe(0xfdd4);
  });
});

describe("Ethernet", () => {
  it("pads short frames, and leaves long ones", () => {
    expect(buildEthernet(new Uint8Array(6), new Uint8Array(6), 0x0806, new Uint8Array(28))).toHaveLength(60);
    expect(buildEthernet(new Uint8Array(6), new Uint8Array(6), 0x86dd, new Uint8Array(72))).toHaveLength(86);
  });

  it("reads addresses, type and tags", () => {
    const plain = buildEthernet(
      macToBytes("01:00:5e:00:00:12"),
      macToBytes("00:00:5e:00:01:0a"),
      0x0800,
      PAYLOAD,
    );
    const read = readEthernet(plain);
    expect(read && [formatMac(read.destination), formatMac(read.source), read.etherType, read.vlans]).toEqual(
      ["01:00:5e:00:00:12", "00:00:5e:00:01:0a", 0x0800, []],
    );
    const tagged = bytes(`${hex(plain.subarray(0, 12))} 88a8 0064 8100 e0c8 ${hex(plain.subarray(12))}`);
    expect(readEthernet(tagged)).toMatchObject({ vlans: [100, 200], etherType: 0x0800, payloadOffset: 22 });
  });

  it("reads no further than the frame goes", () => {
    const tagged = bytes("01005e000012 00005e00010a 8100 0064 0800");
    expect(readEthernet(tagged.subarray(0, 13))).toBeNull();
    for (let length = 14; length < 18; length++) {
      expect(readEthernet(tagged.subarray(0, length))?.etherType).toBe(0x8100);
    }
    expect(readEthernet(tagged)).toMatchObject({ etherType: 0x0800, vlans: [100] });
  });
});

describe("IPv4", () => {
  const datagram = buildIp(...V4, 112, PAYLOAD);

  it("is built with TTL 255 and CS6", () => {
    expect(hex(datagram.subarray(0, 12))).toBe("45c0001e00000000ff70189b".slice(0, 24));
    expect(packet(datagram)).toMatchObject({
      version: 4,
      ttl: 255,
      trafficClass: 0xc0,
      headerChecksumValid: true,
      fragment: false,
      protocol: 112,
      totalLength: 30,
      headerLength: 20,
    });
    expect(hex(packet(datagram).payload)).toBe(hex(PAYLOAD));
  });

  it("ends where its length says, not where the frame does", () => {
    const frame = buildEthernet(new Uint8Array(6), new Uint8Array(6), ETHERTYPE_IPV4, datagram);
    expect(hex(packet(frame, 14).payload)).toBe(hex(PAYLOAD));
    expect(hex(packet(frame, 14).datagram)).toBe(hex(datagram));
    expect(packet(frame.subarray(0, 40), 14).payload).toHaveLength(6);
  });

  it("has options between header and payload", () => {
    const options = bytes(`46c0 0022 ${hex(datagram.subarray(4, 20))} 94040000 ${hex(PAYLOAD)}`);
    expect(packet(options)).toMatchObject({
      headerLength: 24,
      headerChecksumValid: false,
      payloadOffset: 24,
    });
    expect(hex(packet(options).payload)).toBe(hex(PAYLOAD));
  });

  it.each([
    ["more fragments", [0x20, 0x00], true],
    ["an offset", [0x00, 0x01], true],
    ["don't fragment", [0x40, 0x00], false],
  ])("%s", (_what, flags, fragment) => {
    expect(packet(changed(datagram, 6, flags as number[])).fragment).toBe(fragment);
  });

  it.each([
    ["a header shorter than 20 octets", 0, [0x44]],
    ["a header longer than the frame", 0, [0x4f]],
    ["a length shorter than the header", 2, [0, 19]],
    ["another version", 0, [0x55]],
  ])("is not read with %s", (_what, offset, octets) => {
    expect(readIp(changed(datagram, offset as number, octets as number[]))).toBeNull();
  });

  it("sees through an authentication header", () => {
    const header = bytes("70040000 c0000202 00000001 000102030405060708090a0b");
    const signed = packet(buildIp(...V4, 51, Uint8Array.of(...header, ...PAYLOAD)));
    expect(signed).toMatchObject({ protocol: 112, headerProtocol: 51, payloadOffset: 44 });
    expect(hex(signed.authenticationHeader)).toBe(hex(header));
    expect(hex(signed.payload)).toBe(hex(PAYLOAD));
    // Cut off or longer than the datagram: not VRRP, but not a crash either.
    expect(packet(buildIp(...V4, 51, header.subarray(0, 20)))).toMatchObject({
      protocol: 51,
      authenticationHeader: null,
    });
  });
});

describe("IPv6", () => {
  const datagram = buildIp(...V6, 112, PAYLOAD);
  /** Router alert, without the next header in front. */
  const HOP_BY_HOP = "00050200000100";

  it("is built with hop limit 255 and CS6", () => {
    expect(hex(datagram.subarray(0, 8))).toBe("6c000000000a70ff");
    const read = packet(datagram);
    expect(read).toMatchObject({ version: 6, ttl: 255, trafficClass: 0xc0, totalLength: 50, protocol: 112 });
    expect([formatIp(read.source), formatIp(read.destination)]).toEqual(["fe80::2", "ff02::12"]);
    expect(hex(read.payload)).toBe(hex(PAYLOAD));
  });

  it("sees through extension headers", () => {
    const router = bytes(`70${HOP_BY_HOP} ${hex(PAYLOAD)}`);
    expect(packet(buildIp(...V6, 0, router))).toMatchObject({
      protocol: 112,
      headerProtocol: 0,
      payloadOffset: 48,
    });
    const twice = bytes(`3c${HOP_BY_HOP} 7000010400000000 ${hex(PAYLOAD)}`);
    expect(hex(packet(buildIp(...V6, 0, twice)).payload)).toBe(hex(PAYLOAD));
  });

  it.each([
    ["a first fragment", "7000000100000001", true],
    ["a later fragment", "7000000800000001", true],
    ["an atomic fragment (RFC 6946)", "7000000000000001", false],
  ])("%s", (_what, header, fragment) => {
    const read = packet(buildIp(...V6, 44, bytes(`${header} ${hex(PAYLOAD)}`)));
    expect(read).toMatchObject({ fragment, protocol: 112 });
  });

  it("stops at an extension header that is longer than the datagram", () => {
    const read = packet(buildIp(...V6, 0, bytes("70ff000000000000")));
    expect(read.payload).toHaveLength(0);
  });

  it("ends where its length says", () => {
    const frame = buildEthernet(new Uint8Array(6), new Uint8Array(6), ETHERTYPE_IPV6, datagram);
    expect(packet(frame, 14).payload).toHaveLength(10);
    expect(packet(frame.subarray(0, 56), 14).payload).toHaveLength(2);
    expect(readIp(frame.subarray(0, 53), 14)).toBeNull();
  });
});

describe("whatever comes in", () => {
  it("is read without an exception, and within its bounds", () => {
    const start = fc.constantFrom("", "45c00020", "46", "6c00000000", "60000000001000", "6000000000402c");
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 120 }), (head, tail) => {
        const data = Uint8Array.of(...bytes(head.slice(0, head.length & ~1)), ...tail);
        readEthernet(data);
        const read = readIp(data);
        if (!read) return;
        expect(read.payloadOffset + read.payload.length).toBeLessThanOrEqual(data.length);
        expect(read.datagram.length).toBeLessThanOrEqual(data.length);
      }),
      { numRuns: 3000 },
    );
  });
});
