/** Whatever JavaScript passes to the engine, it gets a TypeError that says what is wrong, or what it asked for. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NativeHeartbeat } from "../../src/native/heartbeat.js";
import { loadNative } from "../../src/native.js";

const native = process.platform === "linux" ? loadNative() : null;

/** A valid program that uses everything once. Plain data, to be spoilt. */
function validProgram(): Record<string, unknown> {
  return {
    frames: [new Uint8Array(60)],
    seal: { algorithm: "md5", key: new Uint8Array(16), sequenceAt: 8, digestAt: 12, repeats: true },
    patterns: [
      { port: 1, bytes: new Uint8Array(60), mask: new Uint8Array(60), sealAt: 20, sealWindow: 3 },
      {
        port: 1,
        bytes: new Uint8Array(60),
        mask: new Uint8Array(60),
        guards: [
          { guard: "octet", at: 59, least: 1, most: 255 },
          { guard: "differs", at: 56, octets: new Uint8Array(4) },
          { guard: "checksum", from: 14, to: 60, pseudoHeader: { from: 0, to: 6, rest: 1, optional: true } },
        ],
      },
    ],
    kernelPlans: [
      [
        { step: "write", path: "/proc/sys/net/ipv4/ip_forward", value: "1" },
        { step: "netlink", message: netlinkMessage(), label: "nothing" },
        { step: "send", port: 1, frame: new Uint8Array(60) },
      ],
    ],
    postures: [
      {
        transitions: [
          {
            trigger: { on: "timer", timer: 0 },
            operations: [
              { op: "send", port: 1, frame: 0 },
              { op: "arm", timer: 0, afterUs: 1000 },
              { op: "cancel", timer: 1 },
              { op: "count", counter: 31 },
              { op: "kernel", plan: 0 },
              { op: "send", port: 1, frame: 0, sealAt: 20 },
              { op: "arm", timer: 2, afterUs: 1000, jitterUs: 10 },
              { op: "lease", open: true },
              { op: "signal", session: 1, signal: 7 },
              { op: "forgetSequence" },
            ],
            next: 1,
            report: true,
          },
          { trigger: { on: "pattern", pattern: 0 }, operations: [], next: 0, report: false },
          { trigger: { on: "controlLost" }, operations: [], next: 0, report: false },
          { trigger: { on: "gaveWay" }, operations: [], next: 0, report: false },
          { trigger: { on: "signal", signal: 7 }, operations: [], next: 0, report: false },
        ],
      },
      { transitions: [] },
    ],
  };
}

function netlinkMessage(): Uint8Array {
  const message = new Uint8Array(16);
  new DataView(message.buffer).setUint32(0, 16, true);
  return message;
}

type Path = readonly (string | number)[];

/** Every place in a value, deepest last. */
function places(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

/** A valid program with one place changed: its holder and its key. */
function changed(path: Path, change: (holder: object, key: string | number) => void): unknown {
  const program = validProgram();
  let holder: Record<string, unknown> = program;
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
  change(holder, path.at(-1)!);
  return program;
}

/** A valid program with one place replaced. */
function spoilt(path: Path, replacement: unknown): unknown {
  if (path.length === 0) return replacement;
  return changed(path, (holder, key) => Object.assign(holder, { [key]: replacement }));
}

class Trap extends Error {}

const trap = (): never => {
  throw new Trap();
};
const throwingProxy = (target: object): object =>
  new Proxy(target, { get: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap });

function detached(): Uint8Array {
  const octets = new Uint8Array(60);
  structuredClone(octets.buffer, { transfer: [octets.buffer] });
  return octets;
}

const JUNK: readonly unknown[] = [
  undefined,
  null,
  true,
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  1n,
  "",
  "send",
  Symbol("junk"),
  () => 0,
  {},
  [],
  [[]],
  new Array(3),
  new Array(2 ** 32 - 1),
  new Uint8Array(0),
  new Uint8Array(5000),
  new Uint16Array(30),
  new Uint8Array(new SharedArrayBuffer(60)),
  new DataView(new ArrayBuffer(60)),
  throwingProxy({}),
  throwingProxy([]),
  new Proxy([1, 2, 3], {}),
  Object.create(null),
];

describe.skipIf(!native)("wrong arguments", () => {
  let engine: NativeHeartbeat;
  beforeEach(() => {
    engine = new native!.NativeHeartbeat(() => {}, 60_000_000);
  });
  afterEach(() => engine.close());

  const load = (program: unknown, more: readonly unknown[] = [0, [], 0, 0]): unknown =>
    (engine.load as (...args: unknown[]) => unknown)(engine.createSession(), program, ...more);

  it("takes what is right", () => {
    expect(load(validProgram())).toBe(true);
  });

  it.each([
    ["program.postures[0].transitions[0].next", ["postures", 0, "transitions", 0, "next"], 2],
    [
      "program.postures[0].transitions[0].trigger.timer",
      ["postures", 0, "transitions", 0, "trigger", "timer"],
      8,
    ],
    [
      "program.postures[0].transitions[0].operations[0].frame",
      ["postures", 0, "transitions", 0, "operations", 0, "frame"],
      1,
    ],
    [
      "program.postures[0].transitions[0].operations[3].counter",
      ["postures", 0, "transitions", 0, "operations", 3, "counter"],
      32,
    ],
    [
      "program.postures[0].transitions[0].operations[4].plan",
      ["postures", 0, "transitions", 0, "operations", 4, "plan"],
      1,
    ],
    [
      "program.postures[0].transitions[0].operations[0].op is 'jump'",
      ["postures", 0, "transitions", 0, "operations", 0, "op"],
      "jump",
    ],
    ["program.patterns[0]: bytes and mask differ in length", ["patterns", 0, "mask"], new Uint8Array(59)],
    ["program.patterns[1].guards[0].at", ["patterns", 1, "guards", 0, "at"], 60],
    ["program.patterns[1].guards[0].most", ["patterns", 1, "guards", 0, "most"], 256],
    ["program.patterns[1].guards[1].octets must lie in the pattern", ["patterns", 1, "guards", 1, "at"], 57],
    ["program.patterns[1].guards[2].to must not be before from", ["patterns", 1, "guards", 2, "to"], 13],
    ["program.patterns[1].guards[2].pseudoHeader.to", ["patterns", 1, "guards", 2, "pseudoHeader", "to"], 61],
    ["program.patterns[1].guards[0].guard is 'hope'", ["patterns", 1, "guards", 0, "guard"], "hope"],
    ["program.frames[0] is longer than a frame", ["frames", 0], new Uint8Array(4609)],
    [
      "program.kernelPlans[0][1].message must be one netlink message",
      ["kernelPlans", 0, 1, "message"],
      new Uint8Array(16),
    ],
    ["program.postures is empty", ["postures"], []],
    [
      "trigger of another transition already",
      ["postures", 0, "transitions", 1, "trigger"],
      { on: "controlLost" },
    ],
  ] as const)("says: %s", (text, path, replacement) => {
    expect(() => load(spoilt(path, replacement))).toThrow(TypeError);
    expect(() => load(spoilt(path, replacement))).toThrow(text);
  });

  it("survives every kind of junk in every place of a program", () => {
    let thrown = 0;
    for (const path of places(validProgram())) {
      for (const junk of [...JUNK, detached()]) {
        try {
          expect(typeof load(spoilt(path, junk))).toBe("boolean");
        } catch (error) {
          if (!(error instanceof TypeError) && !(error instanceof Trap)) throw error;
          thrown++;
        }
      }
    }
    expect(thrown).toBeGreaterThan(500);
  });

  it("survives getters that throw, in every place of a program", () => {
    for (const path of places(validProgram()).slice(1)) {
      const program = changed(path, (holder, key) => Object.defineProperty(holder, key, { get: trap }));
      expect(() => load(program), path.join(".")).toThrow(Trap);
    }
  });

  it("survives every kind of junk as any argument of any method", () => {
    const valid: Readonly<Record<string, readonly unknown[]>> = {
      openLanPort: [1_000_000, new Uint8Array([6, 0, 0, 0, 0, 0, 1, 0]), [new Uint8Array(6)], ["224.0.0.18"]],
      openDatagramPort: [false, 1_000_000],
      closePort: [9],
      removeSession: [9],
      load: [1, validProgram(), 0, [], 0, 0],
      look: [1, false],
      setAlive: [true],
      counters: [1],
      portCounters: [1],
      send: [1, new Uint8Array(60)],
      perform: [[], 1],
    };
    for (const [method, args] of Object.entries(valid)) {
      const call = (...given: unknown[]): void => {
        try {
          (engine as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...given);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
        }
      };
      for (let at = 0; at < args.length; at++) {
        call(...args.slice(0, at));
        for (const junk of JUNK) call(...args.slice(0, at), junk, ...args.slice(at + 1));
      }
      for (const junk of JUNK) {
        if (method === "openLanPort") call(args[0], args[1], [junk], args[3]);
        if (method === "openLanPort") call(args[0], args[1], args[2], [junk]);
        if (method === "load") call(...args.slice(0, 3), [junk], ...args.slice(4));
        if (method === "perform") call([junk], 1);
      }
    }
    expect(load(validProgram())).toBe(true);
  });

  it("refuses to be made of junk", () => {
    const Engine = native!.NativeHeartbeat as unknown as new (...args: unknown[]) => NativeHeartbeat;
    for (const junk of JUNK) {
      expect(() => new Engine(junk, junk)).toThrow(TypeError);
      expect(() => new Engine(() => {}, 0)).toThrow(TypeError);
    }
    expect(() => (native!.NativeHeartbeat as unknown as () => void)()).toThrow(TypeError);
  });

  it("has methods that only work on engines", () => {
    const { counters } = engine;
    expect(() => counters.call({} as NativeHeartbeat, 1)).toThrow(TypeError);
  });

  it("says that it is closed", () => {
    const session = engine.createSession();
    engine.close();
    engine.close();
    engine.renew();
    engine.setAlive(false);
    expect(() => engine.counters(session)).toThrow("the heartbeat engine is closed");
    expect(() => engine.createSession()).toThrow("the heartbeat engine is closed");
  });
});
