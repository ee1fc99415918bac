/**
 * Where the engine is tested: two namespaces with a cable between them. In one a process of its own holds the engine
 * as users have it (the built driver over the addon); in the other the tests' instruments send and capture.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { HeartbeatProgram, KernelStep, Operation } from "../../src/core/automaton.js";
import type {
  DatagramPortOptions,
  EngineTiming,
  HeartbeatReport,
  PortCounters,
  PortOptions,
} from "../../src/driver/driver.js";
import { bequeath, ipBatch, namespacePath, newEstateName, runIn } from "../../src/lab/namespaces.js";
import { eventually } from "../../src/lab/wait.js";
import type { NativeFrameCapture, NativeTrafficSource } from "../../src/native/traffic.js";
import { loadNative } from "../../src/native.js";

/** The engine's end of the cable, and the instruments'. */
export const NEAR = "near0";
export const FAR = "far0";

type Failures = readonly { readonly label: string; readonly errno: string }[];

interface Held {
  readonly descriptors: number;
  readonly threads: number;
}

/** Calls into the process that holds the engine; see engine-host.mjs. */
interface Calls {
  open(controlTimeoutUs: number): void;
  now(): number;
  openPort(options: PortOptions | DatagramPortOptions): number;
  closePort(port: number): void;
  createSession(): number;
  removeSession(session: number): void;
  /** Entered in posture 0 with these operations, now. */
  loadNow(session: number, program: unknown, operations: unknown, epoch: number): boolean;
  counters(session: number): Float64Array;
  portCounters(port: number): PortCounters;
  timing(): EngineTiming;
  send(port: number, frame: Uint8Array): void;
  perform(steps: readonly KernelStep[]): Failures;
  setAlive(alive: boolean): void;
  close(): void;
  block(ms: number): void;
  exit(code: number): void;
  churn(rounds: number, port: PortOptions): { before: Held; after: Held };
  worker(
    port: PortOptions,
    program: HeartbeatProgram,
    operations: readonly Operation[],
  ): { port: number; loaded: boolean };
  interrupt(
    rounds: number,
    port: PortOptions,
    program: HeartbeatProgram,
    operations: readonly Operation[],
  ): void;
  letGo(): void;
}

type Report<T extends HeartbeatReport["type"]> = Extract<HeartbeatReport, { type: T }>;

export interface EngineHost {
  call<M extends keyof Calls>(method: M, ...args: Parameters<Calls[M]>): Promise<ReturnType<Calls[M]>>;
  /** Everything that was reported so far, with the time at which JavaScript read it. */
  readonly reports: readonly (HeartbeatReport & { readonly readAtUs: number })[];
  /** The report of a type at a position among its type, once it is there. */
  report<T extends HeartbeatReport["type"]>(type: T, at?: number, boundMs?: number): Promise<Report<T>>;
  signal(signal: NodeJS.Signals): void;
  /** Exit code, or the signal that ended the process. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

export interface Bench extends EngineHost {
  /** The port on the near end, which lets everything in. */
  readonly lan: PortOptions;
  /** Frames from the far end, until `stop`. */
  source(frames: readonly Uint8Array[], packetsPerSecond: number, limit?: number): NativeTrafficSource;
  /** What comes out of the near end and begins like one of these frames. */
  capture(capacity?: number): NativeFrameCapture;
  ip(end: "near" | "far", ...lines: string[]): Promise<void>;
  run(end: "near" | "far", command: string, ...args: string[]): Promise<string>;
  path(end: "near" | "far"): string;
}

/** A filter that keeps everything. */
export const PASS_ALL = new Uint8Array([0x06, 0, 0, 0, 0xff, 0xff, 0, 0]);

function startHost(namespace: string): EngineHost & { readonly process: ChildProcess } {
  const script = fileURLToPath(new URL("./engine-host.mjs", import.meta.url));
  const child = spawn("ip", ["netns", "exec", namespace, process.execPath, script], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const reports: (HeartbeatReport & { readAtUs: number })[] = [];
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on("exit", (code, signal) => resolve(code ?? signal ?? 0));
  });
  child.on("message", (message: Record<string, unknown>) => {
    if (message.reports) {
      const readAtUs = message.readAtUs as number;
      for (const report of message.reports as HeartbeatReport[]) reports.push({ ...report, readAtUs });
      return;
    }
    const waiter = waiting.get(message.id as number);
    waiting.delete(message.id as number);
    const error = message.error as { name: string; message: string; code?: string } | undefined;
    if (error) waiter?.reject(Object.assign(new Error(error.message), error));
    else waiter?.resolve(message.result as never);
  });
  void ended.then((how) => {
    for (const { reject } of waiting.values()) reject(new Error(`the engine's process ended: ${how}`));
  });
  let calls = 0;
  return {
    process: child,
    reports,
    ended,
    call: (method, ...args) =>
      new Promise((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, { resolve, reject });
        child.send({ id, method, args });
      }),
    report: async <T extends HeartbeatReport["type"]>(type: T, at = 0, boundMs = 10_000) =>
      eventually(
        `report ${at} of type ${type} is there`,
        boundMs,
        () => reports.filter((one): one is Report<T> & { readAtUs: number } => one.type === type)[at],
        () => JSON.stringify(reports.map((one) => one.type)),
      ),
    signal: (signal) => void child.kill(signal),
  };
}

/** Runs `use` on a cable of its own; everything is gone afterwards, whatever happened. */
export async function withBench(use: (bench: Bench) => Promise<void>): Promise<void> {
  const native = loadNative();
  const { name, directory } = newEstateName();
  const near = `${name}-near`;
  const far = `${name}-far`;
  const remove = bequeath([near, far], directory);
  const instruments: { stop(): void }[] = [];
  const started = <T extends { stop(): void }>(instrument: T): T => {
    instruments.push(instrument);
    return instrument;
  };
  let host: ReturnType<typeof startHost> | null = null;
  try {
    await ipBatch([`netns add ${near}`, `netns add ${far}`]);
    for (const space of [near, far]) {
      await runIn(space, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    }
    await ipBatch([`link add ${NEAR} netns ${near} type veth peer name ${FAR} netns ${far}`]);
    await ipBatch([`link set ${NEAR} up`, `addr add 192.0.2.1/24 dev ${NEAR}`], near);
    await ipBatch([`link set ${FAR} up`, `addr add 192.0.2.2/24 dev ${FAR}`], far);
    const ifindex = Number(await runIn(near, "cat", `/sys/class/net/${NEAR}/ifindex`));
    host = startHost(near);
    const bench: Bench = {
      ...host,
      lan: { kind: "packet", ifindex, filter: PASS_ALL, memberships: [], groups: [] },
      source: (frames, packetsPerSecond, limit = 0) =>
        started(
          new native.TrafficSource({
            namespace: namespacePath(far),
            interface: FAR,
            frames,
            packetsPerSecond,
            capacity: limit > 0 ? limit : Math.ceil(packetsPerSecond * 120),
            limit,
            realtimePriority: 40,
          }),
        ),
      capture: (capacity = 100_000) =>
        started(
          new native.FrameCapture({
            namespace: namespacePath(far),
            interface: FAR,
            filter: [{ etherType: TEST_ETHERTYPE }, { etherType: 0x0800, protocol: 112 }],
            capacity,
          }),
        ),
      ip: (end, ...lines) => ipBatch(lines, end === "near" ? near : far),
      run: (end, command, ...args) => runIn(end === "near" ? near : far, command, ...args),
      path: (end) => namespacePath(end === "near" ? near : far),
    };
    await use(bench);
  } finally {
    for (const instrument of instruments) instrument.stop();
    host?.process.kill("SIGKILL");
    await host?.ended;
    remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** IEEE 802 local experimental EtherType 1. */
export const TEST_ETHERTYPE = 0x88b5;

/** A broadcast frame of 60 octets that says who sent it and what. */
export function testFrame(sender: number, word: number): Uint8Array {
  const frame = new Uint8Array(60);
  frame.fill(0xff, 0, 6);
  frame.set([2, 0, 0, 0, sender >> 8, sender & 255, TEST_ETHERTYPE >> 8, TEST_ETHERTYPE & 255, word], 6);
  return frame;
}

/** When frames with a word came out of the near end. */
export function timesOf(capture: NativeFrameCapture, word: number): number[] {
  const { atUs, octets, snapLength } = capture.frames();
  return [...atUs].filter((_, index) => octets[index * snapLength + 14] === word);
}
