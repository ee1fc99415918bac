/** What the ownership programs let out, and the tables that they look into (see ownership-in.test.ts for what comes in). */
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { macToBytes } from "../../src/core/address.js";
import { GROUP_MAC, virtualMac } from "../../src/core/vrrp/advertisement.js";
import type { OwnershipGroup } from "../../src/native/ownership.js";
import { loadNative } from "../../src/native.js";
import { arpRequest, claim, HOST_MAC, packet, tagged } from "./ownership-frames.js";
import { canLoadPrograms, GROUPS, NOTHING, openTables, V4, V6, WAYS_IN } from "./ownership-tables.js";

describe.skipIf(!canLoadPrograms())("ownership in the kernel", () => {
  const { tables, verdict, counted, overdue } = openTables();

  describe("egress", () => {
    it("keeps in what speaks for a group that is another's", () => {
      for (const [slot, mac, family] of [[1, V4, "ipv4"] as const, [2, V6, "ipv6"] as const]) {
        const frame = packet(HOST_MAC, family, mac);
        expect(verdict("egress", frame)).toBe("drop");
        tables.setLease(slot, true);
        expect(verdict("egress", frame)).toBe("pass");
        tables.setLease(slot, false);
        expect(verdict("egress", frame)).toBe("drop");
        expect(counted(slot)).toEqual({ ...NOTHING, keptIn: 2 });
      }
      expect(verdict("egress", claim({ sourceMac: V4 }))).toBe("drop");
    });

    it("touches nothing else", () => {
      expect(verdict("egress", packet(V4))).toBe("pass");
      expect(verdict("egress", packet(HOST_MAC))).toBe("pass");
      expect(verdict("egress", arpRequest("192.0.2.1"))).toBe("pass");
      overdue(1);
      expect(verdict("egress", claim({ priority: 200 }))).toBe("pass");
      expect(tables.lease(1).owner).toBe(true);
      expect(counted(1)).toEqual(NOTHING);
    });

    it("knows VLANs, in band and beside the frame", () => {
      tables.setGroup(4, { ...(GROUPS[1] as OwnershipGroup), vlans: [5] });
      tables.setLease(1, true);
      const frame = packet(HOST_MAC, "ipv4", V4);
      expect(verdict("egress", frame)).toBe("pass");
      expect(verdict("egress", tagged(frame, 5))).toBe("drop");
      expect(verdict("egress", frame, { vlanTci: 5 })).toBe("drop");
      expect(verdict("egress", frame, { vlanTci: 6 })).toBe("pass");
    });
  });

  describe("the tables", () => {
    const group = GROUPS[1] as OwnershipGroup;

    it("say what they hold", () => {
      tables.setGroup(3, { ...group, vlans: [7, 8], mac: virtualMac("ipv4", 3) });
      expect(tables.groups()).toEqual([
        { slot: 1, vlans: [], ...GROUPS[1] },
        { slot: 2, vlans: [], ...GROUPS[2], addresses: ["2001:db8::1", "fe80::1"] },
        { slot: 3, ...group, vlans: [7, 8], mac: virtualMac("ipv4", 3) },
      ]);
    });

    it("keep the lease when only times or addresses change", () => {
      tables.setLease(1, true);
      verdict("xdp", packet(V4));
      tables.setGroup(1, { ...group, addresses: ["192.0.2.2", "192.0.2.3"], limitUs: 5_000_000 });
      expect(tables.lease(1)).toMatchObject({ owner: true, limitUs: 5_000_000 });
      expect(counted(1).owned).toBe(1);
      tables.setLease(1, false);
      expect(verdict("xdp", arpRequest("192.0.2.1"))).toBe("pass");
      expect(verdict("xdp", arpRequest("192.0.2.2"))).toBe("drop");
      expect(verdict("xdp", arpRequest("192.0.2.3"))).toBe("drop");
    });

    it("forget it when the MAC changes, and when the group goes", () => {
      tables.setLease(1, true);
      tables.setGroup(1, { ...group, mac: virtualMac("ipv4", 11) });
      expect(tables.lease(1)).toMatchObject({ claim: 0, owner: false });
      expect(verdict("xdp", packet(V4))).toBe("pass");
      expect(verdict("xdp", packet(virtualMac("ipv4", 11)))).toBe("drop");
      tables.removeGroup(1);
      tables.removeGroup(1);
      expect(verdict("xdp", packet(virtualMac("ipv4", 11)))).toBe("pass");
      expect(verdict("xdp", arpRequest("192.0.2.1"))).toBe("pass");
      tables.setGroup(1, group);
      expect(counted(1)).toEqual(NOTHING);
    });

    it("keep groups apart that share a hash", () => {
      const FACTOR = 0x9e3779b97f4a7c15n;
      const hash = (mac: string): bigint => {
        const value = macToBytes(mac).reduceRight((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
        return BigInt.asUintN(64, (BigInt(group.ifindex) * FACTOR + value) * FACTOR) >> 50n;
      };
      const wanted = hash(V4);
      const twins: string[] = [];
      for (let index = 0; twins.length < 3; index++) {
        const octets = [index >> 16, (index >> 8) & 255, index & 255];
        const mac = `02:00:00:${octets.map((one) => one.toString(16).padStart(2, "0")).join(":")}`;
        if (hash(mac) === wanted) twins.push(mac);
      }
      const [second, third, nobodys] = twins as [string, string, string];
      expect(verdict("xdp", packet(nobodys))).toBe("pass");
      tables.setGroup(3, { ...group, mac: second, addresses: [] });
      tables.setGroup(4, { ...group, mac: third, addresses: [] });
      tables.setLease(4, true);
      for (const program of WAYS_IN) {
        expect(verdict(program, packet(V4))).toBe("drop");
        expect(verdict(program, packet(second))).toBe("drop");
        expect(verdict(program, packet(third))).toBe("pass");
        expect(verdict(program, packet(nobodys))).toBe("pass");
      }
      const toAll = (source: string): unknown => verdict("ingress", packet(GROUP_MAC.ipv4, "ipv4", source));
      expect([V4, second, third, nobodys].map(toAll)).toEqual(["drop", "drop", "drop", "pass"]);
      overdue(1);
      verdict("xdp", claim());
      expect(tables.lease(1).owner).toBe(false);
      tables.removeGroup(1);
      expect(verdict("xdp", packet(V4))).toBe("pass");
      expect(verdict("xdp", packet(second))).toBe("drop");
      tables.removeGroup(3);
      expect(verdict("xdp", packet(second))).toBe("pass");
      expect(verdict("xdp", packet(third))).toBe("pass");
      expect(counted(4).owned).toBe(3);
      tables.setLease(4, false);
      expect(verdict("xdp", packet(third))).toBe("drop");
    });

    it("refuse what can't be", () => {
      const refused = (run: () => void, what: RegExp): void => {
        expect(run).toThrow(TypeError);
        expect(run).toThrow(what);
      };
      refused(() => tables.setGroup(0, group), /setGroup/);
      refused(() => tables.setGroup(8192, group), /setGroup/);
      refused(() => tables.setGroup(3, { ...group, ifindex: 0 }), /ifindex/);
      refused(() => tables.setGroup(3, { ...group, mac: "00:00:5e:00:01" }), /mac/);
      refused(() => tables.setGroup(3, { ...group, vlans: [4095] }), /vlans/);
      refused(() => tables.setGroup(3, { ...group, vlans: [1, 2, 3] }), /vlans/);
      refused(() => tables.setGroup(3, { ...group, addresses: ["192.0.2.300"] }), /addresses/);
      refused(() => tables.setGroup(3, { ...group, overdueUs: -1 }), /overdueUs/);
      refused(() => tables.setGroup(3, { ...group, limitUs: Number.NaN }), /limitUs/);
      refused(() => tables.lease(0), /lease/);
      refused(() => tables.attach(1, "pcap" as never), /attach/);
      refused(() => tables.testRun("xdp", "frame" as never), /testRun/);
      expect(() => tables.setGroup(3, group)).toThrow(expect.objectContaining({ code: "EEXIST" }));
      expect(() => tables.setGroup(3, { ...group, mac: virtualMac("ipv4", 3) })).toThrow(
        expect.objectContaining({ code: "EEXIST" }),
      );
      // Nor is anything of it left.
      expect(tables.groups()).toHaveLength(2);
      expect(() => tables.attach(0x7ffffff0, "tc")).toThrow(expect.objectContaining({ code: "ENODEV" }));
      expect(loadNative().findOwnership([0x7ffffff0])).toEqual([]);
    });

    it("hold a group in each slot", () => {
      const macOf = (slot: number): string =>
        `02:00:00:00:${(slot >> 8).toString(16).padStart(2, "0")}:${(slot & 255).toString(16).padStart(2, "0")}`;
      for (let slot = 3; slot < 8192; slot++)
        tables.setGroup(slot, { ...group, mac: macOf(slot), addresses: [] });
      expect(tables.groups()).toHaveLength(8191);
      tables.setLease(8191, true);
      expect(verdict("xdp", packet(macOf(8191)))).toBe("pass");
      expect(verdict("xdp", packet(macOf(8190)))).toBe("drop");
      expect(verdict("xdp", packet(V4))).toBe("drop");
    });

    it("belong to the handle, in worker threads too", async () => {
      const worker = new Worker(
        `const { workerData } = require("node:worker_threads");
         const addon = require("node-gyp-build")(workerData);
         const tables = addon.openOwnership({ token: 3 });
         tables.setGroup(1, { ifindex: 1, mac: "${V4}", addresses: [], overdueUs: 0, limitUs: 0 });
         if (tables.groups().length !== 1) throw new Error("no group");`,
        { eval: true, workerData: process.cwd() },
      );
      const code = await new Promise((resolve, reject) => {
        worker.once("exit", resolve);
        worker.once("error", reject);
      });
      expect(code).toBe(0);
      expect(tables.groups()).toHaveLength(2);
    });
  });
});
