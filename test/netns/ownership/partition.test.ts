/**
 * The LAN falls apart and heals: a host's packets find their way again at once. `FIRSTHOP_PARTITIONS=200` and
 * `FIRSTHOP_CARRIER_LOSSES=50` repeat it that often.
 */
import { describe, expect } from "vitest";
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import type { TrafficColumns } from "../../../src/lab/statistics.js";
import {
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  startTraffic,
  type Traffic,
  withLab,
} from "../testbed/index.js";

const PARTITIONS = Number(process.env.FIRSTHOP_PARTITIONS ?? 6);
const CARRIER_LOSSES = Number(process.env.FIRSTHOP_CARRIER_LOSSES ?? 3);
const INTERVAL_MS = 100;
const RATE = 2000;
const PRIORITIES = [150, 100] as const;

/** Numbers from 0 up to 1 that are the same in each run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

async function settled(lab: Lab, daemons: readonly LabDaemon[], traffic: Traffic): Promise<void> {
  await daemons[0]?.reach("active", 10_000);
  await daemons[1]?.reach("backup", 10_000);
  const from = traffic.sent();
  const mac = lab.routers[0]?.upstreamMac ?? "";
  const carried = traffic.carriedBy(mac);
  await eventually("packets go through r1", 5_000, () => traffic.carriedBy(mac) > carried + 50);
  await eventually("and some more", 5_000, () => traffic.sent() > from + 100);
}

async function sentAfter(traffic: Traffic, ms: number): Promise<number> {
  const until = traffic.sent() + Math.ceil((RATE * ms) / 1000);
  await eventually(`${ms} ms of packets`, ms * 4 + 2_000, () => traffic.sent() >= until);
  return traffic.sent();
}

/** When the last packet that was lost had been sent, after a moment; 0 when none was. Milliseconds. */
function lossesLastMs({ sentUs, copies }: TrafficColumns, sinceUs: number): number {
  let last = sinceUs;
  for (let at = 0; at < sentUs.length; at++) {
    if (copies[at] === 0 && (sentUs[at] as number) > last) last = sentUs[at] as number;
  }
  return (last - sinceUs) / 1000;
}

async function startBoth(lab: Lab): Promise<readonly LabDaemon[]> {
  const daemons: LabDaemon[] = [];
  for (const [index, router] of (lab.routers as LabRouter[]).entries()) {
    const priority = PRIORITIES[index] ?? 100;
    const config = daemonConfig({ vrid: 10, family: "ipv4", version: 3, priority, intervalMs: INTERVAL_MS });
    daemons.push(await startDaemon(lab, router, config));
  }
  return daemons;
}

/** Active_Down_Interval of a router, milliseconds. */
function downMs(priority: number): number {
  return 3 * INTERVAL_MS + ((256 - priority) / 256) * INTERVAL_MS;
}

describe("a LAN that falls apart", () => {
  netnsTest(
    "and keeps carrier: after each healing the host's packets pass within an interval and 50 ms",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const daemons = await startBoth(lab);
        const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
        const random = randomNumbers(7);
        const late: number[] = [];
        for (let round = 0; round < PARTITIONS; round++) {
          await settled(lab, daemons, traffic);
          const apart = lab.routers[random() < 0.5 ? 0 : 1] as LabRouter;
          await lab.cut(apart, "lan", "silent");
          await sentAfter(traffic, 50 + random() ** 2 * 2950);
          const from = traffic.sent();
          const healed = await lab.restore(apart, "lan", "silent");
          const to = await sentAfter(traffic, 500);
          await sentAfter(traffic, 100);
          late.push(lossesLastMs(traffic.columns(from, to), healed.endUs));
        }
        expect(late.filter((ms) => ms > INTERVAL_MS + 50)).toEqual([]);
        await traffic.stop();
      }),
    20_000 + PARTITIONS * 6_000,
  );

  netnsTest(
    "with loss of carrier: the host's packets pass within Active_Down_Interval and 50 ms",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const daemons = await startBoth(lab);
        const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
        const late: number[] = [];
        for (let round = 0; round < CARRIER_LOSSES; round++) {
          await settled(lab, daemons, traffic);
          const apart = lab.routers[0] as LabRouter;
          const from = traffic.sent();
          const cut = await lab.cut(apart, "lan", "line");
          const to = await sentAfter(traffic, downMs(100) + 300);
          await sentAfter(traffic, 100);
          late.push(lossesLastMs(traffic.columns(from, to), cut.endUs));
          await lab.restore(apart, "lan", "line");
        }
        expect(late.filter((ms) => ms > downMs(100) + 50)).toEqual([]);
        await traffic.stop();
      }),
    20_000 + CARRIER_LOSSES * 6_000,
  );
});
