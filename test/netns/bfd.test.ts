/**
 * BFD bound to the Active router, on real lines: from a cut line to the first packet through the other router, who
 * takes over of three, and whether anybody does without a reason.
 */
import { describe, expect } from "vitest";
import { readBfdFrame } from "../../src/core/bfd/packet.js";
import { ETHERTYPE_IPV4 } from "../../src/core/ethernet.js";
import { UDP_PROTOCOL } from "../../src/core/udp.js";
import { daemonConfig, type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { firstArrivalAfter, median } from "../../src/lab/statistics.js";
import { firsthop } from "../cli/command.js";
import {
  captureLan,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  pause,
  startTraffic,
  type Traffic,
  withLab,
} from "./testbed/index.js";

const BOUND_MS = 10_000;
/** An Active that is back at once had not failed, as far as a Backup can know. */
const UNREFUTED_MS = 200;

interface Member {
  readonly router: LabRouter;
  readonly daemon: LabDaemon;
}

interface Bfd {
  readonly interval: string;
  readonly multiplier: number;
  readonly backupAdvertisements?: boolean;
  readonly multipoint?: boolean;
}

/** Routers 1 … n with falling priorities and, where they are needed, rising ranks; all sessions are up. */
async function start(lab: Lab, bfd: Bfd): Promise<Member[]> {
  const members: Member[] = [];
  for (const [index, router] of lab.routers.entries()) {
    const config = daemonConfig({
      vrid: 10,
      family: "ipv4",
      version: 3,
      priority: 200 - 10 * index,
      intervalMs: 1000,
      more: { bfd: bfd.backupAdvertisements ? bfd : { ...bfd, rank: Math.max(1, index) } },
    });
    const daemon = await startDaemon(lab, router, config);
    await daemon.reach(index === 0 ? "active" : "backup", BOUND_MS);
    members.push({ router, daemon });
  }
  await ready(members, members[0] as Member);
  return members;
}

const sessionsOf = async ({ daemon }: Member) => (await daemon.status()).bfdSessions;

/** Everybody else follows this one, and by BFD, at the pace that was asked for. */
async function ready(members: readonly Member[], active: Member): Promise<void> {
  await active.daemon.reach("active", BOUND_MS);
  for (const member of members.filter((one) => one !== active)) {
    await member.daemon.reach("backup", BOUND_MS);
    let seen: readonly unknown[] = [];
    const settled = async (): Promise<boolean> => {
      const sessions = (await sessionsOf(member)).filter(({ role }) => role === "active" || role === "tail");
      seen = sessions;
      const [session, ...others] = sessions;
      if (!session || others.length > 0 || session.state !== "up") return false;
      return (
        session.remoteAddress === active.router.addresses.ipv4 && (session.detectionTimeMs ?? 1000) < 500
      );
    };
    await eventually("the session is up and fast", BOUND_MS, settled, () => JSON.stringify(seen));
  }
}

/** Everybody knows its turn; null: it is no Backup. */
async function turns(members: readonly Member[], wanted: readonly (number | null)[]): Promise<void> {
  let seen: readonly (number | null)[] = [];
  const settled = async (): Promise<boolean> => {
    const all = await Promise.all(members.map(({ daemon }) => daemon.virtualRouter()));
    seen = all.map((one) => one?.bfd?.turn?.rank ?? null);
    return JSON.stringify(seen) === JSON.stringify(wanted);
  };
  await eventually("the Backups know their turns", BOUND_MS, settled, () => JSON.stringify(seen));
}

interface Takeover {
  /** From the last packet through the old Active to the first through the new one. */
  readonly gapUs: number;
  readonly reason: string | undefined;
}

/** Cuts the Active's LAN line and puts it back. */
async function takeover(lab: Lab, members: readonly Member[], traffic: Traffic): Promise<Takeover> {
  const [active, backup] = members as [Member, Member];
  const from = traffic.sent();
  const mac = backup.router.upstreamMac;
  const carried = traffic.carriedBy(mac);
  const cut = await lab.cut(active.router, "both", "silent");
  await eventually("a packet comes through the Backup", BOUND_MS, () => traffic.carriedBy(mac) > carried);
  const to = traffic.sent();
  await pause(20);
  const columns = traffic.columns(from, to);
  const firstUs = firstArrivalAfter(columns, cut.beginUs, mac);
  const others = columns.firstUs.filter((_, at) => columns.senders[columns.via[at] as number] !== mac);
  const lastUs = others.filter((us) => firstUs !== null && us < firstUs).reduce((a, b) => Math.max(a, b), 0);
  const reason = (await backup.daemon.virtualRouter())?.lastChange?.reason;
  await pause(UNREFUTED_MS);
  await lab.restore(active.router, "both", "silent");
  await ready(members, active);
  if (firstUs === null) throw new Error("no packet came through the Backup");
  return { gapUs: firstUs - lastUs, reason };
}

const BUSY_MS = 8_000;
const BUSY_LOOPS = 4;
/** Three intervals, less the one that may have just begun, less jitter. */
const FORGIVEN_MS = 5;
const ATTEMPTS = 4;
/** An engine that was away for longer listens again before it takes over, at 20 ms x 3 until the next rank's turn. */
const TURN_KEPT_MS = 8;

/**
 * Cuts the line of the first one and tells who took over. Where the machine kept the engine of the one whose turn it is
 * from running, the next one has to be faster, and it is tried again.
 */
async function tookOver(
  lab: Lab,
  members: readonly Member[],
  next: Member,
  changes: readonly string[],
): Promise<readonly string[]> {
  const [active] = members as [Member];
  for (let attempt = 1; ; attempt++) {
    const before = changes.length;
    await lab.cut(active.router, "both", "silent");
    await eventually("somebody takes over", BOUND_MS, () => changes.length > before);
    await pause(300);
    const seen = changes.slice(before);
    const right = seen.length === 1 && seen[0] === `r${members.indexOf(next) + 1} bfd-down`;
    const lateMs = (await next.daemon.status()).engine.latenessMaxUs / 1000;
    if (right || lateMs <= TURN_KEPT_MS || attempt === ATTEMPTS) return seen;
    console.log(`${seen.join(", ")}: the engine whose turn it was ran up to ${lateMs.toFixed(1)} ms late`);
    await pause(UNREFUTED_MS);
    await lab.restore(active.router, "both", "silent");
    await ready(members, active);
  }
}

/** A pair among processes that never rest: who took over, and how late an engine ever was. */
function busy(bfd: {
  interval: string;
  multiplier: number;
}): Promise<{ takeovers: string[]; lateMs: number }> {
  return withLab({ routers: 2 }, async (lab) => {
    const members = await start(lab, bfd);
    const takeovers: string[] = [];
    const [, second] = members as [Member, Member];
    let told = 0;
    await second.daemon.follow((event) => {
      told++;
      if (event.type === "stateChange" && event.to === "active") takeovers.push(event.detail);
    });
    await eventually("the history is read", BOUND_MS, () => told > 0);
    const loops = Array.from({ length: BUSY_LOOPS }, (_, index) =>
      second.router.spawn(`busy-${index}`, "sh", ["-c", "while :; do :; done"]),
    );
    await pause(BUSY_MS);
    for (const loop of loops) loop.kill("SIGKILL");
    const late = await Promise.all(
      members.map(async ({ daemon }) => (await daemon.status()).engine.latenessMaxUs),
    );
    // Before the end of one makes the other take over.
    const seen = [...takeovers];
    for (const { daemon } of members) await daemon.stop();
    return { takeovers: seen, lateMs: Math.max(...late) / 1000 };
  });
}

describe("BFD bound to the Active router", () => {
  netnsTest(
    "1 ms x 3 at an advertisement interval of 1 s: packets pass again within milliseconds",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const members = await start(lab, { interval: "1ms", multiplier: 3 });
        const traffic = startTraffic(lab, { rate: 4000 });
        const runs: Takeover[] = [];
        for (let run = 0; run < 5; run++) runs.push(await takeover(lab, members, traffic));
        await traffic.stop();
        traffic.verify();
        const ms = runs.map((one) => one.gapUs / 1000);
        console.log(
          `last packet before the cut to first packet after: median ${median(ms).toFixed(2)} ms, ` +
            `${Math.min(...ms).toFixed(2)} to ${Math.max(...ms).toFixed(2)} (${runs.length} runs)`,
        );
        // On a busy machine a session of 3 ms may be down by itself just then. Advertisements alone would take more
        // than three seconds.
        expect(runs.filter((one) => one.reason === "bfd-down").length).toBeGreaterThan(runs.length / 2);
        expect(median(ms)).toBeLessThan(100);
        for (const { daemon } of members) await daemon.stop();
      });
    },
    120_000,
  );

  netnsTest(
    "of three routers exactly one takes over; with a killed daemon as with a cut line",
    [],
    async () => {
      await withLab({ routers: 3 }, async (lab) => {
        const members = await start(lab, { interval: "20ms", multiplier: 3 });
        const [first, second, third] = members as [Member, Member, Member];
        const changes: string[] = [];
        for (const [index, { daemon }] of members.entries()) {
          await daemon.follow((event) => {
            if (event.type === "stateChange" && event.to === "active")
              changes.push(`r${index + 1} ${event.reason}`);
          });
        }
        await eventually("the history is read", BOUND_MS, () => changes.length > 0);
        expect(await tookOver(lab, members, second, changes)).toEqual(["r2 bfd-down"]);
        expect((await third.daemon.virtualRouter())?.state).toBe("backup");
        await pause(UNREFUTED_MS);
        await lab.restore(first.router, "both", "silent");
        await ready(members, first);
        const again = changes.length;
        await first.daemon.crash();
        await second.daemon.reach("active", BOUND_MS);
        await pause(300);
        expect(changes.slice(again)).toEqual(["r2 bfd-down"]);
        await ready([second, third], second);
        for (const { daemon } of [second, third]) await daemon.stop();
      });
    },
    120_000,
  );

  netnsTest(
    "without ranks the Backups know whose turn it is, also once another one is the best",
    [],
    async () => {
      await withLab({ routers: 3 }, async (lab) => {
        const members = await start(lab, { interval: "20ms", multiplier: 3, backupAdvertisements: true });
        const [first, second, third] = members as [Member, Member, Member];
        const changes: string[] = [];
        for (const [index, { daemon }] of members.entries()) {
          await daemon.follow((event) => {
            if (event.type === "stateChange" && event.to === "active")
              changes.push(`r${index + 1} ${event.reason}`);
          });
        }
        await eventually("the history is read", BOUND_MS, () => changes.length > 0);
        await turns(members, [null, 1, 2]);
        expect(await tookOver(lab, members, second, changes)).toEqual(["r2 bfd-down"]);
        await pause(UNREFUTED_MS);
        await lab.restore(first.router, "both", "silent");
        await ready(members, first);
        const order = ["priority", "lan0/10", "195", "--socket", third.daemon.socket];
        expect((await firsthop(order, {})).code).toBe(0);
        await turns(members, [null, 2, 1]);
        expect(await tookOver(lab, members, third, changes)).toEqual(["r3 bfd-down"]);
        expect((await second.daemon.virtualRouter())?.state).toBe("backup");
        await pause(UNREFUTED_MS);
        await lab.restore(first.router, "both", "silent");
        for (const { daemon } of members) await daemon.stop();
      });
    },
    120_000,
  );

  netnsTest(
    "multipoint: one stream from the Active, exactly one of two Backups takes over, and leaving is no failure",
    [],
    async () => {
      await withLab({ routers: 3 }, async (lab) => {
        const bfd = { interval: "20ms", multiplier: 3, backupAdvertisements: true, multipoint: true };
        const members = await start(lab, bfd);
        const [first, second, third] = members as [Member, Member, Member];
        await turns(members, [null, 1, 2]);
        const roles = await Promise.all(members.map(sessionsOf));
        expect(roles.map((all) => all.map((one) => one.role))).toEqual([["head"], ["tail"], ["tail"]]);
        const changes: string[] = [];
        for (const [index, { daemon }] of members.entries()) {
          await daemon.follow((event) => {
            if (event.type === "stateChange" && event.to === "active")
              changes.push(`r${index + 1} ${event.reason}`);
          });
        }
        await eventually("the history is read", BOUND_MS, () => changes.length > 0);
        const capture = captureLan(lab, undefined, {
          filter: [{ etherType: ETHERTYPE_IPV4, protocol: UDP_PROTOCOL }],
        });
        await pause(1000);
        await capture.stop();
        const packets = capture.frames().filter((one) => one.port !== "br0" && readBfdFrame(one.octets));
        expect(new Set(packets.map((one) => one.port))).toEqual(new Set(["r1"]));
        expect(packets.length).toBeGreaterThan(30);
        expect(packets.length).toBeLessThan(100);
        expect(await tookOver(lab, members, second, changes)).toEqual(["r2 bfd-down"]);
        await pause(UNREFUTED_MS);
        await lab.restore(first.router, "both", "silent");
        await ready(members, first);
        const again = changes.length;
        await first.daemon.stop();
        await second.daemon.reach("active", BOUND_MS);
        await ready([second, third], second);
        expect(changes.slice(again)).toEqual(["r2 active-released"]);
        for (const { daemon } of [second, third]) await daemon.stop();
      });
    },
    120_000,
  );

  netnsTest(
    "multipoint and backup advertisements over IPv6",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const bfd = { interval: "20ms", multipoint: true, backupAdvertisements: true };
        const [one, two] = lab.routers as [LabRouter, LabRouter];
        const common = { vrid: 10, family: "ipv6", version: 3, intervalMs: 1000, more: { bfd } } as const;
        const first = await startDaemon(lab, one, daemonConfig({ ...common, priority: 200 }));
        const second = await startDaemon(lab, two, daemonConfig({ ...common, priority: 100 }));
        const members = [
          { router: one, daemon: first },
          { router: two, daemon: second },
        ];
        await first.reach("active", BOUND_MS);
        await second.reach("backup", BOUND_MS);
        const up = async (): Promise<boolean> => (await second.status()).bfdSessions[0]?.state === "up";
        await eventually("the head is heard", BOUND_MS, up);
        await turns(members, [null, 1]);
        const heard = async (): Promise<boolean> =>
          ((await first.virtualRouter())?.bfd?.backups.length ?? 0) === 1;
        await eventually("the Backup is heard", BOUND_MS, heard);
        await lab.cut(one, "both", "silent");
        await second.reach("active", BOUND_MS);
        expect((await second.virtualRouter())?.lastChange?.reason).toBe("bfd-down");
        await lab.restore(one, "both", "silent");
        for (const { daemon } of members) await daemon.stop();
      });
    },
    60_000,
  );

  netnsTest(
    "nobody takes over without a reason, and a graceful leave is none for BFD",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        // A machine that runs other tests besides stands still for longer than faster sessions would forgive.
        const members = await start(lab, { interval: "20ms", multiplier: 3 });
        const [first, second] = members as [Member, Member];
        const since = (await second.daemon.virtualRouter())?.lastChange?.at;
        await pause(3000);
        const session = (await sessionsOf(second)).find((one) => one.role === "active");
        console.log(
          `20 ms x 3 for ${((session?.forMs ?? 0) / 1000).toFixed(1)} s: ` +
            `${session?.statistics.packetsRcvd} packets, down ${session?.statistics.sessionDown} times`,
        );
        expect((await second.daemon.virtualRouter())?.lastChange?.at).toBe(since);
        await first.daemon.stop();
        await second.daemon.reach("active", BOUND_MS);
        expect((await second.daemon.virtualRouter())?.lastChange?.reason).toBe("active-released");
        await second.daemon.stop();
      });
    },
    60_000,
  );

  netnsTest(
    "3.3 ms x 3 while every processor is busy: nobody takes over",
    [],
    async () => {
      for (let attempt = 1; ; attempt++) {
        const { takeovers, lateMs } = await busy({ interval: "3300us", multiplier: 3 });
        console.log(`${takeovers.length} take-overs; engines late by ${lateMs.toFixed(1)} ms at most`);
        // An engine that the machine itself kept from running for so long was silent, whatever it wanted.
        const excused = lateMs > FORGIVEN_MS && attempt < ATTEMPTS;
        if (takeovers.length > 0 && excused) continue;
        expect(takeovers).toEqual([]);
        return;
      }
    },
    120_000,
  );
});
