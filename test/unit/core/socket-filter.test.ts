/** What a LAN port lets through of BFD, run as the kernel runs it. */
import { describe, expect, it } from "vitest";
import { encodeControlFrame } from "../../../src/core/bfd/packet.js";
import { lanPortFilter } from "../../../src/core/socket-filter.js";
import { socketFilter } from "../../../src/driver/simulated/socket-filter.js";

const MACS = { sourceMac: "02:00:00:00:00:02", destinationMac: "02:00:00:00:00:03" };
const CONTENT = {
  diagnostic: 0,
  state: "down",
  detectMult: 3,
  myDiscriminator: 1,
  yourDiscriminator: 0,
  desiredMinTxUs: 1_000_000,
  requiredMinRxUs: 1_000_000,
  requiredMinEchoRxUs: 0,
} as const;

describe.each([
  ["192.0.2.2", "192.0.2.3", 22, 36],
  ["fe80::2", "fe80::3", 21, 56],
])("BFD from %s", (source, destination, ttlOffset, portOffset) => {
  const frame = encodeControlFrame(CONTENT, { source, destination, sourcePort: 50_000, ...MACS });
  const accepts = (changed: Uint8Array, bfd = true): boolean =>
    socketFilter(lanPortFilter(["192.0.2.1", "2001:db8::1"], { bfd })).accepts(changed);

  it("comes in where it is asked for", () => {
    expect(accepts(frame)).toBe(true);
    expect(accepts(frame, false)).toBe(false);
  });

  it("comes from a neighbour, to its port", () => {
    const far = frame.slice();
    far[ttlOffset] = 254;
    expect(accepts(far)).toBe(false);
    const elsewhere = frame.slice();
    elsewhere[portOffset + 1] = (elsewhere[portOffset + 1] as number) + 1;
    expect(accepts(elsewhere)).toBe(false);
  });
});
