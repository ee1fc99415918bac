/** How the simulated heartbeat engine sets its timers, as native/heartbeat_thread.cc does. */
import type { Operation, Transition } from "../../core/automaton.js";
import { decides, NEVER, type Session } from "./session.js";

/** What operations are carried out for: what their times count from, and what made them due. */
export interface Moment {
  readonly cause: "timer" | "frame" | "control" | "entry" | "gaveWay";
  readonly baseUs: number;
  readonly nowUs: number;
  /** The timer that passed. */
  readonly timer?: number;
}

type Arm = Operation & { readonly op: "arm" };

/** How early unreported timers may be carried out together with another one. */
const SLACK_US = 60;
const SLACK_MAX_US = 1_000;
const SLACK_PART = 16;
/** From which lateness on a beat moves those after it; by which part of its period, for each session, they return at a time. */
const PUNCTUAL_PART = 64;
const PUNCTUAL_MOST_US = 1_000;
const RETURN_PART = 2 ** 20;

/** A timer that re-arms itself may be early by a part of its period, which the next deadline makes up for. */
export function slackOf(transition: Transition, timer: number): number {
  for (const one of transition.operations) {
    if (one.op !== "arm" || one.timer !== timer) continue;
    // Jitter has its bounds, which being early would break.
    return one.jitterUs ? 0 : Math.min(one.afterUs / SLACK_PART, SLACK_MAX_US);
  }
  return SLACK_US;
}

/**
 * @param soonerUs Drawn of the jitter.
 * @param sessions So many there are.
 * @returns how many periods were missed.
 */
export function arm(
  session: Session,
  operation: Arm,
  soonerUs: number,
  moment: Moment,
  sessions: number,
): number {
  const { timer } = operation;
  const afterUs = operation.afterUs - soonerUs;
  const isPeriodic = moment.cause === "timer" && timer === moment.timer && afterUs > 0;
  const isBeat = isPeriodic && !operation.jitterUs;
  const lateUs = Math.max(0, moment.nowUs - moment.baseUs);
  let { baseUs } = moment;
  let leastUs = 0;
  if (isBeat) {
    baseUs = nextPeriodFrom(session, timer, afterUs, moment, sessions);
  } else if (moment.cause === "timer" && baseUs + afterUs <= moment.nowUs) {
    // What was missed is not made up for in a burst.
    baseUs = moment.nowUs + (afterUs > 0 ? 0 : 1);
  } else if (moment.cause === "entry") {
    // JavaScript speaks of a moment that is past: what armed the timer since then is better informed, and what
    // decides over a role listens for as long as JavaScript took.
    if (session.deadlines[timer] !== NEVER && (session.bases[timer] as number) > baseUs) return 0;
    if (decides(session, timer)) leastUs = moment.nowUs + Math.min(lateUs, afterUs);
    if (baseUs + afterUs < moment.nowUs) baseUs = moment.nowUs;
  }
  if (!isBeat) session.behindUs[timer] = 0;
  session.bases[timer] = baseUs;
  session.deadlines[timer] = Math.max(baseUs + afterUs, leastUs);
  return isPeriodic ? Math.floor(lateUs / afterUs) : 0;
}

/** The moment that a beat's next period counts from: one late beat moves those after it, which return little by little. */
function nextPeriodFrom(
  session: Session,
  timer: number,
  periodUs: number,
  { baseUs, nowUs }: Moment,
  sessions: number,
): number {
  const behindUs = session.behindUs[timer] as number;
  const lateUs = nowUs - baseUs;
  if (lateUs > Math.min(periodUs / PUNCTUAL_PART, PUNCTUAL_MOST_US)) {
    session.behindUs[timer] = (behindUs + lateUs) % periodUs;
    return nowUs;
  }
  const returnUs = Math.min(behindUs, Math.floor((periodUs * sessions) / RETURN_PART));
  session.behindUs[timer] = behindUs - returnUs;
  return baseUs - returnUs;
}
