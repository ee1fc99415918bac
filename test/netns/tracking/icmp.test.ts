/** Trackers that ask hosts: who is silent is found out in the time that the settings say, and the gateway moves. */
import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { ipBatch } from "../../../src/lab/namespaces.js";
import { eventually, netnsTest, withLab } from "../testbed/index.js";
import { startTracking } from "./support.js";

const UPSTREAM = "203.0.113.1";

describe("icmp", () => {
  for (const intervalMs of [10, 100]) {
    netnsTest(
      `an upstream that falls silent moves the gateway, at ${intervalMs} ms`,
      [],
      async () => {
        await withLab({ routers: 2 }, async (lab) => {
          const isp = {
            name: "isp",
            icmp: UPSTREAM,
            interface: "wan0",
            interval: `${intervalMs}ms`,
            fall: 3,
          };
          const r1 = await startTracking(lab, lab.routers[0]!, 150, { trackers: [isp] }, ["isp"]);
          const r2 = await startTracking(lab, lab.routers[1]!, 100, {});
          await r1.reach("active", 5000);
          await r2.reach("backup", 5000);
          expect(await r1.track("isp")).toMatchObject({ state: "up", masked: [] });
          const begunMs = Date.now();
          await lab.upstream.run("ip", "addr", "del", `${UPSTREAM}/24`, "dev", "br0");
          await r1.reach("fault", 5000);
          await r2.reach("active", 5000);
          const down = r1.events.find((one) => one.type === "track" && one.to === "down");
          expect(down).toMatchObject({ name: "isp", from: "up", detail: `${UPSTREAM} is silent (3 probes)` });
          // interval x fall + timeout; the rest is the command's own time and that of a busy machine.
          const tookMs = Date.parse((down as { at: string }).at) - begunMs;
          expect(tookMs).toBeGreaterThan(2 * intervalMs);
          expect(tookMs).toBeLessThan(4 * intervalMs + 250);
          expect((await r1.virtualRouter())?.causes).toEqual(["tracking:isp"]);
          await lab.upstream.run("ip", "addr", "add", `${UPSTREAM}/24`, "dev", "br0");
          await r1.reach("active", 5000);
          await r2.reach("backup", 5000);
          const up = r1.events.findLast((one) => one.type === "track" && one.to === "up");
          expect(up).toMatchObject({
            detail: expect.stringMatching(/^203\.0\.113\.1 answered in [\d.]+ ms$/),
          });
          await r1.stop();
          await r2.stop();
        });
      },
      60_000,
    );
  }

  netnsTest(
    "says what keeps probes from leaving, and never asks from a virtual address",
    [],
    async () => {
      await withLab({ routers: 1, hosts: 1 }, async (lab) => {
        const router = lab.routers[0]!;
        const interval = "20ms";
        const host = { interval, interface: "lan0" };
        const daemon = await startTracking(lab, router, 150, {
          trackers: [
            { name: "missing", icmp: UPSTREAM, interface: "ppp0", interval },
            { name: "routeless", icmp: "198.51.100.7", interval },
            { name: "foreign", icmp: UPSTREAM, source: "192.0.2.77", interval },
            { name: "echo", icmp: "192.0.2.100", ...host },
            { name: "arp", arp: "192.0.2.100", ...host },
            { name: "nd", nd: "2001:db8:1::100", ...host },
          ],
        });
        await daemon.reach("active", 5000);
        const evidence = async (name: string, state: "up" | "down") =>
          (await daemon.tracks(name, state)).evidence;
        expect(await evidence("missing", "down")).toBe("ppp0 does not exist");
        expect(await evidence("routeless", "down")).toBe("there is no route to 198.51.100.7");
        expect(await evidence("foreign", "down")).toBe("192.0.2.77 is not an address of this machine");
        for (const name of ["echo", "arp", "nd"]) await daemon.tracks(name, "up");
        // The only address left on the LAN is the virtual one.
        await router.run("ip", "addr", "del", "192.0.2.2/24", "dev", "lan0");
        const sourceless = /^lan0 has no address of its own to reach 192\.0\.2\.100 from$/;
        expect(await evidence("echo", "down")).toMatch(sourceless);
        expect(await evidence("arp", "down")).toMatch(sourceless);
        await router.run("ip", "addr", "add", "192.0.2.2/24", "dev", "lan0");
        await daemon.tracks("echo", "up");
        await daemon.tracks("arp", "up");
        await router.run("ip", "link", "set", "wan0", "down");
        await daemon.stop();
      });
    },
    60_000,
  );

  netnsTest(
    "1,000 targets at 100 ms cost little, and are told right while 100 of them fail",
    [],
    async () => {
      await withLab({ routers: 1, hosts: 1 }, async (lab) => {
        const router = lab.routers[0]!;
        const host = lab.hosts[0]!;
        const addresses = Array.from(
          { length: 1000 },
          (_, at) => `10.9.${Math.floor(at / 250)}.${1 + (at % 250)}`,
        );
        const cable = `link add q0 type veth peer name q1 netns ${router.namespace}`;
        const lines = addresses.map((one) => `addr add ${one}/32 dev q0`);
        await ipBatch([cable, "link set q0 up", "addr add 10.8.0.1/24 dev q0", ...lines], host.namespace);
        const route = "route add 10.9.0.0/16 via 10.8.0.1";
        await ipBatch(["link set q1 up", "addr add 10.8.0.2/24 dev q1", route], router.namespace);
        const trackers = addresses.map((icmp, at) => ({
          name: `t${at}`,
          icmp,
          interface: "q1",
          interval: "100ms",
        }));
        const daemon = await startTracking(lab, router, 150, { trackers });
        const states = async (): Promise<string> =>
          (await daemon.status()).tracks.map((one) => one.state[0]).join("");
        const all = async (expected: string) =>
          eventually("all are told right", 15_000, async () => (await states()) === expected);
        await all("u".repeat(1000));
        const gone = addresses.filter((_, at) => at % 10 === 3).map((one) => `addr del ${one}/32 dev q0`);
        await ipBatch(gone, host.namespace);
        const expected = "uuuduuuuuu".repeat(100);
        await all(expected);
        const ticks = (): number => {
          const fields = readFileSync(`/proc/${daemon.process.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
          return Number(fields[11]) + Number(fields[12]);
        };
        const begun = { ticks: ticks(), atMs: performance.now(), events: daemon.events.length };
        // The host's own count: to ask the daemon would cost the daemon something, too.
        const asked = async (): Promise<number> =>
          Number(await host.run("cat", "/sys/class/net/q0/statistics/rx_packets"));
        const before = await asked();
        const more = async (): Promise<number> => (await asked()) - before;
        await expect.poll(more, { timeout: 15_000, interval: 500 }).toBeGreaterThanOrEqual(30_000);
        const percent = ((ticks() - begun.ticks) * 10_000) / (performance.now() - begun.atMs) / 10;
        console.info(`1,000 trackers at 100 ms: ${percent.toFixed(1)} % of a core for the whole daemon`);
        expect(await states()).toBe(expected);
        const changes = daemon.events.slice(begun.events).filter((one) => one.type === "track");
        expect(changes).toEqual([]);
        await daemon.stop();
      });
    },
    60_000,
  );
});
