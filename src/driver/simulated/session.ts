/** A session of the simulated heartbeat engine, and what its program says about it. */
import type { HeartbeatProgram, Trigger } from "../../core/automaton.js";
import type { SessionId } from "../driver.js";
import type { SimulatedLease } from "./lease.js";

export const NEVER = Number.POSITIVE_INFINITY;

export interface Session {
  readonly id: SessionId;
  readonly deadlines: number[];
  /** The moment that each deadline counts from. */
  readonly bases: number[];
  /** How much a beat comes after its schedule, since it was late once. */
  readonly behindUs: number[];
  readonly counters: Float64Array;
  epoch: number;
  posture: number;
  program: HeartbeatProgram | null;
  lease: SimulatedLease | null;
  /** Numbers of sealed frames. */
  sequenceSent: number;
  sequenceHeard: number | null;
}

/** Index of the transition of the current posture that a trigger sets off; -1 for none. */
export function transitionOn(session: Session, fits: (trigger: Trigger) => boolean): number {
  const transitions = session.program?.postures[session.posture]?.transitions ?? [];
  return transitions.findIndex(({ trigger }) => fits(trigger));
}

export function timerTransition(session: Session, timer: number): number {
  return transitionOn(session, (trigger) => trigger.on === "timer" && trigger.timer === timer);
}

/** Whether a timer's transition is one that must not come late: it is reported, so it changes a role. */
export function decides(session: Session, timer: number): boolean {
  return (
    session.program?.postures[session.posture]?.transitions[timerTransition(session, timer)]?.report ?? false
  );
}
