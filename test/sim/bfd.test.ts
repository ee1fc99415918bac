/** BFD between production routers on a simulated LAN: who takes over, when, and who must not. */
import { describe, expect, it } from "vitest";
import { defineConfig } from "../../src/config/index.js";
import { encodeControlFrame } from "../../src/core/bfd/packet.js";
import {
  type Cable,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
  type Station,
} from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";
import type { BfdSessionStatus, RouterEvent } from "../../src/engine/status.js";

const SECOND = 1_000_000;

interface Member {
  readonly name: string;
  readonly machine: SimulatedMachine;
  readonly mac: string;
  readonly router: Router;
  readonly events: RouterEvent[];
}

interface Stage {
  readonly world: SimulatedWorld;
  readonly segment: SimulatedSegment;
  readonly members: readonly Member[];
  run(us: number): Promise<void>;
  states(): (string | undefined)[];
  /** When each member became Active, after a moment. */
  tookOver(sinceUs: number): { readonly name: string; readonly afterUs: number; readonly reason: string }[];
}

const warningsOf = ({ events }: Member): string[] =>
  events.flatMap((one) => (one.type === "warning" && one.code === "bfd-refuted" ? [one.detail] : []));

/** Routers 1 … n with falling priorities and rising ranks, at an advertisement interval of 1 s. */
async function stage(count: number, bfd: Record<string, unknown> | null, more: object = {}): Promise<Stage> {
  const world = new SimulatedWorld(7);
  const segment = new SimulatedSegment(world);
  const changes: { name: string; atUs: number; to: string; reason: string }[] = [];
  const members: Member[] = [];
  const opened: Promise<void>[] = [];
  for (let index = 0; index < count; index++) {
    const name = `r${index + 1}`;
    const machine = new SimulatedMachine(world, name);
    const { mac } = machine.addInterface("eth0", segment, { addresses: [`192.0.2.${11 + index}/24`] });
    const events: RouterEvent[] = [];
    const config = defineConfig({
      virtualRouters: [
        {
          interface: "eth0",
          vrid: 10,
          priority: 200 - 10 * index,
          addresses: ["192.0.2.1/24"],
          ...(bfd
            ? { bfd: { ...(bfd.backupAdvertisements ? {} : { rank: Math.max(1, index) }), ...bfd } }
            : {}),
          ...more,
        },
      ],
    });
    const opening = Router.open(config, {
      driver: machine.openDriver(),
      onEvent: (event) => {
        events.push(event);
        if (event.type === "stateChange")
          changes.push({ name, atUs: world.nowUs, to: event.to, reason: event.reason });
      },
    });
    opened.push(opening.then((router) => void members.push({ name, machine, mac, router, events })));
  }
  const run = async (us: number): Promise<void> => world.runUntil(world.nowUs + us);
  await run(8 * SECOND);
  await Promise.all(opened);
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    world,
    segment,
    members,
    run,
    states: () => members.map((one) => one.router.status().virtualRouters[0]?.state),
    tookOver: (sinceUs) =>
      changes
        .filter((one) => one.to === "active" && one.atUs >= sinceUs)
        .map((one) => ({ name: one.name, afterUs: one.atUs - sinceUs, reason: one.reason })),
  };
}

const cableOf = (member: Member | undefined): Cable => member?.machine.cable("eth0") as Cable;
const sessionsOf = (member: Member | undefined): readonly BfdSessionStatus[] =>
  member?.router.status().bfdSessions ?? [];

describe("BFD bound to the Active router", () => {
  it("has a session from each Backup to the Active, which answers", async () => {
    const { members } = await stage(3, { interval: "10ms" });
    const brief = members.map((one) =>
      sessionsOf(one).map(({ remoteAddress, state, role, detectionTimeMs }) => ({
        remoteAddress,
        state,
        role,
        detectionTimeMs,
      })),
    );
    const up = { state: "up", detectionTimeMs: 30 } as const;
    expect(brief[0]).toEqual(
      expect.arrayContaining([
        { ...up, remoteAddress: "192.0.2.12", role: "passive" },
        { ...up, remoteAddress: "192.0.2.13", role: "passive" },
      ]),
    );
    expect(brief.slice(1)).toEqual([
      [{ ...up, remoteAddress: "192.0.2.11", role: "active" }],
      [{ ...up, remoteAddress: "192.0.2.11", role: "active" }],
    ]);
  });

  it("goes on in the same session when the Active preempts, and when it hands over", async () => {
    const { members, run, states } = await stage(2, { interval: "20ms" });
    const [r1, r2] = members as [Member, Member];
    await Promise.all([r1.router.operations.drain(["eth0/10"]), run(SECOND)]);
    expect(states()).toEqual(["fault", "active"]);
    r1.router.operations.undrain(["eth0/10"]);
    await run(6 * SECOND);
    expect(sessionsOf(r2).map(({ state }) => state)).toEqual(["up"]);
    let waitedMs = 0;
    for (; states()[0] !== "active" && waitedMs < 10_000; waitedMs++) await run(1_000);
    for (let ms = 0; ms < 5_000; ms += 10) {
      await run(10_000);
      expect([ms, ...sessionsOf(r2).map(({ state }) => state)]).toEqual([ms, "up"]);
    }
    expect(states()).toEqual(["active", "backup"]);
  });

  it("takes over within the detection time, long before advertisements are missed", async () => {
    const { world, members, run, tookOver } = await stage(2, { interval: "1ms" });
    const cutUs = world.nowUs;
    cableOf(members[0]).carrier = false;
    await run(100_000);
    const [first, ...others] = tookOver(cutUs);
    expect(first).toMatchObject({ name: "r2", reason: "bfd-down" });
    expect(first?.afterUs).toBeLessThan(5_000);
    expect(others).toEqual([]);
    const detail = members[1]?.events.find((one) => one.type === "stateChange" && one.to === "active");
    expect(detail).toMatchObject({ detail: expect.stringContaining("BFD heard nothing from 192.0.2.11") });
  });

  it.each(["simple", "keyed-md5", "meticulous-keyed-sha1"])(
    "with authentication (%s) the same; a forged packet counts for nothing",
    async (type) => {
      const authentication = { type, key: "secret" };
      const { world, segment, members, run, tookOver } = await stage(2, { interval: "1ms", authentication });
      const [active, backup] = members as [Member, Member];
      const [session] = sessionsOf(backup);
      expect(session).toMatchObject({ state: "up", authentication: type });
      expect(session?.statistics).toMatchObject({ sessionUp: 1, sessionDown: 0 });
      const forged = encodeControlFrame(
        {
          diagnostic: 0,
          state: "down",
          detectMult: 3,
          myDiscriminator: session?.remoteDiscriminator ?? 0,
          yourDiscriminator: session?.localDiscriminator ?? 0,
          desiredMinTxUs: 1000,
          requiredMinRxUs: 1000,
          requiredMinEchoRxUs: 0,
        },
        {
          source: "192.0.2.11",
          sourcePort: 50_000,
          destination: "192.0.2.12",
          sourceMac: active.mac,
          destinationMac: backup.mac,
        },
      );
      segment.attach(STRANGER).send(forged);
      await run(SECOND);
      expect(sessionsOf(backup)[0]?.statistics.sessionDown).toBe(0);
      expect(backup.router.status().bfdRejected).toEqual({ "auth-missing": 1 });
      const cutUs = world.nowUs;
      cableOf(active).carrier = false;
      await run(100_000);
      expect(tookOver(cutUs)).toMatchObject([{ name: "r2", reason: "bfd-down" }]);
      expect(tookOver(cutUs)[0]?.afterUs).toBeLessThan(5_000);
    },
  );

  it("exactly one of several takes over: the one of rank 1, and the next where that is gone too", async () => {
    const first = await stage(4, { interval: "10ms" });
    const cutUs = first.world.nowUs;
    cableOf(first.members[0]).carrier = false;
    await first.run(SECOND / 2);
    expect(first.tookOver(cutUs)).toMatchObject([{ name: "r2", reason: "bfd-down" }]);

    const both = await stage(4, { interval: "10ms" });
    const lostUs = both.world.nowUs;
    for (const index of [0, 1]) (both.members[index] as Member).machine.powerOff();
    await both.run(SECOND / 2);
    const [next, ...others] = both.tookOver(lostUs);
    expect(next).toMatchObject({ name: "r3", reason: "bfd-down" });
    // One detection time for the Active, one for the Backup that should have followed.
    expect(next?.afterUs).toBeGreaterThan(50_000);
    expect(next?.afterUs).toBeLessThan(65_000);
    expect(others).toEqual([]);
  });

  it("a turn is called off by whoever was faster, also where JavaScript takes longer than the turn", async () => {
    const { world, members, run, tookOver, states } = await stage(3, { interval: "1ms" });
    const third = members[2] as Member;
    third.machine.latencies = { ...third.machine.latencies, reportUs: [10_000, 10_000] };
    const cutUs = world.nowUs;
    cableOf(members[0]).carrier = false;
    await run(SECOND / 2);
    expect(tookOver(cutUs)).toMatchObject([{ name: "r2", reason: "bfd-down" }]);
    expect(states()).toEqual(["fault", "active", "backup"]);
  });

  it("with backup advertisements they find out by themselves whose turn it is", async () => {
    const { world, members, run, tookOver } = await stage(4, {
      interval: "10ms",
      backupAdvertisements: true,
    });
    const turns = () => members.map((one) => one.router.status().virtualRouters[0]?.bfd?.turn?.rank ?? null);
    expect(turns()).toEqual([null, 1, 2, 3]);
    const table = members[3]?.router.status().virtualRouters[0]?.bfd;
    expect(table).toMatchObject({
      rankFrom: "backup-advertisements",
      turn: { rank: 3, afterMs: 60 },
      backups: [
        { address: "192.0.2.12", priority: 190, advertisementIntervalMs: 1000 },
        { address: "192.0.2.13", priority: 180, advertisementIntervalMs: 1000 },
      ],
    });
    // Another priority at run time is another order, known at once.
    (members[3] as Member).router.operations.setPriority("eth0/10", 195);
    await run(SECOND / 100);
    expect(turns()).toEqual([null, 2, 3, 1]);
    const cutUs = world.nowUs;
    cableOf(members[0]).carrier = false;
    await run(SECOND / 2);
    expect(tookOver(cutUs)).toMatchObject([{ name: "r4", reason: "bfd-down" }]);
    expect(tookOver(cutUs)[0]?.afterUs).toBeLessThan(35_000);
    // A Backup that is gone without a word is waited for until it is forgotten, one that leaves no longer.
    await run(5 * SECOND);
    expect(turns().slice(1)).toEqual([1, 2, null]);
    const leaving = (members[1] as Member).router.close();
    await run(SECOND / 100);
    await leaving;
    expect(turns().slice(2)).toEqual([1, null]);
  });

  it("a Backup that vanished is forgotten after three intervals", async () => {
    const { members, run } = await stage(3, { interval: "10ms", backupAdvertisements: true });
    const third = () => members[2]?.router.status().virtualRouters[0]?.bfd;
    expect(third()?.turn?.rank).toBe(2);
    (members[1] as Member).machine.powerOff();
    await run(1.9 * SECOND);
    expect(third()?.turn?.rank).toBe(2);
    await run(1.2 * SECOND);
    expect(third()).toMatchObject({ turn: { rank: 1, afterMs: 0 }, backups: [] });
    const { backupAdvertisementRcvd } = members[2]?.router.status().virtualRouters[0]?.statistics ?? {};
    expect(backupAdvertisementRcvd).toBeGreaterThan(5);
  });

  it("multipoint: one stream serves all Backups, and exactly one takes over", async () => {
    const both = { interval: "10ms", multipoint: true, backupAdvertisements: true };
    const { world, members, run, tookOver, states } = await stage(4, both);
    const brief = () => members.map((one) => sessionsOf(one).map(({ role, state }) => `${role} ${state}`));
    expect(brief()).toEqual([["head up"], ["tail up"], ["tail up"], ["tail up"]]);
    expect(sessionsOf(members[1])[0]).toMatchObject({ remoteAddress: "192.0.2.11", detectionTimeMs: 30 });
    const cutUs = world.nowUs;
    cableOf(members[0]).carrier = false;
    await run(SECOND / 2);
    expect(tookOver(cutUs)).toMatchObject([{ name: "r2", reason: "bfd-down" }]);
    expect(tookOver(cutUs)[0]?.afterUs).toBeLessThan(35_000);
    await run(5 * SECOND);
    expect(brief().slice(1)).toEqual([["head up"], ["tail up"], ["tail up"]]);
    const backUs = world.nowUs;
    cableOf(members[0]).carrier = true;
    await run(10 * SECOND);
    expect(states()).toEqual(["active", "backup", "backup", "backup"]);
    expect(tookOver(backUs).every((one) => one.name === "r1")).toBe(true);
    expect(brief()).toEqual([["head up"], ["tail up"], ["tail up"], ["tail up"]]);
    const leftUs = world.nowUs;
    const closing = (members[0] as Member).router.close();
    await run(2 * SECOND);
    await closing;
    expect(tookOver(leftUs)).toMatchObject([{ name: "r2", reason: "active-released" }]);
  });

  it("multipoint with configured ranks: the others wait their turns", async () => {
    const { world, members, run, tookOver } = await stage(4, { interval: "10ms", multipoint: true });
    const lostUs = world.nowUs;
    for (const index of [0, 1]) (members[index] as Member).machine.powerOff();
    await run(SECOND / 2);
    expect(tookOver(lostUs)).toMatchObject([{ name: "r3", reason: "bfd-down" }]);
    expect(tookOver(lostUs)[0]?.afterUs).toBeGreaterThan(50_000);
  });

  it("follows the role: after a take-over the sessions go to the new Active", async () => {
    const { members, run, states } = await stage(3, { interval: "10ms" });
    cableOf(members[0]).carrier = false;
    await run(5 * SECOND);
    expect(states().slice(1)).toEqual(["active", "backup"]);
    expect(sessionsOf(members[2]).map((one) => [one.remoteAddress, one.state])).toEqual([
      ["192.0.2.12", "up"],
    ]);
    cableOf(members[0]).carrier = true;
    await run(10 * SECOND);
    expect(states()).toEqual(["active", "backup", "backup"]);
    expect(sessionsOf(members[1]).map((one) => [one.remoteAddress, one.state])).toEqual([
      ["192.0.2.11", "up"],
    ]);
  });

  it("AdminDown is no failure: who leaves is followed as the RFC has it", async () => {
    const { world, members, run, tookOver } = await stage(2, { interval: "10ms" });
    const leftUs = world.nowUs;
    const closing = (members[0] as Member).router.close();
    await run(2 * SECOND);
    await closing;
    expect(tookOver(leftUs)).toMatchObject([{ name: "r2", reason: "active-released" }]);
  });

  it("a session that is wrong again and again is not believed for a while", async () => {
    const { members, run, tookOver, world, states } = await stage(2, { interval: "10ms" });
    const [active, backup] = members as [Member, Member];
    const sinceUs = world.nowUs;
    for (let round = 0; round < 5; round++) {
      // The Active stands still, and contradicts as soon as it goes on.
      cableOf(active).clogged = true;
      await run(60_000);
      cableOf(active).clogged = false;
      await run(3.5 * SECOND);
      expect(states()).toEqual(["active", "backup"]);
    }
    expect(tookOver(sinceUs).filter((one) => one.reason === "bfd-down").length).toBeLessThanOrEqual(4);
    const refuted = warningsOf(backup);
    expect(refuted.length).toBeGreaterThan(3);
    expect(refuted[0]).not.toContain("not believed");
    expect(refuted[2]).toContain("not believed for 2 s");
  });

  it("a failure that is short is a failure, however often it comes", async () => {
    const { members, run, tookOver, world, states } = await stage(2, { interval: "10ms" });
    const [active, backup] = members as [Member, Member];
    const sinceUs = world.nowUs;
    for (let round = 0; round < 8; round++) {
      // Half of it at each end of the cable: all.
      cableOf(active).faults = { loss: 2 };
      await run(200_000);
      expect(states()).toEqual(["active", "active"]);
      cableOf(active).faults = {};
      await run(6 * SECOND);
      expect(states()).toEqual(["active", "backup"]);
    }
    expect(tookOver(sinceUs).map((one) => one.reason)).toEqual(Array(8).fill("bfd-down"));
    expect(warningsOf(backup)).toEqual([]);
  });

  it("without BFD in its configuration the Active is not asked for more than it can", async () => {
    const { members, run, states } = await stage(2, null);
    await (members[1] as Member).router.reload(
      defineConfig({
        virtualRouters: [
          {
            interface: "eth0",
            vrid: 10,
            priority: 190,
            addresses: ["192.0.2.1/24"],
            bfd: { interval: "10ms" },
          },
        ],
      }),
    );
    await run(5 * SECOND);
    expect(states()).toEqual(["active", "backup"]);
    expect(sessionsOf(members[1])).toMatchObject([{ state: "down", remoteState: null }]);
  });

  it("is taken up and left by a reload without a change of roles", async () => {
    const { members, run, states, tookOver, world } = await stage(2, null);
    const config = (index: number, bfd: object): ReturnType<typeof defineConfig> =>
      defineConfig({
        virtualRouters: [
          { interface: "eth0", vrid: 10, priority: 200 - 10 * index, addresses: ["192.0.2.1/24"], ...bfd },
        ],
      });
    const sinceUs = world.nowUs;
    for (const bfd of [{ bfd: { interval: "10ms" } }, { bfd: { interval: "20ms" } }, {}]) {
      for (const [index, member] of members.entries()) await member.router.reload(config(index, bfd));
      await run(5 * SECOND);
      const interval = (bfd as { bfd?: { interval: string } }).bfd?.interval;
      const wanted = interval ? [{ state: "up", detectionTimeMs: 3 * Number.parseInt(interval, 10) }] : [];
      expect(sessionsOf(members[0])).toMatchObject(wanted);
      expect(sessionsOf(members[1])).toMatchObject(wanted);
    }
    expect(states()).toEqual(["active", "backup"]);
    expect(tookOver(sinceUs)).toEqual([]);
  });
});

const STRANGER_MAC = "06:00:00:00:00:99";
const STRANGER: Station = { name: "stranger", receive: () => undefined, carrierChanged: () => undefined };

describe("a hostile LAN", () => {
  const forge = (target: Member, source: string, sourceMac: string, more: object = {}): Uint8Array =>
    encodeControlFrame(
      {
        state: "down",
        diagnostic: 0,
        detectMult: 3,
        myDiscriminator: 0x1234,
        yourDiscriminator: 0,
        desiredMinTxUs: SECOND,
        requiredMinRxUs: SECOND,
        requiredMinEchoRxUs: 0,
        ...more,
      },
      { source, sourcePort: 50_000, destination: "192.0.2.11", sourceMac, destinationMac: target.mac },
    );

  it("opens few sessions, keeps none that lead nowhere, and takes no place from a Backup", async () => {
    const { segment, members, run, states } = await stage(2, { interval: "10ms" });
    const [active] = members as [Member, Member];
    const stranger = segment.attach(STRANGER);
    for (let number = 0; number < 100; number++) {
      stranger.send(forge(active, `192.0.2.${100 + number}`, STRANGER_MAC));
      stranger.send(forge(active, `198.51.100.${number}`, STRANGER_MAC));
      await run(20_000);
    }
    const sessions = sessionsOf(active);
    expect(sessions.length).toBeLessThanOrEqual(16);
    expect(sessions.some((one) => one.remoteAddress.startsWith("198."))).toBe(false);
    expect(sessions).toContainEqual(expect.objectContaining({ remoteAddress: "192.0.2.12", state: "up" }));
    await run(70 * SECOND);
    expect(sessionsOf(active).map((one) => one.remoteAddress)).toEqual(["192.0.2.12"]);
    expect(states()).toEqual(["active", "backup"]);
  });

  it("cannot make a Backup take over by saying Down in the Active's name", async () => {
    const { segment, members, run, states, tookOver, world } = await stage(2, { interval: "10ms" });
    const [, backup] = members as [Member, Member];
    const stranger = segment.attach(STRANGER);
    const sinceUs = world.nowUs;
    const said = encodeControlFrame(
      {
        state: "down",
        diagnostic: 1,
        detectMult: 3,
        myDiscriminator: 0x1234,
        yourDiscriminator: 0,
        desiredMinTxUs: SECOND,
        requiredMinRxUs: SECOND,
        requiredMinEchoRxUs: 0,
      },
      {
        source: "192.0.2.11",
        sourcePort: 50_000,
        destination: "192.0.2.12",
        sourceMac: STRANGER_MAC,
        destinationMac: backup.mac,
      },
    );
    stranger.send(said);
    await run(10 * SECOND);
    expect(tookOver(sinceUs)).toEqual([]);
    expect(states()).toEqual(["active", "backup"]);
    expect(sessionsOf(backup)).toMatchObject([{ state: "up" }]);
  });
});
