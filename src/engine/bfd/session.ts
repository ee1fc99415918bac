/** One BFD session at run time: the machine of `core/bfd` and its automaton in the heartbeat engine, kept in step. */

import type { Operation, PortId } from "../../core/automaton.js";
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
import type { Heartbeat, Sequences, SessionId } from "../../driver/driver.js";
import {
  AutomatonSession,
  type ForeseenStep,
  type FrozenAutomaton,
  rearm,
  type TransitionReport,
} from "../automaton/session.js";
import { signedDatagram } from "./authentication.js";
import { type BfdSubscriber, compileBfd, heardPacket, patternOf } from "./plan.js";

export interface BfdPorts {
  readonly lanPort: PortId;
  readonly sendPort: PortId;
}

/** A session between two processes. JSON, but for the frames. */
export interface FrozenBfdSession extends FrozenAutomaton {
  readonly settings: BfdSettings;
  readonly sourcePort: number;
  readonly state: BfdState;
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
  readonly endpoints: BfdEndpoints;
  readonly #heartbeat: Heartbeat;
  readonly #automaton: AutomatonSession<BfdState, BfdEvent, BfdStep>;
  readonly #ports: () => BfdPorts | null;
  readonly #authentication: () => BfdAuthentication | null;
  readonly #stepped: (before: BfdState, made: BfdStep, atUs: number) => void;
  #settings: BfdSettings;
  #subscribers: readonly BfdSubscriber[] = [];
  #state: BfdState = INITIAL_BFD_STATE;
  #known: Uint8Array[] = [];

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
    this.#automaton = new AutomatonSession(heartbeat, BFD_TIMERS.length);
  }

  get id(): SessionId {
    return this.#automaton.id;
  }

  get state(): BfdState {
    return this.#state;
  }

  /** Others listen to it and never answer (RFC 8562). */
  get isHead(): boolean {
    return this.#settings.sessionType === "multipointHead";
  }

  get settings(): BfdSettings {
    return this.#settings;
  }

  counters(): Readonly<Record<BfdCounter, number>> {
    const counted = this.#automaton.counters();
    return Object.fromEntries(BFD_COUNTERS.map((name, index) => [name, counted[index] ?? 0])) as Record<
      BfdCounter,
      number
    >;
  }

  /** All that another process needs to go on. `freeze`: ceases to act here. */
  look(freeze: boolean): FrozenBfdSession {
    const { state, ...frozen } = this.#automaton.look(freeze);
    return {
      settings: this.#settings,
      sourcePort: this.endpoints.sourcePort,
      state: state ?? this.#state,
      ...frozen,
      sequences: this.#heartbeat.sequences(this.id),
      known: this.#known,
    };
  }

  /**
   * Goes on where a session was in another process, or here before it was frozen. What the neighbour said since then is
   * not known: it has the whole detection time and some to be heard again, with whatever number.
   */
  resume(from: FrozenBfdSession): void {
    this.#automaton.thaw(from);
    this.#settings = from.settings;
    this.#state = from.state;
    this.#known = [...from.known];
    this.#heartbeat.setSequences(this.id, { ...from.sequences, heard: null });
    const nowUs = this.#heartbeat.now();
    const least = (timer: number): number =>
      BFD_TIMERS[timer] === "detection" ? (currentDetectionTimeUs(from.state) ?? 0) + FIRST_HEARING_US : 0;
    this.#load({ state: from.state, effects: [], reason: null }, nowUs, rearm(from, nowUs, least));
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

  /** Says that it ends on purpose, for as long as anybody may count on it. A head only. @returns microseconds */
  retire(): number {
    const lastsUs = this.#settings.detectMult * this.#state.txUs;
    this.dispatch({ type: "adminDown" }, this.#heartbeat.now());
    return lastsUs;
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
      this.#automaton.outdate();
    }
    this.dispatch({ type: "packet", packet: heardPacket(packet) }, atUs);
  }

  /** Other settings; a session that is Up tells its neighbour with a poll. */
  retune(settings: BfdSettings): void {
    this.#settings = settings;
    this.#automaton.outdate();
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
    this.#automaton.outdate();
    this.#automaton.attempt(() =>
      this.#load({ state: this.#state, effects: [], reason: null }, this.#heartbeat.now()),
    );
  }

  /** The interface is gone: nothing can be said or heard until `start`. */
  halt(): void {
    const nowUs = this.#heartbeat.now();
    this.#known = [];
    this.#automaton.attempt(() => {
      const before = this.#state;
      if (!this.#automaton.unload(nowUs)) return false;
      this.#state = INITIAL_BFD_STATE;
      this.#stepped(before, { state: INITIAL_BFD_STATE, effects: [], reason: "admin-down" }, nowUs);
      return true;
    });
  }

  /** Ends it. Says that this is on purpose, unless `silent`: another process has the session. */
  close(silent: boolean): void {
    const ports = this.#ports();
    const heard = this.#state.remote !== null || this.isHead;
    if (
      !silent &&
      !this.#automaton.frozen &&
      ports &&
      heard &&
      this.#settings.sessionType !== "multipointTail"
    ) {
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
    this.#automaton.dispose();
  }

  dispatch(event: BfdEvent, atUs: number): void {
    if (event.type === "packet" && this.#automaton.deferred >= DEFERRED_MAX) return;
    this.#automaton.attempt(() => {
      const before = this.#state;
      const foreseen = this.#foreseen(event);
      const made = foreseen?.made ?? step(this.#settings, before, event);
      const loaded = foreseen ? this.#automaton.enter(foreseen.transition, atUs) : this.#load(made, atUs);
      if (!loaded) return false;
      this.#state = made.state;
      this.#stepped(before, made, atUs);
      return true;
    });
  }

  /** The engine carried out a transition that was foreseen. */
  onTransition(report: TransitionReport): void {
    const { before, after, step: made } = this.#automaton.read(report);
    if (this.#automaton.frozen) return;
    this.#state = after;
    this.#stepped(before, made, report.atUs);
    this.#automaton.retryDeferred();
  }

  #foreseen(event: BfdEvent): ForeseenStep<BfdStep> | null {
    if (event.type !== "packet") return null;
    const said = JSON.stringify(event);
    return this.#automaton.foreseen((one) => one.type === "packet" && JSON.stringify(one) === said);
  }

  /** False when the engine made a transition that we have not read yet. */
  #load(made: BfdStep, atUs: number, more: readonly Operation[] = []): boolean {
    const ports = this.#ports();
    if (!ports) return this.#automaton.unload(atUs);
    const input = {
      settings: this.#settings,
      endpoints: this.endpoints,
      authentication: this.#authentication(),
      ...ports,
      subscribers: this.#subscribers,
    };
    const { compiled, operations } = compileBfd(input, made, this.#known);
    return this.#automaton.load(compiled, [...operations, ...more], atUs);
  }
}

function saysTheSame(a: Uint8Array, b: Uint8Array, authentication: BfdAuthentication | null): boolean {
  if (a.length !== b.length) return false;
  const { mask } = patternOf(a, 0, authentication);
  return a.every((octet, index) => ((octet ^ (b[index] as number)) & (mask[index] as number)) === 0);
}
