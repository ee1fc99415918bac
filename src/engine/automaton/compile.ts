/**
 * From a pure state machine to the automaton that the heartbeat engine runs: the machine is evaluated ahead of
 * time for everything that can happen without JavaScript, until no new state turns up. No rule of a protocol is
 * written here; whatever the engine will do, `step` said.
 *
 * This works for any machine whose states hold no absolute times and are few (VRRP: fewer than twenty). What a
 * machine can't foresee (a frame never seen before, a change of configuration) goes to JavaScript, which steps
 * the machine and loads the automaton that follows.
 */
import type {
  FramePattern,
  HeartbeatProgram,
  KernelStep,
  Operation,
  PortId,
  Posture,
  Seal,
  Transition,
  Trigger,
} from "../../core/automaton.js";

/** Something that may happen in a state while JavaScript sleeps. */
export type Foreseen<Event, State = never> =
  | { readonly event: Event; readonly trigger: ForeseenTrigger }
  | Meanwhile<State>;

/** A frame that JavaScript is to step the machine with, and what the engine does until then. */
export interface Meanwhile<State> {
  readonly trigger: ForeseenTrigger;
  readonly meanwhile: readonly Operation[];
  /** The state that it awaits JavaScript in; without one it stays where it is. */
  readonly until: State | null;
}

export type ForeseenTrigger =
  | { readonly on: "timer"; readonly timer: number }
  | { readonly on: "pattern"; readonly pattern: FramePattern }
  | { readonly on: "signal"; readonly signal: number }
  | { readonly on: "controlLost" }
  | { readonly on: "gaveWay" };

/** A machine as the compiler sees it. */
export interface Foreseeable<State, Event, Step extends { readonly state: State }> {
  readonly step: (state: State, event: Event) => Step;
  /** All that may happen in a state. Triggers of one state must differ. */
  readonly foresee: (state: State) => readonly Foreseen<Event, State>[];
  /**
   * Turns the effects of one step into operations, interning frames and plans. Null: this outcome is not for the
   * engine; the frame goes to JavaScript.
   */
  readonly lower: (from: State, outcome: Step, builder: ProgramBuilder) => readonly Operation[] | null;
  readonly key: (state: State) => string;
}

/** Collects the frames, patterns and plans of a program; equal ones are stored once. */
export class ProgramBuilder {
  readonly frames: Uint8Array[] = [];
  readonly patterns: FramePattern[] = [];
  readonly kernelPlans: (readonly KernelStep[])[] = [];
  seal: Seal | null = null;
  readonly #frameIndex = new Map<Uint8Array, number>();
  readonly #patternIndex = new Map<FramePattern, number>();
  readonly #planIndex = new Map<string, number>();

  /** Frames are interned by identity: callers keep the frames they build. */
  send(port: PortId, frame: Uint8Array, sealAt?: number): Operation {
    const index = intern(this.#frameIndex, this.frames, frame, frame);
    return { op: "send", port, frame: index, ...(sealAt === undefined ? {} : { sealAt }) };
  }

  pattern(pattern: FramePattern): number {
    return intern(this.#patternIndex, this.patterns, pattern, pattern);
  }

  /** `key` names the plan's content; plans of equal keys are stored once. */
  kernel(key: string, steps: readonly KernelStep[]): Operation {
    return { op: "kernel", plan: intern(this.#planIndex, this.kernelPlans, key, steps) };
  }
}

function intern<K, V>(index: Map<K, number>, list: V[], key: K, value: V): number {
  const known = index.get(key);
  if (known !== undefined) return known;
  index.set(key, list.length);
  return list.push(value) - 1;
}

/** A program together with what its postures and transitions mean to the machine. */
export interface Compiled<State, Event, Step> {
  readonly program: HeartbeatProgram;
  /** States by posture; posture 0 is the one asked for. */
  readonly states: readonly State[];
  /** What the machine said for `postures[p].transitions[t]`; null where it has yet to be asked, by JavaScript. */
  readonly outcomes: readonly (readonly Outcome<Event, Step>[])[];
}

export type Outcome<Event, Step> = { readonly event: Event; readonly step: Step } | null;

/** More postures than this mean that a machine's states carry what they should not (a time, a counter). */
const POSTURES_MAX = 256;
/**
 * So many are foreseen on account of frames. Whoever forges peers can make machines remember more of them, each in its
 * own way; what leads further goes to JavaScript, one frame after the other.
 */
const POSTURES_BY_FRAMES_MAX = 64;

/** Evaluates the machine from `start` on until no new state turns up. */
export function compile<State, Event, Step extends { readonly state: State }>(
  machine: Foreseeable<State, Event, Step>,
  start: State,
  builder: ProgramBuilder = new ProgramBuilder(),
): Compiled<State, Event, Step> {
  const states: State[] = [start];
  const indexOf = new Map<string, number>([[machine.key(start), 0]]);
  const postures: Posture[] = [];
  const outcomes: Outcome<Event, Step>[][] = [];
  const postureOf = (state: State): number => {
    const key = machine.key(state);
    const known = indexOf.get(key);
    if (known !== undefined) return known;
    const added = states.push(state) - 1;
    if (added >= POSTURES_MAX) throw new Error(`machine has more than ${POSTURES_MAX} states: ${key}`);
    indexOf.set(key, added);
    return added;
  };
  const leadsTooFar = (state: State): boolean =>
    states.length >= POSTURES_BY_FRAMES_MAX && !indexOf.has(machine.key(state));
  for (let index = 0; index < states.length; index++) {
    const from = states[index] as State;
    const transitions: Transition[] = [];
    const meanings: Outcome<Event, Step>[] = [];
    for (const foreseen of machine.foresee(from)) {
      if ("meanwhile" in foreseen) {
        const { meanwhile: operations, until } = foreseen;
        const next = until && !leadsTooFar(until) ? postureOf(until) : index;
        transitions.push({
          trigger: lowerTrigger(foreseen.trigger, builder),
          operations,
          next,
          report: false,
        });
        meanings.push(null);
        continue;
      }
      const { event, trigger } = foreseen;
      const step = machine.step(from, event);
      if (trigger.on === "pattern" && leadsTooFar(step.state)) continue;
      const operations = machine.lower(from, step, builder);
      if (operations === null) continue;
      const next = postureOf(step.state);
      transitions.push({ trigger: lowerTrigger(trigger, builder), operations, next, report: next !== index });
      meanings.push({ event, step });
    }
    postures.push({ transitions });
    outcomes.push(meanings);
  }
  const { frames, patterns, kernelPlans, seal } = builder;
  const program = { frames, patterns, kernelPlans, postures, ...(seal ? { seal } : {}) };
  return { program, states, outcomes };
}

function lowerTrigger(trigger: ForeseenTrigger, builder: ProgramBuilder): Trigger {
  return trigger.on === "pattern" ? { on: "pattern", pattern: builder.pattern(trigger.pattern) } : trigger;
}
