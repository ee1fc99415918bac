/** The simulated heartbeat engine carries out programs as src/core/automaton.ts declares them. */
import { describe, expect, it } from "vitest";
import { macToBytes } from "../../../src/core/address.js";
import type { HeartbeatProgram, Operation, Transition } from "../../../src/core/automaton.js";
import { buildEthernet } from "../../../src/core/ethernet.js";
import type { Driver, Heartbeat, HeartbeatReport } from "../../../src/driver/driver.js";
import {
  type Latencies,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
} from "../../../src/driver/simulated/index.js";

/** Everything takes exactly this long, so that tests can say when. */
const EXACT: Latencies = {
  wakeUs: [10, 10],
  reportUs: [100, 100],
  stepUs: [50, 50],
  requestUs: [1_000, 1_000],
  newsUs: [100, 100],
};
/** A socket filter that lets everything through. */
const EVERYTHING = Uint8Array.of(0x06, 0, 0, 0, 0xff, 0xff, 0, 0);
const GROUP = "01:00:5e:00:00:12";
const TIMER = 0;

function frame(what: number, source = "02:00:00:00:00:99"): Uint8Array {
  return buildEthernet(macToBytes(GROUP), macToBytes(source), 0x88b5, Uint8Array.of(what));
}

/** Equal but for the last octet. */
function mask(of: Uint8Array): Uint8Array {
  return new Uint8Array(of.length).fill(0xff).fill(0, of.length - 1);
}

interface Bench {
  readonly world: SimulatedWorld;
  readonly machine: SimulatedMachine;
  readonly driver: Driver;
  readonly engine: Heartbeat;
  readonly port: number;
  readonly session: number;
  readonly reports: HeartbeatReport[];
  /** What left the machine: first octet of the payload, and when. */
  readonly sent: [number, number][];
  inject(frame: Uint8Array): void;
}

function bench(controlTimeoutUs = 60_000_000): Bench {
  const world = new SimulatedWorld(1);
  const segment = new SimulatedSegment(world);
  segment.faults = { ...segment.faults, delayUs: 0, jitterUs: 0 };
  const machine = new SimulatedMachine(world, "r1");
  machine.latencies = EXACT;
  const { ifindex } = machine.addInterface("eth0", segment, { addresses: ["192.0.2.2/24"] });
  const peer = segment.attach({ name: "peer", receive: () => undefined, carrierChanged: () => undefined });
  const driver = machine.openDriver();
  const reports: HeartbeatReport[] = [];
  const engine = driver.openHeartbeat({ controlTimeoutUs, onReports: (batch) => reports.push(...batch) });
  const port = engine.openPort({
    kind: "packet",
    ifindex,
    filter: EVERYTHING,
    memberships: [macToBytes(GROUP)],
    groups: [],
  });
  const sent: [number, number][] = [];
  world.observe((happening) => {
    if (happening.type === "frame" && happening.station === "r1")
      sent.push([happening.frame[14] as number, world.nowUs]);
  });
  const session = engine.createSession();
  return { world, machine, driver, engine, port, session, reports, sent, inject: (one) => peer.send(one) };
}

function program(
  postures: readonly (readonly Transition[])[],
  rest: Partial<HeartbeatProgram> = {},
): HeartbeatProgram {
  return {
    frames: [],
    patterns: [],
    kernelPlans: [],
    ...rest,
    postures: postures.map((transitions) => ({ transitions })),
  };
}

const arm = (afterUs: number, timer = TIMER): Operation => ({ op: "arm", timer, afterUs });
const onTimer = (
  operations: readonly Operation[],
  next: number,
  report: boolean,
  timer = TIMER,
): Transition => ({
  trigger: { on: "timer", timer },
  operations,
  next,
  report,
});

/** Frame 7 every millisecond from now on. */
function beatEveryMs({ engine, port, session }: Pick<Bench, "engine" | "port" | "session">): void {
  const beat = program([[onTimer([{ op: "send", port, frame: 0 }, arm(1_000)], 0, false)]], {
    frames: [frame(7)],
  });
  engine.load(session, beat, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
}

describe("timers", () => {
  it("a period counts from the deadline, so that lateness does not add up", async () => {
    const { world, engine, port, session, sent } = bench();
    beatEveryMs({ engine, port, session });
    await world.runUntil(4_500);
    expect(sent).toEqual([1_010, 2_010, 3_010, 4_010].map((atUs) => [7, atUs]));
  });

  it("a late beat moves those after it, which go back to their schedule little by little", async () => {
    const { world, machine, engine, port, session, sent } = bench();
    // They return by a 2^20th of the period for each session.
    while (engine.createSession() < 4_096);
    beatEveryMs({ engine, port, session });
    await world.runUntil(1_500);
    machine.stop();
    await world.runUntil(2_030);
    machine.continue();
    await world.runUntil(20_000);
    const times = sent.map(([, atUs]) => atUs);
    expect(times.slice(0, 5)).toEqual([1_010, 2_030, 3_040, 4_037, 5_034]);
    expect(times.slice(-3)).toEqual([17_010, 18_010, 19_010]);
    expect(engine.timing().skippedPeriods).toBe(0);
  });

  it("one beat alone goes on from where it was late", async () => {
    const { world, machine, engine, port, session, sent } = bench();
    beatEveryMs({ engine, port, session });
    await world.runUntil(1_500);
    machine.stop();
    await world.runUntil(2_030);
    machine.continue();
    await world.runUntil(100_000);
    expect(sent.slice(0, 3).map(([, atUs]) => atUs)).toEqual([1_010, 2_030, 3_040]);
    expect(sent.at(-1)?.[1]).toBe(99_040);
  });

  it("periods that were missed are left out, not made up for", async () => {
    const { world, machine, engine, port, session, sent } = bench();
    beatEveryMs({ engine, port, session });
    await world.runUntil(1_500);
    machine.stop();
    await world.runUntil(8_200);
    machine.continue();
    await world.runUntil(10_000);
    expect(sent.map(([, atUs]) => atUs)).toEqual([1_010, 8_200, 9_210]);
    expect(engine.timing().skippedPeriods).toBe(6);
  });

  it("a cancelled timer does not pass, and one without a transition passes for nothing", async () => {
    const { world, engine, session, reports } = bench();
    const two = program([[onTimer([{ op: "cancel", timer: 1 }], 1, true), onTimer([], 0, true, 1)], []]);
    const operations = [arm(1_000), arm(1_500, 1), arm(1_200, 2)];
    engine.load(session, two, { posture: 0, operations, baseUs: engine.now() }, 0);
    await world.runFor(10_000);
    expect(reports).toMatchObject([{ type: "transition", from: 0, to: 1, transition: 0, epoch: 1 }]);
  });

  it("unreported timers pass together with others that are almost due; reported ones never early", async () => {
    const { world, engine, port, session, sent } = bench();
    const send = (index: number): Operation => ({ op: "send", port, frame: index });
    const beats = program(
      [
        [
          onTimer([send(0), arm(16_000)], 0, false),
          onTimer([send(1), arm(16_000, 1)], 0, false, 1),
          onTimer([send(2)], 1, true, 2),
        ],
        [],
      ],
      { frames: [frame(0), frame(1), frame(2)] },
    );
    const operations = [arm(5_000), arm(5_900, 1), arm(5_950, 2)];
    engine.load(session, beats, { posture: 0, operations, baseUs: engine.now() }, 0);
    await world.runUntil(7_000);
    expect(sent).toEqual([
      [0, 5_010],
      [1, 5_010],
      [2, 5_960],
    ]);
  });
});

describe("frames", () => {
  const known = frame(1);
  const heard = (next: number, report: boolean, operations: readonly Operation[] = []): Transition => ({
    trigger: { on: "pattern", pattern: 0 },
    operations,
    next,
    report,
  });

  it("one that equals a pattern under its mask is a transition, any other goes to JavaScript", async () => {
    const { world, engine, port, session, reports, inject } = bench();
    const patterns = [{ port, bytes: known, mask: mask(known) }];
    const counting = program([[heard(0, false, [{ op: "count", counter: 3 }])]], { patterns });
    engine.load(session, counting, { posture: 0, operations: [], baseUs: engine.now() }, 0);
    const masked = known.slice();
    masked[masked.length - 1] = 0x55;
    for (const one of [known, masked, frame(2), known.slice(0, 59)]) inject(one);
    await world.runFor(10_000);
    expect(engine.counters(session)[3]).toBe(2);
    expect(reports.map((report) => report.type === "frame" && report.frame)).toEqual([
      frame(2),
      known.slice(0, 59),
    ]);
    expect(engine.portCounters(port)).toMatchObject({ received: 4, matched: 2, delivered: 2 });
  });

  it("what a frame arms counts from its arrival, not from when the thread came to it", async () => {
    const { world, machine, engine, port, session, inject } = bench();
    const patterns = [{ port, bytes: known, mask: mask(known) }];
    const waiting = program([[heard(0, false, [arm(5_000)]), onTimer([], 0, true)]], { patterns });
    engine.load(session, waiting, { posture: 0, operations: [], baseUs: engine.now() }, 0);
    machine.stop();
    inject(known);
    const arrivalUs = engine.now();
    await world.runFor(3_000);
    machine.continue();
    await world.runFor(100);
    expect(machine.sessions()[0]?.deadlinesUs[TIMER]).toBe(arrivalUs + 5_000);
  });

  it("a deadline that had passed before a frame came in is not saved by it; one that had not is", async () => {
    for (const [arrivesUs, to] of [
      [900, 0],
      [1_100, 1],
    ] as const) {
      const { world, machine, engine, port, session, inject } = bench();
      const patterns = [{ port, bytes: known, mask: mask(known) }];
      const backup = program([[heard(0, false, [arm(50_000)]), onTimer([], 1, true)], []], { patterns });
      engine.load(session, backup, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
      machine.stop();
      await world.runUntil(arrivesUs);
      inject(known);
      await world.runUntil(2_000);
      machine.continue();
      await world.runUntil(2_500);
      expect(machine.sessions()[0]?.posture).toBe(to);
    }
  });

  it("a claim that nobody knew counts at once, however much is behind it, and is JavaScript's all the same", async () => {
    const { world, engine, port, session, reports, inject } = bench();
    const claim = known.slice(0, 20);
    const guards = [{ guard: "octet", at: 14, least: 100, most: 255 }] as const;
    const patterns = [
      { port, bytes: claim, mask: mask(claim).fill(0, 14), guards },
      { port, bytes: frame(150), mask: mask(known) },
    ];
    const counting = program([[heard(0, false, [{ op: "count", counter: 3 }])]], { patterns });
    engine.load(session, counting, { posture: 0, operations: [], baseUs: engine.now() }, 0);
    const long = Uint8Array.of(...frame(255), 1, 2, 3);
    for (const one of [frame(99), frame(100), long, frame(150), claim.slice(0, 19)]) inject(one);
    await world.runFor(10_000);
    // A known frame that its posture does not wait for is a claim like any other.
    expect(engine.counters(session)[3]).toBe(3);
    expect(reports.map((report) => report.type === "frame" && report.frame[14])).toEqual([
      99, 100, 255, 150, 1,
    ]);
    expect(engine.portCounters(port)).toMatchObject({ received: 5, matched: 0, delivered: 5 });
  });

  it("a flood from one sender is bounded, counted, and leaves others their share", async () => {
    const { world, engine, port, reports, inject } = bench();
    for (let count = 0; count < 500; count++) inject(frame(1));
    inject(frame(2, "02:00:00:00:00:98"));
    await world.runFor(10_000);
    expect(reports).toHaveLength(65);
    expect(engine.portCounters(port)).toMatchObject({ received: 501, delivered: 65, droppedUnread: 436 });
  });
});

describe("JavaScript and the engine", () => {
  const takeOver = program([[onTimer([], 1, true)], []]);

  it("a program for a state that the engine has left is refused until the report is read", async () => {
    const { world, engine, session, reports } = bench();
    engine.load(session, takeOver, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
    await world.runUntil(1_050);
    expect(reports).toEqual([]);
    const entry = { posture: 0, operations: [arm(1_000)], baseUs: engine.now() };
    expect(engine.load(session, takeOver, entry, 0)).toBe(false);
    await world.runUntil(1_200);
    expect(reports).toMatchObject([{ type: "transition", epoch: 1 }]);
    expect(engine.load(session, takeOver, entry, 1)).toBe(true);
  });

  it("an entry does not turn back a timer that was armed for a later moment, and starts none in the past", async () => {
    const { world, machine, engine, session } = bench();
    const beginUs = engine.now();
    engine.load(session, takeOver, { posture: 0, operations: [arm(9_000)], baseUs: beginUs }, 0);
    await world.runUntil(2_000);
    engine.load(session, null, { posture: 0, operations: [arm(9_000)], baseUs: engine.now() }, 0);
    engine.load(session, null, { posture: 0, operations: [arm(9_000)], baseUs: beginUs + 500 }, 0);
    expect(machine.sessions()[0]?.deadlinesUs[TIMER]).toBe(beginUs + 11_000);
    engine.load(session, null, { posture: 0, operations: [arm(100, 1)], baseUs: beginUs }, 0);
    expect(machine.sessions()[0]?.deadlinesUs[1]).toBe(engine.now() + 100);
  });

  it("while JavaScript stands still the engine goes on, and tells everything afterwards in order", async () => {
    const { world, machine, engine, session, reports } = bench();
    const there = program([[onTimer([arm(1_000)], 1, true)], [onTimer([arm(1_000)], 0, true)]]);
    engine.load(session, there, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
    machine.pauseJavaScript();
    await world.runUntil(5_500);
    expect(reports).toEqual([]);
    machine.resumeJavaScript();
    await world.runUntil(5_600);
    expect(reports.map((report) => report.type === "transition" && report.epoch)).toEqual([1, 2, 3, 4, 5]);
  });

  it("control is lost after controlTimeout, and the loss is told when JavaScript is back", async () => {
    const { world, machine, engine, session, reports } = bench(100_000);
    const lost: Transition = { trigger: { on: "controlLost" }, operations: [], next: 1, report: true };
    engine.load(session, program([[lost], []]), { posture: 0, operations: [], baseUs: engine.now() }, 0);
    await world.runUntil(1_000_000);
    expect(machine.sessions()[0]?.posture).toBe(0);
    machine.pauseJavaScript();
    await world.runUntil(1_200_000);
    expect(machine.sessions()[0]?.posture).toBe(1);
    machine.resumeJavaScript();
    await world.runUntil(1_201_000);
    expect(reports.map(({ type }) => type)).toEqual(["transition", "controlRestored"]);
  });

  it("after a kill nothing more is sent or reported; what the kernel holds stays", async () => {
    const { world, machine, driver, engine, port, session, sent, reports } = bench();
    const kernel = driver.openKernel({ onNews: () => undefined, ownership: "off", stateDirectory: "" });
    const place = await world.settle(
      kernel.prepare({
        owner: "eth0/10/ipv4",
        parentIfindex: 2,
        family: "ipv4",
        vrid: 10,
        mac: "00:00:5e:00:01:0a",
        addresses: ["192.0.2.1/24"],
        accept: true,
      }),
    );
    await world.settle(kernel.perform(place.open));
    expect(machine.forwardsFor("eth0/10/ipv4")).toBe(true);
    const beat = program([[onTimer([{ op: "send", port, frame: 0 }, arm(1_000)], 0, true)]], {
      frames: [frame(7)],
    });
    engine.load(session, beat, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
    machine.kill();
    await world.runFor(1_000_000);
    expect([sent, reports]).toEqual([[], []]);
    expect(machine.forwardsFor("eth0/10/ipv4")).toBe(true);
    const again = machine
      .openDriver()
      .openKernel({ onNews: () => undefined, ownership: "off", stateDirectory: "" });
    expect(await world.settle(again.recover())).toEqual(["removed fh10-eth0, left by a dead process"]);
    expect(machine.forwardsFor("eth0/10/ipv4")).toBe(false);
  });
});

describe("the kernel lane", () => {
  it("carries out plans step by step, sends when the steps before are done, and names what failed", async () => {
    const { world, machine, driver, engine, port, session, sent, reports } = bench();
    const kernel = driver.openKernel({ onNews: () => undefined, ownership: "off", stateDirectory: "" });
    const request = { owner: "eth0/10/ipv6", parentIfindex: 2, family: "ipv6", vrid: 10 } as const;
    const mac = "00:00:5e:00:02:0a";
    const place = await world.settle(
      kernel.prepare({ ...request, mac, addresses: ["fe80::1/64"], accept: true }),
    );
    const opening = [...place.open, { step: "send", port, frame: frame(9) } as const];
    const plans = program([[onTimer([{ op: "kernel", plan: 0 }], 1, true)], []], { kernelPlans: [opening] });
    const beginUs = world.nowUs;
    engine.load(session, plans, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
    await world.runFor(5_000);
    expect(sent.at(-1)).toEqual([9, beginUs + 1_010 + place.open.length * 50]);
    expect(reports.at(-1)).toMatchObject({ type: "kernel", session, failures: [] });
    expect(machine.forwardsFor("eth0/10/ipv6")).toBe(true);
    machine.failStep = (step) => (step.step === "write" ? "EIO" : null);
    expect(await world.settle(kernel.perform(place.close))).toEqual([
      { label: "/proc/sys/net/ipv6/conf/fh10v6-eth0/disable_ipv6", errno: "EIO" },
    ]);
    expect(machine.forwardsFor("eth0/10/ipv6")).toBe(false);
  });
});

describe("jitter and signals", () => {
  it("draws each period anew from its range, which nothing shortens further", async () => {
    const { world, engine, port, session, sent } = bench();
    const beats: Operation = { op: "arm", timer: TIMER, afterUs: 1_000, jitterUs: 250 };
    const beat = program([[onTimer([{ op: "send", port, frame: 0 }, beats], 0, false)]], {
      frames: [frame(7)],
    });
    engine.load(session, beat, { posture: 0, operations: [beats], baseUs: engine.now() }, 0);
    await world.runUntil(200_000);
    const gaps = sent.slice(1).map(([, atUs], index) => atUs - (sent[index]?.[1] as number));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(750);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1_000);
    expect(Math.min(...gaps)).toBeLessThan(780);
    expect(Math.max(...gaps)).toBeGreaterThan(970);
  });

  it("one session's transition sets off another's, from the moment of the first", async () => {
    const { world, engine, port, session, sent, reports } = bench();
    const waiting: Transition = {
      trigger: { on: "signal", signal: 3 },
      operations: [{ op: "send", port, frame: 0 }, arm(500)],
      next: 1,
      report: true,
    };
    const target = program([[waiting], [onTimer([{ op: "send", port, frame: 0 }], 1, false)]], {
      frames: [frame(9)],
    });
    engine.load(session, target, { posture: 0, operations: [], baseUs: engine.now() }, 0);
    const other = engine.createSession();
    const unheard: Operation = { op: "signal", session, signal: 2 };
    const heard: Operation = { op: "signal", session, signal: 3 };
    const telling = program([[onTimer([unheard, heard, heard], 0, true)]]);
    engine.load(other, telling, { posture: 0, operations: [arm(1_000)], baseUs: engine.now() }, 0);
    await world.runUntil(5_000);
    // The second signal finds nobody waiting any more.
    expect(sent).toEqual([
      [9, 1_010],
      [9, 1_510],
    ]);
    const transitions = reports.filter((one) => one.type === "transition");
    expect(transitions).toMatchObject([
      { session: other, atUs: transitions[0]?.atUs },
      { session, from: 0, to: 1, epoch: 1, atUs: transitions[0]?.atUs },
    ]);
  });
});
