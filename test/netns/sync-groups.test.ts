/** A sync group of 50 virtual routers on a real kernel: it moves as one, and each change is told once and in order. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { RouterEvent } from "../../src/engine/status.js";
import { startDaemon } from "../../src/lab/daemon.js";
import { eventually, type Lab, netnsTest, withLab } from "./testbed/index.js";

const MEMBERS = 50;
const BOUND_MS = 30_000;

function config(priority: number, command: string, preempt = true): string {
  const notify = { command };
  const virtualRouters = Array.from({ length: MEMBERS }, (_, index) => ({
    interface: "lan0",
    vrid: index + 1,
    priority,
    preempt,
    addresses: [`192.0.2.${150 + index}/24`],
    advertisementInterval: "1s",
    syncGroup: "edge",
    notify,
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

describe("a sync group of 50", () => {
  netnsTest(
    "moves as one when the Active is killed, and notify tells each change once, in order, across a reload",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = [recorder(lab, "r1"), recorder(lab, "r2")];
        const one = await startDaemon(lab, lab.routers[0]!, config(150, first.command));
        await one.reach("active", BOUND_MS);
        const two = await startDaemon(lab, lab.routers[1]!, config(100, second.command));
        const events: RouterEvent[] = [];
        await two.follow((event) => events.push(event));
        const all = async (state: string): Promise<boolean> =>
          (await two.status()).virtualRouters.every((router) => router.state === state);
        await eventually("r2 is Backup", BOUND_MS, () => all("backup"));
        await one.crash();
        await eventually("r2 is Active", BOUND_MS, () => all("active"));
        const moved = events.filter((event) => event.type === "stateChange" && event.to === "active");
        expect(moved).toHaveLength(MEMBERS);
        const times = moved.map((event) => Date.parse(event.at));
        console.info(`50 members moved within ${Math.max(...times) - Math.min(...times)} ms`);
        // By themselves: each timer counts from its own Active's last advertisement, up to an interval apart.
        expect(Math.max(...times) - Math.min(...times)).toBeLessThan(500);
        writeFileSync(join(lab.directory, "r2-firsthop.yaml"), config(120, second.command));
        two.process.kill("SIGHUP");
        await eventually("r2 reloaded", BOUND_MS, () => events.some((event) => event.type === "reload"));
        await two.stop();
        const told = second.told();
        const expected = events.flatMap((event) => {
          if (event.type !== "stateChange" && event.type !== "groupChange") return [];
          const type = event.type === "groupChange" ? "GROUP" : "INSTANCE";
          const word = { active: "MASTER", backup: "BACKUP", fault: "FAULT", initialize: "STOP" }[event.to];
          return [`${type} ${event.name} ${word} ${event.sequence}`];
        });
        // What the daemon said after its socket closed is only in the file.
        expect(expected.filter((line) => !told.includes(line))).toEqual([]);
        expect(new Set(told).size).toBe(told.length);
        const by = new Map<string, number[]>();
        for (const line of told) {
          const [type, name, , sequence] = line.split(" ");
          by.set(`${type} ${name}`, [...(by.get(`${type} ${name}`) ?? []), Number(sequence)]);
        }
        expect(by.size).toBe(MEMBERS + 1);
        for (const sequences of by.values()) expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
        expect(events.map((event) => event.sequence)).toEqual(
          Array.from({ length: events.length }, (_, index) => events[0]!.sequence + index),
        );
      });
    },
    120_000,
  );
});
