/** `decode`: hex and capture readers, and the judgement of every VRRP test vector. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { framesFromArguments, framesFromText, parseHex, readCapture } from "../../../src/cli/capture.js";
import { type AssumedReceiver, judge } from "../../../src/cli/judge.js";
import { FirsthopError } from "../../../src/errors.js";

const FRAME =
  "01005e00001200005e000101080045c0002800000000ff701891c0000202e0000012210164010001b8fac00002010000000000000000000000000000";
const frameBytes = parseHex(FRAME);

interface Vector {
  readonly id: string;
  readonly title: string;
  readonly hex: string;
  readonly receiver: {
    readonly version: 2 | 3;
    readonly vrid: number;
    readonly family: "ipv4" | "ipv6";
    readonly priority: number;
    readonly addresses: readonly string[];
    readonly advertisementIntervalSeconds?: number;
    readonly advertisementIntervalCentiseconds?: number;
    readonly authType?: number;
    readonly authKey?: string;
    readonly checkAddressList?: boolean;
    readonly ipv4Checksum?: "either" | "message-only" | "pseudo-header";
    readonly ownerReceive?: string;
  };
  readonly expect: { readonly verdict: string; readonly reason: string | null; readonly decoded: object };
}

const vectors = (
  JSON.parse(readFileSync(new URL("../../vectors/vrrp.json", import.meta.url), "utf8")) as {
    vectors: Vector[];
  }
).vectors;

function receiverOf({ receiver }: Vector): AssumedReceiver {
  const seconds = receiver.advertisementIntervalSeconds;
  const password = Buffer.alloc(8);
  password.write(receiver.authKey ?? "");
  return {
    version: receiver.version,
    vrid: receiver.vrid,
    priority: receiver.priority,
    intervalUs:
      seconds === undefined
        ? (receiver.advertisementIntervalCentiseconds ?? 100) * 10_000
        : seconds * 1_000_000,
    ipv4Checksum: receiver.ipv4Checksum ?? "either",
    ...(receiver.checkAddressList ? { addresses: receiver.addresses } : {}),
    ...(receiver.version === 2 && receiver.authType === 1 ? { password: Uint8Array.from(password) } : {}),
    ...(receiver.version === 2 && receiver.authType === 0 ? { password: null } : {}),
  };
}

describe("judgement of the test vectors", () => {
  // The keyed digest of an authentication header, and the owner rule that an erratum took back, are no business of
  // a decoder that has no receiver.
  const judged = vectors.filter(
    (one) => one.receiver.authType !== 2 && one.receiver.ownerReceive !== "discard",
  );

  it.each(judged.map((one) => [one.id, one.title, one] as const))("%s %s", (_id, _title, vector) => {
    const result = judge(
      { bytes: parseHex(vector.hex), layer: "ethernet", atSeconds: null },
      receiverOf(vector),
      {},
    );
    expect({ verdict: result.verdict, reason: result.reason }).toEqual({
      verdict: vector.expect.verdict,
      reason: vector.expect.reason,
    });
    // What the fields of a version that is not ours mean is nobody's to say.
    if (result.reason !== "version") expect(result.decoded).toMatchObject(vector.expect.decoded ?? {});
    if (result.verdict === "discard") expect(result.section).toMatch(/^RFC \d+ /);
  });

  it("judges a sender's frame without a receiver, at every layer", () => {
    for (const [layer, skip, end] of [
      ["ethernet", 0, undefined],
      ["ip", 14, undefined],
      ["payload", 34, 54],
    ] as const) {
      expect(judge({ bytes: frameBytes.subarray(skip, end), layer, atSeconds: null }, {}, {}).verdict).toBe(
        "accept",
      );
    }
  });

  it("says that a sum over the pseudo-header can't be checked without addresses", () => {
    const vector = vectors.find(
      (one) => one.receiver.family === "ipv6" && one.expect.verdict === "accept",
    ) as Vector;
    const payload = parseHex(vector.hex).subarray(54);
    expect(judge({ bytes: payload, layer: "payload", atSeconds: null }, {}, {}).warnings).toEqual([
      "checksum-unchecked",
    ]);
    const damaged = payload.slice();
    damaged[2] = 7;
    const decoded = judge(
      { bytes: parseHex(vector.hex), layer: "ethernet", atSeconds: null },
      {},
      {},
    ).decoded;
    const source = decoded.ip?.src as string;
    const known = { source, family: "ipv6" as const };
    expect(judge({ bytes: payload, layer: "payload", atSeconds: null }, {}, known).warnings).toEqual([]);
    expect(judge({ bytes: damaged, layer: "payload", atSeconds: null }, {}, known).reason).toBe("checksum");
  });

  it("has a verdict for anything", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 128 }),
        fc.constantFrom("ethernet" as const, "ip" as const, "payload" as const),
        (bytes, layer) => {
          expect(["accept", "discard", "ignore"]).toContain(
            judge({ bytes, layer, atSeconds: null }, {}, {}).verdict,
          );
        },
      ),
    );
  });
});

describe("hex", () => {
  it.each(["45c00020", "45 c0 00 20", "45:c0:00:20", "0x45c00020", "45C0.0020"])("%s", (text) => {
    expect([...parseHex(text)]).toEqual([0x45, 0xc0, 0, 0x20]);
  });

  it.each(["", "xyz", "45c", "0x"])("%j is refused as wrong usage", (text) => {
    expect(() => parseHex(text)).toThrow(FirsthopError);
  });

  it("takes long arguments for frames and short ones for pieces of one", () => {
    expect(framesFromArguments([FRAME, FRAME])).toHaveLength(2);
    expect(framesFromArguments(FRAME.match(/.{1,4}/g) as string[])).toEqual([frameBytes]);
  });

  it("reads one frame a line, and what tcpdump -XX prints", () => {
    expect(framesFromText(`# two\n${FRAME}\n\n${FRAME}\n`)).toHaveLength(2);
    const lines = (FRAME.match(/.{1,32}/g) as string[]).map(
      (line, index) =>
        `\t0x${(index * 16).toString(16).padStart(4, "0")}:  ${(line.match(/.{1,4}/g) as string[]).join(" ")}  ..^.E.abc`,
    );
    const dump = `12:00:00.000000 IP 192.0.2.2 > 224.0.0.18: VRRPv2, Advertisement\n${lines.join("\n")}\n`;
    expect(framesFromText(dump + dump)).toEqual([frameBytes, frameBytes]);
  });
});

// ---- capture files ------------------------------------------------------------------------------------------

type Write = (value: number) => Buffer;

function numbers(littleEndian: boolean): { u16: Write; u32: Write } {
  const write = (octets: number, value: number): Buffer => {
    const buffer = Buffer.alloc(octets);
    if (littleEndian) buffer.writeUIntLE(value, 0, octets);
    else buffer.writeUIntBE(value, 0, octets);
    return buffer;
  };
  return { u16: (value) => write(2, value), u32: (value) => write(4, value) };
}

function pcap(littleEndian: boolean, magic: number, linkType: number, bytes: Uint8Array): Buffer {
  const { u16, u32 } = numbers(littleEndian);
  const header = [u32(magic), u16(2), u16(4), u32(0), u32(0), u32(65535), u32(linkType)];
  return Buffer.concat([
    ...header,
    u32(1_700_000_000),
    u32(500_000),
    u32(bytes.length),
    u32(bytes.length),
    bytes,
  ]);
}

function pcapng(littleEndian: boolean, bytes: Uint8Array): Buffer {
  const { u16, u32 } = numbers(littleEndian);
  const block = (type: number, body: Buffer): Buffer => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    return Buffer.concat([u32(type), u32(padded.length + 12), padded, u32(padded.length + 12)]);
  };
  const nanoseconds = Buffer.concat([u16(9), u16(1), Buffer.from([9, 0, 0, 0]), u16(0), u16(0)]);
  const stamp = 1_700_000_000_500_000_000n;
  return Buffer.concat([
    block(0x0a0d0d0a, Buffer.concat([u32(0x1a2b3c4d), u16(1), u16(0), u32(0xffffffff), u32(0xffffffff)])),
    block(1, Buffer.concat([u16(1), u16(0), u32(65535), nanoseconds])),
    block(5, Buffer.alloc(12)),
    block(
      6,
      Buffer.concat([
        u32(0),
        u32(Number(stamp >> 32n)),
        u32(Number(stamp & 0xffffffffn)),
        u32(bytes.length),
        u32(bytes.length),
        bytes,
      ]),
    ),
    block(3, Buffer.concat([u32(bytes.length), bytes])),
  ]);
}

describe("capture files", () => {
  for (const littleEndian of [true, false]) {
    const order = littleEndian ? "little-endian" : "big-endian";
    it(`pcap, ${order}`, () => {
      expect(readCapture(Uint8Array.from(pcap(littleEndian, 0xa1b2c3d4, 1, frameBytes)))).toEqual({
        frames: [{ bytes: frameBytes, layer: "ethernet", atSeconds: 1_700_000_000.5 }],
        cutShort: null,
      });
      expect(readCapture(pcap(littleEndian, 0xa1b23c4d, 1, frameBytes)).frames[0]?.atSeconds).toBeCloseTo(
        1_700_000_000.0005,
        6,
      );
    });

    it(`pcapng, ${order}`, () => {
      const { frames, cutShort } = readCapture(pcapng(littleEndian, frameBytes));
      expect(cutShort).toBeNull();
      expect(frames.map((one) => Buffer.from(one.bytes).toString("hex"))).toEqual([FRAME, FRAME]);
      expect(frames[0]?.atSeconds).toBeCloseTo(1_700_000_000.5, 3);
    });
  }

  it("knows cooked and raw captures", () => {
    const ip = frameBytes.subarray(14);
    const cooked = Buffer.concat([Buffer.alloc(16), ip]);
    for (const file of [pcap(true, 0xa1b2c3d4, 101, ip), pcap(true, 0xa1b2c3d4, 113, cooked)]) {
      const frame = readCapture(file).frames[0];
      expect(frame && judge(frame, {}, {}).verdict).toBe("accept");
    }
  });

  it("says where a file that was cut short ends, and keeps what came before", () => {
    for (const file of [pcap(true, 0xa1b2c3d4, 1, frameBytes), pcapng(true, frameBytes)]) {
      for (let length = 4; length < file.length; length++) {
        const { cutShort, frames } = readCapture(file.subarray(0, length));
        // A file may end between blocks: then it is whole, only shorter.
        if (cutShort === null) expect(frames.length).toBeLessThan(3);
      }
    }
  });

  it("survives any damage", () => {
    const file = pcapng(true, frameBytes);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), (offset, octet) => {
        const damaged = Buffer.from(file);
        damaged[offset] = octet;
        try {
          readCapture(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(FirsthopError);
        }
      }),
    );
  });

  it("refuses what is no capture", () => {
    expect(() => readCapture(Buffer.from("virtualRouters: []"))).toThrow(/no capture file/);
    expect(() => readCapture(pcap(true, 0xa1b2c3d4, 105, frameBytes))).toThrow(/link type 105/);
  });
});
