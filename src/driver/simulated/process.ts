/** One run of a program on a simulated machine: its threads, and the `Driver` that it is given. */
import type { KernelStep } from "../../core/automaton.js";
import type { CommandRequest, CommandResult, CommandRun } from "../command.js";
import type {
  Driver,
  Heartbeat,
  HeartbeatOptions,
  Kernel,
  KernelOptions,
  Prober,
  Probes,
} from "../driver.js";
import { Context } from "./context.js";
import { SimulatedHeartbeat } from "./heartbeat.js";
import { SimulatedKernel } from "./kernel.js";
import { KernelLane } from "./kernel-lane.js";
import type { NetworkStack } from "./network-stack.js";
import { type EchoScript, type Followers, SimulatedProber } from "./prober.js";
import { type ProbeScript, type RouteTable, SimulatedProbes } from "./probes.js";
import type { SimulatedWorld } from "./world.js";

export interface ProcessHost {
  /** Who answers probes now. */
  echoScript(): EchoScript;
  /** Who hears of neighbours, by interface. */
  readonly followers: Followers;
  readonly name: string;
  readonly world: SimulatedWorld;
  readonly stack: NetworkStack;
  readonly store: Map<string, string>;
  /** The monotonic clock of this boot, microseconds. */
  now(): number;
  draw(what: keyof Latencies): number;
  /** 0 up to, not including, 1. */
  drawFraction(): number;
  failureOf(step: KernelStep): string | null;
  refusal(): string | null;
  socketRefusal(): string | null;
  readonly routes: RouteTable;
  probeScript(): ProbeScript;
  /** What comes of a command, and how long it takes. */
  runCommand(request: CommandRequest): { readonly result: CommandResult; readonly afterUs: number };
}

/** How long things take on a machine: from, to (microseconds, evenly). */
export interface Latencies {
  /** From a deadline or a frame until the engine's thread runs. */
  readonly wakeUs: readonly [number, number];
  /** From a report until JavaScript reads it, when it has nothing else to do. */
  readonly reportUs: readonly [number, number];
  /** One step of the kernel lane. */
  readonly stepUs: readonly [number, number];
  /** A request of `prepare`, `release` and the like. */
  readonly requestUs: readonly [number, number];
  /** From a change of links or addresses until JavaScript is told. */
  readonly newsUs: readonly [number, number];
}

/** Wall clock at the beginning of the world: 2025-01-01T00:00:00Z. */
const EPOCH_MS = 1_735_689_600_000;
/** How long the end of a process waits for the kernel lane, as the native engine does. */
const LANE_LIMIT_US = 200_000;

export class SimulatedProcess implements Driver {
  readonly number: number;
  readonly native: Context;
  readonly javaScript: Context;
  readonly store: Driver["store"];
  heartbeat: SimulatedHeartbeat | null = null;
  readonly #host: ProcessHost;
  readonly #lane: KernelLane;
  #kernel: SimulatedKernel | null = null;

  constructor(number: number, host: ProcessHost) {
    this.number = number;
    this.#host = host;
    this.native = new Context(host.world, { javaScript: false });
    this.javaScript = new Context(host.world, { javaScript: true });
    this.store = {
      read: (key) => host.store.get(key) ?? null,
      write: (key, value) => void host.store.set(key, value),
    };
    this.#lane = new KernelLane({
      stack: host.stack,
      native: this.native,
      drawStepUs: () => host.draw("stepUs"),
      failureOf: (step) => host.failureOf(step),
      send: (port, frame) => this.heartbeat?.send(port, frame),
      noteStep: (label, errno) => host.world.note({ type: "kernelStep", machine: host.name, label, errno }),
    });
  }

  get alive(): boolean {
    return this.native.alive;
  }

  openHeartbeat(options: HeartbeatOptions): Heartbeat {
    const host = this.#host;
    this.heartbeat = new SimulatedHeartbeat(options, {
      stack: host.stack,
      native: this.native,
      javaScript: this.javaScript,
      now: () => host.now(),
      drawWakeUs: () => host.draw("wakeUs"),
      drawReportUs: () => host.draw("reportUs"),
      drawFraction: () => host.drawFraction(),
      socketRefusal: () => host.socketRefusal(),
      submit: (steps, done) => this.#lane.submit(steps, done),
      noteSession: (session, how, armed, awaited) =>
        host.world.note({ type: "session", machine: host.name, session, how, armed, awaited }),
    });
    return this.heartbeat;
  }

  openKernel(options: KernelOptions): Kernel {
    const host = this.#host;
    this.#kernel = new SimulatedKernel(options, {
      stack: host.stack,
      javaScript: this.javaScript,
      lane: this.#lane,
      process: this.number,
      drawRequestUs: () => host.draw("requestUs"),
      drawNewsUs: () => host.draw("newsUs"),
      refusal: () => host.refusal(),
      routes: host.routes,
    });
    return this.#kernel;
  }

  openProbes(): Probes {
    const host = this.#host;
    return new SimulatedProbes(
      this.javaScript,
      () => host.now(),
      () => host.probeScript(),
    );
  }

  openProber(): Prober {
    const host = this.#host;
    return new SimulatedProber(
      this.javaScript,
      () => host.now(),
      () => host.echoScript(),
      host.followers,
    );
  }

  runCommand(request: CommandRequest): CommandRun {
    const { result, afterUs } = this.#host.runCommand(request);
    let end: () => void = () => undefined;
    const ended = new Promise<CommandResult>((resolve) => {
      const cancel = this.javaScript.post(Math.min(afterUs, request.timeoutUs), () =>
        resolve(
          afterUs > request.timeoutUs ? { ...result, code: null, signal: "SIGKILL", timedOut: true } : result,
        ),
      );
      end = () => {
        cancel();
        resolve({ ...result, code: null, signal: "SIGKILL" });
      };
    });
    return { result: ended, cancel: () => end() };
  }

  wallClockMs(): number {
    return EPOCH_MS + Math.floor(this.#host.world.nowUs / 1000);
  }

  setTimer(afterUs: number, run: () => void): () => void {
    // Timers of JavaScript count milliseconds.
    return this.javaScript.post(Math.ceil(afterUs / 1000) * 1000, run);
  }

  setAlarm(atUs: number, run: () => void): () => void {
    return this.javaScript.post(Math.max(0, atUs - this.#host.now()), run);
  }

  async close(): Promise<void> {
    if (!this.alive) return;
    this.heartbeat?.resign();
    await new Promise<void>((resolve) => {
      this.javaScript.post(LANE_LIMIT_US, resolve);
      this.#lane.whenIdle(() => this.javaScript.post(0, resolve));
    });
    this.kill();
  }

  /** The end without a word: what the kernel holds stays. */
  kill(): void {
    this.native.end();
    this.javaScript.end();
    this.heartbeat?.abandon();
    this.#kernel?.close();
  }
}
