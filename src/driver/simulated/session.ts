/** A session of the simulated heartbeat engine, and what its program says about it. */
import type { HeartbeatProgram, Transition, Trigger } from "../../core/automaton.js";
import type { SessionId } from "../driver.js";
import type { SimulatedLease } from "./lease.js";

export const NEVER = Number.POSITIVE_INFINITY;
/** How early unreported timers may be carried out together with another one, as in the native engine. */
const SLACK_US = 60;
const SLACK_MAX_US = 1_000;
const SLACK_PART = 16;

export interface Session {
  readonly id: SessionId;
  readonly deadlines: number[];
  /** The moment that each deadline counts from. */
  readonly bases: number[];
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

/** A timer that re-arms itself may be early by a part of its period, which the next deadline makes up for. */
export function slackOf(transition: Transition, timer: number): number {
  for (const one of transition.operations) {
    if (one.op !== "arm" || one.timer !== timer) continue;
    // Jitter has its bounds, which being early would break.
    return one.jitterUs ? 0 : Math.min(one.afterUs / SLACK_PART, SLACK_MAX_US);
  }
  return SLACK_US;
}
