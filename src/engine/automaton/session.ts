/**
 * A machine's automaton in the heartbeat engine, kept in step with what JavaScript knows of it, whatever protocol the
 * machine speaks. Transitions that the engine made by itself are read from its reports. Where JavaScript wants
 * something at the same time the engine is right: it has acted already, so what JavaScript wanted waits for the report
 * and is done from there.
 */
import type { HeartbeatProgram, Operation, Transition, Trigger } from "../../core/automaton.js";
import type { Heartbeat, HeartbeatReport, SessionId } from "../../driver/driver.js";
import type { Compiled } from "./compile.js";

export type TransitionReport = Extract<HeartbeatReport, { type: "transition" }>;

/** What another process needs to go on with any automaton. JSON. */
export interface FrozenAutomaton {
  /** By timer of the machine, monotonic microseconds. */
  readonly deadlinesUs: readonly (number | null)[];
  readonly counters: readonly number[];
}

/** A transition of the engine, with what it meant to the machine. */
export interface CarriedOut<State, Event, Step> {
  readonly before: State;
  readonly after: State;
  readonly event: Event;
  readonly step: Step;
  readonly trigger: Trigger;
}

/** What the engine would have done for an event that reached JavaScript all the same. */
export interface ForeseenStep<Step> {
  readonly made: Step;
  readonly transition: Transition;
}

export class AutomatonSession<State, Event, Step> {
  readonly id: SessionId;
  readonly #heartbeat: Heartbeat;
  readonly #timers: number;
  /** Reported transitions read so far. */
  #epoch = 0;
  #compiled: Compiled<State, Event, Step> | null = null;
  /** Where in `#compiled` the engine is, as far as we know; null when a new program is due. */
  #posture: number | null = null;
  /** What could not be loaded because the engine was ahead of us, in order; done after its report. True: it is done. */
  readonly #deferred: (() => boolean)[] = [];
  /** Another process goes on with it. */
  #frozen = false;
  /** What the counters were in the process before. */
  #inherited: readonly number[] = [];

  /** `timers`: how many the machine has. */
  constructor(heartbeat: Heartbeat, timers: number) {
    this.#heartbeat = heartbeat;
    this.#timers = timers;
    this.id = heartbeat.createSession();
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** How many attempts wait for the engine's report. */
  get deferred(): number {
    return this.#deferred.length;
  }

  counters(): Float64Array {
    return this.#heartbeat.counters(this.id).map((count, index) => count + (this.#inherited[index] ?? 0));
  }

  /**
   * Where the machine is, and all that another process needs to go on. The engine may have made transitions that were
   * not read yet: it knows the state better; null when it has no program. `freeze`: ceases to act here.
   */
  look(freeze: boolean): FrozenAutomaton & { readonly state: State | null } {
    const counters = [...this.counters()];
    const view = this.#heartbeat.look(this.id, freeze);
    this.#frozen ||= freeze;
    const state = (view && this.#compiled?.states[view.posture]) ?? null;
    return { state, deadlinesUs: view?.deadlinesUs ?? [], counters };
  }

  /** Acts again, counting on from where it was frozen. The caller loads a program. */
  thaw({ counters }: FrozenAutomaton): void {
    const own = this.#heartbeat.counters(this.id);
    this.#inherited = counters.map((count, index) => count - (own[index] ?? 0));
    this.#frozen = false;
    this.#deferred.length = 0;
  }

  dispose(): void {
    this.#heartbeat.removeSession(this.id);
  }

  /** Frames or settings changed: whatever happens next needs a new program. */
  outdate(): void {
    this.#posture = null;
  }

  /** Does something that ends in a load now, or after the engine's report. `attempt` is false when that is refused. */
  attempt(attempt: () => boolean): void {
    if (this.#frozen) return;
    // Once one waits for the report, the next would only be compiled in vain.
    if (this.#deferred.length > 0 || !attempt()) this.#deferred.push(attempt);
  }

  /** After a transition was read: what waited for it, in order, until the engine turns out to be ahead again. */
  retryDeferred(): void {
    for (let next = this.#deferred.shift(); next; next = this.#deferred.shift()) {
      if (this.#frozen || next()) continue;
      this.#deferred.unshift(next);
      break;
    }
  }

  /** Reads a report of the engine. */
  read(report: TransitionReport): CarriedOut<State, Event, Step> {
    const meaning = this.#compiled?.outcomes[report.from]?.[report.transition];
    const before = this.#compiled?.states[report.from];
    const after = this.#compiled?.states[report.to];
    const trigger = this.#compiled?.program.postures[report.from]?.transitions[report.transition]?.trigger;
    if (!meaning || !before || !after || !trigger) {
      const which = `${report.from}.${report.transition} of session ${this.id}`;
      throw new Error(`the engine reports transition ${which}, which is not in its program`);
    }
    this.#epoch = report.epoch;
    if (this.#posture !== null) this.#posture = report.to;
    return { before, after, trigger, ...meaning };
  }

  /**
   * The transition that the engine would have made for an event like this. A frame is foreseen and yet here when it
   * came in before the program that knows it: a neighbour at 1 ms sends many until that is compiled. Then nothing has
   * to be compiled.
   */
  foreseen(isSame: (event: Event) => boolean): ForeseenStep<Step> | null {
    if (this.#posture === null) return null;
    const meanings = this.#compiled?.outcomes[this.#posture] ?? [];
    const index = meanings.findIndex((meaning) => meaning !== null && isSame(meaning.event));
    const made = meanings[index]?.step;
    const transition = this.#compiled?.program.postures[this.#posture]?.transitions[index];
    return made && transition ? { made, transition } : null;
  }

  /** Carries out a foreseen transition. False when the engine made one that we have not read yet. */
  enter({ next, operations }: Pick<Transition, "next" | "operations">, atUs: number): boolean {
    const entry = { posture: next, operations, baseUs: atUs };
    if (!this.#heartbeat.load(this.id, null, entry, this.#epoch)) return false;
    this.#posture = next;
    return true;
  }

  /** Operations where the engine is. False when it made a transition not read yet. */
  amend(operations: readonly Operation[], atUs: number): boolean {
    // Where a new program is due anyway, what the engine is in has no name.
    return this.#posture === null || this.enter({ next: this.#posture, operations }, atUs);
  }

  /** A new program, in the state that `operations` lead to. False when the engine made a transition not read yet. */
  load(compiled: Compiled<State, Event, Step>, operations: readonly Operation[], atUs: number): boolean {
    const entry = { posture: 0, operations, baseUs: atUs };
    if (!this.#heartbeat.load(this.id, compiled.program, entry, this.#epoch)) return false;
    this.#compiled = compiled;
    this.#posture = 0;
    return true;
  }

  /** Nothing stands on the interface any more: nothing to wait for, and nothing that could still be sent. */
  unload(atUs: number): boolean {
    this.#posture = null;
    const operations = Array.from({ length: this.#timers }, (_, timer) => ({ op: "cancel", timer }) as const);
    const empty: HeartbeatProgram = {
      frames: [],
      patterns: [],
      kernelPlans: [],
      postures: [{ transitions: [] }],
    };
    return this.#heartbeat.load(this.id, empty, { posture: 0, operations, baseUs: atUs }, this.#epoch);
  }
}

/** Timers that ran when an automaton was frozen run on. `leastUs`: what each has at least from now. */
export function rearm(
  { deadlinesUs }: FrozenAutomaton,
  nowUs: number,
  leastUs: (timer: number) => number = () => 0,
): readonly Operation[] {
  return deadlinesUs.flatMap((atUs, timer): Operation[] =>
    atUs === null ? [] : [{ op: "arm", timer, afterUs: Math.max(leastUs(timer), atUs - nowUs) }],
  );
}
