/** Advertisements come from a host: not from nobody, this host, or a group. */
import { describe, expect, it } from "vitest";
import { GROUP_ADDRESS, GROUP_MAC, virtualMac } from "../../../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementFrame, readVrrpFrame } from "../../../../src/core/vrrp/packet.js";
import { receive, type VrrpReceiver } from "../../../../src/core/vrrp/validate.js";

const ADDRESSES = { ipv4: ["192.0.2.1"], ipv6: ["fe80::1"] } as const;

function judge(source: string): string {
  const family = source.includes(":") ? "ipv6" : "ipv4";
  const common = {
    version: 3,
    family,
    vrid: 7,
    addresses: ADDRESSES[family],
    intervalUs: 1_000_000,
  } as const;
  const frame = encodeAdvertisementFrame({
    advertisement: { ...common, priority: 254, authType: 0, authData: new Uint8Array(0) },
    sourceMac: virtualMac(family, 7),
    destinationMac: GROUP_MAC[family],
    source,
    destination: GROUP_ADDRESS[family],
    checksumForm: "message-only",
  });
  const receiver: VrrpReceiver = {
    ...common,
    priority: 100,
    primaryAddress: family === "ipv4" ? "192.0.2.10" : "fe80::10",
    authType: 0,
    authData: new Uint8Array(8),
    checkAddressList: false,
    ipv4Checksum: "either",
    ownerReceive: "process",
  };
  const read = readVrrpFrame(frame);
  if (!read) throw new Error("the frame can't be read");
  return receive(read.ip, read.message, receiver).verdict;
}

describe("a source address", () => {
  it.each(["0.0.0.0", "127.0.0.1", "224.0.0.18", "255.255.255.255", "::", "::1", "ff02::12"])(
    "%s is ignored",
    (source) => {
      expect(judge(source)).toBe("ignore");
    },
  );

  it.each(["192.0.2.2", "10.0.0.1", "223.255.255.254", "fe80::2", "2001:db8::1"])("%s is heard", (source) => {
    expect(judge(source)).toBe("accept");
  });
});
