/**
 * What of somebody's lateness was the machine's: told from bare sleepers, one on each processor, that were to wake at
 * the same time. Pure. Times in monotonic microseconds, lateness in milliseconds.
 */
import type { Wake } from "./noise.js";

/** Something that was due at an instant, and came later. */
export interface Late {
  readonly dueUs: number;
  readonly cameUs: number;
}

/** A sleeper that woke late by half as much, at least, met the same thing. */
const SAME_SHARE = 0.5;

/** Whether a sleeper waited, too, to be woken, while something was due and did not come. */
export function sleptToo({ dueUs, cameUs }: Late, wakes: readonly Wake[], apartUs = 0): boolean {
  const leastMs = (SAME_SHARE * (cameUs - dueUs)) / 1000;
  return wakes.some(
    (wake) =>
      wake.lateMs >= leastMs && wake.dueUs <= cameUs + apartUs && wake.dueUs + 1000 * wake.lateMs >= dueUs,
  );
}

export interface Attributed {
  /** Advertisements that came more than `leastMs` after they were due, which is an interval after the one before. */
  readonly late: number;
  /** Those of them for which a sleeper was late, too. */
  readonly shared: number;
  /** Deviations from the interval, ms, without those that these made. */
  readonly restMs: readonly number[];
}

export interface Listened {
  readonly intervalMs: number;
  /** From when on an advertisement is late. */
  readonly leastMs: number;
  /** How much later than an advertisement a sleeper is due. */
  readonly apartUs: number;
}

/** @param times When advertisements came. */
export function attribute(times: readonly number[], wakes: readonly Wake[], listened: Listened): Attributed {
  const { intervalMs, leastMs, apartUs } = listened;
  const restMs: number[] = [];
  let [late, shared] = [0, 0];
  for (let at = 1; at < times.length; at++) {
    const dueUs = times[at - 1]! + 1000 * intervalMs;
    const cameUs = times[at]!;
    const isLate = cameUs - dueUs > 1000 * leastMs;
    const isShared = isLate && sleptToo({ dueUs, cameUs }, wakes, apartUs);
    late += Number(isLate);
    shared += Number(isShared);
    if (!isShared) restMs.push(Math.abs(cameUs - dueUs) / 1000);
  }
  return { late, shared, restMs };
}

/**
 * The p99.9 of gaps between advertisements, ms, that a loop on one processor would leave which is late only as long as its
 * sleeper was, and moves its schedule then, as firsthop does: a stall of L ms makes the gap before each deadline in it longer
 * by anything from 0 to L. One for each processor.
 * @param wakes Of one stretch of time, of all processors. @param seconds Its length.
 */
export function stallTailsMs(wakes: readonly Wake[], seconds: number): number[] {
  const processors = [...new Set(wakes.map(({ processor }) => processor))];
  return processors.map((one) => {
    const lateMs = wakes.filter(({ processor }) => processor === one).map((wake) => wake.lateMs);
    return tailOf(lateMs, seconds);
  });
}

const TAIL_SHARE = 0.001;

/** The lateness that the share of all gaps exceeds: sum over stalls of (L - v) = share x the whole time. */
function tailOf(lateMs: readonly number[], seconds: number): number {
  const sorted = [...lateMs].sort((a, b) => b - a);
  const wholeMs = TAIL_SHARE * 1000 * seconds;
  let sumMs = 0;
  for (const [at, stallMs] of sorted.entries()) {
    sumMs += stallMs;
    // With the `at + 1` longest stalls alone; right if that is not less than the next one.
    const tailMs = (sumMs - wholeMs) / (at + 1);
    if (tailMs >= (sorted[at + 1] ?? 0)) return Math.max(0, tailMs);
  }
  return 0;
}
