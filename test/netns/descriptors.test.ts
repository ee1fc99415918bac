/** A daemon that has run out of file descriptors keeps its role, takes over, says so now and then, and recovers. */
import { readdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { type ControlClient, connectControl } from "../../src/control/client.js";
import type { RouterStatus } from "../../src/engine/status.js";
import { type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import {
  DEVICE_OF_VRID_10,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  withLab,
} from "./testbed/index.js";

const SERVER = `
  require("net").createServer((socket) => socket.destroy()).listen(7001);
  const udp = require("dgram").createSocket("udp4");
  udp.on("message", (message, from) => udp.send("pong", from.port, from.address));
  udp.bind(7002);
  require("http").createServer((request, answer) => answer.end()).listen(7003);`;

function config(lab: Lab, priority: number, more: object): string {
  const script = join(lab.directory, "up.sh");
  writeFileSync(script, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  const file = join(lab.directory, "number");
  writeFileSync(file, "0\n");
  const wan = { interface: "wan0", interval: "100ms" };
  const pid = join(lab.directory, "pid");
  writeFileSync(pid, `${process.pid}\n`);
  const trackers = [
    { name: "script", script, interval: "300ms" },
    { name: "process", process: "node", interval: "100ms" },
    { name: "pid", process: pid, interval: "100ms" },
    { name: "file", file, interval: "100ms" },
    { name: "tcp", tcp: "203.0.113.1:7001", ...wan },
    { name: "udp", udp: "203.0.113.1:7002", send: "ping", ...wan },
    { name: "http", http: "http://203.0.113.1:7003/", ...wan },
    { name: "icmp", icmp: "203.0.113.1", ...wan },
    { name: "arp", arp: "203.0.113.1", ...wan },
  ];
  const virtualRouter = {
    interface: "lan0",
    vrid: 10,
    addresses: ["192.0.2.1/24"],
    priority,
    advertisementInterval: "100ms",
    track: trackers.map(({ name }) => name),
  };
  return JSON.stringify({ virtualRouters: [virtualRouter], trackers, log: { format: "json" }, ...more });
}

/** Leaves two descriptors. @returns gives all back */
async function starve(router: LabRouter, { process: { pid } }: LabDaemon): Promise<() => Promise<unknown>> {
  const open = new Set(readdirSync(`/proc/${pid}/fd`));
  let free = 0;
  while (open.has(String(free))) free++;
  const limit = (soft: number): Promise<string> =>
    router.run("prlimit", "--pid", String(pid), `--nofile=${soft}:`);
  await limit(free + 2);
  return () => limit(1024);
}

/** Takes connections until there are no more. @returns ends them */
async function takeConnections(path: string): Promise<() => void> {
  const taken: Socket[] = [];
  for (let refused = 0; refused < 10; ) {
    const socket = connect(path);
    const answered = await new Promise<boolean>((resolve) => {
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(false));
      socket.on("data", () => resolve(true));
      socket.write('{"id":1,"method":"hello"}\n');
    });
    if (answered) taken.push(socket);
    else refused++;
    expect(taken.length).toBeLessThan(64);
  }
  return () => {
    for (const socket of taken) socket.destroy();
  };
}

/** By a connection that was there before: there may be no other. */
async function look(client: ControlClient): Promise<RouterStatus> {
  return (await client.request("status")) as RouterStatus;
}

const state = async (client: ControlClient): Promise<string | undefined> =>
  (await look(client)).virtualRouters[0]?.state;

describe.each([
  ["with the filter", {}],
  ["without the filter", { ownership: "off" }],
])("%s", (_, more) => {
  netnsTest(
    "no descriptors are left: the role stays, and moves where it must",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers as [LabRouter, LabRouter];
        lab.upstream.spawn("server", process.execPath, ["-e", SERVER]);
        const active = await startDaemon(lab, first, config(lab, 150, more));
        const backup = await startDaemon(lab, second, config(lab, 100, more));
        await active.reach("active", 15_000);
        await backup.reach("backup", 15_000);
        const clients = [await connectControl(active.socket), await connectControl(backup.socket)] as const;
        const before = await look(clients[0]);
        const feed = [await starve(first, active), await starve(second, backup)];
        const leave = [await takeConnections(active.socket), await takeConnections(backup.socket)];
        for (const daemon of [active, backup])
          await eventually("it says so", 10_000, () => daemon.process.output().includes("EMFILE"));
        const sentBefore = before.virtualRouters[0]?.statistics.advertisementSent ?? 0;
        await eventually(
          "it advertised on",
          5_000,
          async () =>
            ((await look(clients[0])).virtualRouters[0]?.statistics.advertisementSent ?? 0) > sentBefore + 20,
        );
        const now = await look(clients[0]);
        expect(now.virtualRouters[0]?.lastChange).toEqual(before.virtualRouters[0]?.lastChange);
        expect(now.tracks.map((one) => [one.name, one.state])).toEqual(
          now.tracks.map((one) => [one.name, "up"]),
        );

        await first.run("ip", "link", "set", "lan0", "down");
        await eventually("the other takes over", 5_000, async () => (await state(clients[1])) === "active");
        const host = await lab.hosts[0]?.run("ping", "-c1", "-W2", "192.0.2.1");
        expect(host).toContain(" 0% packet loss");
        await first.run("ip", "link", "set", "lan0", "up");
        await eventually("and back", 10_000, async () => (await state(clients[0])) === "active");
        await eventually("and Backup", 10_000, async () => (await state(clients[1])) === "backup");

        for (const daemon of [active, backup]) {
          const lines = daemon.process.output().split("\n");
          expect(
            lines.filter((line) => line.includes("EMFILE")).length,
            daemon.process.output(),
          ).toBeLessThan(20);
        }
        for (const one of [...feed, ...leave]) await one();
        const results = (await look(clients[0])).tracks.map((one) => one.results.up);
        await eventually("checks go on", 5_000, async () =>
          (await look(clients[0])).tracks.every((one, at) => one.results.up > (results[at] ?? 0)),
        );
        for (const client of clients) client.close();
        await active.reach("active", 5_000);
        await active.stop();
        await backup.stop();
        expect(await first.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
        expect(await second.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
      }),
    40_000,
  );
});

netnsTest(
  "an interface that comes while no descriptors are left waits for them, and nothing else does",
  [],
  () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const virtualRouters = [
        { interface: "lan0", vrid: 10, addresses: ["192.0.2.1/24"], advertisementInterval: "100ms" },
        { interface: "late0", vrid: 20, addresses: ["198.51.100.1/24"], advertisementInterval: "100ms" },
      ];
      const daemon = await startDaemon(lab, router, JSON.stringify({ virtualRouters }));
      await daemon.reach("active", 15_000);
      const client = await connectControl(daemon.socket);
      const late = async () => (await look(client)).virtualRouters.find((one) => one.name === "late0/20");
      expect(await late()).toMatchObject({ state: "fault", causes: ["interface-missing"] });
      const feed = await starve(router, daemon);
      const leave = await takeConnections(daemon.socket);
      await router.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1");
      await router.run("ip", "address", "add", "198.51.100.2/24", "dev", "late0");
      for (const end of ["late0", "late1"]) await router.run("ip", "link", "set", end, "up");
      await eventually("it is refused", 5_000, async () => {
        const { causes } = (await late()) ?? { causes: [] };
        return causes.length === 1 && causes[0] === "kernel-refused";
      });
      await eventually("it says so", 5_000, () => daemon.process.output().includes("late0: could not open"));
      expect((await look(client)).virtualRouters[0]?.state).toBe("active");
      await feed();
      leave();
      await eventually("it takes part", 10_000, async () => (await late())?.state === "active");
      const told = daemon.process
        .output()
        .split("\n")
        .filter((line) => line.includes("could not open a socket"));
      expect(told).toHaveLength(1);
      client.close();
      await daemon.stop();
    }),
  40_000,
);
