/** What a benchmark run consists of: plain data between the suites, the report and the comparison. */
import type { Summary } from "./summary.js";

/** Whose figures are those of a bare loop or sleeper: what no daemon could be better than. */
export const FLOOR_SUBJECT = "floor";

/** A quantity that a suite measures. */
export interface Metric {
  readonly id: string;
  readonly title: string;
  /** "ms", "us", "MB", "s", "packets", "ns", "1/s". */
  readonly unit: string;
  readonly better: "lower" | "higher";
  /** What the number is and where it was taken; and what it would ideally be. */
  readonly note: string;
  /** Differences of medians up to this many units are never called a change. */
  readonly grain: number;
  /** A picture makes sense. Default true. */
  readonly plot?: boolean;
  /** Two revisions are compared by it. False where chance decides, not the daemon. Default true. */
  readonly compare?: boolean;
}

/** All samples of one quantity, of one subject, under one condition. */
export interface Series {
  readonly suite: string;
  readonly metric: string;
  readonly condition: string;
  readonly subject: string;
  readonly samples: number[];
}

/** Why there are no samples, in words; of a condition that has some, what its reader must know about them. */
export interface Gap {
  readonly suite: string;
  readonly condition: string;
  readonly subject: string;
  readonly reason: string;
}

/** Who is measured, as the report names it. */
export interface SubjectInfo {
  readonly id: string;
  readonly title: string;
  readonly version: string;
  /** Why it could not be measured here; null: it was. */
  readonly absent: string | null;
}

/** What the machine did while something ran. Shares of all processors' time, 0..1. */
export interface Activity {
  readonly load1Before: number;
  readonly load1After: number;
  readonly busy: number;
  readonly steal: number;
}

/**
 * How late bare sleepers woke meanwhile, milliseconds: one on each processor, every 10 ms, SCHED_FIFO 90, memory locked.
 * What they missed no daemon could have kept.
 */
export type Noise = Summary | { readonly absent: string };

export interface SuiteResult {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly metrics: readonly Metric[];
  readonly series: readonly Series[];
  readonly gaps: readonly Gap[];
  readonly notes: readonly string[];
  readonly activity: Activity;
  readonly noise: Noise;
  readonly tookSeconds: number;
  /** What ended it before its end, in words; null: nothing. What it had measured until then stands. */
  readonly failed: string | null;
}

export interface MachineInfo {
  readonly cpu: string;
  readonly processors: number;
  readonly memoryMb: number;
  readonly kernel: string;
  readonly hypervisor: string;
  readonly clockSource: string;
  readonly node: string;
  /** The real-time class is allowed and not throttled away: sched_rt_runtime_us of sched_rt_period_us. */
  readonly realtime: string;
}

export interface BenchResult {
  readonly startedAt: string;
  readonly revision: string;
  readonly against: string | null;
  readonly quick: boolean;
  readonly machine: MachineInfo;
  readonly subjects: readonly SubjectInfo[];
  readonly suites: readonly SuiteResult[];
  /** Suites for which a quick run's time did not suffice, by name. */
  readonly leftOut?: readonly string[];
}
