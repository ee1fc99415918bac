/** What a suite is given, and what it gives. */

import { ENOUGH_TO_COMPARE } from "./compare.js";
import { watchActivity } from "./machine.js";
import type { Gap, Metric, Noise, Series, SuiteResult } from "./model.js";
import { BEFORE, type Subject } from "./subjects.js";
import { inOneLine } from "./words.js";

export interface SuiteContext {
  readonly quick: boolean;
  /**
   * 0, 1, …: as often as something is to be repeated. A full run: `full` times. A quick one: once, then again as long as
   * another round fits into the suite's time, up to `quick` times. At least as often as revisions need to be compared.
   */
  rounds(counts: Rounds): Iterable<number>;
  /** Whether a quick run's time for this is not over yet; a full one always has time. */
  hasTime(untilSeconds?: number): boolean;
  /** Those that are there, in the order of the report. */
  readonly subjects: readonly Subject[];
  record(metric: string, condition: string, subject: string, ...samples: number[]): void;
  /** Says why something has no figures. */
  miss(condition: string, subject: string, reason: string): void;
  /** Something about this run that its reader must know. */
  note(text: string): void;
  /** What is being done now. */
  progress(text: string): void;
}

export interface Rounds {
  readonly quick: number;
  readonly full: number;
  /** When the suite's time for this is over, seconds from its beginning; default: its `quickSeconds`. */
  readonly untilSeconds?: number;
}

export interface Suite {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** What a quick run takes at most, on two processors that do nothing else. All together stay within 520: the rest of ten minutes builds a fresh clone. */
  readonly quickSeconds: number;
  readonly metrics: readonly Metric[];
  run(context: SuiteContext): Promise<void>;
}

export interface SuiteSettings {
  readonly quick: boolean;
  readonly subjects: readonly Subject[];
  readonly progress: (text: string) => void;
  /** Begins to watch the machine's noise; the function returned says what it was. */
  readonly watchNoise: () => () => Promise<Noise>;
}

/** Runs a suite. It does not throw: what went wrong stands in the result, beside what was measured until then. */
export async function runSuite(suite: Suite, settings: SuiteSettings): Promise<SuiteResult> {
  const series = new Map<string, Series>();
  const gaps: Gap[] = [];
  const notes: string[] = [];
  const known = new Set(suite.metrics.map((metric) => metric.id));
  const activityNow = watchActivity();
  const noiseNow = settings.watchNoise();
  const startedMs = performance.now();
  const context: SuiteContext = {
    quick: settings.quick,
    rounds: (counts) => roundsOf(counts, suite, settings, startedMs),
    hasTime: (untilSeconds = suite.quickSeconds) =>
      !settings.quick || performance.now() < startedMs + 1000 * untilSeconds,
    subjects: settings.subjects,
    record: (metric, condition, subject, ...samples) => {
      if (!known.has(metric)) throw new Error(`suite ${suite.name} has no metric ${metric}`);
      const key = JSON.stringify([metric, condition, subject]);
      const found = series.get(key);
      if (found) for (const sample of samples) found.samples.push(sample);
      else series.set(key, { suite: suite.name, metric, condition, subject, samples });
    },
    miss: (condition, subject, reason) => {
      settings.progress(`${subject}, ${condition}: ${reason}`);
      gaps.push({ suite: suite.name, condition, subject, reason });
    },
    note: (text) => void (notes.includes(text) || notes.push(text)),
    progress: settings.progress,
  };
  let failed: string | null = null;
  try {
    await suite.run(context);
  } catch (error) {
    failed = inOneLine(error);
  }
  return {
    name: suite.name,
    title: suite.title,
    about: suite.about,
    metrics: suite.metrics,
    series: [...series.values()],
    gaps,
    notes,
    activity: activityNow(),
    noise: await noiseNow(),
    tookSeconds: (performance.now() - startedMs) / 1000,
    failed,
  };
}

function* roundsOf(
  { quick, full, untilSeconds }: Rounds,
  suite: Suite,
  settings: SuiteSettings,
  startedMs: number,
): Iterable<number> {
  const compares = settings.subjects.some(({ id }) => id === BEFORE);
  const least = compares ? ENOUGH_TO_COMPARE : 1;
  const most = Math.max(least, settings.quick ? quick : full);
  const endMs = startedMs + 1000 * (untilSeconds ?? suite.quickSeconds);
  let longestMs = 0;
  for (let round = 0; round < most; round++) {
    const beganMs = performance.now();
    if (settings.quick && round >= least && beganMs + longestMs > endMs) return;
    yield round;
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
}

/** All of them, beginning with another one in each round: nobody always follows the same one. */
export function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** Without variants that differ in their scheduling class only; says so. */
export function onePerWork(context: SuiteContext): readonly Subject[] {
  const subjects = context.subjects.filter(({ variant }) => !variant.realtimePriority);
  if (subjects.length < context.subjects.length) {
    context.note(
      "keepalived's real-time variants do the same work in another scheduling class: left out here",
    );
  }
  return subjects;
}
