/** Everybody on a LAN: seen without being named, asked by ARP, ND or ICMP, counted, and left out where masked. */
import { describe, expect } from "vitest";
import { eventually, type Lab, netnsTest, withLab } from "../testbed/index.js";
import { startTracking } from "./support.js";

const HOSTS = ["192.0.2.100", "192.0.2.101", "192.0.2.102", "192.0.2.103"] as const;

/** Each host speaks to the router once, by which it is seen. */
async function showAll(lab: Lab, destination: string): Promise<void> {
  await Promise.all(lab.hosts.map((host) => host.run("ping", "-c", "1", "-W", "5", destination)));
}

async function leave(lab: Lab, host: number): Promise<void> {
  await lab.hosts[host]!.run("ip", "link", "set", "eth0", "down");
}

describe("neighbours", () => {
  for (const mode of ["polling", "trigger"]) {
    netnsTest(
      `${mode}: the gateway moves when fewer than the threshold answer, and the mask table counts`,
      [],
      async () => {
        await withLab({ routers: 2, hosts: 4 }, async (lab) => {
          const lan = { name: "lan", neighbours: "lan0", mode, threshold: "50%", interval: "50ms", fall: 3 };
          // The other router is a neighbour too; here it is the hosts that count.
          const mask = ["192.0.2.3", "fe80::/10", "2001:db8::/32"];
          const r1 = await startTracking(lab, lab.routers[0]!, 150, { trackers: [lan], mask }, ["lan"]);
          const r2 = await startTracking(lab, lab.routers[1]!, 100, {});
          // Without anybody on the LAN the router is Active all the same.
          await r1.reach("active", 5000);
          await showAll(lab, "192.0.2.2");
          const sees = (evidence: string) =>
            eventually(
              evidence,
              5000,
              async () => (await r1.track("lan")).evidence === evidence,
              () => JSON.stringify(r1.events.slice(-3)),
            );
          await sees("4 of 4 neighbours on lan0 answer");
          await leave(lab, 0);
          await leave(lab, 1);
          await sees("2 of 4 neighbours on lan0 answer; silent: 192.0.2.100, 192.0.2.101");
          expect(await r1.track("lan")).toMatchObject({ state: "up" });
          await leave(lab, 2);
          await r1.reach("fault", 5000);
          await r2.reach("active", 5000);
          expect(r1.events.find((one) => one.type === "track" && one.to === "down")).toMatchObject({
            name: "lan",
            from: "up",
            detail: `1 of 4 neighbours on lan0 answer; silent: ${HOSTS.slice(0, 3).join(", ")}`,
          });
          // Two of them are switched off for good: 1 of 2 is enough.
          await r1.command("mask", "add", "192.0.2.100/31");
          await r1.reach("active", 5000);
          expect(await r1.track("lan")).toMatchObject({
            state: "up",
            evidence: "1 of 2 neighbours on lan0 answer; silent: 192.0.2.102",
          });
          const masked = (await r1.track("lan")).masked.filter((one) => one.by === "192.0.2.100/31");
          expect(masked.map((one) => one.address).sort()).toEqual(HOSTS.slice(0, 2));
          expect(masked.every((one) => /^02:00:00:01:01:0[12]$/.test(one.mac ?? ""))).toBe(true);
          await r1.command("mask", "del", "192.0.2.100/31");
          await r1.reach("fault", 5000);
          await r1.stop();
          await r2.stop();
        });
      },
      60_000,
    );
  }

  netnsTest(
    "asks IPv6 neighbours by solicitation, and leaves out own and virtual addresses",
    [],
    async () => {
      await withLab({ routers: 2, hosts: 2 }, async (lab) => {
        const lan = { name: "lan", neighbours: "lan0", threshold: 2, interval: "50ms" };
        const r1 = await startTracking(lab, lab.routers[0]!, 100, {
          trackers: [lan],
          mask: ["192.0.2.0/24", "fe80::/10", lab.routers[1]!.lanMac],
        });
        const r2 = await startTracking(lab, lab.routers[1]!, 150, {});
        await r2.reach("active", 5000);
        await r1.reach("backup", 5000);
        expect(await r1.tracks("lan", "down")).toMatchObject({ evidence: "nobody is known on lan0" });
        // The other router answers for the virtual address: who speaks to it is heard, it is not asked.
        await showAll(lab, "192.0.2.1");
        await showAll(lab, lab.routers[0]!.addresses.ipv6);
        await lab.routers[1]!.run("ping", "-c", "1", "-W", "5", lab.routers[0]!.addresses.ipv6);
        // Those who are masked showed first, perhaps: then nothing failed meanwhile.
        await eventually("both hosts are asked", 5000, async () =>
          (await r1.track("lan")).evidence.startsWith("2 of 2 neighbours on lan0 answer"),
        );
        expect(await r1.track("lan")).toMatchObject({
          state: "up",
          evidence: "2 of 2 neighbours on lan0 answer",
        });
        const other = lab.routers[1]!.addresses.ipv6;
        const masked = await eventually("the other router was seen", 5000, async () => {
          const list = (await r1.track("lan")).masked;
          return list.some((one) => one.address === other) && list;
        });
        expect(masked.some((one) => one.address === "192.0.2.1")).toBe(false);
        expect(masked.some((one) => one.mac?.startsWith("00:00:5e"))).toBe(false);
        await leave(lab, 1);
        expect(await r1.tracks("lan", "down")).toMatchObject({
          evidence: "1 of 2 neighbours on lan0 answer; silent: 2001:db8:1::101",
        });
        await r1.stop();
        await r2.stop();
      });
    },
    60_000,
  );
});
