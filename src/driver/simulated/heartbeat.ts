/**
 * The heartbeat engine on virtual time: carries out what src/core/automaton.ts declares, as the native engine
 * (native/heartbeat.cc) does. Like that one it knows no protocol.
 *
 * It wakes up a little after a deadline or a frame. What has been received by then is handled first, in the order of
 * time: a deadline that had passed when a frame came in is not saved by it. What JavaScript is to know waits in a
 * queue until JavaScript has its turn; `load` is refused while something is there that it has not read.
 */
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
import type {
  DatagramPortOptions,
  EngineTiming,
  Heartbeat,
  HeartbeatOptions,
  HeartbeatReport,
  Lease,
  LeaseTerms,
  PortCounters,
  PortOptions,
  Sequences,
  SessionId,
  SessionView as SessionState,
} from "../driver.js";
import type { Context } from "./context.js";
import type { StepFailure } from "./kernel-lane.js";
import type { SimulatedLease } from "./lease.js";
import type { NetworkStack } from "./network-stack.js";
import { Port } from "./port.js";
import { Punctuality } from "./punctuality.js";
import { ReportQueue } from "./report-queue.js";
import { believes, frameToSend } from "./seal.js";
import { NEVER, type Session, timerTransition, transitionOn } from "./session.js";
import { arm, type Moment, slackOf } from "./timers.js";

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
  /** 0 up to, not including, 1. */
  drawFraction(): number;
  /** The errno that sockets are refused with, if they are. */
  socketRefusal(): string | null;
  submit(steps: readonly KernelStep[], done: (failures: readonly StepFailure[]) => void): void;
  noteSession(
    session: SessionId,
    how: "transition" | "load",
    armed: readonly number[],
    awaited: readonly number[],
  ): void;
}

const RENEWALS_PER_TIMEOUT = 8;

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
  readonly #reports: ReportQueue;
  readonly #signals: { readonly session: SessionId; readonly signal: number; readonly moment: Moment }[] = [];
  #signalling = false;
  #wakeUpUs = NEVER;
  #cancelWakeUp: () => void = () => undefined;
  #renewedUs: number;
  #controlLostUs: number | null = null;
  #closed = false;
  readonly #punctuality = new Punctuality();

  constructor(options: HeartbeatOptions, host: HeartbeatHost) {
    this.#options = options;
    this.#host = host;
    this.#reports = new ReportQueue({
      soon: (run) => host.javaScript.post(host.drawReportUs(), run),
      begun: () => this.#renew(),
      deliver: (reports) => {
        if (reports.length > 0 && !this.#closed) options.onReports(reports);
      },
      counts: (port) => this.#ports.get(port)?.counts,
    });
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
    const refusal = this.#host.socketRefusal();
    if (refusal !== null) throw Object.assign(new Error(refusal), { code: refusal });
    const id = this.#nextPort++;
    const port = new Port(options, {
      stack: this.#host.stack,
      now: () => this.now(),
      wake: () => this.#wakeUpSoon(),
    });
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
    const bases = new Array<number>(MAX_TIMERS).fill(0);
    const behindUs = new Array<number>(MAX_TIMERS).fill(0);
    this.#sessions.set(id, {
      id,
      deadlines,
      bases,
      behindUs,
      counters,
      epoch: 0,
      posture: 0,
      program: null,
      lease: null,
      sequenceSent: Math.floor(this.#host.drawFraction() * 2 ** 32),
      sequenceHeard: null,
    });
    return id;
  }

  removeSession(session: SessionId): void {
    const removed = this.#sessions.get(session);
    if (removed) this.#expect(removed, false);
    this.#sessions.delete(session);
  }

  load(id: SessionId, program: HeartbeatProgram | null, entry: ProgramEntry, epoch: number): boolean {
    this.#mustBeOpen();
    const session = this.#session(id);
    const next = program ?? session.program;
    if (!next) throw new TypeError("the session has no program to keep");
    if (entry.posture >= next.postures.length) throw new TypeError("entry.posture is not in the program");
    if (session.epoch !== epoch) return false;
    if (next !== session.program) {
      this.#expect(session, false);
      session.program = next;
      this.#expect(session, true);
    }
    session.posture = entry.posture;
    this.#carryOut(session, entry.operations, { cause: "entry", baseUs: entry.baseUs, nowUs: this.now() });
    this.#checkYield(session);
    this.#deliverSignals();
    this.#noteSession(session, "load");
    this.#armWakeUp();
    return true;
  }

  bindLease(id: SessionId, lease: Lease | null, terms: LeaseTerms): void {
    const session = this.#session(id);
    if (lease === null) session.lease?.set(false, this.now());
    session.lease = lease as SimulatedLease | null;
    if (session.lease) session.lease.terms = terms;
  }

  look(id: SessionId, freeze: boolean): SessionState | null {
    const session = this.#session(id);
    if (!session.program) return null;
    const { posture, counters } = session;
    const deadlinesUs = session.deadlines.map((atUs) => (atUs === NEVER ? null : atUs));
    if (freeze) {
      this.#expect(session, false);
      session.program = null;
      session.deadlines.fill(NEVER);
    }
    return { posture, deadlinesUs, counters: [...counters] };
  }

  sequences(id: SessionId): Sequences {
    const { sequenceSent, sequenceHeard } = this.#session(id);
    return { sent: sequenceSent, heard: sequenceHeard };
  }

  setSequences(id: SessionId, { sent, heard }: Sequences): void {
    const session = this.#session(id);
    session.sequenceSent = sent;
    session.sequenceHeard = heard;
  }

  noteSequence(id: SessionId, heard: number): void {
    const session = this.#session(id);
    const known = session.sequenceHeard;
    if (known === null || ((heard - known) | 0) >= 0) session.sequenceHeard = heard;
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
    return this.#punctuality.timing();
  }

  send(port: PortId, frame: Uint8Array): void {
    this.#ports.get(port)?.send(frame);
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

  #expect(session: Session, add: boolean): void {
    session.program?.patterns.forEach((pattern, index) => {
      const port = this.#ports.get(pattern.port);
      if (add) port?.expect(session.id, index, pattern);
      else port?.forget(session.id);
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
    const waiting = [...this.#ports.values()].some((port) => port.readable);
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
    this.#punctuality.wokeUp();
    // Whoever was succeeded while it stood still learns it before it does anything else.
    for (const session of this.#sessions.values()) this.#checkYield(session);
    // What has come in is read before a deadline is acted on: the advertisement may be there already.
    for (const [id, port] of [...this.#ports]) this.#readPort(id, port);
    const nowUs = this.now();
    this.#fireTimers(nowUs);
    if (this.#controlLostUs === null && nowUs - this.#renewedUs >= this.#options.controlTimeoutUs) {
      this.#loseControl(nowUs);
    }
    this.#reports.release(NEVER);
    this.#armWakeUp();
  }

  #readPort(id: PortId, port: Port): void {
    const nowUs = this.now();
    const errno = port.takeError();
    if (errno !== null) this.#report({ type: "portError", port: id, errno, atUs: nowUs });
    for (const { frame, atUs } of port.takeReceived()) {
      if (this.#match(port, frame, atUs, nowUs) || !port.admits(frame, nowUs)) continue;
      this.#reports.hold({ type: "frame", port: id, frame, atUs });
    }
  }

  /** False when the frame is JavaScript's. */
  #match(port: Port, frame: Uint8Array, atUs: number, nowUs: number): boolean {
    for (const expectation of port.matches(frame)) {
      const session = this.#sessions.get(expectation.session);
      if (!session) continue;
      // In the order of time: a deadline that had passed when the frame came in is not saved by it.
      this.#firePassed(session, atUs, nowUs);
      const { pattern } = expectation;
      const index = transitionOn(
        session,
        (trigger) => trigger.on === "pattern" && trigger.pattern === pattern,
      );
      if (index < 0 || !believes(session, pattern, frame)) continue;
      const known = expectation.guards === null;
      if (known) port.counts.matched++;
      this.#fire(session, index, { cause: "frame", baseUs: atUs, nowUs });
      return known;
    }
    return false;
  }

  /** Carries out timers that have passed, earliest first; unreported ones also a little early, in company. */
  #fireTimers(nowUs: number): void {
    for (let fired = false; ; fired = true) {
      let next: { session: Session; timer: number; atUs: number } | null = null;
      for (const session of this.#sessions.values()) {
        for (const [timer, atUs] of session.deadlines.entries()) {
          if (atUs < (next?.atUs ?? NEVER)) next = { session, timer, atUs };
        }
      }
      if (next === null) return;
      const { session, timer, atUs } = next;
      if (atUs > nowUs) {
        const transition =
          session.program?.postures[session.posture]?.transitions[timerTransition(session, timer)];
        if (!fired || !transition || transition.report || atUs > nowUs + slackOf(transition, timer)) return;
      }
      this.#fireTimer(session, timer, nowUs);
    }
  }

  #firePassed(session: Session, beforeUs: number, nowUs: number): void {
    for (;;) {
      const first = Math.min(...session.deadlines);
      if (first >= beforeUs) return;
      this.#fireTimer(session, session.deadlines.indexOf(first), nowUs);
    }
  }

  #fireTimer(session: Session, timer: number, nowUs: number): void {
    const deadlineUs = session.deadlines[timer] as number;
    const index = timerTransition(session, timer);
    session.deadlines[timer] = NEVER;
    if (index < 0) return;
    this.#punctuality.late(nowUs - deadlineUs);
    this.#fire(session, index, { cause: "timer", baseUs: deadlineUs, nowUs, timer });
  }

  #fire(session: Session, index: number, moment: Moment): void {
    const transition = session.program?.postures[session.posture]?.transitions[index] as Transition;
    if (transition.report) {
      this.#reports.release(moment.baseUs);
      this.#report({
        type: "transition",
        session: session.id,
        epoch: ++session.epoch,
        from: session.posture,
        to: transition.next,
        transition: index,
        atUs: moment.baseUs,
        carriedOutUs: moment.nowUs,
      });
    }
    session.posture = transition.next;
    this.#carryOut(session, transition.operations, moment);
    this.#noteSession(session, "transition");
    this.#deliverSignals();
  }

  /** Sets off what other sessions were signalled. */
  #deliverSignals(): void {
    if (this.#signalling) return;
    this.#signalling = true;
    for (let one = this.#signals.shift(); one; one = this.#signals.shift()) {
      const { signal, moment } = one;
      const session = this.#sessions.get(one.session);
      if (!session) continue;
      this.#firePassed(session, moment.baseUs, moment.nowUs);
      const index = transitionOn(session, (trigger) => trigger.on === "signal" && trigger.signal === signal);
      if (index >= 0)
        this.#fire(session, index, { cause: "frame", baseUs: moment.baseUs, nowUs: moment.nowUs });
    }
    this.#signalling = false;
  }

  #checkYield(session: Session): void {
    if (!session.lease?.gaveWay) return;
    const index = transitionOn(session, (trigger) => trigger.on === "gaveWay");
    const nowUs = this.now();
    if (index >= 0) this.#fire(session, index, { cause: "gaveWay", baseUs: nowUs, nowUs });
  }

  #carryOut(session: Session, operations: readonly Operation[], moment: Moment): void {
    for (const one of operations) {
      switch (one.op) {
        case "send":
          this.send(one.port, frameToSend(session, one.frame, one.sealAt));
          session.lease?.renew(this.now());
          break;
        case "lease":
          if (one.open) session.lease?.set(true, this.now());
          break;
        case "arm":
          this.#punctuality.skipped(
            arm(session, one, this.#drawUs(one.jitterUs ?? 0), moment, this.#sessions.size),
          );
          break;
        case "cancel":
          session.deadlines[one.timer] = NEVER;
          break;
        case "count":
          session.counters[one.counter] = (session.counters[one.counter] ?? 0) + 1;
          break;
        case "forgetSequence":
          session.sequenceHeard = null;
          break;
        case "signal":
          this.#signals.push({ session: one.session, signal: one.signal, moment });
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
    // What this transition sends leaves before the filter keeps it in.
    if (operations.some((one) => one.op === "lease" && !one.open)) session.lease?.set(false, this.now());
  }

  #drawUs(belowUs: number): number {
    return belowUs === 0 ? 0 : Math.floor(this.#host.drawFraction() * belowUs);
  }

  // ---- JavaScript's side --------------------------------------------------------------------------------

  #report(report: HeartbeatReport): void {
    if (!this.#closed) this.#reports.push(report);
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
      const index = transitionOn(session, (trigger) => trigger.on === "controlLost");
      if (index >= 0) this.#fire(session, index, { cause: "control", baseUs: nowUs, nowUs });
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

  #session(id: SessionId): Session {
    const session = this.#sessions.get(id);
    if (!session) throw new TypeError("there is no such session");
    return session;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error("the heartbeat engine is closed");
  }
}
