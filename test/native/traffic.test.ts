/** The measuring instruments on a real kernel: what they count is what was sent, and they leave nothing open. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Lab, openLab } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";
import { loadNative } from "../../src/native.js";
import { netnsTest, whyNoNamespaces } from "../netns/testbed/index.js";

const possible = whyNoNamespaces() === null;
const MAC = "02:00:00:01:01:01";

/** A broadcast frame of a given EtherType, with a number in its payload. */
function frame(etherType: number, value: number): Uint8Array {
  const octets = new Uint8Array(60);
  octets.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0x01, 0x01, 0x01]);
  new DataView(octets.buffer).setUint16(12, etherType);
  new DataView(octets.buffer).setUint32(14, value);
  return octets;
}

describe.skipIf(process.platform !== "linux")("options", () => {
  const { TrafficSource, TrafficSink, FrameCapture } = loadNative();
  const good = { destination: "192.0.2.1", port: 9, packetsPerSecond: 1000, capacity: 10 };

  it("are checked before anything is opened", () => {
    const refuse = (make: () => unknown, message: RegExp): void => {
      expect(make).toThrow(TypeError);
      expect(make).toThrow(message);
    };
    refuse(() => new TrafficSource(undefined as never), /options must be an object/);
    refuse(
      () => new TrafficSource({ ...good, packetsPerSecond: 0 }),
      /packetsPerSecond must be a number from 1/,
    );
    refuse(() => new TrafficSource({ ...good, packetsPerSecond: Number.NaN }), /packetsPerSecond/);
    refuse(() => new TrafficSource({ ...good, port: 70_000 }), /port must be a number from 1 to 65535/);
    refuse(() => new TrafficSource({ ...good, destination: "host" }), /destination must be an IPv4 or IPv6/);
    refuse(() => new TrafficSource({ ...good, payloadSize: 23 }), /payloadSize must be a number from 24/);
    refuse(() => new TrafficSource({ ...good, frames: [] } as never), /frames must not be empty/);
    refuse(() => new TrafficSource({ ...good, frames: [frame(1, 1)] } as never), /frames need an interface/);
    refuse(() => new TrafficSource({ ...good, frames: [new Uint8Array(3)] } as never), /Ethernet header/);
    refuse(() => new TrafficSink({ port: 9, capacity: -1 }), /capacity/);
    refuse(
      () => new TrafficSink({ port: 9, capacity: 1, namespace: 7 as never }),
      /namespace must be a string/,
    );
    refuse(() => new FrameCapture({ capacity: 1, filter: "x" as never }), /filter must be a BPF program/);
    refuse(() => new FrameCapture({ capacity: 1, filter: new Uint8Array(9) }), /whole instructions/);
    refuse(() => new FrameCapture({ capacity: 1, filter: [{}] as never }), /etherType/);
    refuse(() => new FrameCapture({ capacity: 1, filter: [], snapLength: 1 }), /snapLength/);
  });

  it("name what the kernel refuses, with its errno", () => {
    const missing = { ...good, namespace: "/run/netns/fh-none" };
    expect(() => new TrafficSource(missing)).toThrow(
      expect.objectContaining({
        errno: 2,
        message: "open /run/netns/fh-none: No such file or directory",
      }),
    );
    const device = { ...good, namespace: "/dev/null" };
    expect(() => new TrafficSource(device)).toThrow(/setns \/dev\/null/);
  });
});

describe.skipIf(!possible)("instruments", () => {
  const { TrafficSource, TrafficSink, FrameCapture, trafficNowUs } = loadNative();
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab({ routers: 1 });
  });
  afterAll(() => lab.close());

  /** From the host to router 1, without a router between. */
  const direct = () => ({ namespace: lab.hosts[0]!.path, destination: lab.routers[0]!.addresses.ipv4 });
  const atRouter = () => ({ namespace: lab.routers[0]!.path, interface: "lan0" });
  const fromHost = () => ({ namespace: lab.hosts[0]!.path, interface: "eth0" });

  const cases = [
    ["ipv4", 1000],
    ["ipv6", 1000],
    ["ipv4", 100_000],
  ] as const;
  for (const [family, rate] of cases) {
    netnsTest(`count every packet: ${rate} a second, ${family}`, [], async () => {
      const limit = rate / 2;
      const sink = new TrafficSink({ ...atRouter(), port: 7001, capacity: limit });
      const begunUs = trafficNowUs();
      const source = new TrafficSource({
        namespace: lab.hosts[0]!.path,
        destination: lab.routers[0]!.addresses[family],
        port: 7001,
        packetsPerSecond: rate,
        capacity: limit,
      });
      await eventually(
        "all packets arrived",
        10_000,
        () => sink.status().received === limit,
        () => JSON.stringify([source.status(), sink.status()]),
      );
      source.stop();
      sink.stop();
      expect(source.status()).toMatchObject({ sent: limit, errors: 0 });
      expect(sink.status()).toEqual({
        received: limit,
        outOfRange: 0,
        droppedByKernel: 0,
        senders: [{ mac: MAC, packets: limit }],
      });
      const stamps = source.stamps();
      const arrivals = sink.arrivals(0, limit);
      expect(stamps).toHaveLength(limit);
      expect(arrivals.copies.every((copies) => copies === 1)).toBe(true);
      expect(arrivals.via.every((via) => via === 0)).toBe(true);
      // Arrivals are the kernel's stamps: after departure, and not when a thread found the time to look.
      expect(stamps.every((us, at) => arrivals.firstUs[at]! > us && us >= begunUs)).toBe(true);
      const spanS = (stamps[limit - 1]! - stamps[0]!) / 1e6;
      expect(spanS).toBeGreaterThan(0.49);
      expect(spanS).toBeLessThan(2);
    });
  }

  netnsTest("tell what never came, and what is out of range", [], async () => {
    const sink = new TrafficSink({ ...atRouter(), port: 7002, capacity: 50 });
    const source = new TrafficSource({ ...direct(), port: 7002, packetsPerSecond: 1000, capacity: 100 });
    await eventually("all packets arrived", 5000, () => sink.status().outOfRange === 50);
    source.stop();
    sink.stop();
    sink.stop(); // again does nothing
    expect(sink.arrivals(40, 60).firstUs).toHaveLength(10); // there is no place above 50
    const silent = new TrafficSink({ ...atRouter(), port: 7003, capacity: 10 });
    silent.stop();
    expect(silent.arrivals(0, 2)).toEqual({
      firstUs: Float64Array.of(Number.NaN, Number.NaN),
      copies: Uint32Array.of(0, 0),
      via: Uint8Array.of(0, 0),
    });
  });

  netnsTest("say which interface is missing, and which port is taken", [], async () => {
    const sink = new TrafficSink({ ...atRouter(), port: 7006, capacity: 1 });
    expect(() => new TrafficSink({ ...atRouter(), port: 7006, capacity: 1 })).toThrow(/UDP port 7006/);
    sink.stop();
    expect(() => new TrafficSink({ ...atRouter(), interface: "none0", port: 7006, capacity: 1 })).toThrow(
      /interface none0: No such device/,
    );
  });

  netnsTest("capture what a filter lets through, with its beginning", [], async () => {
    const at = { namespace: lab.lan.path, interface: "h1", capacity: 1000, snapLength: 18 };
    const incoming = new FrameCapture({ ...at, filter: [{ etherType: 0x88b5 }] });
    const outgoing = new FrameCapture({
      ...fromHost(),
      filter: [{ etherType: 0x88b5 }, { etherType: 0x88b6 }],
      outgoing: true,
      capacity: 1000,
    });
    const source = new TrafficSource({
      ...fromHost(),
      packetsPerSecond: 10_000,
      capacity: 300,
      frames: [frame(0x88b5, 0), frame(0x88b6, 1), frame(0x88b5, 2)],
    });
    await eventually("the frames were captured", 5000, () => outgoing.status().captured === 300);
    await eventually("the frames were captured", 5000, () => incoming.status().captured === 200);
    for (const instrument of [source, incoming, outgoing]) instrument.stop();
    const batch = incoming.frames();
    expect(batch.octets).toHaveLength(200 * 18);
    expect(new DataView(batch.octets.buffer).getUint32(18 + 14)).toBe(2);
    expect(batch.length.every((length) => length === 60)).toBe(true);
    expect(batch.captured.every((length) => length === 18)).toBe(true);
    expect(batch.packetType.every((type) => type === 1)).toBe(true); // PACKET_BROADCAST
    expect(batch.ifindex.every((index) => index === lab.lanPorts.get("h1"))).toBe(true);
    expect(Array.from(batch.atUs)).toEqual(Array.from(batch.atUs).sort((a, b) => a - b));
    expect(outgoing.frames(0, 3).packetType).toEqual(Uint8Array.of(4, 4, 4)); // PACKET_OUTGOING
  });

  netnsTest("keep up with 60,000 frames a second, and count what finds no place", [], async () => {
    const at = { namespace: lab.lan.path, interface: "h1", filter: [{ etherType: 0x88b5 }] };
    const large = new FrameCapture({ ...at, capacity: 120_000 });
    const small = new FrameCapture({ ...at, capacity: 1000 });
    const source = new TrafficSource({
      ...fromHost(),
      packetsPerSecond: 60_000,
      capacity: 120_000,
      frames: [frame(0x88b5, 0)],
    });
    const seen = (): string => JSON.stringify([source.status(), large.status()]);
    await eventually("the frames were captured", 15_000, () => large.status().captured === 120_000, seen);
    await eventually("the frames were counted", 5000, () => small.status().overflowed === 119_000, seen);
    for (const instrument of [source, large, small]) instrument.stop();
    expect(large.status()).toEqual({ captured: 120_000, overflowed: 0, droppedByKernel: 0 });
    expect(small.status()).toEqual({ captured: 1000, overflowed: 119_000, droppedByKernel: 0 });
  });

  netnsTest("give descriptors and threads back when they are stopped", [], async () => {
    const round = (): void => {
      const sink = new TrafficSink({ ...atRouter(), port: 7004, capacity: 10 });
      const source = new TrafficSource({ ...direct(), port: 7004, packetsPerSecond: 1000, capacity: 10 });
      const capture = new FrameCapture({ ...atRouter(), filter: [], capacity: 10 });
      expect(
        () => new FrameCapture({ ...atRouter(), interface: "none0", filter: [], capacity: 10 }),
      ).toThrow();
      for (const instrument of [sink, source, capture]) instrument.stop();
    };
    const threads = (): number => threadNames().filter((name) => name.startsWith("fh-")).length;
    const descriptors = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => existsSync(`/proc/self/fd/${fd}`)).length;
    round();
    const before = descriptors();
    for (let count = 0; count < 10; count++) round();
    expect(threads()).toBe(0);
    expect(descriptors()).toBe(before);
  });

  netnsTest("end with the worker they run in", [], async () => {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const code = `
      const { workerData, parentPort } = require("node:worker_threads");
      const native = require(workerData.root + "/node_modules/node-gyp-build")(workerData.root);
      const kept = [new native.TrafficSink(workerData.sink), new native.TrafficSource(workerData.source)];
      const ask = () => kept[0].status().received > 10 ? parentPort.postMessage("running") : setTimeout(ask, 5);
      ask();`;
    const workerData = {
      root,
      sink: { ...atRouter(), port: 7005, capacity: 1e6 },
      source: { ...direct(), port: 7005, packetsPerSecond: 1000, capacity: 1e6 },
    };
    const worker = new Worker(code, { eval: true, workerData });
    const message = await new Promise((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
    });
    expect(message).toBe("running");
    await worker.terminate();
    await eventually("its threads ended", 5000, () => !threadNames().some((name) => name.startsWith("fh-")));
  });
});

/** Names of this process's threads. */
function threadNames(): string[] {
  return readdirSync("/proc/self/task").map((task) => {
    const file = `/proc/self/task/${task}/comm`;
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  });
}
