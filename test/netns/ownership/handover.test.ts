/** One process follows another while traffic runs: nobody notices. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import { reportTraffic } from "../../../src/lab/statistics.js";
import { type BfdKeys, type BfdMember, bfdConfig, sessionsOf, startBfd, turns } from "../testbed/bfd.js";
import {
  DEVICE_OF_VRID_10,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  startTraffic,
  withLab,
} from "../testbed/index.js";

/** Exchanges on each router. FIRSTHOP_EXCHANGES=20 is what was promised. */
const EXCHANGES = Number(process.env.FIRSTHOP_EXCHANGES ?? 3);
const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

interface Config {
  readonly virtualRouters: readonly Record<string, unknown>[];
}

function config(priority: number, intervalMs: number): string {
  const of = (family: "ipv4" | "ipv6"): Record<string, unknown> =>
    (JSON.parse(daemonConfig({ vrid: 10, family, version: 3, priority, intervalMs })) as Config)
      .virtualRouters[0] ?? {};
  // Both families move together, so that whoever moves one of them alone is found out.
  const virtualRouters = (["ipv4", "ipv6"] as const).map((family) => ({ ...of(family), syncGroup: "lan" }));
  return JSON.stringify({ virtualRouters, syncGroups: [{ name: "lan" }], log: { format: "json" } });
}

async function follow(lab: Lab, router: LabRouter, running: LabDaemon, written: string): Promise<LabDaemon> {
  const before = (await running.virtualRouter())?.statistics.advertisementSent ?? 0;
  // Names of files stay: the next one reads the same configuration and takes the same socket.
  const next = await startDaemon(lab, router, written, undefined, undefined, ["--handover"]);
  await eventually("the predecessor has ended", 10_000, () => !running.process.running());
  expect((await running.process.ended).code).toBe(0);
  expect(next.process.output()).toContain("took over from the running daemon");
  expect((await next.virtualRouter())?.statistics.advertisementSent).toBeGreaterThanOrEqual(before);
  return next;
}

/** Exchanges both routers' daemons, so many times over. */
async function exchangeBoth(lab: Lab, members: BfdMember[], bfd: BfdKeys, times: number): Promise<void> {
  for (let round = 0; round < times; round++) {
    for (const [at, { router, daemon }] of members.entries()) {
      members[at] = { router, daemon: await follow(lab, router, daemon, bfdConfig(router.index, bfd)) };
    }
  }
}

/** Whose lines are cut is succeeded by BFD's word. */
async function expectTakeover(lab: Lab, [active, backup]: BfdMember[]): Promise<void> {
  await lab.cut(active!.router, "both", "silent");
  await backup!.daemon.reach("active", 2_000);
  expect((await backup!.daemon.virtualRouter())?.lastChange?.reason).toBe("bfd-down");
  await lab.restore(active!.router, "both", "silent");
}

const sessionOf = async (member: BfdMember) => (await sessionsOf(member))[0];

function changesIn(log: string): number {
  return log.split("\n").filter((line) => /"(stateChange|groupChange)"/.test(line)).length;
}

netnsTest(
  "daemons are exchanged one after the other, on both routers, without a change, a loss or a double",
  [],
  () =>
    withLab({ routers: 2 }, async (lab) => {
      const [first, second] = lab.routers as [LabRouter, LabRouter];
      let active = await startDaemon(lab, first, config(150, 10));
      let backup = await startDaemon(lab, second, config(100, 10));
      await active.reach("active", 15_000);
      await backup.reach("backup", 15_000);
      const traffic = startTraffic(lab, { rate: 4000, family: "ipv4" });
      const changes = changesIn(active.process.output()) + changesIn(backup.process.output());
      const from = traffic.sent();
      for (let round = 0; round < EXCHANGES; round++) {
        active = await follow(lab, first, active, config(150, 10));
        backup = await follow(lab, second, backup, config(100, 10));
      }
      const to = traffic.sent();
      await eventually("the packets are through", 5_000, () => traffic.sent() > to + 400);
      const { lost, duplicated } = reportTraffic(traffic.columns(from, to));
      expect({ lost, duplicated }).toEqual({ lost: 0, duplicated: 0 });
      // Logs of all processes of a router go to one file; each reads from its own start on.
      expect(changesIn(active.process.output()) + changesIn(backup.process.output())).toBe(0);
      expect(changes).toBeGreaterThan(0);
      await traffic.stop();
      await active.stop();
      await backup.stop();
      expect(await first.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
    }),
);

netnsTest("an heir that can't do the work ends with the reason, and the running daemon goes on", [], () =>
  withLab({ routers: 1 }, async (lab) => {
    const [router] = lab.routers as [LabRouter];
    const active = await startDaemon(lab, router, config(150, 10));
    await active.reach("active", 15_000);
    const other = join(lab.directory, "other.yaml");
    await router.run(
      "sh",
      "-c",
      `sed s/150/151/ ${join(lab.directory, `${router.name}-firsthop.yaml`)} > ${other}`,
    );
    const same = join(lab.directory, `${router.name}-firsthop.yaml`);
    const state = join(lab.directory, "state");
    const attempts = [
      [router, other, state, "works by another configuration"],
      [router, same, join(lab.directory, "elsewhere"), "give the same --state-directory"],
      [lab.upstream, same, state, "works in another network namespace"],
    ] as const;
    for (const [node, file, directory, reason] of attempts) {
      const refused = node.spawn("refused", process.execPath, [
        ...[MAIN, "run", "--handover", "-c", file, "--socket", active.socket],
        ...["--state-directory", directory],
      ]);
      expect((await refused.ended).code).toBe(2);
      expect(refused.output()).toContain(reason);
    }
    expect((await active.virtualRouter())?.state).toBe("active");
    const sent = (await active.virtualRouter())?.statistics.advertisementSent ?? 0;
    await eventually(
      "it goes on advertising",
      2_000,
      async () => ((await active.virtualRouter())?.statistics.advertisementSent ?? 0) > sent,
    );
    await active.stop();
  }),
);

netnsTest(
  "what was not told yet is told by the process that knows of it, and masks set by hand stay",
  [],
  () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const told = join(lab.directory, "told");
      const command = join(lab.directory, "notify");
      writeFileSync(command, `#!/bin/sh\nsleep 1.5\necho "$3" >> ${told}\n`, { mode: 0o755 });
      const more = { notify: { command } };
      const written = daemonConfig({
        vrid: 10,
        family: "ipv4",
        version: 3,
        priority: 100,
        intervalMs: 10,
        more,
      });
      let active = await startDaemon(lab, router, written);
      const { socket } = active;
      await router.run(process.execPath, MAIN, "mask", "add", "192.0.2.9", "--socket", socket);
      await active.reach("active", 15_000);
      active = await follow(lab, router, active, written);
      const mask = await router.run(process.execPath, MAIN, "mask", "list", "--socket", socket);
      expect(mask).toMatch(/^192\.0\.2\.9 +run time +in force$/m);
      const words = (): string[] => (existsSync(told) ? readFileSync(told, "utf8").trim().split("\n") : []);
      await eventually("both changes are told", 10_000, () => words().length === 2);
      expect(words()).toEqual(["BACKUP", "MASTER"]);
      await active.stop();
    }),
  60_000,
);

netnsTest(
  "BFD sessions go on: neither side says Down, and both still take over by them",
  [],
  () =>
    withLab({ routers: 2 }, async (lab) => {
      const authentication = { type: "meticulous-keyed-sha1", key: "secret" };
      const bfd = { interval: "20ms", multiplier: 3, authentication };
      const members = await startBfd(lab, bfd);
      const active = (): BfdMember => members[0]!;
      const isFast = async (): Promise<boolean> => (await sessionOf(active()))?.detectionTimeMs === 60;
      await eventually("the Active's end is fast, too", 10_000, isFast);
      const discriminator = (await sessionOf(active()))?.localDiscriminator;
      await exchangeBoth(lab, members, bfd, 3);
      for (const member of members) {
        const session = await sessionOf(member);
        expect(session).toMatchObject({ state: "up", remoteState: "up", lastDown: null });
        expect(session?.statistics).toMatchObject({ sessionUp: 1, sessionDown: 0 });
        expect(session?.usedBy).toEqual(["lan0/10"]);
        const heard = session?.statistics.packetsRcvd ?? 0;
        await eventually(
          "packets are heard",
          2_000,
          async () => ((await sessionOf(member))?.statistics.packetsRcvd ?? 0) > heard + 10,
        );
      }
      expect((await sessionOf(active()))?.localDiscriminator).toBe(discriminator);
      await expectTakeover(lab, members);
      for (const { daemon } of members) await daemon.stop();
    }),
  120_000,
);

netnsTest(
  "multipoint sessions and the peer table go on: no tail misses its head, and the Backup's turn stays",
  [],
  () =>
    withLab({ routers: 2 }, async (lab) => {
      const bfd = { interval: "20ms", multipoint: true, backupAdvertisements: true };
      const members = await startBfd(lab, bfd);
      await turns(members, [null, 1]);
      const head = (await sessionOf(members[0]!))?.localDiscriminator;
      for (let round = 0; round < 2; round++) {
        await exchangeBoth(lab, members, bfd, 1);
        expect((await members[1]!.daemon.virtualRouter())?.bfd?.turn?.rank).toBe(1);
      }
      const [active, backup] = members as [BfdMember, BfdMember];
      expect(await sessionOf(active)).toMatchObject({ role: "head", state: "up", localDiscriminator: head });
      const tail = await sessionOf(backup);
      expect(tail).toMatchObject({ role: "tail", state: "up", remoteDiscriminator: head, lastDown: null });
      expect(tail?.statistics).toMatchObject({ sessionUp: 1, sessionDown: 0 });
      expect((await active.daemon.virtualRouter())?.bfd?.backups).toHaveLength(1);
      await expectTakeover(lab, members);
      for (const { daemon } of members) await daemon.stop();
    }),
  120_000,
);
