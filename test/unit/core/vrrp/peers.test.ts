/** Who takes over first: backup advertisements, and the order that they leave. */
import { describe, expect, it } from "vitest";
import { ipToBytes } from "../../../../src/core/address.js";
import { readIp } from "../../../../src/core/ethernet.js";
import { GROUP_ADDRESS } from "../../../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementDatagram, MESSAGE_TYPE, readMessage } from "../../../../src/core/vrrp/packet.js";
import { compareContenders, PEER_GONE, rankAmong, stepPeer } from "../../../../src/core/vrrp/peers.js";
import { receive, type VrrpReceiver } from "../../../../src/core/vrrp/validate.js";

describe("a peer of the table", () => {
  it("is forgotten after three of its intervals, or when it says so", () => {
    const heard = stepPeer({ type: "heard", priority: 120, intervalUs: 10_000 });
    expect(heard.state).toEqual({ name: "heard", priority: 120, intervalUs: 10_000 });
    expect(heard.effects).toContainEqual({ effect: "arm", timer: "aging", afterUs: 30_000 });
    expect(stepPeer({ type: "timer", timer: "aging" }).state).toBe(PEER_GONE);
    const left = stepPeer({ type: "heard", priority: 0, intervalUs: 10_000 });
    expect(left.state).toBe(PEER_GONE);
    expect(left.effects).toContainEqual({ effect: "cancel", timer: "aging" });
  });

  it("comes before us with a higher priority, or with the same one and a higher address", () => {
    const own = { address: "192.0.2.12", priority: 100 };
    const others = [
      { address: "192.0.2.11", priority: 100 },
      { address: "192.0.2.101", priority: 100 },
      { address: "192.0.2.3", priority: 101 },
      { address: "192.0.2.200", priority: 99 },
    ];
    expect(rankAmong(own, others)).toBe(3);
    expect(rankAmong(own, [])).toBe(1);
    expect([...others].sort(compareContenders).map(({ address }) => address)).toEqual([
      "192.0.2.3",
      "192.0.2.101",
      "192.0.2.11",
      "192.0.2.200",
    ]);
  });
});

describe("a backup advertisement", () => {
  const receiver: VrrpReceiver = {
    version: 3,
    family: "ipv4",
    vrid: 7,
    priority: 100,
    primaryAddress: "192.0.2.12",
    addresses: ["192.0.2.1"],
    intervalUs: 10_000,
    authType: 0,
    authData: new Uint8Array(8),
    checkAddressList: true,
    ipv4Checksum: "either",
    ownerReceive: "process",
  };
  const judged = (changes: Partial<VrrpReceiver>) => {
    const advertisement = {
      version: 3 as const,
      family: "ipv4" as const,
      vrid: 7,
      priority: 120,
      addresses: ["192.0.2.1"],
      intervalUs: 10_000,
      authType: 0,
      authData: new Uint8Array(0),
    };
    const bytes = encodeAdvertisementDatagram({
      advertisement,
      source: "192.0.2.13",
      destination: GROUP_ADDRESS.ipv4,
      checksumForm: "message-only",
      type: MESSAGE_TYPE.backupAdvertisement,
    });
    const ip = readIp(bytes, 0);
    if (!ip) throw new Error("no IP datagram");
    expect(ip.source).toEqual(ipToBytes("192.0.2.13"));
    return receive(ip, readMessage(ip), { ...receiver, ...changes });
  };

  it("is an unknown type to whoever did not ask for it", () => {
    expect(judged({})).toEqual({ verdict: "discard", reason: "type" });
    expect(judged({ backupAdvertisements: true, version: 2 })).toEqual({
      verdict: "discard",
      reason: "version",
    });
  });

  it("passes the checks of an advertisement, and is told apart from one", () => {
    const verdict = judged({ backupAdvertisements: true });
    expect(verdict).toMatchObject({ verdict: "accept", fromBackup: true, source: "192.0.2.13" });
    expect(judged({ backupAdvertisements: true, vrid: 8 })).toEqual({ verdict: "discard", reason: "vrid" });
  });
});
