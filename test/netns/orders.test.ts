/** Moves by command on a real kernel, under traffic: nothing is lost, and the report says what happened. */
import { describe, expect } from "vitest";
import { daemonConfig, type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { firsthop } from "../cli/command.js";
import {
  captureLan,
  eventually,
  LAB_ADDRESSES,
  type Lab,
  netnsTest,
  readAdverts,
  startTraffic,
  withLab,
} from "./testbed/index.js";
import { CLEAN, countedFrom } from "./testbed/packets.js";

const BOUND_MS = 10_000;

async function startTwo(lab: Lab, more: object = {}) {
  const config = (priority: number) =>
    daemonConfig({ vrid: 10, family: "ipv4", version: 3, priority, intervalMs: 100, more: { ...more } });
  const one = await startDaemon(lab, lab.routers[0]!, config(150));
  const two = await startDaemon(lab, lab.routers[1]!, config(100));
  await one.reach("active", BOUND_MS);
  await two.reach("backup", BOUND_MS);
  return { one, two };
}

describe.each([
  { title: "virtual MAC", more: {} },
  { title: "the interface's own MAC", more: { virtualMac: false } },
])("$title", ({ more }) => {
  netnsTest(
    "switchover --test moves and comes back under traffic without a loss, and reports both",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const { one, two } = await startTwo(lab, more);
        const traffic = startTraffic(lab, { rate: 2000 });
        await eventually("packets flow", 5_000, () => traffic.carriedBy(lab.routers[0]!.upstreamMac) > 200);
        const capture = captureLan(lab);
        const from = traffic.sent();
        const run = firsthop(
          ["switchover", "lan0/10", "--test", "--for", "2s", "--json", "--socket", one.socket],
          {},
        );
        await two.reach("active", BOUND_MS);
        const result = await run;
        expect(result.stderr).toBe("");
        expect(result.code).toBe(0);
        const report = JSON.parse(result.stdout);
        expect(await countedFrom(traffic, from)).toEqual(CLEAN);
        await one.reach("active", BOUND_MS);
        await two.reach("backup", BOUND_MS);
        const address = lab.routers[1]!.addresses.ipv4;
        expect(report).toMatchObject({
          done: true,
          moves: [{ to: { address, priority: 100 }, outageMs: 0 }],
          back: [{ done: true, outageMs: 0 }],
        });
        await capture.stop();
        const adverts = readAdverts(capture.frames());
        const release = adverts.find((advert) => advert.priority === 0)!;
        const claim = adverts.find((advert) => advert.atUs > release.atUs && advert.port === "r2")!;
        // The report names what a capture on the LAN shows.
        expect(Math.abs((claim.atUs - release.atUs) / 1000 - report.moves[0].silentMs)).toBeLessThan(5);
        const lastOfTwo = adverts.findLast((advert) => advert.port === "r2")!;
        const back = adverts.find((advert) => advert.port === "r1" && advert.atUs > claim.atUs)!;
        // Make before break: the other one still advertised until this one did, and not after.
        expect(lastOfTwo.atUs - back.atUs).toBeLessThan(20_000);
        await traffic.stop();
      });
    },
    60_000,
  );

  netnsTest(
    "drain and undrain lose nothing; a drain that nobody answers is refused with exit code 1",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const { one, two } = await startTwo(lab, more);
        const traffic = startTraffic(lab, { rate: 2000 });
        await eventually("packets flow", 5_000, () => traffic.carriedBy(lab.routers[0]!.upstreamMac) > 200);
        const from = traffic.sent();
        const drained = await firsthop(["drain", "--all", "--socket", one.socket], {});
        expect(drained).toMatchObject({ code: 0, stderr: "" });
        expect(drained.stdout).toMatch(
          /^ok {2}lan0\/10: \S+ \(priority 100\) took over .* after the release/,
        );
        await one.reach("fault", BOUND_MS);
        const refused = await firsthop(["drain", "lan0/10", "--socket", two.socket], {});
        expect(refused.code).toBe(1);
        expect(refused.stdout).toMatch(/^no {2}lan0\/10: nobody took over within .*: it stays Active/);
        await two.reach("active", BOUND_MS);
        expect(await firsthop(["undrain", "lan0/10", "--socket", one.socket], {})).toMatchObject({ code: 0 });
        await one.reach("active", BOUND_MS);
        expect(await countedFrom(traffic, from)).toEqual(CLEAN);
        await traffic.stop();
      });
    },
    60_000,
  );
});

describe.each([
  { title: "IPv6 at 1 s", family: "ipv6", interval: "1s", priority: 150, members: 1 },
  {
    title: "the worse one, which nobody preempts",
    family: "ipv4",
    interval: "100ms",
    priority: 90,
    members: 1,
  },
  { title: "a sync group of 50 at 1 s", family: "ipv4", interval: "1s", priority: 150, members: 50 },
] as const)("$title", ({ family, interval, priority, members }) => {
  netnsTest(
    "switchover --test --for 5s loses nothing, and says so of each member",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const common = { interface: "lan0", advertisementInterval: interval, preempt: priority > 100 };
        const group = members > 1 ? { syncGroup: "edge" } : {};
        const config = (own: number): string =>
          JSON.stringify({
            virtualRouters: Array.from({ length: members }, (_, at) => ({
              ...common,
              ...group,
              vrid: 10 + at,
              priority: own,
              addresses: at === 0 ? LAB_ADDRESSES[family].virtual : [`192.0.2.${150 + at}/24`],
            })),
            syncGroups: members > 1 ? [{ name: "edge" }] : [],
            log: { format: "json" },
          });
        const all = (daemon: LabDaemon, state: string) =>
          eventually(`all are ${state}`, 3 * BOUND_MS, async () =>
            (await daemon.status()).virtualRouters.every((one) => one.state === state),
          );
        const one = await startDaemon(lab, lab.routers[0]!, config(priority));
        await all(one, "active");
        const two = await startDaemon(lab, lab.routers[1]!, config(100));
        await all(two, "backup");
        const traffic = startTraffic(lab, { rate: 2000, family });
        await eventually("packets flow", 5_000, () => traffic.carriedBy(lab.routers[0]!.upstreamMac) > 200);
        const from = traffic.sent();
        const { code, stdout, stderr } = await firsthop(
          ["switchover", "lan0/10", "--test", "--for", "5s", "--json", "--socket", one.socket],
          {},
        );
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        const { done, moves, back } = JSON.parse(stdout);
        expect({ done, moves: moves.length, back: back.length }).toEqual({
          done: true,
          moves: members,
          back: members,
        });
        for (const move of moves) expect(move).toMatchObject({ done: true, outageMs: 0 });
        for (const move of back) expect(move).toMatchObject({ done: true });
        expect(await countedFrom(traffic, from)).toEqual(CLEAN);
        expect(traffic.carriedBy(lab.routers[1]!.upstreamMac)).toBeGreaterThan(5 * 2000 * 0.9);
        await all(one, "active");
        await all(two, "backup");
        await traffic.stop();
      });
    },
    60_000,
  );
});
