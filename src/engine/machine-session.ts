/**
 * A state machine and its automaton, kept in step: events that JavaScript sees are stepped here and the automaton
 * that follows is loaded; transitions that the heartbeat engine made by itself are read from its reports. Where both
 * happen at once the engine is right: it has acted already, so what JavaScript wanted is stepped again from there.
 */
import type { Operation, Transition } from "../core/automaton.js";
import { PRIORITY_RELEASE } from "../core/vrrp/advertisement.js";
import {
  INITIAL_STATE,
  step,
  VRRP_TIMERS,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
  type VrrpStep,
} from "../core/vrrp/machine.js";
import { comparisonMask } from "../core/vrrp/packet.js";
import type { Heartbeat, HeartbeatReport, SessionId } from "../driver/driver.js";
import type { KnownFrame, VrrpCompiled, VrrpPlan } from "./vrrp-plan.js";

export type AdvertisementEvent = Extract<VrrpEvent, { type: "advertisement" }>;

/** Whose machine it is. */
export interface MachineOwner {
  settings(): VrrpSettings;
  /** The frames and plans in force; null while nothing stands on the interface. Another object means other frames. */
  plan(): VrrpPlan | null;
  /** Called before an event is processed. */
  record(atUs: number, event: VrrpEvent): void;
  /** Called after each step, whoever made it. */
  stepped(before: VrrpState, made: VrrpStep, event: VrrpEvent, controlLost: boolean): void;
}

/** Advertisements that may wait until the engine's report is read; more are as good as lost on the line. */
const DEFERRED_MAX = 32;

/** Distinct frames of peers that the engine may match by itself. */
const KNOWN_FRAMES_MAX = 6;

/** A machine between two processes. JSON, but for the frames. */
export interface FrozenMachine {
  readonly state: VrrpState;
  /** By timer of VRRP_TIMERS, monotonic microseconds. */
  readonly deadlinesUs: readonly (number | null)[];
  readonly counters: readonly number[];
  readonly known: readonly (readonly [string, KnownFrame])[];
}

export class MachineSession {
  readonly id: SessionId;
  readonly #heartbeat: Heartbeat;
  readonly #owner: MachineOwner;
  #state: VrrpState = INITIAL_STATE;
  /** Reported transitions read so far. */
  #epoch = 0;
  #compiled: VrrpCompiled | null = null;
  #compiledFrom: VrrpPlan | null = null;
  /** Where in `#compiled` the engine is, as far as we know; null when a new program is due. */
  #posture: number | null = null;
  /** By sender and checksum form; insertion order is age. */
  readonly #known = new Map<string, KnownFrame>();
  #overheard: { readonly event: AdvertisementEvent; readonly atUs: number } | null = null;
  /** What could not be loaded because the engine was ahead of us, in order; done after its report. True: it is done. */
  readonly #deferred: (() => boolean)[] = [];
  /** Another process goes on with it. */
  #frozen = false;
  /** What the counters were when the predecessor froze. */
  #inherited: readonly number[] = [];

  constructor(heartbeat: Heartbeat, owner: MachineOwner) {
    this.#heartbeat = heartbeat;
    this.#owner = owner;
    this.id = heartbeat.createSession();
  }

  get state(): VrrpState {
    return this.#state;
  }

  counters(): Float64Array {
    return this.#heartbeat.counters(this.id).map((count, index) => count + (this.#inherited[index] ?? 0));
  }

  /** All that another process needs to go on. `freeze`: ceases to act here. */
  look(freeze: boolean): FrozenMachine {
    const counters = [...this.counters()];
    const frozen = this.#heartbeat.look(this.id, freeze);
    this.#frozen ||= freeze;
    // The engine may have made transitions that were not read yet: it knows better.
    const state = (frozen && this.#compiled?.states[frozen.posture]) ?? this.#state;
    const deadlinesUs = frozen?.deadlinesUs ?? [];
    return { state, deadlinesUs, counters, known: [...this.#known] };
  }

  /** Goes on where a machine was frozen, in this process or another one. False while its frames can't be made. */
  resume(from: FrozenMachine): boolean {
    const plan = this.#owner.plan();
    const moves = from.state.name !== "initialize" || from.state.handingOver;
    if (moves && !plan) return false;
    const own = this.#heartbeat.counters(this.id);
    this.#inherited = from.counters.map((count, index) => count - (own[index] ?? 0));
    this.#frozen = false;
    this.#state = from.state;
    for (const [key, frame] of from.known) this.#known.set(key, frame);
    this.#deferred.length = 0;
    if (!moves) return true;
    const nowUs = this.#heartbeat.now();
    const rearm = from.deadlinesUs.flatMap((atUs, timer): Operation[] =>
      atUs === null ? [] : [{ op: "arm", timer, afterUs: Math.max(0, atUs - nowUs) }],
    );
    const unchanged: VrrpStep = { state: from.state, effects: [], reason: null };
    return this.#load(from.state, unchanged, nowUs, rearm);
  }

  dispose(): void {
    this.#heartbeat.removeSession(this.id);
  }

  /** The engine is to match this frame by itself from the next program on. `key`: one frame is kept for each. */
  remember(key: string, event: AdvertisementEvent, frame: Uint8Array): void {
    const known = this.#known.get(key);
    if (known && saysTheSame(known.frame, frame)) return;
    const { source, priority, intervalUs } = event;
    this.#known.delete(key);
    this.#known.set(key, { frame, source, priority, intervalUs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_FRAMES_MAX) break;
      this.#known.delete(oldest);
    }
    this.#posture = null;
  }

  /** Heard while the machine waits for its start. */
  overhear(event: AdvertisementEvent, atUs: number): void {
    this.#overheard = event.priority === PRIORITY_RELEASE ? null : { event, atUs };
  }

  /** Who followed this router when it left may be the one to follow when it is back. */
  #rememberSuccessor(event: VrrpEvent, atUs: number): void {
    if (this.#state.name === "initialize" && event.type === "advertisement") this.overhear(event, atUs);
  }

  /**
   * Starts the machine. Who was heard last counts as heard now: an Active may advertise more rarely than this router
   * would, and would else be taken for dead before it speaks again.
   */
  start(): void {
    const nowUs = this.#heartbeat.now();
    const heard = this.#overheard;
    this.#overheard = null;
    this.dispatch({ type: "startup" }, nowUs);
    if (heard && nowUs - heard.atUs < 3 * heard.event.intervalUs) this.dispatch(heard.event, nowUs);
  }

  /** Steps the machine and hands what follows to the engine; if the engine is ahead of us, after its report. */
  dispatch(event: VrrpEvent, atUs: number): void {
    if (this.#frozen) return;
    // Once one waits for the report, the next would only be compiled in vain.
    if (this.#deferred.length === 0 && this.#attempt(event, atUs)) return;
    if (event.type === "advertisement" && this.#deferred.length >= DEFERRED_MAX) return;
    this.#deferred.push(() => this.#attempt(event, atUs));
  }

  /** False when the engine made a transition that we have not read yet. */
  #attempt(event: VrrpEvent, atUs: number): boolean {
    if (this.#frozen) return true;
    const before = this.#state;
    const foreseen = this.#foreseen(event);
    const made = foreseen ? foreseen.made : step(this.#owner.settings(), before, event);
    const loaded = foreseen ? this.#enter(foreseen.transition, atUs) : this.#load(before, made, atUs);
    if (!loaded) return false;
    this.#owner.record(atUs, event);
    this.#state = made.state;
    this.#rememberSuccessor(event, atUs);
    this.#owner.stepped(before, made, event, false);
    return true;
  }

  /** The same state with other frames: settings, checksum forms or addresses changed. */
  reload(): void {
    const attempt = (): boolean => {
      if (this.#frozen || (this.#state.name === "initialize" && !this.#state.handingOver)) return true;
      const unchanged: VrrpStep = { state: this.#state, effects: [], reason: null };
      return this.#load(this.#state, unchanged, this.#heartbeat.now());
    };
    if (this.#deferred.length > 0 || !attempt()) this.#deferred.push(attempt);
  }

  /** The engine carried out a transition that was foreseen. */
  onTransition(report: Extract<HeartbeatReport, { type: "transition" }>): void {
    const compiled = this.#compiled;
    const meaning = compiled?.outcomes[report.from]?.[report.transition];
    const before = compiled?.states[report.from];
    const after = compiled?.states[report.to];
    const trigger = compiled?.program.postures[report.from]?.transitions[report.transition]?.trigger;
    if (!meaning || !before || !after || !trigger) {
      const which = `${report.from}.${report.transition} of session ${this.id}`;
      throw new Error(`the engine reports transition ${which}, which is not in its program`);
    }
    this.#epoch = report.epoch;
    this.#owner.record(report.atUs, meaning.event);
    this.#state = after;
    if (this.#posture !== null) this.#posture = report.to;
    this.#rememberSuccessor(meaning.event, report.atUs);
    this.#owner.stepped(before, meaning.step, meaning.event, trigger.on === "controlLost");
    for (let next = this.#deferred.shift(); next; next = this.#deferred.shift()) {
      if (next()) continue;
      this.#deferred.unshift(next);
      break;
    }
  }

  /**
   * The transition that the engine would have made for this event. A frame is foreseen and yet here when it came in
   * before the program that knows it; then nothing has to be compiled.
   */
  #foreseen(event: VrrpEvent): { readonly made: VrrpStep; readonly transition: Transition } | null {
    if (this.#posture === null || event.type !== "advertisement") return null;
    if (this.#owner.plan() !== this.#compiledFrom) return null;
    const meanings = this.#compiled?.outcomes[this.#posture] ?? [];
    const index = meanings.findIndex(({ event: one }) => sameAdvertisement(one, event));
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
  #load(before: VrrpState, made: VrrpStep, atUs: number, more: readonly Operation[] = []): boolean {
    const plan = this.#owner.plan();
    if (!plan) return this.#unload(atUs);
    const { compiled, operations } = plan.compile(before, made, [...this.#known.values()]);
    const entry = { posture: 0, operations: [...operations, ...more], baseUs: atUs };
    if (!this.#heartbeat.load(this.id, compiled.program, entry, this.#epoch)) return false;
    this.#compiled = compiled;
    this.#compiledFrom = plan;
    this.#posture = 0;
    return true;
  }

  /** Nothing stands on the interface any more: nothing to wait for, and nothing that could still be sent. */
  #unload(atUs: number): boolean {
    this.#posture = null;
    const operations = VRRP_TIMERS.map((_, timer) => ({ op: "cancel", timer }) as const);
    const empty = { frames: [], patterns: [], kernelPlans: [], postures: [{ transitions: [] }] };
    return this.#heartbeat.load(this.id, empty, { posture: 0, operations, baseUs: atUs }, this.#epoch);
  }
}

/** Equal wherever two advertisements of one sender can't differ without saying something else. */
function saysTheSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const mask = comparisonMask(a);
  return a.every((octet, index) => ((octet ^ (b[index] as number)) & (mask[index] as number)) === 0);
}

function sameAdvertisement(a: VrrpEvent, b: AdvertisementEvent): boolean {
  if (a.type !== "advertisement") return false;
  return a.source === b.source && a.priority === b.priority && a.intervalUs === b.intervalUs;
}
