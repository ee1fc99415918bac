/** A sync group of 50 virtual routers on a real kernel: it moves as one, and each change is told once and in order. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { RouterEvent } from "../../src/engine/status.js";
import { type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { captureLan, eventually, type Lab, netnsTest, readAdverts, withLab } from "./testbed/index.js";

const MEMBERS = 50;
/** Of them, those that a reload makes anew. */
const RESTARTED = 5;
const BOUND_MS = 30_000;

interface Settings {
  readonly priority: number;
  readonly command: string;
  readonly interval?: string;
  readonly members?: number;
  /** Another value restarts the first members. */
  readonly restarted?: boolean;
  readonly track?: readonly object[];
}

function config(settings: Settings): string {
  const { priority, command, interval = "1s", members = MEMBERS, restarted = false, track = [] } = settings;
  const notify = { command };
  const virtualRouters = Array.from({ length: members }, (_, index) => ({
    interface: "lan0",
    vrid: index + 1,
    priority,
    addresses: [`192.0.2.${150 + index}/24`],
    advertisementInterval: interval,
    syncGroup: "edge",
    notify,
    track,
    virtualMac: !(restarted && index < RESTARTED),
  }));
  const syncGroups = [{ name: "edge", notify }];
  return `${JSON.stringify({ virtualRouters, syncGroups, log: { format: "json" } })}\n`;
}

/** A command that writes its arguments and the event's number into a file of each one told about. */
function recorder(lab: Lab, router: string): { command: string; told(): string[] } {
  const command = join(lab.directory, `${router}-notify`);
  const file = join(lab.directory, `${router}-told`);
  appendFileSync(file, "");
  writeFileSync(
    command,
    `#!/bin/sh\nread -r change\nnumber=\${change#*\\"sequence\\":}\necho "$1 $2 $3 \${number%%,*}" >> ${file}\n`,
    { mode: 0o755 },
  );
  return {
    command,
    told: () => (existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : []),
  };
}

const WORD = { active: "MASTER", backup: "BACKUP", fault: "FAULT", initialize: "STOP" } as const;

/** Every change that was seen was told, once, in the order of each one told about; what was told beside it came later. */
function checkTold(events: readonly RouterEvent[], told: readonly string[]): void {
  const last = events.at(-1)?.sequence ?? 0;
  expect(events.map((event) => event.sequence)).toEqual(
    Array.from({ length: events.length }, (_, index) => last - events.length + 1 + index),
  );
  const lines = new Map<string, string[]>();
  for (const line of told) {
    const [type, name, word, sequence] = line.split(" ");
    // What the daemon said after its socket closed is only in the file.
    if (Number(sequence) > last) continue;
    lines.set(`${type} ${name}`, [...(lines.get(`${type} ${name}`) ?? []), `${word} ${sequence}`]);
  }
  const changes = new Map<string, string[]>();
  const standings = new Map<string, string>();
  for (const event of events) {
    if (event.type !== "stateChange" && event.type !== "groupChange") continue;
    const who = `${event.type === "groupChange" ? "GROUP" : "INSTANCE"} ${event.name}`;
    changes.set(who, [...(changes.get(who) ?? []), `${WORD[event.to]} ${event.sequence}`]);
    expect([who, event.sequence, event.from]).toEqual([
      who,
      event.sequence,
      standings.get(who) ?? event.from,
    ]);
    standings.set(who, event.to);
  }
  for (const [who, wanted] of changes) expect([who, ...(lines.get(who) ?? [])]).toEqual([who, ...wanted]);
  expect([...lines.keys()].filter((who) => !changes.has(who))).toEqual([]);
  expect(new Set(told).size).toBe(told.length);
}

interface Member {
  readonly daemon: LabDaemon;
  readonly events: RouterEvent[];
  /** Reads another configuration from now on. */
  reload(settings: Partial<Settings>): void;
  /** Waits until all members and the group are in this state. */
  all(state: string, members?: number): Promise<void>;
}

async function startMember(lab: Lab, index: number, settings: Settings): Promise<Member> {
  const router = lab.routers[index]!;
  const daemon = await startDaemon(lab, router, config(settings));
  const events: RouterEvent[] = [];
  await daemon.follow((event) => events.push(event));
  return {
    daemon,
    events,
    reload: (change) => {
      writeFileSync(join(lab.directory, `${router.name}-firsthop.yaml`), config({ ...settings, ...change }));
      daemon.process.kill("SIGHUP");
    },
    all: async (state, members = MEMBERS) => {
      let seen = "";
      await eventually(
        `${members} of ${router.name} are ${state}`,
        BOUND_MS,
        async () => {
          const { virtualRouters, syncGroups } = await daemon.status();
          const states = [...virtualRouters, ...syncGroups].map((one) => one.state);
          seen = states.join(" ");
          return states.length === members + 1 && states.every((one) => one === state);
        },
        () => seen,
      );
    },
  };
}

const changesTo = (events: readonly RouterEvent[], state: string) =>
  events.filter((event) => event.type === "stateChange" && event.to === state);

describe("a sync group of 50", () => {
  netnsTest(
    "moves as one when the Active is killed, and notify tells each change once, in order, across a reload",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = [recorder(lab, "r1"), recorder(lab, "r2")];
        const one = await startMember(lab, 0, { priority: 150, command: first.command });
        await one.all("active");
        const two = await startMember(lab, 1, { priority: 100, command: second.command });
        await two.all("backup");
        const capture = captureLan(lab, "r2");
        await one.daemon.crash();
        await two.all("active");
        expect(changesTo(two.events, "active")).toHaveLength(MEMBERS);
        await capture.stop();
        const claims = new Map<number, number>();
        for (const { vrid, atUs } of readAdverts(capture.frames()))
          if (!claims.has(vrid)) claims.set(vrid, atUs);
        expect(claims.size).toBe(MEMBERS);
        const spreadMs = (Math.max(...claims.values()) - Math.min(...claims.values())) / 1000;
        console.info(`50 members moved within ${spreadMs.toFixed(1)} ms`);
        // By themselves: each timer counts from its own Active's last advertisement, up to an interval apart.
        expect(spreadMs).toBeLessThan(1000);
        two.reload({ priority: 120 });
        await eventually("r2 reloaded", BOUND_MS, () => two.events.some((event) => event.type === "reload"));
        await two.daemon.stop();
        checkTold(two.events, second.told());
      });
    },
    120_000,
  );

  netnsTest(
    "moves there and back while both routers read other configurations, and each change is told once, in order",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const records = [recorder(lab, "r1"), recorder(lab, "r2")];
        const common = { interval: "200ms", track: [{ interface: "wan0" }] };
        const one = await startMember(lab, 0, { ...common, priority: 150, command: records[0]!.command });
        await one.all("active");
        const two = await startMember(lab, 1, { ...common, priority: 100, command: records[1]!.command });
        await two.all("backup");
        // Reloads of both at the first news of each move: priorities, members that restart, members that come and go.
        const rounds: readonly { state: "down" | "up"; change: Partial<Settings> }[] = [
          { state: "down", change: { priority: 90 } },
          { state: "up", change: { priority: 140 } },
          { state: "down", change: { restarted: true } },
          { state: "up", change: { restarted: false } },
          { state: "down", change: { members: MEMBERS - 10 } },
          { state: "up", change: {} },
        ];
        for (const { state, change } of rounds) {
          const [seenOne, seenTwo] = [one.events.length, two.events.length];
          await lab.routers[0]!.run("ip", "link", "set", "wan0", state);
          const began = (events: RouterEvent[], from: number): boolean =>
            events.slice(from).some((event) => event.type === "stateChange");
          await eventually("the move begins", BOUND_MS, () => began(one.events, seenOne));
          // The better router stays the better one.
          one.reload({ ...change, priority: 150 + (change.priority ?? 0) / 2 });
          await eventually("the other one follows", BOUND_MS, () => began(two.events, seenTwo));
          two.reload(change);
          const members = change.members ?? MEMBERS;
          await one.all(state === "up" ? "active" : "fault", members);
          await two.all(state === "up" ? "backup" : "active", members);
          const reloaded = (events: RouterEvent[], from: number): boolean =>
            events.slice(from).some((event) => event.type === "reload");
          await eventually("both have reloaded", BOUND_MS, () =>
            [reloaded(one.events, seenOne), reloaded(two.events, seenTwo)].every(Boolean),
          );
        }
        for (const each of [one, two]) await each.daemon.stop();
        checkTold(one.events, records[0]!.told());
        checkTold(two.events, records[1]!.told());
        // Each move of each member at least.
        for (const each of [one, two])
          expect(changesTo(each.events, "active").length).toBeGreaterThanOrEqual(3 * (MEMBERS - 10));
      });
    },
    180_000,
  );
});
