/** The prober on a real kernel: who answers is up, who does not is down, and nobody else is taken for either. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ipToBytes, macToBytes } from "../../src/core/address.js";
import { ipBatch } from "../../src/lab/namespaces.js";
import { type Lab, openLab } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";
import type {
  NativeProber,
  NeighbourSighting,
  ProbeReport,
  ProbeTargetOptions,
} from "../../src/native/prober.js";
import { loadNative } from "../../src/native.js";
import { netnsTest, whyNoNamespaces } from "../netns/testbed/index.js";

const possible = whyNoNamespaces() === null;
const HOST = "192.0.2.100";
const ROUTER = "192.0.2.2";

const TARGET: ProbeTargetOptions = {
  kind: "icmp",
  interface: "lan0",
  address: HOST,
  source: ROUTER,
  intervalUs: 20_000,
  timeoutUs: 20_000,
  fall: 2,
  rise: 2,
};

/** Who has 192.0.2.199, asked by broadcast. */
function arpRequest(sender: string, mac: string): Uint8Array {
  const octets = macToBytes(mac);
  const request = new Uint8Array(60);
  request.set([255, 255, 255, 255, 255, 255, ...octets, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...octets]);
  request.set([...ipToBytes(sender), 0, 0, 0, 0, 0, 0, 192, 0, 2, 199], 28);
  return request;
}

describe.skipIf(process.platform !== "linux")("options", () => {
  const { NativeProber } = loadNative();
  const prober = new NativeProber(
    () => {},
    () => {},
  );
  afterAll(() => prober.close());

  it("are checked before anything is probed", () => {
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ kind: "tcp" }, /kind must be/],
      [{ kind: "arp", interface: null }, /interface is needed for arp/],
      [{ kind: "arp", address: "fe80::1" }, /address must be IPv4 for arp/],
      [{ kind: "nd" }, /address must be IPv6 for nd/],
      [{ interface: "a-name-that-is-too-long" }, /at most 15/],
      [{ interface: "a\0b" }, /must be a name/],
      [{ address: "host" }, /address must be an IPv4 or IPv6/],
      [{ source: "fe80::1" }, /source must be an address of the same family/],
      [{ intervalUs: 999 }, /intervalUs/],
      [{ intervalUs: 20_000.5 }, /intervalUs/],
      [{ timeoutUs: 20_001 }, /timeoutUs must be a whole number from 1000 to intervalUs/],
      [{ fall: 0 }, /fall/],
      [{ rise: Number.NaN }, /rise/],
      [{ verdict: "perhaps" }, /verdict must be/],
    ];
    for (const [wrong, message] of cases) {
      expect(() => prober.add({ ...TARGET, ...wrong } as ProbeTargetOptions)).toThrow(message);
    }
    expect(() => prober.add(undefined as never)).toThrow(/options must be an object/);
    expect(() => new NativeProber(() => {}, undefined as never)).toThrow(/takes two functions/);
    expect(
      () =>
        new NativeProber(
          () => {},
          () => {},
          "/run/netns/fh-none",
        ),
    ).toThrow(/the prober can't start/);
    expect(prober.remove(77)).toBe(false);
    expect(prober.counters(77)).toBeNull();
  });
});

describe.skipIf(!possible)("prober", () => {
  const native = loadNative();
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab({ routers: 1 });
  });
  afterAll(() => lab.close());

  const router = () => lab.routers[0]!;
  const host = () => lab.hosts[0]!;

  interface Probing {
    readonly prober: NativeProber;
    readonly reports: ProbeReport[];
    readonly sightings: NeighbourSighting[];
    last(target: number): ProbeReport | undefined;
    until(target: number, fits: Partial<ProbeReport>, boundMs?: number): Promise<ProbeReport>;
  }

  async function probing(use: (probing: Probing) => Promise<void>): Promise<void> {
    const reports: ProbeReport[] = [];
    const sightings: NeighbourSighting[] = [];
    const prober = new native.NativeProber(
      (more) => void reports.push(...more),
      (more) => void sightings.push(...more),
      router().path,
    );
    const last = (target: number) => reports.findLast((one) => one.target === target);
    const until = (target: number, fits: Partial<ProbeReport>, boundMs = 5000) =>
      eventually(
        `target ${target} is ${JSON.stringify(fits)}`,
        boundMs,
        () => {
          const found = last(target);
          return found && Object.entries(fits).every(([key, value]) => found[key as "target"] === value)
            ? found
            : null;
        },
        () => JSON.stringify([last(target), prober.counters(target)]),
      );
    try {
      await use({ prober, reports, sightings, last, until });
    } finally {
      prober.close();
    }
  }

  netnsTest("what is known already takes fall or rise to be turned", [], async () => {
    await probing(async ({ prober, until, reports }) => {
      const more = { fall: 4, rise: 3 };
      const silent = prober.add({ ...TARGET, ...more, address: "192.0.2.201", verdict: "up" });
      const answers = prober.add({ ...TARGET, ...more, verdict: "down" });
      expect(await until(silent, { verdict: "down" })).toMatchObject({ streak: 4, crossings: 1 });
      expect(await until(answers, { verdict: "up" })).toMatchObject({ streak: 3, crossings: 1 });
      const firsts = [silent, answers].map((target) => reports.find((one) => one.target === target));
      expect(firsts).toMatchObject([
        { verdict: "up", outcome: "timeout", streak: 1, crossings: 0 },
        { verdict: "down", outcome: "answered", streak: 1, crossings: 0 },
      ]);
    });
  });

  netnsTest("tells who answers, by every kind of probe", [], async () => {
    const linkLocal = /inet6 (fe80[^/]*)/.exec(await host().run("ip", "-6", "addr", "show", "eth0"))![1]!;
    await probing(async ({ prober, until, reports }) => {
      const cases: readonly Partial<ProbeTargetOptions>[] = [
        { kind: "icmp", address: HOST },
        { kind: "icmp", address: HOST, interface: null, source: null },
        { kind: "icmp", address: "203.0.113.1", interface: "wan0", source: "203.0.113.2" },
        { kind: "icmp", address: "2001:db8:1::100", interface: null, source: null },
        { kind: "icmp", address: "2001:db8:1::100", source: router().addresses.ipv6 },
        { kind: "icmp", address: linkLocal, source: router().linkLocal },
        { kind: "icmp", address: "203.0.113.1", interface: null },
        { kind: "arp", address: HOST, source: ROUTER },
        { kind: "nd", address: "2001:db8:1::100", source: router().addresses.ipv6 },
        { kind: "nd", address: linkLocal, source: router().linkLocal },
      ];
      const targets = cases.map((one) => prober.add({ ...TARGET, ...one }));
      for (const target of targets) {
        const report = await until(target, { verdict: "up" });
        expect(report).toMatchObject({ outcome: "answered", errno: null, crossings: 1, streak: 1 });
        expect(report.roundTripUs).toBeLessThan(20_000);
      }
      const heard = (): boolean => targets.every((one) => prober.counters(one)!.answered >= 5);
      await eventually("each answered five times", 5000, heard);
      // Nothing changed since, so nothing was said.
      expect(reports).toHaveLength(targets.length);
      expect(prober.counters(targets[7]!)!.mac).toBe("02:00:00:01:01:01");
      expect(prober.counters(targets[8]!)!.mac).toBe("02:00:00:01:01:01");
      expect(prober.counters(targets[0]!)).toMatchObject({ timeouts: 0, errors: 0, late: 0, mac: null });
    });
  });

  netnsTest("says why a probe can't be sent", [], async () => {
    await probing(async ({ prober, until }) => {
      const cases: readonly (readonly [Partial<ProbeTargetOptions>, string])[] = [
        [{ interface: "none0" }, "ENODEV"],
        [{ address: "198.51.100.1", interface: null, source: null }, "ENETUNREACH"],
        [{ source: null }, "EADDRNOTAVAIL"],
        [{ source: "192.0.2.77" }, "EADDRNOTAVAIL"],
        [{ address: "2001:db8:1::100", source: "2001:db8:1::77" }, "EADDRNOTAVAIL"],
        [{ kind: "arp", source: null }, "EADDRNOTAVAIL"],
      ];
      for (const [one, errno] of cases) {
        const target = prober.add({ ...TARGET, ...one });
        expect(await until(target, { outcome: "error" })).toMatchObject({ errno, verdict: "down" });
      }
      const target = prober.add({ ...TARGET, kind: "arp", source: null });
      await until(target, { outcome: "error" });
      prober.changeSource(target, ROUTER);
      expect(await until(target, { verdict: "up" })).toMatchObject({ outcome: "answered", streak: 2 });
    });
  });

  netnsTest("counts to fall and to rise", [], async () => {
    await probing(async ({ prober, until, reports }) => {
      const target = prober.add({ ...TARGET, address: "192.0.2.150", fall: 5, rise: 4 });
      const place = ["192.0.2.150/24", "dev", "eth0"] as const;
      expect(await until(target, { verdict: "down" })).toMatchObject({ outcome: "timeout", streak: 1 });
      await host().run("ip", "addr", "add", ...place);
      expect(await until(target, { verdict: "up" })).toMatchObject({ streak: 4, crossings: 2 });
      await host().run("ip", "addr", "del", ...place);
      expect(await until(target, { verdict: "down" })).toMatchObject({ streak: 5, crossings: 3 });
      // First timeout, first answer, fourth answer, first timeout, fifth timeout.
      expect(reports.map((one) => [one.outcome, one.verdict, one.streak])).toEqual([
        ["timeout", "down", 1],
        ["answered", "down", 1],
        ["answered", "up", 4],
        ["timeout", "up", 1],
        ["timeout", "down", 5],
      ]);
      const [, , , first, fifth] = reports as [
        ProbeReport,
        ProbeReport,
        ProbeReport,
        ProbeReport,
        ProbeReport,
      ];
      expect(fifth.atUs - first.atUs).toBeGreaterThan(79_000);
    });
  });

  netnsTest("follows an interface down and up, away and back, and under another name", [], async () => {
    await host().run("ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1");
    const dress = async (): Promise<void> => {
      await host().run("ip", "link", "set", "p1", "netns", router().namespace);
      await ipBatch(["addr add 10.7.0.1/24 dev p0", "link set p0 up"], host().namespace);
      await ipBatch(["addr add 10.7.0.2/24 dev p1", "link set p1 up"], router().namespace);
    };
    await dress();
    const set = (...words: string[]) => router().run("ip", "link", "set", ...words);
    await probing(async ({ prober, until }) => {
      const p1 = { ...TARGET, interface: "p1", address: "10.7.0.1", source: "10.7.0.2" };
      const targets = [prober.add(p1), prober.add({ ...p1, kind: "arp" })];
      const all = async (fits: Partial<ProbeReport>): Promise<void> => {
        for (const target of targets) await until(target, fits);
      };
      await all({ verdict: "up" });
      await set("p1", "down");
      await all({ verdict: "down", errno: "ENETDOWN" });
      await set("p1", "up");
      await all({ verdict: "up" });
      await set("p1", "down");
      await set("p1", "name", "q1");
      await set("q1", "up");
      await all({ verdict: "down", errno: "ENODEV" });
      await set("q1", "down");
      await set("q1", "name", "p1");
      await set("p1", "up");
      await all({ verdict: "up" });
      await set("p1", "address", "02:00:00:00:77:01");
      await router().run("ip", "link", "del", "p1");
      await all({ verdict: "down", errno: "ENODEV" });
      await host().run("ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1");
      await dress();
      await all({ verdict: "up" });
      prober.refresh();
    });
    await router().run("ip", "link", "del", "p1");
  });

  netnsTest("takes no old, cut or forged answer for one", [], async () => {
    const address = "192.0.2.151";
    await host().run("ip", "addr", "add", `${address}/24`, "dev", "eth0");
    await probing(async ({ prober, until }) => {
      const place = { namespace: host().path, interface: "eth0" };
      const capture = new native.FrameCapture({
        ...place,
        filter: [{ etherType: 0x0800, protocol: 1 }],
        outgoing: true,
        capacity: 100,
      });
      const target = prober.add({ ...TARGET, address, intervalUs: 50_000, timeoutUs: 50_000 });
      await until(target, { verdict: "up" });
      await eventually("replies were captured", 5000, () => capture.status().captured >= 4);
      capture.stop();
      const batch = capture.frames();
      const frames = Array.from({ length: 4 }, (_, at) =>
        batch.octets.slice(at * batch.snapLength, at * batch.snapLength + batch.captured[at]!),
      );
      const replies = frames.filter((frame) => frame[34] === 0);
      expect(replies.length).toBeGreaterThan(0);
      const forged = replies.flatMap((reply) => [
        reply,
        ...[42, 50, 58, 65].map((length) => reply.slice(0, length)),
        ...[26, 46, 50, 60].map((at) => reply.map((octet, index) => (index === at ? octet ^ 1 : octet))),
      ]);
      await host().run("ip", "addr", "del", `${address}/24`, "dev", "eth0");
      await until(target, { verdict: "down" });
      const before = prober.counters(target)!;
      const source = new native.TrafficSource({
        ...place,
        packetsPerSecond: 20_000,
        capacity: 20_000,
        frames: forged,
      });
      const timeouts = (): boolean => prober.counters(target)!.timeouts >= before.timeouts + 10;
      await eventually("ten more timeouts", 5000, timeouts);
      source.stop();
      const after = prober.counters(target)!;
      expect(after.answered).toBe(before.answered);
      expect(after.late).toBeGreaterThan(before.late);
      // A flood wakes the thread no more often than its pauses allow.
      expect(prober.statistics().wakeups).toBeLessThan(3000);
    });
  });

  netnsTest("is right about 1,000 targets while 100 of them fail", [], async () => {
    // A cable of its own: a bridge in between would be counted as the prober's work too.
    const addresses = Array.from(
      { length: 1000 },
      (_, at) => `10.9.${Math.floor(at / 250)}.${1 + (at % 250)}`,
    );
    const cable = `link add q0 type veth peer name q1 netns ${router().namespace}`;
    const lines = addresses.map((one) => `addr add ${one}/32 dev q0`);
    await ipBatch([cable, "link set q0 up", "addr add 10.8.0.1/24 dev q0", ...lines], host().namespace);
    const route = "route add 10.9.0.0/16 via 10.8.0.1";
    await ipBatch(["link set q1 up", "addr add 10.8.0.2/24 dev q1", route], router().namespace);
    await probing(async ({ prober, last, reports }) => {
      const targets = addresses.map((address) =>
        prober.add({
          ...TARGET,
          interface: "q1",
          address,
          source: "10.8.0.2",
          intervalUs: 100_000,
          timeoutUs: 100_000,
          fall: 3,
        }),
      );
      const verdicts = (): string => targets.map((one) => last(one)?.verdict?.[0] ?? "?").join("");
      await eventually("all are up", 10_000, () => verdicts() === "u".repeat(1000));
      await ipBatch(
        addresses.filter((_, at) => at % 10 === 3).map((one) => `addr del ${one}/32 dev q0`),
        host().namespace,
      );
      const expected = "uuuduuuuuu".repeat(100);
      await eventually("a tenth is down", 10_000, () => verdicts() === expected, verdicts);
      const begun = prober.statistics();
      const beganAt = performance.now();
      const sent = (): number => targets.reduce((sum, one) => sum + prober.counters(one)!.sent, 0);
      const before = sent();
      const said = reports.length;
      await eventually("20,000 more probes left", 10_000, () => sent() - before >= 20_000);
      const elapsedMs = performance.now() - beganAt;
      const { cpuUs, wakeups } = prober.statistics();
      const share = (cpuUs - begun.cpuUs) / 1000 / elapsedMs;
      const perSecond = ((wakeups - begun.wakeups) / elapsedMs) * 1000;
      // Through a veth pair the sending thread also does the work of the kernel that answers.
      const percent = (share * 100).toFixed(1);
      console.info(
        `1,000 targets at 100 ms: ${percent} % of a core, ${perSecond.toFixed(0)} wake-ups a second`,
      );
      expect(verdicts()).toBe(expected);
      // Whatever the machine did meanwhile: probes of those that answer got lost or late at most now and then.
      expect(reports.length - said).toBeLessThan(100);
      expect(perSecond).toBeLessThan(200);
      expect(share).toBeLessThan(0.3);
    });
  });

  netnsTest("tells who shows on a link: by the kernel's table, by ARP, by ND", [], async () => {
    await probing(async ({ prober, sightings }) => {
      // Resolved before anybody listened.
      await router().run("ping", "-c", "1", "-W", "2", HOST);
      const follower = prober.follow("lan0");
      const mac = "02:00:00:01:01:01";
      const seen = (address: string, owner = mac) =>
        eventually(
          `${address} was seen at ${owner}`,
          5000,
          () => sightings.find((one) => one.address === address && one.mac === owner),
          () => JSON.stringify(sightings),
        );
      expect(await seen(HOST)).toEqual({ follower, address: HOST, mac });
      // Heard, and of no interest to the kernel: a request for somebody else.
      const source = new native.TrafficSource({
        namespace: host().path,
        interface: "eth0",
        packetsPerSecond: 500,
        capacity: 400,
        frames: [arpRequest("192.0.2.152", mac), arpRequest("0.0.0.0", mac), arpRequest("192.0.2.153", mac)],
      });
      await seen("192.0.2.152");
      await seen("192.0.2.153");
      source.stop();
      await host().run("ping", "-6", "-c", "1", "-W", "2", router().addresses.ipv6);
      await seen("2001:db8:1::100");
      await router().run(
        "ip",
        "neigh",
        "replace",
        "192.0.2.152",
        "lladdr",
        "02:00:00:00:00:99",
        "dev",
        "lan0",
      );
      await seen("192.0.2.152", "02:00:00:00:00:99");
      expect(sightings.filter((one) => one.address === HOST)).toHaveLength(1);
      expect(sightings.some((one) => one.address === "0.0.0.0")).toBe(false);
      expect(prober.unfollow(follower)).toBe(true);
      expect(prober.unfollow(follower)).toBe(false);
      expect(() => prober.follow("")).toThrow(/follow\(interface\)/);
    });
  });

  netnsTest("gives descriptors and threads back, also with the worker it runs in", [], async () => {
    const descriptors = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => existsSync(`/proc/self/fd/${fd}`)).length;
    const round = () =>
      probing(async ({ prober, until }) => {
        const target = prober.add({ ...TARGET, interface: null, source: null, address: "127.0.0.1" });
        await until(target, { verdict: "up" });
        expect(prober.remove(target)).toBe(true);
        expect(prober.counters(target)).toBeNull();
      });
    await round();
    const before = descriptors();
    for (let count = 0; count < 5; count++) await round();
    await eventually("all are closed", 5000, () => descriptors() <= before);
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const code = `
      const { workerData, parentPort } = require("node:worker_threads");
      const native = require(workerData.root + "/node_modules/node-gyp-build")(workerData.root);
      const prober = new native.NativeProber(() => parentPort.postMessage("heard"), () => {});
      prober.add({ kind: "icmp", address: "127.0.0.1", source: null, intervalUs: 10000, timeoutUs: 10000,
                   fall: 1, rise: 1 });
      setInterval(() => prober, 1000);`;
    const worker = new Worker(code, { eval: true, workerData: { root } });
    await new Promise((resolve, reject) => void worker.once("message", resolve).once("error", reject));
    await worker.terminate();
    const threads = (): string[] =>
      readdirSync("/proc/self/task").map((task) => {
        const file = `/proc/self/task/${task}/comm`;
        return existsSync(file) ? readFileSync(file, "utf8").trim() : "";
      });
    await eventually("its thread ended", 5000, () => !threads().includes("fh-prober"));
  });
});
