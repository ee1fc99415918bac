/** What the lab can do, and how its results are judged. Pure. */
import type { LabAction, Measurement, PromiseKind, StepPlan } from "./model.js";

export interface Scenario {
  readonly name: string;
  readonly summary: string;
  readonly steps: readonly StepPlan[];
}

/** On top of Active_Down_Interval: the next packet's turn, and what a busy machine adds. */
export const OUTAGE_MARGIN_MS = 20;

const fail = (action: LabAction, title: string, promise: PromiseKind): Omit<StepPlan, "scenario"> => ({
  action,
  title,
  promise,
  successor: 2,
});

const comeBack = (action: LabAction, title: string): Omit<StepPlan, "scenario"> => ({
  action,
  title,
  promise: "lossless",
  successor: 1,
});

function scenario(name: string, summary: string, ...steps: Omit<StepPlan, "scenario">[]): Scenario {
  return { name, summary, steps: steps.map((step) => ({ scenario: name, ...step })) };
}

/** Each begins and ends with router 1 Active and router 2 Backup. */
export const SCENARIOS: readonly Scenario[] = [
  scenario(
    "lines",
    "both lines of the Active are cut and plugged in again",
    fail("cut-lines", "Both lines of r1 are cut", "bounded"),
    comeBack("restore-lines", "They are plugged in again"),
  ),
  scenario(
    "crash",
    "the Active's daemon is killed (kill -9) and started again",
    fail("kill-daemon", "kill -9 for r1's daemon", "lossless"),
    comeBack("start-daemon", "The daemon is started again"),
  ),
  scenario(
    "stop",
    "the Active's daemon is stopped in good order (SIGTERM) and started again",
    fail("stop-daemon", "SIGTERM for r1's daemon", "lossless"),
    comeBack("start-daemon", "The daemon is started again"),
  ),
  scenario(
    "lan",
    "the Active loses its LAN line only",
    fail("cut-lan", "Only r1's LAN line is cut", "bounded"),
    comeBack("restore-lan", "It is plugged in again"),
  ),
  scenario(
    "mute",
    "the switch drops the Active's frames while the line stays up: both are Active until it ends",
    fail("mute-port", "r1's switch ports go dead", "bounded"),
    comeBack("restore-port", "They work: two Actives meet"),
  ),
];

/** All scenarios in order: what `firsthop lab` runs without a name. */
export const TOUR = "tour";
/** The interval of the last scene of the tour. */
export const FAST_INTERVAL_MS = 10;

export function findScenarios(name: string): readonly Scenario[] | null {
  if (name === TOUR) return SCENARIOS;
  const found = SCENARIOS.find((candidate) => candidate.name === name);
  return found ? [found] : null;
}

export interface Verdict {
  /** 0 when nothing was lost: a long gap without loss is no outage. */
  readonly outageMs: number;
  readonly kept: boolean;
  readonly broken: readonly string[];
}

/** Whether a step kept what it promises, and what it broke. */
export function judge(plan: StepPlan, measured: Measurement): Verdict {
  const outageMs = measured.lost > 0 ? measured.longestGapMs : 0;
  const broken: string[] = [];
  if (measured.trouble) broken.push(measured.trouble.replace(/\n.*/s, ""));
  const boundMs = measured.activeDownIntervalMs + OUTAGE_MARGIN_MS + measured.stallMs;
  if (plan.promise === "bounded" && outageMs > boundMs) {
    broken.push(`the outage is longer than ${boundMs.toFixed(1)} ms`);
  }
  if (plan.promise === "lossless" && measured.lost > 0) broken.push(`${packets(measured.lost)} lost`);
  if (measured.duplicated > 0) broken.push(`${packets(measured.duplicated)} doubled`);
  return { outageMs, kept: broken.length === 0, broken };
}

export function packets(count: number): string {
  return count === 1 ? "1 packet" : `${count.toLocaleString("en")} packets`;
}
