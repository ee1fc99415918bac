/** Whoever dies, is told to end or comes twice while one process follows another: the work goes on, and traffic with it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { connectControl } from "../../../src/control/client.js";
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import type { LabProcess } from "../../../src/lab/namespaces.js";
import {
  DEVICE_OF_VRID_10,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  pause,
  startTraffic,
  type Traffic,
  withLab,
} from "../testbed/index.js";
import { CLEAN, counted, packets } from "../testbed/packets.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const RATE = 4000;
const INTERVAL_MS = 100;

const config = (priority: number): string =>
  daemonConfig({ vrid: 10, family: "ipv4", version: 3, priority, intervalMs: INTERVAL_MS });

interface Pair {
  readonly active: LabDaemon;
  readonly backup: LabDaemon;
  readonly traffic: Traffic;
}

async function startPair(lab: Lab): Promise<Pair> {
  const [first, second] = lab.routers as [LabRouter, LabRouter];
  const active = await startDaemon(lab, first, config(150));
  const backup = await startDaemon(lab, second, config(100));
  await active.reach("active", 15_000);
  await backup.reach("backup", 15_000);
  return { active, backup, traffic: startTraffic(lab, { rate: RATE }) };
}

const changesOf = (daemon: LabDaemon): number =>
  daemon.process
    .output()
    .split("\n")
    .filter((line) => line.includes('"stateChange"')).length;

/** Somebody who asks as an heir does, step by step. */
async function pretend(daemon: LabDaemon): Promise<{ ask(step: string): Promise<unknown>; die(): void }> {
  const client = await connectControl(daemon.socket);
  return {
    ask: (step) => client.request("handover", { step, name: "lan0/10" }),
    die: () => client.close(),
  };
}

/** Whether it says that it is just being followed. */
async function isFollowed(daemon: LabDaemon, method: "undrain" | "reload" = "undrain"): Promise<boolean> {
  const client = await connectControl(daemon.socket);
  try {
    await client.request(method, {});
    return false;
  } catch (error) {
    return String(error).includes("another process is taking over");
  } finally {
    client.close();
  }
}

/** Once its heir is dead: whether it goes on, or leaves because the heir had everything. */
async function goesOnWithout(daemon: LabDaemon): Promise<boolean> {
  const stays = async (): Promise<boolean> => !(await isFollowed(daemon).catch(() => true));
  await eventually("it goes on or leaves", 5_000, async () => !daemon.process.running() || (await stays()));
  return daemon.process.running();
}

/** A real heir, as soon as it has begun. */
async function comingHeir(lab: Lab, router: LabRouter, daemon: LabDaemon): Promise<LabProcess> {
  const name = `${router.name}-firsthop`;
  const heir = router.spawn(name, process.execPath, [
    ...[MAIN, "run", "--handover", "-c", join(lab.directory, `${name}.yaml`), "--socket", daemon.socket],
    ...["--state-directory", join(lab.directory, "state")],
  ]);
  await eventually(
    "an heir is at work",
    10_000,
    async () => (await isFollowed(daemon)) || !heir.running(),
    () => heir.output(),
  );
  return heir;
}

const goesOn = async (daemon: LabDaemon): Promise<void> => {
  const sent = (await daemon.virtualRouter())?.statistics.advertisementSent ?? 0;
  await eventually(
    "it goes on advertising",
    2_000,
    async () => ((await daemon.virtualRouter())?.statistics.advertisementSent ?? 0) > sent + 2,
  );
};

describe("an heir that dies", () => {
  netnsTest("after any of its steps is not noticed by anybody", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const { active, backup, traffic } = await startPair(lab);
      const changes = changesOf(active) + changesOf(backup);
      const steps = ["begin", "look", "freeze", "sessions", "freezeSessions"];
      const happened = await counted(traffic, async () => {
        for (const daemon of [active, backup]) {
          for (let last = 1; last <= steps.length; last++) {
            const heir = await pretend(daemon);
            for (const step of steps.slice(0, last)) await heir.ask(step);
            heir.die();
            await eventually("it may be changed again", 2_000, async () => !(await isFollowed(daemon)));
          }
        }
        await goesOn(active);
        await packets(traffic, RATE / 2);
      });
      expect(happened).toEqual(CLEAN);
      expect(changesOf(active) + changesOf(backup)).toBe(changes);
      // Neither is in a fault that shows only when it is its turn.
      const taken = await counted(traffic, async () => {
        await active.crash();
        await backup.reach("active", 5_000);
      });
      expect(taken).toEqual(CLEAN);
      await traffic.stop();
      await backup.stop();
    }),
  );

  netnsTest("by SIGKILL at any time loses nothing and doubles nothing", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const [first] = lab.routers as [LabRouter];
      const { active, backup, traffic } = await startPair(lab);
      let running = active;
      for (const afterMs of [0, 40, 90, 150, 220, 300]) {
        const changes = changesOf(backup);
        const killed = await counted(traffic, async () => {
          const heir = await comingHeir(lab, first, running);
          await pause(afterMs);
          heir.kill("SIGKILL");
          await heir.ended;
          if (!(await goesOnWithout(running))) {
            // It had everything already: it is succeeded like any other that is killed.
            await backup.reach("active", 5_000);
            running = await startDaemon(lab, first, config(150));
          }
          await running.reach("active", 10_000);
          await backup.reach("backup", 5_000);
        });
        expect(killed).toEqual(CLEAN);
        if (running === active) expect(changesOf(backup)).toBe(changes);
      }
      await traffic.stop();
      await running.stop();
      await backup.stop();
    }),
  );
});

describe("a predecessor", () => {
  netnsTest("that is killed while it is followed has an heir all the same", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const [first] = lab.routers as [LabRouter];
      const { active, backup, traffic } = await startPair(lab);
      let running = active;
      for (const afterMs of [0, 60, 150]) {
        const happened = await counted(traffic, async () => {
          const heir = await comingHeir(lab, first, running);
          await pause(afterMs);
          await running.crash();
          await eventually(
            "the heir answers",
            15_000,
            async () => (await running.pid()) === heir.pid,
            () => heir.output(),
          );
          running = {
            ...running,
            process: heir,
            stop: () => ended(heir),
            crash: () => ended(heir, "SIGKILL"),
          };
          await running.reach("active", 10_000);
          await backup.reach("backup", 5_000);
        });
        expect(happened).toEqual(CLEAN);
      }
      await traffic.stop();
      await running.stop();
      await backup.stop();
      expect(await first.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
    }),
  );

  netnsTest("that is told to end takes everything back, and leaves in good order", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const [first] = lab.routers as [LabRouter];
      const { active, backup, traffic } = await startPair(lab);
      const heir = await pretend(active);
      for (const step of ["begin", "look", "freeze"]) await heir.ask(step);
      const left = await counted(traffic, async () => {
        active.process.kill("SIGTERM");
        expect((await active.process.ended).code).toBe(0);
        await backup.reach("active", 5_000);
      });
      expect(left).toEqual(CLEAN);
      await expect(heir.ask("depart")).rejects.toThrow();
      expect(await first.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
      await traffic.stop();
      await backup.stop();
    }),
  );

  netnsTest("whose heir has everything leaves the kernel alone, whatever it is told", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config(150));
      await daemon.reach("active", 15_000);
      const heir = await pretend(daemon);
      for (const step of ["begin", "look", "freeze", "sessions", "freezeSessions"]) await heir.ask(step);
      const departed = heir.ask("depart");
      daemon.process.kill("SIGTERM");
      await departed.catch(() => undefined);
      expect((await daemon.process.ended).code).toBe(0);
      const links = await router.run("ip", "-o", "link");
      // Told in time, it has left by itself; told too late, it left it to the heir.
      const followed = daemon.process.output().includes("another process goes on");
      expect(DEVICE_OF_VRID_10.test(links)).toBe(followed);
      heir.die();
    }),
  );
});

async function ended(process: LabProcess, signal: NodeJS.Signals = "SIGTERM") {
  process.kill(signal);
  return process.ended;
}

describe("an heir", () => {
  netnsTest("that comes second is refused, like whatever would change the first one's work", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config(150));
      await daemon.reach("active", 15_000);
      const one = await pretend(daemon);
      await one.ask("begin");
      const another = await comingHeir(lab, router, daemon);
      expect((await another.ended).code).toBe(2);
      expect(another.output()).toContain("another process is taking over already");
      expect(await isFollowed(daemon, "undrain")).toBe(true);
      expect(await isFollowed(daemon, "reload")).toBe(true);
      one.die();
      await goesOn(daemon);
      // Two that come at once: one follows, and the other one is refused or follows the first.
      const heirs = [await comingHeir(lab, router, daemon), await comingHeir(lab, router, daemon)];
      await eventually("the predecessor has left", 15_000, () => !daemon.process.running());
      await daemon.reach("active", 5_000);
      await eventually("one is left", 10_000, () => heirs.filter((heir) => heir.running()).length === 1);
      const [left] = heirs.filter((heir) => heir.running());
      expect(await daemon.pid()).toBe(left?.pid);
      expect(left?.output()).not.toContain("starting anew");
      if (left) await ended(left);
      expect(await router.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
    }),
  );

  netnsTest("that is told to end before it has everything leaves the work where it is", [], () =>
    withLab({ routers: 2 }, async (lab) => {
      const [first] = lab.routers as [LabRouter];
      const { active, backup, traffic } = await startPair(lab);
      const changes = changesOf(active) + changesOf(backup);
      const happened = await counted(traffic, async () => {
        const heir = await comingHeir(lab, first, active);
        heir.kill("SIGTERM");
        expect((await heir.ended).code).not.toBe(0);
        expect(heir.output()).toContain("told to end before it had taken over");
        await goesOn(active);
      });
      expect(happened).toEqual(CLEAN);
      expect(changesOf(active) + changesOf(backup)).toBe(changes);
      await traffic.stop();
      await active.stop();
      await backup.stop();
    }),
  );

  netnsTest("with a configuration that can't be read changes nothing", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config(150));
      await daemon.reach("active", 15_000);
      writeFileSync(join(lab.directory, `${router.name}-firsthop.yaml`), "virtualRouters: [{");
      daemon.process.kill("SIGUSR2");
      await eventually("it is told", 10_000, () =>
        daemon.process.output().includes("no process followed this one, which goes on"),
      );
      await goesOn(daemon);
      expect((await daemon.virtualRouter())?.state).toBe("active");
      await daemon.stop();
    }),
  );
});
