/**
 * The machine of a virtual router and its automaton, kept in step: events that JavaScript sees are stepped here and
 * the automaton that follows is loaded; transitions that the heartbeat engine made by itself are read from its reports.
 */
import type { Operation } from "../../core/automaton.js";
import { PRIORITY_OWNER, PRIORITY_RELEASE } from "../../core/vrrp/advertisement.js";
import {
  type AdvertisementEvent,
  INITIAL_STATE,
  step,
  VRRP_TIMERS,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
  type VrrpStep,
} from "../../core/vrrp/machine.js";
import { comparisonMask } from "../../core/vrrp/packet.js";
import type { Heartbeat, SessionId } from "../../driver/driver.js";
import {
  AutomatonSession,
  type ForeseenStep,
  type FrozenAutomaton,
  rearm,
  type TransitionReport,
} from "../automaton/session.js";
import type { KnownFrame, VrrpPlan } from "./plan.js";

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

const HEARD_AGAIN_INTERVALS = 1.5;
const ACTIVE_DOWN = VRRP_TIMERS.indexOf("activeDown");
const ADVER = VRRP_TIMERS.indexOf("adver");

/** Distinct frames of peers that the engine may match by itself. */
const KNOWN_FRAMES_MAX = 6;

/** A machine between two processes. JSON, but for the frames. */
export interface FrozenMachine extends FrozenAutomaton {
  readonly state: VrrpState;
  readonly known: readonly (readonly [string, KnownFrame])[];
}

export class MachineSession {
  readonly #heartbeat: Heartbeat;
  readonly #owner: MachineOwner;
  readonly #automaton: AutomatonSession<VrrpState, VrrpEvent, VrrpStep>;
  #state: VrrpState = INITIAL_STATE;
  #compiledFrom: VrrpPlan | null = null;
  /** By sender and checksum form; insertion order is age. */
  readonly #known = new Map<string, KnownFrame>();
  #overheard: { readonly event: AdvertisementEvent; readonly atUs: number } | null = null;

  constructor(heartbeat: Heartbeat, owner: MachineOwner) {
    this.#heartbeat = heartbeat;
    this.#owner = owner;
    this.#automaton = new AutomatonSession(heartbeat, VRRP_TIMERS.length);
  }

  get id(): SessionId {
    return this.#automaton.id;
  }

  get state(): VrrpState {
    return this.#state;
  }

  counters(): Float64Array {
    return this.#automaton.counters();
  }

  /** All that another process needs to go on. `freeze`: ceases to act here. */
  look(freeze: boolean): FrozenMachine {
    const { state, ...frozen } = this.#automaton.look(freeze);
    return { state: state ?? this.#state, ...frozen, known: [...this.#known] };
  }

  /**
   * Goes on where a machine was frozen, in this process or another one. False: its frames can't be made, because nothing
   * stands on the interface; then it is to start anew.
   */
  resume(from: FrozenMachine): boolean {
    const plan = this.#owner.plan();
    const moves = from.state.name !== "initialize" || from.state.handingOver;
    this.#automaton.thaw(from);
    this.#state = moves && !plan ? INITIAL_STATE : from.state;
    for (const [key, frame] of from.known) this.#known.set(key, frame);
    if (!moves || !plan) return !moves;
    const nowUs = this.#heartbeat.now();
    const unchanged: VrrpStep = { state: from.state, effects: [], reason: null };
    return this.#load(from.state, unchanged, nowUs, rearm(from, nowUs, leastWait(from.state)));
  }

  dispose(): void {
    this.#automaton.dispose();
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
    this.#automaton.outdate();
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
   * @param countsFromUs since when it listens; the owner of the addresses speaks now
   */
  start(countsFromUs: number): void {
    const nowUs = this.#heartbeat.now();
    const heard = this.#overheard;
    this.#overheard = null;
    const speaks = this.#owner.settings().priority === PRIORITY_OWNER;
    this.dispatch({ type: "startup" }, speaks ? nowUs : countsFromUs);
    if (heard && nowUs - heard.atUs < 3 * heard.event.intervalUs) this.dispatch(heard.event, nowUs);
  }

  /** Steps the machine and hands what follows to the engine; if the engine is ahead of us, after its report. */
  dispatch(event: VrrpEvent, atUs: number): void {
    if (event.type === "advertisement" && this.#automaton.deferred >= DEFERRED_MAX) return;
    this.#automaton.attempt(() => {
      if (event.type === "priority" && !this.#keepSilent()) return false;
      const before = this.#state;
      const foreseen = this.#foreseen(event);
      const made = foreseen?.made ?? this.#placed(step(this.#owner.settings(), before, event));
      const loaded = foreseen
        ? this.#automaton.enter(foreseen.transition, atUs)
        : this.#load(before, made, atUs);
      if (!loaded) return false;
      this.#owner.record(atUs, event);
      this.#state = made.state;
      this.#rememberSuccessor(event, atUs);
      this.#owner.stepped(before, made, event, false);
      return true;
    });
  }

  /**
   * Backups wait for three intervals from when they last heard the priority that holds no more: not once again, while
   * the program with the new one is made, which takes milliseconds. False when the engine is ahead of us.
   */
  #keepSilent(): boolean {
    if (this.#state.name !== "active" || this.#state.resigning) return true;
    const { intervalUs } = this.#owner.settings();
    return this.#automaton.amend([{ op: "arm", timer: ADVER, afterUs: intervalUs }], this.#heartbeat.now());
  }

  /** Where nothing stands on the interface any more there is nothing to hand over, and no timer that would end it. */
  #cannotHandOver(state: VrrpState): boolean {
    return state.name === "initialize" && state.handingOver && this.#owner.plan() === null;
  }

  #placed(made: VrrpStep): VrrpStep {
    return this.#cannotHandOver(made.state) ? { ...made, state: INITIAL_STATE } : made;
  }

  /** The same state with other frames: settings, checksum forms or addresses changed. */
  reload(): void {
    if (this.#cannotHandOver(this.#state)) {
      this.dispatch({ type: "shutdown", handOver: false }, this.#heartbeat.now());
      return;
    }
    this.#automaton.attempt(() => {
      if (this.#state.name === "initialize" && !this.#state.handingOver) return true;
      const unchanged: VrrpStep = { state: this.#state, effects: [], reason: null };
      return this.#load(this.#state, unchanged, this.#heartbeat.now());
    });
  }

  /** The engine carried out a transition that was foreseen. */
  onTransition(report: TransitionReport): void {
    const { before, after, event, step: made, trigger } = this.#automaton.read(report);
    this.#owner.record(report.atUs, event);
    this.#state = after;
    this.#rememberSuccessor(event, report.atUs);
    this.#owner.stepped(before, made, event, trigger.on === "controlLost");
    this.#automaton.retryDeferred();
  }

  #foreseen(event: VrrpEvent): ForeseenStep<VrrpStep> | null {
    if (this.#owner.plan() !== this.#compiledFrom) return null;
    return this.#automaton.foreseen((one) => isSame(one, event));
  }

  /** False when the engine made a transition that we have not read yet. */
  #load(before: VrrpState, made: VrrpStep, atUs: number, more: readonly Operation[] = []): boolean {
    const plan = this.#owner.plan();
    if (!plan) return this.#automaton.unload(atUs);
    const { compiled, operations } = plan.compile(before, made, [...this.#known.values()]);
    if (!this.#automaton.load(compiled, [...operations, ...more], atUs)) return false;
    this.#compiledFrom = plan;
    return true;
  }
}

/**
 * What an Active said while one process had ceased to listen and the next one had not begun is not known: it is given
 * the time to speak once more. One that released the virtual router is not.
 */
function leastWait(state: VrrpState): (timer: number) => number {
  const awaited = state.name === "backup" && state.active?.priority !== PRIORITY_RELEASE;
  const leastUs = awaited ? Math.ceil(state.activeAdverIntervalUs * HEARD_AGAIN_INTERVALS) : 0;
  return (timer) => (timer === ACTIVE_DOWN ? leastUs : 0);
}

/** Equal wherever two advertisements of one sender can't differ without saying something else. */
function saysTheSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const mask = comparisonMask(a);
  return a.every((octet, index) => ((octet ^ (b[index] as number)) & (mask[index] as number)) === 0);
}

/** What reaches JavaScript although the engine would know what to do: a frame, or the loss that a tracker tells of. */
function isSame(a: VrrpEvent, b: VrrpEvent): boolean {
  if (a.type === "shutdown") return b.type === "shutdown" && a.handOver === b.handOver;
  if (a.type !== "advertisement" || b.type !== "advertisement") return false;
  return a.source === b.source && a.priority === b.priority && a.intervalUs === b.intervalUs;
}
