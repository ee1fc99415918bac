/**
 * What the ownership programs let in, frame by frame, in this kernel: state of the maps, verdict, counters. Frames come in
 * at interface 1 and are never changed.
 */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { GROUP_MAC, virtualMac } from "../../src/core/vrrp/advertisement.js";
import type { OwnershipGroup } from "../../src/native/ownership.js";
import {
  arpRequest,
  authenticatedClaim,
  claim,
  HOST_MAC,
  PEER_MAC,
  packet,
  solicitation,
  spoiled,
  tagged,
  withOptions,
} from "./ownership-frames.js";
import {
  canLoadPrograms,
  GROUPS,
  NOTHING,
  OVERDUE_US,
  openTables,
  V4,
  V6,
  WAYS_IN,
  type WayIn,
} from "./ownership-tables.js";

describe.skipIf(!canLoadPrograms())("what comes in", () => {
  const { tables, verdict, counted, overdue, nowUs } = openTables();

  for (const way of WAYS_IN) {
    describe(way, () => {
      describe("frames to a group", () => {
        it("are dropped while the lease is closed, and passed while it is open", () => {
          for (const [slot, mac, family] of [[1, V4, "ipv4"] as const, [2, V6, "ipv6"] as const]) {
            expect(verdict(way, packet(mac, family))).toBe("drop");
            tables.setLease(slot, true);
            expect(verdict(way, packet(mac, family))).toBe("pass");
            tables.setLease(slot, false);
            expect(verdict(way, packet(mac, family))).toBe("drop");
            expect(counted(slot)).toEqual({ ...NOTHING, owned: 1, notOwned: 2 });
          }
        });

        it("go on while the renewal is overdue, until the limit", () => {
          overdue(1);
          expect(verdict(way, packet(V4))).toBe("pass");
          tables.setGroup(1, { ...(GROUPS[1] as OwnershipGroup), limitUs: 100_000 });
          expect(verdict(way, packet(V4))).toBe("pass");
          tables.setLease(1, true, nowUs() - 120_000);
          expect(tables.lease(1).owner).toBe(false);
          expect(verdict(way, packet(V4))).toBe("drop");
          // The coarse clock is behind a renewal of this moment.
          tables.setLease(1, true, nowUs());
          expect(verdict(way, packet(V4))).toBe("pass");
          tables.setLease(1, true, nowUs() + 1_000_000);
          expect(verdict(way, packet(V4))).toBe("pass");
        });

        it("of other protocols and of none are judged alike", () => {
          const other = spoiled(packet(V4), [12, 0x88], [13, 0xcc]);
          expect(verdict(way, other)).toBe("drop");
          tables.setLease(1, true);
          expect(verdict(way, other)).toBe("pass");
        });

        it("can have any MAC, multicast ones too", () => {
          const mac = "03:00:5e:00:01:0a";
          tables.setGroup(9, { ifindex: 1, mac, addresses: [], overdueUs: 0, limitUs: 0 });
          expect(verdict(way, packet(mac))).toBe("drop");
          tables.setLease(9, true);
          expect(verdict(way, packet(mac))).toBe("pass");
          tables.removeGroup(9);
          expect(verdict(way, packet(mac))).toBe("pass");
        });

        it("belong to their own interface and VLAN", () => {
          tables.setGroup(3, { ...GROUPS[1], mac: V4, ifindex: 2, addresses: [], overdueUs: 0, limitUs: 0 });
          tables.setLease(3, true);
          expect(verdict(way, packet(V4))).toBe("drop");
          tables.setLease(1, true);
          tables.setLease(3, false);
          expect(verdict(way, packet(V4))).toBe("pass");
          expect(counted(3)).toEqual(NOTHING);
        });
      });

      describe("tagged frames", () => {
        const place = (slot: number, vlans: readonly number[]): void =>
          tables.setGroup(slot, {
            ifindex: 1,
            vlans,
            mac: V4,
            addresses: ["192.0.2.1"],
            overdueUs: OVERDUE_US,
            limitUs: 0,
          });

        it("belong to the group of their tags", () => {
          place(4, [5]);
          place(5, [5, 6]);
          place(6, [6, 5]);
          const frames: readonly (readonly [number, Uint8Array])[] = [
            [1, packet(V4)],
            [4, tagged(packet(V4), 5)],
            [4, tagged(packet(V4), 0xe005)],
            [4, tagged(packet(V4), [0x88a8, 5])],
            [5, tagged(packet(V4), [0x88a8, 5], 6)],
            [6, tagged(packet(V4), 6, 5)],
          ];
          for (const [slot, frame] of frames) {
            expect(verdict(way, frame)).toBe("drop");
            tables.setLease(slot, true);
            for (const [other, another] of frames)
              expect(verdict(way, another)).toBe(other === slot ? "pass" : "drop");
            tables.setLease(slot, false);
          }
          expect(verdict(way, tagged(packet(V4), 7))).toBe("pass");
          expect(verdict(way, tagged(packet(V4), 5, 7))).toBe("pass");
        });

        it("with VLAN 0 are untagged, wherever it stands", () => {
          place(4, [5]);
          tables.setLease(4, true);
          expect(verdict(way, tagged(packet(V4), 0xe000))).toBe("drop");
          expect(verdict(way, tagged(packet(V4), 0, 5))).toBe("pass");
          expect(verdict(way, tagged(packet(V4), 5, 0))).toBe("pass");
          expect(counted(1).notOwned).toBe(1);
          expect(counted(4).owned).toBe(2);
        });

        it("with more tags than two belong to the outer two", () => {
          place(5, [5, 6]);
          expect(verdict(way, tagged(packet(V4), 5, 6, 7))).toBe("drop");
          expect(verdict(way, tagged(packet(V4), 5, 6, 7, 8))).toBe("drop");
          tables.setLease(5, true);
          expect(verdict(way, tagged(packet(V4), 5, 6, 7, 8))).toBe("pass");
        });

        it("are no other EtherTypes", () => {
          expect(verdict(way, tagged(packet(V4), [0x9100, 5]))).toBe("drop");
          expect(counted(1).notOwned).toBe(1);
        });

        it("carry ARP, solicitations and claims of their VLAN", () => {
          place(4, [5]);
          expect(verdict(way, tagged(arpRequest("192.0.2.1"), 5))).toBe("drop");
          expect(verdict(way, tagged(arpRequest("192.0.2.2"), 5))).toBe("pass");
          expect(verdict(way, tagged(solicitation("fe80::1"), 5))).toBe("pass");
          overdue(1);
          overdue(4);
          expect(verdict(way, tagged(claim(), 5))).toBe("pass");
          expect(tables.lease(1).owner).toBe(true);
          expect(tables.lease(4).owner).toBe(false);
        });

        it("that are cut are nobody's but the MAC's", () => {
          const frame = tagged(packet(V4), 5);
          for (const length of [14, 15, 16, 17]) verdictOfCut(way, frame, length, "drop");
        });
      });

      describe("ARP", () => {
        it("asks the owner only", () => {
          for (const address of ["192.0.2.1", "192.0.2.2"])
            expect(verdict(way, arpRequest(address))).toBe("drop");
          expect(verdict(way, arpRequest("192.0.2.1", { sender: "0.0.0.0" }))).toBe("drop");
          expect(verdict(way, arpRequest("192.0.2.1", { destination: PEER_MAC }))).toBe("drop");
          expect(counted(1)).toEqual({ ...NOTHING, unanswered: 4 });
          tables.setLease(1, true);
          for (const address of ["192.0.2.1", "192.0.2.2"])
            expect(verdict(way, arpRequest(address))).toBe("pass");
          expect(counted(1)).toEqual({ ...NOTHING, unanswered: 4 });
        });

        it("for others passes, and so do answers and announcements", () => {
          expect(verdict(way, arpRequest("192.0.2.4"))).toBe("pass");
          expect(verdict(way, arpRequest("192.0.2.1", { operation: 2 }))).toBe("pass");
          expect(verdict(way, arpRequest("192.0.2.1", { sender: "192.0.2.1" }))).toBe("pass");
        });

        it("is no other hardware, protocol or length", () => {
          for (const at of [14, 15, 16, 17, 18, 19, 20])
            expect(verdict(way, spoiled(arpRequest("192.0.2.1"), [at, 0x77]))).toBe("pass");
          expect(verdict(way, arpRequest("192.0.2.1").subarray(0, 41))).toBe("pass");
          expect(verdict(way, arpRequest("192.0.2.1").subarray(0, 42))).toBe("drop");
        });

        it("to an owned MAC for an address of another group is still for its owner", () => {
          tables.setGroup(3, {
            ifindex: 1,
            mac: virtualMac("ipv4", 11),
            addresses: ["192.0.2.11"],
            overdueUs: 0,
            limitUs: 0,
          });
          tables.setLease(1, true);
          expect(verdict(way, arpRequest("192.0.2.11", { destination: V4 }))).toBe("drop");
          expect(counted(3).unanswered).toBe(1);
        });
      });

      describe("neighbour solicitations", () => {
        it("ask the owner only", () => {
          for (const address of ["fe80::1", "2001:db8::1"]) {
            expect(verdict(way, solicitation(address))).toBe("drop");
            expect(verdict(way, solicitation(address, { option: false, destinationMac: PEER_MAC }))).toBe(
              "drop",
            );
          }
          expect(counted(2)).toEqual({ ...NOTHING, unanswered: 4 });
          tables.setLease(2, true);
          expect(verdict(way, solicitation("fe80::1"))).toBe("pass");
          expect(verdict(way, solicitation("2001:db8::1", { destinationMac: PEER_MAC }))).toBe("pass");
          expect(verdict(way, solicitation("2001:db8::1", { destinationMac: V6 }))).toBe("pass");
        });

        it("for others pass, and so do advertisements and what is no valid solicitation", () => {
          expect(verdict(way, solicitation("fe80::2"))).toBe("pass");
          expect(verdict(way, solicitation("fe80::1", { type: 136 }))).toBe("pass");
          const good = solicitation("fe80::1");
          expect(verdict(way, spoiled(good, [21, 254]))).toBe("pass"); // hop limit
          expect(verdict(way, spoiled(good, [55, 1]))).toBe("pass"); // code
          expect(verdict(way, spoiled(good, [18, 0], [19, 23]))).toBe("pass"); // length
          expect(verdict(way, spoiled(good, [14, 0x50]))).toBe("pass"); // IP version
          expect(verdict(way, good.subarray(0, 77))).toBe("pass");
          expect(verdict(way, good.subarray(0, 78))).toBe("drop");
        });
      });

      describe("a successor's claim", () => {
        const listens = (frame: Uint8Array, slot = 1): boolean => {
          overdue(slot);
          const before = tables.yields();
          expect(verdict(way, frame)).toBe("pass");
          const { claim: opening, yielded, owner } = tables.lease(slot);
          expect(owner).toBe(yielded !== opening);
          expect(tables.yields() - before).toBe(owner ? 0 : 1);
          return !owner;
        };

        it("is believed once the renewal is overdue", () => {
          const beforeUs = nowUs();
          expect(listens(claim())).toBe(true);
          expect(tables.lease(1).yieldedUs).toBeGreaterThanOrEqual(Math.floor(beforeUs));
          expect(tables.lease(1).yieldedUs).toBeLessThanOrEqual(nowUs());
          expect(verdict(way, packet(V4))).toBe("drop");
          expect(verdict(way, arpRequest("192.0.2.1"))).toBe("drop");
          expect(verdict("egress", packet(HOST_MAC, "ipv4", V4))).toBe("drop");
          // Once: what was given up can't be given up again, and a later opening starts anew.
          expect(verdict(way, claim())).toBe("pass");
          expect(tables.lease(2)).toMatchObject({ claim: 0, yielded: 0 });
          const yields = tables.yields();
          tables.setLease(1, true);
          expect(verdict(way, packet(V4))).toBe("pass");
          expect(verdict(way, claim())).toBe("pass");
          expect(tables.yields()).toBe(yields);
        });

        it("is believed in every form", () => {
          expect(listens(claim({ version: 2 }))).toBe(true);
          expect(listens(authenticatedClaim())).toBe(true);
          expect(listens(claim({ priority: 1 }))).toBe(true);
          expect(listens(claim({ priority: 255 }))).toBe(true);
          expect(listens(withOptions(claim(), 4))).toBe(true);
          expect(listens(withOptions(claim(), 40))).toBe(true);
          expect(listens(claim({ destinationMac: PEER_MAC, destination: "192.0.2.2" }))).toBe(true);
          expect(listens(claim({ family: "ipv6" }), 2)).toBe(true);
          expect(
            listens(claim({ family: "ipv6", destinationMac: PEER_MAC, destination: "fe80::2" }), 2),
          ).toBe(true);
          const many = Array.from({ length: 255 }, (_, index) => `192.0.2.${index}`);
          expect(listens(claim({ addresses: many }))).toBe(true);
        });

        it("changes nothing while the daemon is healthy", () => {
          tables.setGroup(1, { ...(GROUPS[1] as OwnershipGroup), overdueUs: 60_000_000 });
          for (let round = 0; round < 1000; round++) {
            tables.setLease(1, true);
            expect(verdict(way, claim({ priority: 255 }))).toBe("pass");
            expect(tables.lease(1).owner).toBe(true);
          }
          expect(tables.lease(1).yielded).toBe(0);
        });

        it("changes nothing while the lease is closed", () => {
          tables.setLease(1, false, 0);
          expect(verdict(way, claim())).toBe("pass");
          expect(tables.lease(1)).toMatchObject({ claim: 0, yielded: 0 });
        });

        it("is no release, no other virtual router's and no other family's", () => {
          expect(listens(claim({ priority: 0 }))).toBe(false);
          expect(listens(claim({ vrid: 11 }))).toBe(false);
          expect(listens(claim({ family: "ipv6" }))).toBe(false);
          tables.setLease(1, false);
          expect(listens(claim(), 2)).toBe(false);
        });

        it("is nothing that a router would discard", () => {
          const good = claim();
          const wrong: Readonly<Record<string, Uint8Array>> = {
            ttl: spoiled(good, [22, 254]),
            "ttl, unicast": spoiled(claim({ destinationMac: PEER_MAC, destination: "192.0.2.2" }), [22, 64]),
            protocol: spoiled(good, [23, 17]),
            "ip version": spoiled(good, [14, 0x65]),
            "ip header length": spoiled(good, [14, 0x44]),
            "first fragment": spoiled(good, [20, 0x20]),
            "later fragment": spoiled(good, [21, 1]),
            "total length": spoiled(good, [16, 0], [17, 31]),
            "total length 0": spoiled(good, [16, 0], [17, 0]),
            type: spoiled(good, [34, 0x32]),
            "version 1": spoiled(good, [34, 0x11]),
            "version 4": spoiled(good, [34, 0x41]),
            "no address": spoiled(good, [37, 0]),
            "more addresses than there are": spoiled(good, [37, 2]),
            interval: spoiled(good, [38, 0xf0], [39, 0]),
            "version 2 without room for authentication": spoiled(good, [34, 0x21], [39, 1]),
            "authentication header, of something else": spoiled(authenticatedClaim(), [34, 17]),
            "authentication header, too long": spoiled(authenticatedClaim(), [35, 255]),
            "authentication header, longer than the packet": spoiled(authenticatedClaim(), [35, 8]),
            "another EtherType": spoiled(good, [12, 0x88], [13, 0xb5]),
          };
          for (const [name, frame] of Object.entries(wrong))
            expect([name, listens(frame)]).toEqual([name, false]);
          const good6 = claim({ family: "ipv6" });
          const wrong6: Readonly<Record<string, Uint8Array>> = {
            "hop limit": spoiled(good6, [21, 64]),
            version: spoiled(good6, [54, 0x21]),
            "ip version": spoiled(good6, [14, 0x40]),
            "payload length": spoiled(good6, [18, 0], [19, 7]),
            "next header": spoiled(good6, [20, 44]),
          };
          for (const [name, frame] of Object.entries(wrong6))
            expect([name, listens(frame, 2)]).toEqual([name, false]);
        });

        it("is nothing on its way through: frames to a group's MAC", () => {
          const through = claim({ destinationMac: V4, destination: "198.51.100.1" });
          expect(listens(through)).toBe(false);
          tables.setLease(1, false);
          expect(verdict(way, through)).toBe("drop");
        });
      });

      describe("what is broken", () => {
        it("is passed, cut at any length, unless it is a group's", () => {
          const frames = [
            claim(),
            claim({ version: 2 }),
            authenticatedClaim(),
            withOptions(claim(), 40),
            claim({ family: "ipv6" }),
            arpRequest("192.0.2.4"),
            solicitation("fe80::2"),
            tagged(claim(), 5, 6, 7),
          ];
          overdue(1);
          overdue(2);
          for (const frame of frames)
            for (let length = 15; length < Math.min(frame.length, 34); length++)
              verdictOfCut(way, frame, length, "pass");
          expect(tables.lease(1).owner && tables.lease(2).owner).toBe(true);
          tables.setLease(1, false);
          const mine = packet(V4);
          for (let length = 15; length < mine.length; length++) verdictOfCut(way, mine, length, "drop");
        });

        it("never reads beyond the end: a claim whose message is not all there yields by its first 8 octets", () => {
          for (const [frame, header] of [[claim(), 34] as const, [withOptions(claim(), 40), 74] as const]) {
            for (let length = header - 4; length < header + 8; length++) {
              overdue(1);
              verdictOfCut(way, frame, length, "pass");
              expect([length, tables.lease(1).owner]).toEqual([length, true]);
            }
          }
        });

        it("is passed, random octets behind good headers", () => {
          const starts = [
            claim(),
            claim({ family: "ipv6" }),
            arpRequest("192.0.2.4"),
            solicitation("fe80::2"),
          ];
          for (let round = 0; round < 2000; round++) {
            const start = starts[round % starts.length] as Uint8Array;
            const keep = 14 + (round % 60);
            const frame = new Uint8Array(randomBytes(64 + (round % 1400)));
            frame.set(start.subarray(0, keep));
            expect(["pass", "drop"]).toContain(verdict(way, frame));
          }
        });
      });

      it("lets everything else through, uncounted", () => {
        for (const frame of [
          packet(PEER_MAC),
          packet(PEER_MAC, "ipv6"),
          packet("ff:ff:ff:ff:ff:ff"),
          packet(GROUP_MAC.ipv4),
          packet("00:00:5e:00:01:0b"),
          packet("01:80:c2:00:00:00"),
          claim({ vrid: 77 }),
        ])
          expect(verdict(way, frame)).toBe("pass");
        expect(counted(1)).toEqual(NOTHING);
        expect(counted(2)).toEqual(NOTHING);
      });
    });
  }

  /** At tc the kernel's test run takes no frames that end within the IP header: those count as expected. */
  function verdictOfCut(way: WayIn, frame: Uint8Array, length: number, expected: string): void {
    const refused = way === "ingress" && length < 54 && (frame[12] === 0x08 || frame[12] === 0x86);
    try {
      expect([length, verdict(way, frame.subarray(0, length))]).toEqual([length, expected]);
    } catch (error) {
      if (!refused || (error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    }
  }

  describe("ingress, with the outer tag beside the frame", () => {
    it("takes it for the outer one", () => {
      const group = { ...(GROUPS[1] as OwnershipGroup), addresses: ["192.0.2.1"] };
      tables.setGroup(4, { ...group, vlans: [5] });
      tables.setGroup(5, { ...group, vlans: [5, 6] });
      const run = (frame: Uint8Array, vlanTci: number) => verdict("ingress", frame, { vlanTci });
      expect(run(packet(V4), 5)).toBe("drop");
      expect(counted(4).notOwned).toBe(1);
      expect(run(packet(V4), 0xe005)).toBe("drop");
      expect(counted(4).notOwned).toBe(2);
      expect(run(tagged(packet(V4), 6), 5)).toBe("drop");
      expect(counted(5).notOwned).toBe(1);
      expect(run(packet(V4), 7)).toBe("pass");
      expect(run(packet(V4), 0x2000)).toBe("drop");
      expect(counted(1).notOwned).toBe(1);
      expect(run(arpRequest("192.0.2.1"), 5)).toBe("drop");
      overdue(4);
      overdue(1);
      expect(run(claim(), 5)).toBe("pass");
      expect(tables.lease(4).owner).toBe(false);
      expect(tables.lease(1).owner).toBe(true);
      tables.setLease(4, true);
      expect(run(packet(V4), 5)).toBe("pass");
    });

    it("leaves it out at XDP, which can't see it", () => {
      expect(() => tables.testRun("xdp", packet(V4), { vlanTci: 5 })).toThrow(/XDP sees no tags/);
    });
  });

  describe("what another router sends to all from a group's MAC", () => {
    const spoken = (family: "ipv4" | "ipv6" = "ipv4", more: Parameters<typeof claim>[0] = {}): Uint8Array =>
      claim({ family, sourceMac: virtualMac(family, 10), ...more });

    it("ends at tc, where sockets have had it, and passes XDP, where they have not", () => {
      const frames = [
        spoken(),
        spoken("ipv6"),
        spoken("ipv4", { version: 2, priority: 0 }),
        authenticatedClaim(V4),
        arpRequest("192.0.2.1", { sourceMac: V4, sender: "192.0.2.1" }),
        packet("33:33:00:00:00:01", "ipv6", V6),
      ];
      for (const frame of frames) {
        expect(verdict("ingress", frame)).toBe("drop");
        expect(verdict("xdp", frame)).toBe("pass");
      }
      // It counts as nothing that was meant for a group.
      for (const slot of [1, 2]) expect(counted(slot)).toEqual(NOTHING);
    });

    it("is a claim all the same", () => {
      overdue(1);
      expect(verdict("ingress", spoken())).toBe("drop");
      expect(tables.lease(1).owner).toBe(false);
    });

    it("passes where anyone else may want it", () => {
      const others = [
        claim(),
        spoken("ipv4", { vrid: 11, sourceMac: virtualMac("ipv4", 11) }),
        spoken("ipv4", { destinationMac: HOST_MAC, destination: "192.0.2.9" }),
        packet(HOST_MAC, "ipv4", V4),
        arpRequest("192.0.2.77", { destination: HOST_MAC, sourceMac: V4 }),
      ];
      for (const frame of others) expect(verdict("ingress", frame)).toBe("pass");
    });

    it("passes with a tag, whose socket comes later", () => {
      tables.setGroup(4, { ...(GROUPS[1] as OwnershipGroup), vlans: [5] });
      expect(verdict("ingress", tagged(spoken(), 5))).toBe("pass");
      expect(verdict("ingress", spoken(), { vlanTci: 5 })).toBe("pass");
      // A priority is no tag.
      expect(verdict("ingress", spoken(), { vlanTci: 0x2000 })).toBe("drop");
      expect(verdict("ingress", tagged(spoken(), 0))).toBe("drop");
    });
  });
});
