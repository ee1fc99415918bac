/** Weights and priorities, row by row as keepalived.conf(5) has them (2.2.7: track_interface, track_script, track_file). */
import { describe, expect, it } from "vitest";
import {
  effectivePriority,
  type TrackEffect,
  type Tracked,
  trackEffect,
  trackedDelta,
  type Verdict,
} from "../../../../src/core/tracking/index.js";

const effect = (weight: number, reverse: boolean, verdict: Verdict): TrackEffect =>
  trackEffect({ tracker: "t", weight, reverse }, { verdict, value: null, byValue: false });
const byValue = (weight: number, reverse: boolean, value: number): TrackEffect =>
  trackEffect({ tracker: "f", weight, reverse }, { verdict: "up", value, byValue: true });
const adds = (delta: number): TrackEffect => ({ effect: "weight", delta });
const FORBIDS: TrackEffect = { effect: "forbids" };
const WAITS: TrackEffect = { effect: "waits", delta: 0 };

describe("a tracker with two states", () => {
  const rows: readonly [
    weight: number,
    reverse: boolean,
    up: TrackEffect,
    down: TrackEffect,
    unknown: TrackEffect,
  ][] = [
    [0, false, adds(0), FORBIDS, WAITS],
    [0, true, FORBIDS, adds(0), WAITS],
    [50, false, adds(50), adds(0), WAITS],
    [50, true, adds(-50), adds(0), WAITS],
    [-50, false, adds(0), adds(-50), WAITS],
    [-50, true, adds(0), adds(50), WAITS],
  ];
  it.each(rows)("weight %i, reverse %s", (weight, reverse, up, down, unknown) => {
    expect(effect(weight, reverse, "up")).toEqual(up);
    expect(effect(weight, reverse, "down")).toEqual(down);
    expect(effect(weight, reverse, "unknown")).toEqual(unknown);
  });
});

describe("a tracker that measures a number", () => {
  const rows: readonly [weight: number, reverse: boolean, value: number, expected: TrackEffect][] = [
    [1, false, 0, adds(0)],
    [1, false, 20, adds(20)],
    [1, false, -20, adds(-20)],
    [2, false, -20, adds(-40)],
    [-1, false, 20, adds(-20)],
    [1, true, 20, adds(-20)],
    [1, false, 254, adds(253)],
    [100, false, 100, adds(253)],
    [1, false, -253, adds(-253)],
    [1, false, -254, FORBIDS],
    [-1, false, 254, FORBIDS],
    [2, false, -127, FORBIDS],
    [0, false, 0, adds(0)],
    [0, false, 1, FORBIDS],
    [0, false, -1, FORBIDS],
    [0, true, 0, FORBIDS],
    [0, true, 1, adds(0)],
  ];
  it.each(rows)("weight %i, reverse %s, number %i", (weight, reverse, value, expected) => {
    expect(byValue(weight, reverse, value)).toEqual(expected);
  });
});

describe("the effective priority", () => {
  const rows: readonly [base: number, deltas: readonly number[], expected: number][] = [
    [100, [], 100],
    [150, [-50], 100],
    [100, [30, 40], 170],
    [100, [30, -40], 90],
    [100, [-200], 1],
    [100, [253], 254],
    [1, [-1], 1],
    [254, [1], 254],
    [255, [-100], 255],
    [255, [10], 255],
    // Clamped at the end, not at each weight: 200 + 200 - 100.
    [200, [200, -100], 254],
    [100, [-150, 100], 50],
  ];
  it.each(rows)("base %i, weights %j", (base, deltas, expected) => {
    expect(effectivePriority(base, deltas.map(adds))).toBe(expected);
  });

  it("is not touched by what forbids or waits", () => {
    const tracked: Tracked = { tracker: "t", weight: 0, reverse: false };
    const down = trackEffect(tracked, { verdict: "down", value: null, byValue: false });
    expect(effectivePriority(100, [down, WAITS, adds(5)])).toBe(105);
    expect(trackedDelta([down, WAITS, adds(5)])).toBe(5);
  });
});
