/** BFD on the wire: encoding is the reverse of reading, variations keep their checksums, digests verify. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  authenticationSection,
  type BfdAuthentication,
  type BfdAuthenticationType,
  sign,
  verifyAuthentication,
} from "../../../../src/core/bfd/authentication.js";
import {
  BFD_STATES,
  type ControlContent,
  type ControlPacket,
  encodeControl,
  encodeControlFrame,
  readBfdFrame,
  readControl,
  withVariation,
} from "../../../../src/core/bfd/packet.js";
import { receive } from "../../../../src/core/bfd/validate.js";
import { pseudoHeaderSum } from "../../../../src/core/checksum.js";

const CONTENT: ControlContent = {
  diagnostic: 0,
  state: "up",
  detectMult: 3,
  myDiscriminator: 0x11223344,
  yourDiscriminator: 0x55667788,
  desiredMinTxUs: 50_000,
  requiredMinRxUs: 10_000,
  requiredMinEchoRxUs: 0,
};
const V4 = { source: "192.0.2.2", sourcePort: 50_000, destination: "192.0.2.3" };
const V6 = { source: "fe80::2", sourcePort: 50_000, destination: "fe80::3" };
const MACS = { sourceMac: "02:00:00:00:00:02", destinationMac: "02:00:00:00:00:03" };
const any = () => ({ authentication: null, lastSequence: null });
const EVERYBODY = { byDiscriminator: any, bySource: any, byHead: () => null };

describe("control packets", () => {
  it("are read as they were written", () => {
    const u32 = fc.integer({ min: 0, max: 0xffffffff });
    const content = fc.record({
      diagnostic: fc.integer({ min: 0, max: 31 }),
      state: fc.constantFrom(...BFD_STATES),
      flags: fc.record({
        poll: fc.boolean(),
        final: fc.boolean(),
        controlPlaneIndependent: fc.boolean(),
        demand: fc.boolean(),
        multipoint: fc.boolean(),
      }),
      detectMult: fc.integer({ min: 0, max: 255 }),
      myDiscriminator: u32,
      yourDiscriminator: u32,
      desiredMinTxUs: u32,
      requiredMinRxUs: u32,
      requiredMinEchoRxUs: u32,
    });
    fc.assert(
      fc.property(content, (one) => {
        expect(readControl(encodeControl(one))).toMatchObject(one);
      }),
    );
  });

  it.each([V4, V6])("travel with right checksums from $source", (endpoints) => {
    const read = readBfdFrame(encodeControlFrame(CONTENT, { ...endpoints, ...MACS }));
    expect(read?.ip.headerChecksumValid).toBe(true);
    expect(read?.udp).toMatchObject({ sourcePort: 50_000, destinationPort: 3784, checksumForm: "full" });
    expect(read?.ip).toMatchObject({ ttl: 255, trafficClass: 0xc0 });
    expect(read && receive(read, EVERYBODY)).toMatchObject({ verdict: "accept", source: endpoints.source });
  });

  it.each([V4, V6])("vary as their sender would vary them, from $source", (endpoints) => {
    const envelope = { ...endpoints, ...MACS };
    for (const variation of [
      { state: "down", diagnostic: 1 },
      { state: "up", diagnostic: 0, poll: true },
      { state: "up", diagnostic: 0, final: true },
      { state: "adminDown", diagnostic: 7 },
    ] as const) {
      const { poll = false, final = false } = { poll: false, final: false, ...variation };
      const wanted = encodeControlFrame({ ...CONTENT, ...variation, flags: { poll, final } }, envelope);
      expect(withVariation(encodeControlFrame(CONTENT, envelope), variation)).toEqual(wanted);
    }
  });

  it("leave out a checksum where the sender did", () => {
    const frame = encodeControlFrame(CONTENT, { ...V4, ...MACS });
    frame.set([0, 0], 14 + 20 + 6);
    const varied = withVariation(frame, { state: "down", diagnostic: 3 });
    expect(readBfdFrame(varied as Uint8Array)?.udp).toMatchObject({ checksum: 0, checksumForm: "none" });
  });

  it("leave a checksum to be completed where the sender did", () => {
    const frame = encodeControlFrame(CONTENT, { ...V4, ...MACS });
    const addresses = [frame.subarray(26, 30), frame.subarray(30, 34)] as const;
    const pseudo = pseudoHeaderSum(...addresses, 17, 8 + 24);
    frame.set([pseudo >> 8, pseudo & 0xff], 14 + 20 + 6);
    expect(readBfdFrame(frame)?.udp.checksumForm).toBe("pending");
    const varied = withVariation(frame, { state: "down", diagnostic: 3 }) as Uint8Array;
    expect(readBfdFrame(varied)?.udp.checksumForm).toBe("pending");
    frame[14 + 20 + 6] = (frame[14 + 20 + 6] as number) ^ 1;
    const read = readBfdFrame(frame);
    expect(read && receive(read, EVERYBODY)).toEqual({ verdict: "ignore", reason: "udp-checksum" });
  });

  it("are never taken for something that they are not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        const read = readBfdFrame(octets);
        if (read) receive(read, EVERYBODY);
        withVariation(octets, { state: "down", diagnostic: 0 });
      }),
    );
  });
});

describe("authentication", () => {
  const digest: BfdAuthentication["digest"] = (algorithm, octets) =>
    createHash(algorithm).update(octets).digest();
  const keyOf = (type: BfdAuthenticationType): BfdAuthentication => ({
    type,
    keyId: 7,
    key: Uint8Array.from(Buffer.from("secret")),
    digest,
  });
  const signed = (authentication: BfdAuthentication, sequence: number): ControlPacket =>
    readControl(
      sign(
        encodeControl({ ...CONTENT, authentication: authenticationSection(authentication, sequence) }),
        authentication,
      ),
    ) as ControlPacket;
  const LENGTHS: Readonly<Record<BfdAuthenticationType, number>> = {
    simple: 33,
    "keyed-md5": 48,
    "meticulous-keyed-md5": 48,
    "keyed-sha1": 52,
    "meticulous-keyed-sha1": 52,
  };

  it.each(Object.keys(LENGTHS) as BfdAuthenticationType[])(
    "%s verifies, and what was changed does not",
    (type) => {
      const authentication = keyOf(type);
      const packet = signed(authentication, 100);
      expect(packet.length).toBe(LENGTHS[type]);
      expect(verifyAuthentication(packet, authentication, null).verified).toBe(true);
      const other = { ...authentication, key: Uint8Array.from(Buffer.from("other")) };
      expect(verifyAuthentication(packet, other, null)).toEqual({ verified: false, reason: "auth-failure" });
      const stranger = { ...authentication, keyId: 8 };
      expect(verifyAuthentication(packet, stranger, null)).toEqual({
        verified: false,
        reason: "auth-failure",
      });
    },
  );

  it("has a window of sequence numbers that wraps around (sections 6.7.3 and 6.7.4)", () => {
    const verdict = (type: BfdAuthenticationType, sequence: number, last: number): boolean =>
      verifyAuthentication(signed(keyOf(type), sequence), keyOf(type), last).verified;
    for (const type of ["keyed-md5", "keyed-sha1"] as const) {
      expect([99, 100, 109, 110].map((one) => verdict(type, one, 100))).toEqual([false, true, true, false]);
      expect(verdict(type, 3, 0xfffffffe)).toBe(true);
    }
    for (const type of ["meticulous-keyed-md5", "meticulous-keyed-sha1"] as const) {
      expect([100, 101, 109, 110].map((one) => verdict(type, one, 100))).toEqual([false, true, true, false]);
    }
  });

  it("is wanted where it is configured, and only there", () => {
    const authentication = keyOf("keyed-sha1");
    const selector = (session: { authentication: BfdAuthentication | null; lastSequence: null }) => ({
      byDiscriminator: () => session,
      bySource: () => session,
      byHead: () => null,
    });
    const section = authenticationSection(authentication, 1);
    const plain = readBfdFrame(encodeControlFrame(CONTENT, { ...V4, ...MACS }));
    const unsigned = readBfdFrame(
      encodeControlFrame({ ...CONTENT, authentication: section }, { ...V4, ...MACS }),
    );
    if (!plain || !unsigned) throw new Error("not read");
    const wanting = selector({ authentication, lastSequence: null });
    expect(receive(plain, wanting)).toEqual({ verdict: "discard", reason: "auth-missing" });
    expect(receive(unsigned, wanting)).toEqual({ verdict: "discard", reason: "auth-failure" });
    expect(receive(unsigned, EVERYBODY)).toEqual({ verdict: "discard", reason: "auth-unexpected" });
  });
});
