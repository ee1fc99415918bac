/**
 * The heartbeat engine on virtual time: carries out what src/core/automaton.ts declares, as the native engine
 * (native/heartbeat.cc) does. Like that one it knows no protocol.
 *
 * It wakes up a little after a deadline or a frame. What has been received by then is handled first, in the order of
 * time: a deadline that had passed when a frame came in is not saved by it. What JavaScript is to know waits in a
 * queue until JavaScript has its turn; `load` is refused while something is there that it has not read.
 */
import { formatIp, formatMac } from "../../core/address.js";
import {
  type HeartbeatProgram,
  type KernelStep,
  MAX_COUNTERS,
  MAX_TIMERS,
  type Operation,
  type PortId,
  type ProgramEntry,
  type Transition,
} from "../../core/automaton.js";
import { readIp } from "../../core/ethernet.js";
import type {
  DatagramPortOptions,
  EngineTiming,
  Heartbeat,
  HeartbeatOptions,
  HeartbeatReport,
  PortCounters,
  PortOptions,
  SessionId,
} from "../driver.js";
import type { Context } from "./context.js";
import type { StepFailure } from "./kernel-lane.js";
import type { NetworkStack, Tap } from "./network-stack.js";
import { socketFilter } from "./socket-filter.js";

/** What the engine runs on. */
export interface HeartbeatHost {
  readonly stack: NetworkStack;
  /** The engine's own thread. */
  readonly native: Context;
  /** The machine's monotonic clock, microseconds. */
  now(): number;
  /** How late the thread comes after it was woken, this time. */
  drawWakeUs(): number;
  /** How long until JavaScript gets to a report, if it does not stand still; this time. */
  drawReportUs(): number;
  readonly javaScript: Context;
  submit(steps: readonly KernelStep[], done: (failures: readonly StepFailure[]) => void): void;
  noteSession(
    session: SessionId,
    how: "transition" | "load",
    armed: readonly number[],
    awaited: readonly number[],
  ): void;
}

const NEVER = Number.POSITIVE_INFINITY;
/** Unreported timers this close to a wake-up are carried out with it, as in the native engine. */
const SLACK_US = 60;
/** Frames for JavaScript: 200 a second from one sender in bursts of 64, 4,000 a second from a port, 4,096 waiting. */
const SENDER_RATE = { costUs: 5_000, burst: 64 };
const PORT_RATE = { costUs: 250, burst: 2_048 };
const WAITING_FRAMES_MAX = 4096;
/** What a socket's buffer holds. */
const SOCKET_FRAMES_MAX = 8192;
const RENEWALS_PER_TIMEOUT = 8;
const LATENESS_BOUNDS_US = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000];

interface Session {
  readonly id: SessionId;
  readonly deadlines: number[];
  readonly counters: Float64Array;
  epoch: number;
  posture: number;
  program: HeartbeatProgram | null;
}

/** A token bucket, as a moment: how far it is used up. */
class Bucket {
  #usedUntilUs = NEVER * -1;

  take(nowUs: number, rate: { readonly costUs: number; readonly burst: number }): boolean {
    const levelUs = Math.max(this.#usedUntilUs, nowUs - rate.costUs * rate.burst);
    if (levelUs + rate.costUs > nowUs) return false;
    this.#usedUntilUs = levelUs + rate.costUs;
    return true;
  }
}

interface Received {
  readonly frame: Uint8Array;
  readonly atUs: number;
}

interface Expectation {
  readonly session: SessionId;
  readonly pattern: number;
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
}

type Counts = { -readonly [key in keyof PortCounters]: number };

interface Port {
  readonly options: PortOptions | DatagramPortOptions;
  readonly counts: Counts;
  readonly received: Received[];
  readonly all: Bucket;
  readonly senders: Map<string, Bucket>;
  /** By frame length. */
  readonly expected: Map<number, Expectation[]>;
  error: string | null;
  readonly close: () => void;
}

/** What a test may want to know of a session. */
export interface SessionView {
  readonly session: SessionId;
  readonly epoch: number;
  readonly posture: number;
  readonly program: HeartbeatProgram | null;
  /** Deadlines by timer, monotonic microseconds; null for one that is not armed. */
  readonly deadlinesUs: readonly (number | null)[];
}

export class SimulatedHeartbeat implements Heartbeat {
  readonly #host: HeartbeatHost;
  readonly #options: HeartbeatOptions;
  readonly #sessions = new Map<SessionId, Session>();
  readonly #ports = new Map<PortId, Port>();
  #nextSession = 1;
  #nextPort = 1;
  #reports: HeartbeatReport[] = [];
  #waitingFrames = 0;
  #deliveryAsked = false;
  #wakeUpUs = NEVER;
  #cancelWakeUp: () => void = () => undefined;
  #renewedUs: number;
  #controlLostUs: number | null = null;
  #closed = false;
  readonly #timing = {
    wakeups: 0,
    latenessMaxUs: 0,
    latenessCounts: new Array<number>(LATENESS_BOUNDS_US.length + 1).fill(0),
    skippedPeriods: 0,
  };

  constructor(options: HeartbeatOptions, host: HeartbeatHost) {
    this.#options = options;
    this.#host = host;
    this.#renewedUs = host.now();
    this.#renewRegularly();
    this.#armWakeUp();
  }

  // ---- what JavaScript calls ----------------------------------------------------------------------------

  now(): number {
    return this.#host.now();
  }

  openPort(options: PortOptions | DatagramPortOptions): PortId {
    this.#mustBeOpen();
    const id = this.#nextPort++;
    const port: Port = {
      options,
      counts: {
        received: 0,
        matched: 0,
        delivered: 0,
        droppedUnread: 0,
        droppedByKernel: 0,
        sent: 0,
        sendErrors: 0,
      },
      received: [],
      all: new Bucket(),
      senders: new Map(),
      expected: new Map(),
      error: null,
      close: options.kind === "packet" ? this.#tap(id, options) : () => undefined,
    };
    this.#ports.set(id, port);
    return id;
  }

  closePort(port: PortId): void {
    this.#ports.get(port)?.close();
    this.#ports.delete(port);
  }

  createSession(): SessionId {
    this.#mustBeOpen();
    const id = this.#nextSession++;
    const deadlines = new Array<number>(MAX_TIMERS).fill(NEVER);
    const counters = new Float64Array(MAX_COUNTERS);
    this.#sessions.set(id, { id, deadlines, counters, epoch: 0, posture: 0, program: null });
    return id;
  }

  removeSession(session: SessionId): void {
    const removed = this.#sessions.get(session);
    if (removed) this.#expect(removed, false);
    this.#sessions.delete(session);
  }

  load(id: SessionId, given: HeartbeatProgram | null, entry: ProgramEntry, epoch: number): boolean {
    this.#mustBeOpen();
    const session = this.#session(id);
    const program = given ?? session.program;
    if (program === null) throw new TypeError("the session has no program yet");
    if (entry.posture >= program.postures.length) throw new TypeError("entry.posture is not in the program");
    if (session.epoch !== epoch) return false;
    this.#expect(session, false);
    session.program = program;
    this.#expect(session, true);
    session.posture = entry.posture;
    this.#carryOut(session, entry.operations, entry.baseUs, this.now(), false);
    this.#noteSession(session, "load");
    this.#armWakeUp();
    return true;
  }

  counters(session: SessionId): Float64Array {
    return this.#session(session).counters.slice();
  }

  portCounters(port: PortId): PortCounters {
    const found = this.#ports.get(port);
    if (!found) throw new TypeError("portCounters(port): there is no such port");
    return { ...found.counts };
  }

  timing(): EngineTiming {
    return {
      ...this.#timing,
      latenessBoundsUs: LATENESS_BOUNDS_US,
      latenessCounts: [...this.#timing.latenessCounts],
      realtime: true,
      memoryLocked: true,
    };
  }

  send(port: PortId, frame: Uint8Array): void {
    const found = this.#ports.get(port);
    if (!found) return;
    const errno = this.#transmit(found.options, frame);
    if (errno === null) found.counts.sent++;
    else found.counts.sendErrors++;
  }

  // ---- what the simulation calls ------------------------------------------------------------------------

  /** Resigns from everything, as the native engine does at the end of its environment. Ports still send. */
  resign(): void {
    if (this.#closed) return;
    if (this.#controlLostUs === null) this.#loseControl(this.now());
    this.#closed = true;
    this.#cancelWakeUp();
  }

  /** Closes the sockets, as the end of a process does. */
  abandon(): void {
    this.#closed = true;
    this.#cancelWakeUp();
    for (const port of this.#ports.values()) port.close();
    this.#ports.clear();
  }

  views(): SessionView[] {
    return [...this.#sessions.values()].map((one) => ({
      session: one.id,
      epoch: one.epoch,
      posture: one.posture,
      program: one.program,
      deadlinesUs: one.deadlines.map((atUs) => (atUs === NEVER ? null : atUs)),
    }));
  }

  // ---- ports --------------------------------------------------------------------------------------------

  #tap(id: PortId, options: PortOptions): () => void {
    const link = this.#host.stack.interfaces.get(options.ifindex);
    if (!link)
      throw Object.assign(new Error("a packet socket can't be opened: no such device"), { code: "ENODEV" });
    const filter = socketFilter(options.filter);
    const tap: Tap = {
      ifindex: options.ifindex,
      memberships: new Set(options.memberships.map(formatMac)),
      frame: (frame) => {
        if (filter.accepts(frame)) this.#receive(id, frame);
      },
      error: (errno) => {
        const port = this.#ports.get(id);
        if (port) port.error = errno;
        this.#wakeUpSoon();
      },
    };
    link.taps.add(tap);
    return () => void link.taps.delete(tap);
  }

  #receive(id: PortId, frame: Uint8Array): void {
    const port = this.#ports.get(id);
    if (!port) return;
    if (port.received.length >= SOCKET_FRAMES_MAX) port.counts.droppedByKernel++;
    else port.received.push({ frame, atUs: this.now() });
    this.#wakeUpSoon();
  }

  #transmit(options: PortOptions | DatagramPortOptions, frame: Uint8Array): string | null {
    const { stack } = this.#host;
    if (options.kind === "packet") return stack.transmit(options.ifindex, frame);
    const ip = readIp(frame);
    return ip ? stack.transmitDatagram(options.ifindex, frame, formatIp(ip.destination)) : "EINVAL";
  }

  #expect(session: Session, add: boolean): void {
    session.program?.patterns.forEach(({ port, bytes, mask }, pattern) => {
      const expected = this.#ports.get(port)?.expected;
      const known = expected?.get(mask.length) ?? [];
      const others = add ? known : known.filter((one) => one.session !== session.id);
      expected?.set(mask.length, add ? [...known, { session: session.id, pattern, bytes, mask }] : others);
    });
  }

  // ---- the engine's thread ------------------------------------------------------------------------------

  /** Something came in: the thread wakes up after its usual lateness, unless it does earlier anyway. */
  #wakeUpSoon(): void {
    const lateUs = this.#host.drawWakeUs();
    if (this.now() + lateUs < this.#wakeUpUs) this.#wakeUpAfter(lateUs);
  }

  #armWakeUp(): void {
    if (this.#closed) return;
    let nextUs = this.#controlLostUs === null ? this.#renewedUs + this.#options.controlTimeoutUs : NEVER;
    for (const { deadlines } of this.#sessions.values()) {
      for (const deadlineUs of deadlines) if (deadlineUs < nextUs) nextUs = deadlineUs;
    }
    const waiting = [...this.#ports.values()].some((port) => port.received.length > 0 || port.error !== null);
    if (waiting) {
      this.#wakeUpSoon();
      return;
    }
    if (nextUs === NEVER) {
      this.#cancelWakeUp();
      this.#wakeUpUs = NEVER;
      return;
    }
    this.#wakeUpAfter(Math.max(0, nextUs - this.now()) + this.#host.drawWakeUs());
  }

  #wakeUpAfter(us: number): void {
    this.#cancelWakeUp();
    this.#wakeUpUs = this.now() + us;
    this.#cancelWakeUp = this.#host.native.post(us, () => this.#wakeUp());
  }

  #wakeUp(): void {
    if (this.#closed) return;
    this.#wakeUpUs = NEVER;
    this.#timing.wakeups++;
    for (const [id, port] of [...this.#ports]) this.#readPort(id, port);
    const nowUs = this.now();
    this.#fireTimers(nowUs, nowUs, SLACK_US);
    if (this.#controlLostUs === null && nowUs - this.#renewedUs >= this.#options.controlTimeoutUs) {
      this.#loseControl(nowUs);
    }
    this.#armWakeUp();
  }

  #readPort(id: PortId, port: Port): void {
    const nowUs = this.now();
    if (port.error !== null) {
      this.#report({ type: "portError", port: id, errno: port.error, atUs: nowUs });
      port.error = null;
    }
    for (const { frame, atUs } of port.received.splice(0)) {
      port.counts.received++;
      this.#fireTimers(atUs - 1, nowUs, 0);
      if (!this.#match(port, frame, atUs, nowUs)) this.#deliver(id, port, frame, atUs, nowUs);
    }
  }

  #match(port: Port, frame: Uint8Array, atUs: number, nowUs: number): boolean {
    const match = port.expected.get(frame.length)?.find((one) => equalsUnderMask(frame, one));
    const session = match && this.#sessions.get(match.session);
    if (!session?.program) return false;
    const transitions = session.program.postures[session.posture]?.transitions ?? [];
    const index = transitions.findIndex(
      ({ trigger }) => trigger.on === "pattern" && trigger.pattern === match?.pattern,
    );
    if (index < 0) return false;
    port.counts.matched++;
    this.#fire(session, index, atUs, nowUs, false);
    return true;
  }

  #deliver(id: PortId, port: Port, frame: Uint8Array, atUs: number, nowUs: number): void {
    const sender = formatMac(frame.subarray(6, 12));
    const bucket = port.senders.get(sender) ?? new Bucket();
    port.senders.set(sender, bucket);
    const room = this.#waitingFrames < WAITING_FRAMES_MAX;
    if (!room || !bucket.take(nowUs, SENDER_RATE) || !port.all.take(nowUs, PORT_RATE)) {
      port.counts.droppedUnread++;
      return;
    }
    port.counts.delivered++;
    this.#waitingFrames++;
    this.#report({ type: "frame", port: id, frame, atUs });
  }

  /** Carries out timers due by `untilUs`, earliest first; unreported ones also within the slack. */
  #fireTimers(untilUs: number, nowUs: number, slackUs: number): void {
    for (;;) {
      let due: { session: Session; timer: number; atUs: number } | null = null;
      for (const session of this.#sessions.values()) {
        session.deadlines.forEach((atUs, timer) => {
          if (atUs <= untilUs + slackUs && (due === null || atUs < due.atUs)) due = { session, timer, atUs };
        });
      }
      if (due === null) return;
      const { session, timer, atUs } = due as { session: Session; timer: number; atUs: number };
      const transitions = session.program?.postures[session.posture]?.transitions ?? [];
      const index = transitions.findIndex(({ trigger }) => trigger.on === "timer" && trigger.timer === timer);
      if (atUs > untilUs && (index < 0 || transitions[index]?.report)) return;
      session.deadlines[timer] = NEVER;
      if (index < 0) continue;
      this.#noteLateness(nowUs - atUs);
      this.#fire(session, index, atUs, nowUs, true);
    }
  }

  #fire(session: Session, index: number, baseUs: number, nowUs: number, byTimer: boolean): void {
    const transition = session.program?.postures[session.posture]?.transitions[index] as Transition;
    const from = session.posture;
    if (transition.report) session.epoch++;
    session.posture = transition.next;
    this.#carryOut(session, transition.operations, baseUs, nowUs, byTimer);
    this.#noteSession(session, "transition");
    if (!transition.report) return;
    this.#report({
      type: "transition",
      session: session.id,
      epoch: session.epoch,
      from,
      to: transition.next,
      transition: index,
      atUs: baseUs,
      carriedOutUs: nowUs,
    });
  }

  #carryOut(
    session: Session,
    operations: readonly Operation[],
    baseUs: number,
    nowUs: number,
    byTimer: boolean,
  ): void {
    for (const one of operations) {
      switch (one.op) {
        case "send":
          this.send(one.port, session.program?.frames[one.frame] as Uint8Array);
          break;
        case "arm": {
          let deadlineUs = baseUs + one.afterUs;
          if (byTimer && deadlineUs <= nowUs && one.afterUs > 0) {
            // More than a whole period late: what was missed is not made up for in a burst.
            this.#timing.skippedPeriods += Math.floor((nowUs - baseUs) / one.afterUs);
            deadlineUs = nowUs + one.afterUs;
          }
          session.deadlines[one.timer] = deadlineUs;
          break;
        }
        case "cancel":
          session.deadlines[one.timer] = NEVER;
          break;
        case "count":
          session.counters[one.counter] = (session.counters[one.counter] ?? 0) + 1;
          break;
        case "kernel": {
          const { id, epoch } = session;
          this.#host.submit(session.program?.kernelPlans[one.plan] ?? [], (failures) =>
            this.#report({ type: "kernel", session: id, epoch, atUs: this.now(), failures }),
          );
          break;
        }
      }
    }
  }

  // ---- JavaScript's side --------------------------------------------------------------------------------

  #report(report: HeartbeatReport): void {
    if (this.#closed) return;
    this.#reports.push(report);
    if (this.#deliveryAsked) return;
    this.#deliveryAsked = true;
    this.#host.javaScript.post(this.#host.drawReportUs(), () => {
      this.#deliveryAsked = false;
      this.#renew();
      const reports = this.#reports;
      this.#reports = [];
      this.#waitingFrames = 0;
      if (reports.length > 0 && !this.#closed) this.#options.onReports(reports);
    });
  }

  #renewRegularly(): void {
    this.#host.javaScript.post(this.#options.controlTimeoutUs / RENEWALS_PER_TIMEOUT, () => {
      if (this.#closed) return;
      this.#renew();
      this.#renewRegularly();
    });
  }

  #renew(): void {
    const nowUs = this.now();
    this.#renewedUs = nowUs;
    if (this.#controlLostUs === null) return;
    const silentForUs = nowUs - this.#controlLostUs + this.#options.controlTimeoutUs;
    this.#controlLostUs = null;
    this.#report({ type: "controlRestored", silentForUs, atUs: nowUs });
    this.#armWakeUp();
  }

  #loseControl(nowUs: number): void {
    this.#controlLostUs = nowUs;
    for (const session of [...this.#sessions.values()]) {
      const transitions = session.program?.postures[session.posture]?.transitions ?? [];
      const index = transitions.findIndex(({ trigger }) => trigger.on === "controlLost");
      if (index >= 0) this.#fire(session, index, nowUs, nowUs, false);
    }
  }

  // ---- small things -------------------------------------------------------------------------------------

  #noteSession(session: Session, how: "transition" | "load"): void {
    const armed = session.deadlines.flatMap((atUs, timer) => (atUs === NEVER ? [] : [timer]));
    const awaited = (session.program?.postures[session.posture]?.transitions ?? []).flatMap(({ trigger }) =>
      trigger.on === "timer" ? [trigger.timer] : [],
    );
    this.#host.noteSession(
      session.id,
      how,
      armed,
      awaited.sort((a, b) => a - b),
    );
  }

  #noteLateness(latenessUs: number): void {
    const bucket = LATENESS_BOUNDS_US.findIndex((boundUs) => latenessUs <= boundUs);
    const { latenessCounts } = this.#timing;
    const index = bucket < 0 ? LATENESS_BOUNDS_US.length : bucket;
    latenessCounts[index] = (latenessCounts[index] ?? 0) + 1;
    this.#timing.latenessMaxUs = Math.max(this.#timing.latenessMaxUs, latenessUs);
  }

  #session(id: SessionId): Session {
    const session = this.#sessions.get(id);
    if (!session) throw new TypeError("there is no such session");
    return session;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error("the heartbeat engine is closed");
  }
}

function equalsUnderMask(frame: Uint8Array, { bytes, mask }: Expectation): boolean {
  for (let index = 0; index < mask.length; index++) {
    if ((((frame[index] as number) ^ (bytes[index] as number)) & (mask[index] as number)) !== 0) return false;
  }
  return true;
}
