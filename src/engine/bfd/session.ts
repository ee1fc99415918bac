/**
 * One BFD session at run time: the machine of `core/bfd` and its automaton in the heartbeat engine, kept in step. What
 * the engine did by itself is read from its reports; where both happen at once the engine is right, and what
 * JavaScript wanted is stepped again from there.
 */

import type { Operation, PortId, Transition } from "../../core/automaton.js";
import type { BfdAuthentication } from "../../core/bfd/authentication.js";
import {
  BFD_COUNTERS,
  BFD_TIMERS,
  type BfdCounter,
  type BfdEvent,
  type BfdSettings,
  type BfdState,
  type BfdStep,
  contentOf,
  currentDetectionTimeUs,
  INITIAL_BFD_STATE,
  step,
} from "../../core/bfd/machine.js";
import type { BfdEndpoints, ControlPacket } from "../../core/bfd/packet.js";
import type { Heartbeat, HeartbeatReport, Sequences, SessionId } from "../../driver/driver.js";
import { signedDatagram } from "./authentication.js";
import { type BfdCompiled, type BfdSubscriber, compileBfd, heardPacket, patternOf } from "./plan.js";

export interface BfdPorts {
  readonly lanPort: PortId;
  readonly sendPort: PortId;
}

/** A session between two processes. JSON, but for the frames. */
export interface FrozenBfdSession {
  readonly settings: BfdSettings;
  readonly sourcePort: number;
  readonly state: BfdState;
  /** By timer of BFD_TIMERS, monotonic microseconds. */
  readonly deadlinesUs: readonly (number | null)[];
  readonly counters: readonly number[];
  readonly sequences: Sequences;
  readonly known: readonly Uint8Array[];
}

/** Packets that may wait until the engine's report is read; more are as good as lost on the line. */
const DEFERRED_MAX = 32;
/** Distinct frames of the neighbour that the engine may match by itself. */
const KNOWN_FRAMES_MAX = 4;
/** A process that has just begun needs a while to hear; the one before it listens as well. */
const FIRST_HEARING_US = 200_000;
/** The last word is not repeated by any timer: once more for each that may be lost. */
const FAREWELLS = 3;

export class BfdSession {
  readonly id: SessionId;
  readonly endpoints: BfdEndpoints;
  readonly #heartbeat: Heartbeat;
  readonly #ports: () => BfdPorts | null;
  readonly #authentication: () => BfdAuthentication | null;
  readonly #stepped: (before: BfdState, made: BfdStep, atUs: number) => void;
  #settings: BfdSettings;
  #subscribers: readonly BfdSubscriber[] = [];
  #state: BfdState = INITIAL_BFD_STATE;
  #epoch = 0;
  #compiled: BfdCompiled | null = null;
  /** Where in `#compiled` the engine is, as far as we know; null when a new program is due. */
  #posture: number | null = null;
  #known: Uint8Array[] = [];
  readonly #deferred: (() => boolean)[] = [];
  /** Another process goes on with it. */
  #frozen = false;
  /** What the counters were in the process before. */
  #inherited: readonly number[] = [];

  /** Ports and authentication are asked for at each new program; no ports while the interface is gone. */
  constructor(
    heartbeat: Heartbeat,
    given: {
      readonly settings: BfdSettings;
      readonly endpoints: BfdEndpoints;
      readonly ports: () => BfdPorts | null;
      readonly authentication: () => BfdAuthentication | null;
    },
    stepped: (before: BfdState, made: BfdStep, atUs: number) => void,
  ) {
    this.#heartbeat = heartbeat;
    this.#settings = given.settings;
    this.endpoints = given.endpoints;
    this.#ports = given.ports;
    this.#authentication = given.authentication;
    this.#stepped = stepped;
    this.id = heartbeat.createSession();
  }

  get state(): BfdState {
    return this.#state;
  }

  get settings(): BfdSettings {
    return this.#settings;
  }

  counters(): Readonly<Record<BfdCounter, number>> {
    const counted = this.#counted();
    return Object.fromEntries(BFD_COUNTERS.map((name, index) => [name, counted[index] ?? 0])) as Record<
      BfdCounter,
      number
    >;
  }

  #counted(): number[] {
    return [...this.#heartbeat.counters(this.id)].map(
      (count, index) => count + (this.#inherited[index] ?? 0),
    );
  }

  /** All that another process needs to go on. `freeze`: ceases to act here. */
  look(freeze: boolean): FrozenBfdSession {
    const counters = this.#counted();
    const view = this.#heartbeat.look(this.id, freeze);
    this.#frozen ||= freeze;
    return {
      settings: this.#settings,
      sourcePort: this.endpoints.sourcePort,
      // The engine may have made transitions that were not read yet: it knows better.
      state: (view && this.#compiled?.states[view.posture]) ?? this.#state,
      deadlinesUs: view?.deadlinesUs ?? [],
      counters,
      sequences: this.#heartbeat.sequences(this.id),
      known: this.#known,
    };
  }

  /**
   * Goes on where a session was in another process, or here before it was frozen. What the neighbour said since then is
   * not known: it has the whole detection time and some to be heard again, with whatever number.
   */
  resume(from: FrozenBfdSession): void {
    this.#frozen = false;
    this.#deferred.length = 0;
    this.#settings = from.settings;
    this.#state = from.state;
    this.#known = [...from.known];
    this.#heartbeat.setSequences(this.id, { ...from.sequences, heard: null });
    this.#inheritCounters(from);
    const nowUs = this.#heartbeat.now();
    const least = (timer: number): number =>
      BFD_TIMERS[timer] === "detection" ? (currentDetectionTimeUs(from.state) ?? 0) + FIRST_HEARING_US : 0;
    const rearm = from.deadlinesUs.flatMap((atUs, timer): Operation[] =>
      atUs === null ? [] : [{ op: "arm", timer, afterUs: Math.max(least(timer), atUs - nowUs) }],
    );
    this.#load({ state: from.state, effects: [], reason: null }, nowUs, rearm);
  }

  /**
   * Numbers that the predecessor used meanwhile are used. `ahead`: it still sends, and ceases soon; the neighbour is to
   * believe this process then, without a pause.
   */
  catchUp(from: FrozenBfdSession, ahead: boolean): void {
    const { sent, heard } = this.#heartbeat.sequences(this.id);
    const least = (from.sequences.sent + (ahead ? this.#settings.detectMult : 0)) >>> 0;
    if (((least - sent) | 0) > 0) this.#heartbeat.setSequences(this.id, { sent: least, heard });
  }

  #inheritCounters({ counters }: FrozenBfdSession): void {
    const own = this.#heartbeat.counters(this.id);
    this.#inherited = counters.map((count, index) => count - (own[index] ?? 0));
  }

  start(): void {
    this.dispatch({ type: "start" }, this.#heartbeat.now());
  }

  /** Of the last packet that verified; null while any would do. */
  get lastSequence(): number | null {
    return this.#heartbeat.sequences(this.id).heard;
  }

  /** A packet that passed every check, and its number if it has one. The frame is kept: hand over a copy. */
  hear(packet: ControlPacket, frame: Uint8Array, sequence: number | null, atUs: number): void {
    if (sequence !== null) this.#heartbeat.noteSequence(this.id, sequence);
    const alike = this.#known.findIndex((one) => saysTheSame(one, frame, this.#authentication()));
    if (alike < 0) {
      this.#known = [...this.#known, frame].slice(-KNOWN_FRAMES_MAX);
      this.#posture = null;
    }
    this.dispatch({ type: "packet", packet: heardPacket(packet) }, atUs);
  }

  /** Other settings; a session that is Up tells its neighbour with a poll. */
  retune(settings: BfdSettings): void {
    this.#settings = settings;
    this.#posture = null;
    this.dispatch({ type: "retune" }, this.#heartbeat.now());
  }

  /** Who is told in the engine when the neighbour fails. */
  subscribe(subscribers: readonly BfdSubscriber[]): void {
    this.#subscribers = subscribers;
    this.reload();
  }

  /** What was known of its packets is not, with another authentication. */
  forget(): void {
    this.#known = [];
    this.reload();
  }

  /** The same state with other ports or subscribers. */
  reload(): void {
    this.#posture = null;
    this.#attemptOrDefer(() =>
      this.#load({ state: this.#state, effects: [], reason: null }, this.#heartbeat.now()),
    );
  }

  /** The interface is gone: nothing can be said or heard until `start`. */
  halt(): void {
    const nowUs = this.#heartbeat.now();
    this.#known = [];
    this.#attemptOrDefer(() => {
      const before = this.#state;
      if (!this.#unload(nowUs)) return false;
      this.#state = INITIAL_BFD_STATE;
      this.#stepped(before, { state: INITIAL_BFD_STATE, effects: [], reason: "admin-down" }, nowUs);
      return true;
    });
  }

  /** Ends it. Says that this is on purpose, unless `silent`: another process has the session. */
  close(silent: boolean): void {
    const ports = this.#ports();
    if (!silent && !this.#frozen && ports && this.#state.remote !== null) {
      const { state } = step(this.#settings, this.#state, { type: "adminDown" });
      // From here on nobody else numbers packets.
      this.#heartbeat.look(this.id, true);
      const { sent } = this.#heartbeat.sequences(this.id);
      const content = contentOf(this.#settings, state, false);
      for (let more = 1; more <= FAREWELLS; more++) {
        const farewell = signedDatagram(content, this.endpoints, this.#authentication(), sent + more);
        this.#heartbeat.send(ports.sendPort, farewell);
      }
    }
    this.#heartbeat.removeSession(this.id);
  }

  dispatch(event: BfdEvent, atUs: number): void {
    if (event.type === "packet" && this.#deferred.length >= DEFERRED_MAX) return;
    this.#attemptOrDefer(() => {
      const before = this.#state;
      const foreseen = this.#foreseen(event);
      const made = foreseen?.made ?? step(this.#settings, before, event);
      const loaded = foreseen ? this.#enter(foreseen.transition, atUs) : this.#load(made, atUs);
      if (!loaded) return false;
      this.#state = made.state;
      this.#stepped(before, made, atUs);
      return true;
    });
  }

  /** The engine carried out a transition that was foreseen. */
  onTransition(report: Extract<HeartbeatReport, { type: "transition" }>): void {
    const meaning = this.#compiled?.outcomes[report.from]?.[report.transition];
    const before = this.#compiled?.states[report.from];
    if (!meaning || !before) {
      const which = `${report.from}.${report.transition} of session ${this.id}`;
      throw new Error(`the engine reports transition ${which}, which is not in its program`);
    }
    this.#epoch = report.epoch;
    if (this.#frozen) return;
    this.#state = meaning.step.state;
    if (this.#posture !== null) this.#posture = report.to;
    this.#stepped(before, meaning.step, report.atUs);
    for (let next = this.#deferred.shift(); next; next = this.#deferred.shift()) {
      if (next()) continue;
      this.#deferred.unshift(next);
      break;
    }
  }

  #attemptOrDefer(attempt: () => boolean): void {
    if (this.#frozen) return;
    if (this.#deferred.length > 0 || !attempt()) this.#deferred.push(attempt);
  }

  /**
   * The transition that the engine would have made for this packet. It is here all the same because it came in before
   * the program that knows it: a neighbour at 1 ms sends many until that is compiled.
   */
  #foreseen(event: BfdEvent): { readonly made: BfdStep; readonly transition: Transition } | null {
    if (this.#posture === null || event.type !== "packet") return null;
    const said = JSON.stringify(event);
    const meanings = this.#compiled?.outcomes[this.#posture] ?? [];
    const index = meanings.findIndex(
      (one) => one.event.type === "packet" && JSON.stringify(one.event) === said,
    );
    const made = meanings[index]?.step;
    const transition = this.#compiled?.program.postures[this.#posture]?.transitions[index];
    return made && transition ? { made, transition } : null;
  }

  #enter(transition: Transition, atUs: number): boolean {
    const entry = { posture: transition.next, operations: transition.operations, baseUs: atUs };
    if (!this.#heartbeat.load(this.id, null, entry, this.#epoch)) return false;
    this.#posture = transition.next;
    return true;
  }

  /** False when the engine made a transition that we have not read yet. */
  #load(made: BfdStep, atUs: number, more: readonly Operation[] = []): boolean {
    const ports = this.#ports();
    if (!ports) return this.#unload(atUs);
    const input = {
      settings: this.#settings,
      endpoints: this.endpoints,
      authentication: this.#authentication(),
      ...ports,
      subscribers: this.#subscribers,
    };
    const { compiled, operations } = compileBfd(input, made, this.#known);
    const entry = { posture: 0, operations: [...operations, ...more], baseUs: atUs };
    if (!this.#heartbeat.load(this.id, compiled.program, entry, this.#epoch)) return false;
    this.#compiled = compiled;
    this.#posture = 0;
    return true;
  }

  #unload(atUs: number): boolean {
    this.#posture = null;
    const operations = BFD_TIMERS.map((_, timer) => ({ op: "cancel", timer }) as const);
    const empty = { frames: [], patterns: [], kernelPlans: [], postures: [{ transitions: [] }] };
    return this.#heartbeat.load(this.id, empty, { posture: 0, operations, baseUs: atUs }, this.#epoch);
  }
}

function saysTheSame(a: Uint8Array, b: Uint8Array, authentication: BfdAuthentication | null): boolean {
  if (a.length !== b.length) return false;
  const { mask } = patternOf(a, 0, authentication);
  return a.every((octet, index) => ((octet ^ (b[index] as number)) & (mask[index] as number)) === 0);
}
