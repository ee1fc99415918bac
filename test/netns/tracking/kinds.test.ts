/** Each kind of tracker in a real daemon on a real kernel: what it sees, in which words, and what it leaves behind. */
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import type { TrackStatus } from "../../../src/engine/status.js";
import { type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import { eventually, type Lab, netnsTest, withLab } from "../testbed/index.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const BOUND_MS = 5_000;

interface Stage {
  readonly lab: Lab;
  readonly daemon: LabDaemon;
  track(name: string): Promise<TrackStatus | undefined>;
  /** Waits until a tracker is so. */
  expectTrack(name: string, state: string, evidence: RegExp): Promise<void>;
  ip(...args: string[]): Promise<string>;
}

async function withTrackers(
  trackers: readonly object[],
  use: (stage: Stage) => Promise<void>,
  router: object = {},
): Promise<void> {
  await withLab({ routers: 1 }, async (lab) => {
    const virtualRouter = {
      interface: "lan0",
      vrid: 10,
      addresses: ["192.0.2.1/24"],
      advertisementInterval: "100ms",
      ...router,
    };
    const config = JSON.stringify({ virtualRouters: [virtualRouter], trackers, log: { format: "json" } });
    const daemon = await startDaemon(lab, lab.routers[0]!, config);
    const track = async (name: string): Promise<TrackStatus | undefined> =>
      (await daemon.status()).tracks.find((one) => one.name === name);
    await use({
      lab,
      daemon,
      track,
      expectTrack: async (name, state, evidence) => {
        let seen: TrackStatus | undefined;
        await eventually(
          `${name} is ${state}`,
          BOUND_MS,
          async () => {
            seen = await track(name);
            return seen?.state === state && evidence.test(seen.evidence);
          },
          () => `it is ${seen?.state}: ${seen?.evidence}`,
        );
      },
      ip: (...args) => lab.routers[0]!.run("ip", ...args),
    });
    await daemon.stop();
  });
}

describe("route", () => {
  const trackers = [
    { name: "any", route: "198.51.100.0/24" },
    { name: "bgp", route: "198.51.100.0/24", protocol: "bgp" },
    { name: "hop", route: "198.51.100.0/24", via: "203.0.113.1", interface: "wan0" },
    { name: "table", route: "198.51.100.0/24", table: 100 },
    { name: "default", route: "0.0.0.0/0" },
    { name: "six", route: "2001:db8:99::/48" },
  ];

  netnsTest(
    "follows prefix, next hop, interface, table and origin",
    [],
    async () => {
      await withTrackers(trackers, async ({ expectTrack, ip }) => {
        await expectTrack("any", "down", /^no route to 198.51.100.0\/24$/);
        await expectTrack("six", "down", /^no route/);
        await ip("route", "add", "198.51.100.0/24", "via", "203.0.113.9");
        await expectTrack("any", "up", /^198.51.100.0\/24 via 203.0.113.9 dev wan0$/);
        await expectTrack("hop", "down", /goes via 203.0.113.9 dev wan0$/);
        await expectTrack("bgp", "down", /of this table and protocol$/);
        await expectTrack("table", "down", /of this table and protocol$/);
        await ip("route", "replace", "198.51.100.0/24", "via", "203.0.113.1", "proto", "bgp");
        await expectTrack("hop", "up", /via 203.0.113.1 dev wan0/);
        await expectTrack("bgp", "up", /via 203.0.113.1/);
        await ip("route", "add", "198.51.100.0/24", "via", "203.0.113.1", "table", "100");
        await expectTrack("table", "up", /via 203.0.113.1/);
        await ip("route", "replace", "blackhole", "198.51.100.0/24");
        await expectTrack("hop", "up", /via 203.0.113.1/); // table 100 still has it
        await ip("route", "del", "198.51.100.0/24", "table", "100");
        await expectTrack("any", "down", /has no next hop that works/);
        await ip("route", "add", "default", "nexthop", "via", "203.0.113.1", "nexthop", "via", "203.0.113.9");
        await expectTrack("default", "up", /^0.0.0.0\/0 via 203.0.113/);
        await ip("route", "del", "default");
        await expectTrack("default", "down", /^no route/);
        await ip("-6", "route", "add", "2001:db8:99::/48", "via", "2001:db8:2::1");
        await expectTrack("six", "up", /via 2001:db8:2::1 dev wan0/);
      });
    },
    60_000,
  );

  netnsTest(
    "sees what the kernel takes away without a word: with a line, a device, a next hop object",
    [],
    async () => {
      await withTrackers(trackers, async ({ lab, expectTrack, ip }) => {
        const r1 = lab.routers[0]!;
        await ip("route", "add", "198.51.100.0/24", "via", "203.0.113.1");
        await ip("-6", "route", "add", "2001:db8:99::/48", "via", "2001:db8:2::1");
        await expectTrack("any", "up", /wan0/);
        await lab.cut(r1, "upstream");
        await expectTrack("any", "down", /no next hop that works/);
        await lab.restore(r1, "upstream");
        await expectTrack("any", "up", /wan0/);
        await expectTrack("six", "up", /wan0/);
        await ip("link", "set", "wan0", "down");
        await expectTrack("any", "down", /no route|no next hop/);
        await expectTrack("six", "down", /no route|no next hop/);
        await ip("link", "set", "wan0", "up");
        // IPv4 routes do not come back by themselves.
        await expectTrack("any", "down", /^no route/);
        await ip("nexthop", "add", "id", "7", "via", "203.0.113.1", "dev", "wan0");
        await ip("route", "add", "198.51.100.0/24", "nhid", "7");
        await expectTrack("any", "up", /via 203.0.113.1 dev wan0/);
        await ip("nexthop", "del", "id", "7");
        await expectTrack("any", "down", /^no route/);
      });
    },
    60_000,
  );

  netnsTest(
    "is not disturbed by thousands of others that come and go",
    [],
    async () => {
      await withTrackers(trackers, async ({ lab, daemon, expectTrack, ip, track }) => {
        await ip("route", "add", "198.51.100.0/24", "via", "203.0.113.1");
        await expectTrack("any", "up", /wan0/);
        const before = await track("any");
        const file = join(lab.directory, "routes");
        const prefixes = Array.from({ length: 20_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`);
        for (const verb of ["add", "del"]) {
          writeFileSync(file, prefixes.map((one) => `route ${verb} ${one} via 203.0.113.1`).join("\n"));
          await ip("-batch", file);
        }
        const after = await track("any");
        expect(after).toMatchObject({ state: "up", since: before?.since });
        await ip("route", "del", "198.51.100.0/24");
        await expectTrack("any", "down", /^no route/);
        expect((await daemon.virtualRouter())?.state).toBe("active");
      });
    },
    60_000,
  );
});

describe("tcp, udp and http", () => {
  const SERVER = `
    const seen = (how, peer) => console.log(how + " " + peer);
    require("net").createServer((s) => { seen("tcp", s.remoteAddress); s.destroy(); }).listen(7001);
    const udp = require("dgram").createSocket("udp4");
    udp.on("message", (m, from) => { seen("udp", from.address); udp.send("pong", from.port, from.address); });
    udp.bind(7002);
    require("http").createServer((q, a) => { seen("http", q.socket.remoteAddress); a.statusCode = q.url === "/ok" ? 204 : 500; a.end(); }).listen(7003);`;

  netnsTest(
    "leave from the interface's own address, while the virtual one is there, and say what they found",
    [],
    async () => {
      const fast = { interval: "100ms", interface: "wan0" };
      const trackers = [
        { name: "tcp", tcp: "203.0.113.1:7001", ...fast },
        { name: "udp", udp: "203.0.113.1:7002", send: "ping", expect: "pong", ...fast },
        { name: "http", http: "http://203.0.113.1:7003/ok", ...fast },
        { name: "ill", http: "http://203.0.113.1:7003/", ...fast },
        { name: "dead", tcp: "203.0.113.1:7999", ...fast },
        { name: "wrong", udp: "203.0.113.1:7002", expect: "something else", ...fast },
      ];
      // The virtual address is one of the uplink's, and stands on the interface itself.
      const router = { interface: "wan0", addresses: ["203.0.113.100/24"], virtualMac: false };
      await withTrackers(
        trackers,
        async ({ lab, daemon, expectTrack }) => {
          const server = lab.upstream.spawn("server", process.execPath, ["-e", SERVER]);
          await daemon.reach("active", BOUND_MS);
          await expectTrack("tcp", "up", /^203.0.113.1 accepts connections to port 7001$/);
          await expectTrack("udp", "up", /^203.0.113.1:7002 answers$/);
          await expectTrack("http", "up", /^203.0.113.1:7003 answers 204$/);
          await expectTrack("ill", "down", /answers 500$/);
          await expectTrack("dead", "down", /refuses the connection/);
          await expectTrack("wrong", "down", /no answer within 100 ms/);
          const peers = server.output().trim().split("\n");
          expect(peers.length).toBeGreaterThan(5);
          expect([...new Set(peers.map((line) => line.replace("::ffff:", "").split(" ")[1]))]).toEqual([
            "203.0.113.2",
          ]);
          server.kill("SIGKILL");
          await expectTrack("tcp", "down", /refuses the connection/);
          await expectTrack("udp", "down", /nobody listens there/);
        },
        router,
      );
    },
    60_000,
  );
});

describe("script", () => {
  netnsTest(
    "that hangs, forks, floods, is not executable or anybody's to change: bounded, told, and nothing left",
    [],
    async () => {
      await withLab({ routers: 1 }, async (lab) => {
        const mark = `fh-script-${process.pid}-${Date.now()}`;
        const write = (name: string, body: string, mode = 0o755): string => {
          const path = join(lab.directory, name);
          writeFileSync(path, `#!/bin/sh\n: ${mark}\n${body}\n`);
          chmodSync(path, mode);
          return path;
        };
        const script = (name: string, body: string, mode?: number): object => ({
          name,
          script: write(name, body, mode),
          arguments: [mark],
          interval: "300ms",
          timeout: "200ms",
        });
        const trackers = [
          script("good", "exit 0"),
          script("hangs", "sleep 100"),
          script("forks", "for i in 1 2 3 4 5; do sh -c 'sleep 100; :' $0 & done; wait"),
          script("background", "sh -c 'sleep 100; :' $0 & exit 0"),
          script("floods", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"),
          script("unexecutable", "exit 0", 0o644),
          script("anybodys", "exit 0", 0o775),
        ];
        const running = (): string[] =>
          readdirSync("/proc").filter((pid) => {
            try {
              return (
                readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(lab.directory) &&
                readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(mark)
              );
            } catch {
              return false;
            }
          });
        const virtualRouter = {
          interface: "lan0",
          vrid: 10,
          addresses: ["192.0.2.1/24"],
          advertisementInterval: "100ms",
        };
        const config = JSON.stringify({ virtualRouters: [virtualRouter], trackers, log: { format: "json" } });
        const daemon = await startDaemon(lab, lab.routers[0]!, config);
        const expected: readonly [name: string, state: string, evidence: RegExp][] = [
          ["good", "up", /^good: exit code 0$/],
          ["hangs", "down", /^hangs: no end within 200 ms, killed$/],
          ["forks", "down", /^forks: no end within 200 ms, killed$/],
          ["background", "up", /^background: exit code 0$/],
          ["floods", "down", /^floods: .*floods its output/],
          ["unexecutable", "down", /not executable/],
          ["anybodys", "down", /may be written by group/],
        ];
        for (const [name, state, evidence] of expected) {
          let seen: TrackStatus | undefined;
          await eventually(
            `${name} is ${state}`,
            BOUND_MS,
            async () => {
              seen = (await daemon.status()).tracks.find((one) => one.name === name);
              return seen?.state === state && evidence.test(seen.evidence);
            },
            () => `it is ${seen?.state}: ${seen?.evidence}`,
          );
        }
        // Each ran several times, and each time alone.
        await eventually("they ran again", BOUND_MS, async () =>
          (await daemon.status()).tracks.every(({ results }) => results.up + results.down > 3),
        );
        expect(running().length).toBeLessThanOrEqual(4 + 5);
        expect((await daemon.virtualRouter())?.state).toBe("active");
        await daemon.stop();
        await eventually("nobody is left after the end", BOUND_MS, () => running().length === 0);
      });
    },
    60_000,
  );
});

describe("process and file", () => {
  netnsTest(
    "are seen by the daemon, and what they do to its priority by commands",
    [],
    async () => {
      const name = `fh-p-${process.pid}`.slice(0, 15);
      await withLab({ routers: 1 }, async (lab) => {
        const r1 = lab.routers[0]!;
        const bias = join(lab.directory, "bias");
        const program = join(lab.directory, name);
        writeFileSync(program, readFileSync("/bin/sleep"), { mode: 0o755 });
        const virtualRouter = {
          interface: "lan0",
          vrid: 10,
          priority: 100,
          addresses: ["192.0.2.1/24"],
          advertisementInterval: "100ms",
          track: ["bias", { tracker: "daemon", weight: -30 }],
        };
        const trackers = [
          { name: "bias", file: bias, interval: "100ms" },
          { name: "daemon", process: name, interval: "100ms" },
        ];
        const daemon = await startDaemon(
          lab,
          r1,
          JSON.stringify({ virtualRouters: [virtualRouter], trackers }),
        );
        const priority = async (wanted: number): Promise<unknown> =>
          eventually(
            `the priority is ${wanted}`,
            BOUND_MS,
            async () => (await daemon.virtualRouter())?.priority === wanted,
          );
        await daemon.reach("active", BOUND_MS);
        await priority(70);
        const child = r1.spawn("program", program, ["100"]);
        await priority(100);
        writeFileSync(bias, "25\n");
        await priority(125);
        const cli = (...args: string[]): Promise<string> =>
          r1.run(process.execPath, MAIN, ...args, "--socket", daemon.socket);
        expect(JSON.parse(await cli("show", "tracks", "--json")).tracks).toMatchObject([
          {
            name: "bias",
            kind: "file",
            state: "up",
            value: 25,
            evidence: `${bias} says: 25`,
            trackedBy: ["lan0/10"],
          },
          { name: "daemon", kind: "process", state: "up", evidence: `${name} runs (process ${child.pid})` },
        ]);
        expect(await cli("show", "tracks")).toMatch(/^bias +up \(25\) +file /m);
        expect(await cli("explain", "lan0/10")).toContain(
          "our priority is 125: 100 configured, +25 by bias (up)",
        );
        expect(await cli("events", "--history", "--no-follow")).toMatch(/daemon {2}down -> up {2}\S+ runs/);
        writeFileSync(bias, "-254\n");
        await daemon.reach("fault", BOUND_MS);
        expect((await daemon.virtualRouter())?.causes).toEqual(["tracking:bias"]);
        child.kill("SIGKILL");
        await daemon.stop();
      });
    },
    60_000,
  );
});
