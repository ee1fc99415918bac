/**
 * What trackers do to a priority, as keepalived users know it (keepalived.conf(5), track_interface and track_file):
 * base plus weights, clamped to 1..254. A positive weight counts while its tracker is up, a negative one while it is
 * down; `reverse` turns the sign of what is added. Without a weight the tracker decides whether the router may take
 * part at all. The owner of the addresses (255) keeps its priority.
 */
import { PRIORITY_OWNER } from "../vrrp/advertisement.js";
import type { Verdict } from "./verdict.js";

/** How a virtual router follows one tracker. */
export interface Tracked {
  readonly tracker: string;
  /** 0: it forbids Active while it is down (with `reverse`: while it is up). */
  readonly weight: number;
  readonly reverse: boolean;
}

/** What a tracker says: its verdict, and its number if it measures one. */
export interface Tracking {
  readonly verdict: Verdict;
  readonly value: number | null;
  /** The number counts, not the verdict. */
  readonly byValue: boolean;
  /** Its first result has been waited for long enough by those whom it only weighs. */
  readonly overdue?: boolean;
  /** What the tracker of this name said of its former target. */
  readonly former?: Tracking | null;
}

export type TrackEffect =
  /** Added to the priority; 0 for nothing. */
  | { readonly effect: "weight"; readonly delta: number }
  | { readonly effect: "forbids" }
  /** Nothing is known yet, and the router may not start before. To one that runs the former target's weight goes on. */
  | { readonly effect: "waits"; readonly delta: number };

const FORBIDDEN_FROM = -254;
const DELTA_MAX = 253;

const weighs = (delta: number): TrackEffect => ({ effect: "weight", delta });

export function trackEffect(tracked: Tracked, tracking: Tracking): TrackEffect {
  const { weight, reverse } = tracked;
  const sign = reverse ? -1 : 1;
  // A router that starts, or goes on, with a priority which the first result lowers would take over, and give back at once.
  if (tracking.verdict === "unknown") {
    if (weight !== 0 && tracking.overdue) return weighs(0);
    const before = tracking.former ? trackEffect(tracked, tracking.former) : null;
    return { effect: "waits", delta: before?.effect === "weight" ? before.delta : 0 };
  }
  if (tracking.byValue) return valueEffect(tracked, tracking.value ?? 0);
  const up = tracking.verdict === "up";
  if (weight === 0) return up === reverse ? { effect: "forbids" } : weighs(0);
  return weighs(up === weight > 0 ? weight * sign : 0);
}

/** A number is multiplied by the weight; what is too low forbids. Without a weight any number but 0 does. */
function valueEffect({ weight, reverse }: Tracked, value: number): TrackEffect {
  if (weight === 0) return (value !== 0) !== reverse ? { effect: "forbids" } : weighs(0);
  const delta = value * weight * (reverse ? -1 : 1);
  // The sum with 0 makes no difference but to the sign of a zero.
  return delta <= FORBIDDEN_FROM ? { effect: "forbids" } : weighs(Math.min(delta, DELTA_MAX) + 0);
}

/** The priority in force. */
export function effectivePriority(base: number, effects: readonly TrackEffect[]): number {
  if (base === PRIORITY_OWNER) return base;
  return Math.min(Math.max(base + trackedDelta(effects), 1), PRIORITY_OWNER - 1);
}

/** The sum of the weights that count now, before clamping. */
export function trackedDelta(effects: readonly TrackEffect[]): number {
  return effects.reduce((sum, one) => sum + (one.effect === "forbids" ? 0 : one.delta), 0);
}
