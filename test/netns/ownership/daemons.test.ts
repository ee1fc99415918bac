/** Who forwards when daemons are killed, stopped and resumed, and when the switch floods: whole daemons, real traffic. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import { reportTraffic } from "../../../src/lab/statistics.js";
import type { LabNode } from "../../../src/lab/topology.js";
import { loadNative } from "../../../src/native.js";
import { claim, spoiled } from "../../native/ownership-frames.js";
import {
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  startTraffic,
  type Traffic,
  withLab,
} from "../testbed/index.js";
import { CLEAN, counted, packets } from "../testbed/packets.js";

type Family = "ipv4" | "ipv6";

const RATE = 4000;

function config(family: Family, intervalMs: number, priority: number, top: object = {}): string {
  const plain = daemonConfig({ vrid: 10, family, version: 3, priority, intervalMs });
  return JSON.stringify({ ...JSON.parse(plain), ...top });
}

interface Pair {
  readonly active: LabDaemon;
  readonly backup: LabDaemon;
  readonly traffic: Traffic;
}

async function startPair(lab: Lab, family: Family, intervalMs: number): Promise<Pair> {
  const [first, second] = lab.routers as [LabRouter, LabRouter];
  const active = await startDaemon(lab, first, config(family, intervalMs, 150));
  const backup = await startDaemon(lab, second, config(family, intervalMs, 100));
  await active.reach("active", 15_000);
  await backup.reach("backup", 15_000);
  return { active, backup, traffic: startTraffic(lab, { rate: RATE, family }) };
}

/** The switch forgets what it learned: it floods until it has learned anew. */
async function flush(lab: Lab): Promise<void> {
  await lab.lan.run("ip", "link", "set", "br0", "type", "bridge", "fdb_flush");
}

/** Sends frames from the host, each once. */
async function inject(lab: Lab, frames: readonly Uint8Array[]): Promise<void> {
  const source = new (loadNative().TrafficSource)({
    namespace: (lab.hosts[0] as LabNode).path,
    interface: "eth0",
    frames,
    packetsPerSecond: 100,
    capacity: frames.length,
    realtimePriority: 0,
  });
  try {
    await eventually("all frames are out", 5_000, () => source.status().sent >= frames.length);
  } finally {
    source.stop();
  }
}

describe.each([
  ["ipv4", 10],
  ["ipv6", 10],
  ["ipv4", 100],
] as const)("%s at %i ms", (family, intervalMs) => {
  netnsTest("a switch that floods doubles nothing", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const { traffic } = await startPair(lab, family, intervalMs);
      const flooded = await counted(traffic, async () => {
        for (let round = 0; round < 10; round++) {
          await flush(lab);
          await packets(traffic, 400);
        }
      });
      expect(flooded).toEqual(CLEAN);
      await traffic.stop();
    }),
  );

  netnsTest("a stopped daemon is succeeded on time, and comes back without a loss or a double", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const { active, backup, traffic } = await startPair(lab, family, intervalMs);
      const stopped = await counted(traffic, async () => {
        active.process.kill("SIGSTOP");
        await backup.reach("active", 5_000);
        for (let round = 0; round < 3; round++) {
          await packets(traffic, RATE / 4);
          await flush(lab);
        }
        active.process.kill("SIGCONT");
        await backup.reach("backup", 5_000);
        await active.reach("active", 5_000);
      });
      expect(stopped).toEqual(CLEAN);
      // At 10 ms the process may need longer to look at what it hears again than it waits for a better Active.
      const reasons = ["preempted-lower-priority", ...(intervalMs < 100 ? ["active-down"] : [])];
      expect(reasons).toContain((await active.virtualRouter())?.lastChange?.reason);
      expect(active.process.output()).toContain('"gave-way"');
      await traffic.stop();
    }),
  );

  netnsTest(
    "a killed daemon is succeeded on time, and its next start preempts without a loss or a double",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const { active, backup, traffic } = await startPair(lab, family, intervalMs);
        const killed = await counted(traffic, async () => {
          await active.crash();
          await backup.reach("active", 5_000);
          await flush(lab);
          await packets(traffic, 400);
          const again = await startDaemon(lab, lab.routers[0] as LabRouter, config(family, intervalMs, 150));
          await again.reach("active", 5_000);
          expect(again.process.output()).toContain("it had given way to a successor for 1");
        });
        expect(killed).toEqual(CLEAN);
        await traffic.stop();
      }),
  );

  netnsTest("without a successor the kernel goes on for ownershipLimit, and the next start says so", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const limited = config(family, intervalMs, 150, { ownershipLimit: "1s" });
      const daemon = await startDaemon(lab, router, limited);
      await daemon.reach("active", 15_000);
      const traffic = startTraffic(lab, { rate: RATE, family });
      await packets(traffic, 400);
      await daemon.crash();
      const from = traffic.sent();
      await packets(traffic, RATE * 2);
      await packets(traffic, 400);
      const { lost } = reportTraffic(traffic.columns(from, from + RATE * 2));
      // One second of two; a clock tick, and the last advertisement before the end.
      expect(lost / RATE).toBeGreaterThan(0.85);
      expect(lost / RATE).toBeLessThan(1.15);
      const again = await startDaemon(lab, router, limited);
      expect(again.process.output()).toContain("it had ended forwarding after ownershipLimit for 1");
      await traffic.stop();
    }),
  );
});

netnsTest("a killed daemon that is started again at once lets its successor come first", [], () =>
  withLab({ routers: 2 }, async (lab) => {
    const { active, backup, traffic } = await startPair(lab, "ipv4", 500);
    const killed = await counted(traffic, async () => {
      await active.crash();
      const again = await startDaemon(lab, lab.routers[0] as LabRouter, config("ipv4", 500, 150));
      await backup.reach("active", 5_000);
      await again.reach("active", 10_000);
      await backup.reach("backup", 5_000);
    });
    expect(killed).toEqual(CLEAN);
    await traffic.stop();
  }),
);

netnsTest(
  "beside a stopped daemon only a claim ends the forwarding, and the daemon comes back from it",
  [],
  () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config("ipv4", 100, 150));
      await daemon.reach("active", 15_000);
      const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
      await packets(traffic, 400);
      const TTL = 14 + 8;
      const TYPE = 14 + 20;
      const forged = [
        spoiled(claim(), [TTL, 254]),
        spoiled(claim(), [TYPE, 0x32]),
        spoiled(claim(), [TYPE, 0x41]),
        claim({ vrid: 11 }),
        claim({ priority: 0 }),
        claim().subarray(0, 14 + 20 + 4),
        claim({ family: "ipv6" }),
      ];
      daemon.process.kill("SIGSTOP");
      await packets(traffic, RATE / 4);
      expect(await counted(traffic, () => inject(lab, forged))).toEqual(CLEAN);
      const carried = traffic.carriedBy(router.upstreamMac);
      await inject(lab, [claim()]);
      await packets(traffic, RATE / 4);
      expect(traffic.carriedBy(router.upstreamMac) - carried).toBeLessThan(RATE / 8);
      daemon.process.kill("SIGCONT");
      await eventually("it has given way", 5_000, () => daemon.process.output().includes('"gave-way"'));
      await daemon.reach("active", 5_000);
      expect(await counted(traffic, () => packets(traffic, 400))).toEqual(CLEAN);
      await traffic.stop();
      await daemon.stop();
    }),
);

netnsTest(
  "a daemon that stood still for longer than ownershipLimit goes on where nobody succeeded it",
  [],
  () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      // Long enough for nobody to notice that JavaScript stood still as well.
      const limits = { ownershipLimit: "1s", controlTimeout: "30s" };
      const daemon = await startDaemon(lab, router, config("ipv4", 100, 150, limits));
      await daemon.reach("active", 15_000);
      const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
      await packets(traffic, 400);
      const before = (await daemon.virtualRouter())?.lastChange;
      const carried = (): number => traffic.carriedBy(router.upstreamMac);
      daemon.process.kill("SIGSTOP");
      await packets(traffic, RATE * 2);
      const stopped = carried();
      await packets(traffic, RATE / 4);
      expect(carried()).toBe(stopped);
      daemon.process.kill("SIGCONT");
      await eventually("packets pass again", 5_000, () => carried() > stopped + RATE / 4);
      const going = await counted(traffic, () => packets(traffic, RATE * 2));
      expect(going).toEqual(CLEAN);
      expect((await daemon.virtualRouter())?.lastChange).toEqual(before);
      await traffic.stop();
      await daemon.stop();
    }),
);

netnsTest(
  "a limit shorter than the interval does not cut off who advertises in time, and may be changed",
  [],
  () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config("ipv4", 1500, 150, { ownershipLimit: "1s" }));
      await daemon.reach("active", 15_000);
      const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
      await packets(traffic, 400);
      expect(await counted(traffic, () => packets(traffic, RATE * 5))).toEqual(CLEAN);
      // Read again while it runs: 4.5 s were in force, now 60 s are.
      writeFileSync(
        join(lab.directory, `${router.name}-firsthop.yaml`),
        config("ipv4", 1500, 150, { ownershipLimit: "60s" }),
      );
      daemon.process.kill("SIGHUP");
      await eventually("it has read it", 5_000, () => daemon.process.output().includes("reloaded"));
      await daemon.crash();
      expect(await counted(traffic, () => packets(traffic, RATE * 6))).toEqual(CLEAN);
      await traffic.stop();
    }),
);

netnsTest("a Backup whose filter somebody takes off has it again within seconds, and says so", [], () =>
  withLab({ routers: 2 }, async (lab) => {
    const [first, second] = lab.routers as [LabRouter, LabRouter];
    const active = await startDaemon(lab, first, config("ipv4", 100, 150));
    const backup = await startDaemon(lab, second, config("ipv4", 100, 100, { ownership: "xdp-generic" }));
    await active.reach("active", 15_000);
    await backup.reach("backup", 15_000);
    const hasProgram = async (): Promise<boolean> =>
      (await second.run("ip", "link", "show", "lan0")).includes("prog/xdp");
    expect(await hasProgram()).toBe(true);
    await second.run("ip", "link", "set", "lan0", "xdpgeneric", "off");
    expect(await hasProgram()).toBe(false);
    await eventually("it is put back", 15_000, hasProgram);
    await eventually("it is told", 5_000, () =>
      backup.process.output().includes("lan0: somebody took the ownership filter off: put back"),
    );
    const traffic = startTraffic(lab, { rate: RATE, family: "ipv4" });
    await packets(traffic, 400);
    const floods = async (): Promise<void> => {
      await flush(lab);
      await packets(traffic, 400);
    };
    expect((await counted(traffic, floods)).duplicated).toBe(0);
    await traffic.stop();
    await active.stop();
    await backup.stop();
    expect(await hasProgram()).toBe(false);
  }),
);
