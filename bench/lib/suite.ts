/** What a suite is given, and what it gives. */

import type { Moment } from "../../src/lab/topology.js";
import { ENOUGH_TO_COMPARE } from "./compare.js";
import { watchActivity } from "./machine.js";
import type { Gap, Metric, Series, SuiteResult } from "./model.js";
import type { EndOfWatch, Wake } from "./noise.js";
import { BEFORE, type Subject } from "./subjects.js";
import { PATIENCE_MS, type TimeFrame } from "./time.js";
import { inOneLine } from "./words.js";

export interface SuiteContext {
  readonly quick: boolean;
  /**
   * 0, 1, …: as often as something is to be repeated. A full run: `full` times. A quick one: once, then again as long as
   * another round fits into the suite's time, up to `quick` times. At least as often as revisions need to be compared.
   */
  rounds(counts: Rounds): Iterable<number>;
  /**
   * Milliseconds left of the suite's time in a quick run, or of the share (0..1) of it that ends there; without end in a
   * full one. Below 0: no repetitions any more, only what nobody has measured yet.
   */
  leftMs(share?: number): number;
  /**
   * Whether a quick run must leave this out, because otherwise the whole would take too long; then it has said so. Asked
   * before each measurement.
   */
  leavesOut(condition: string, subject: string): boolean;
  /** Whether a quick run's time is over for what was begun in it, too: nothing is waited for any more. */
  isOver(): boolean;
  /** Two revisions are compared: everything is done often enough for that. */
  readonly compares: boolean;
  /** Those that are there, in the order of the report. */
  readonly subjects: readonly Subject[];
  record(metric: string, condition: string, subject: string, ...samples: number[]): void;
  /** Records, when the suite has ended, what `of` makes of the wakes of bare sleepers that were due in a stretch of time. */
  recordMeanwhile(
    metric: string,
    condition: string,
    subject: string,
    time: Moment,
    of: (wakes: readonly Wake[]) => readonly number[],
  ): void;
  /** Says why something has no figures, or, where it has, what its reader must know about them. */
  miss(condition: string, subject: string, reason: string): void;
  /** Something about this run that its reader must know. */
  note(text: string): void;
  /** What is being done now. */
  progress(text: string): void;
}

export interface Rounds {
  readonly quick: number;
  readonly full: number;
  /** Up to which share of the suite's time, 0..1. Default 1. */
  readonly share?: number;
  /** How many there are in any case. Default 1. */
  readonly least?: number;
}

export interface Suite {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /**
   * What a quick run takes, on two processors that do nothing else. All together take little more than eight minutes: the rest of ten is
   * for the build of a fresh clone, and for machines that are slower or do something else.
   */
  readonly quickSeconds: number;
  readonly metrics: readonly Metric[];
  /** Conditions in the order of the report, where that is not the one in which they were measured. */
  readonly order?: readonly string[];
  run(context: SuiteContext): Promise<void>;
}

export interface SuiteSettings {
  readonly quick: boolean;
  readonly subjects: readonly Subject[];
  readonly time: TimeFrame;
  /** Resolves when nothing is waited for any more: what the suite has measured by then is its result. */
  readonly ended?: Promise<void>;
  readonly progress: (text: string) => void;
  /** Begins to watch the machine's noise; the function returned says what it was. */
  readonly watchNoise: () => EndOfWatch;
}

const OUT_OF_TIME = "left out: the time of a quick run was over";
const ENDED_EARLY =
  "the time of a quick run was over before this suite's end: what was measured until then is here";

/** Runs a suite. It does not throw: what went wrong stands in the result, beside what was measured until then. */
export async function runSuite(suite: Suite, settings: SuiteSettings): Promise<SuiteResult> {
  const series = new Map<string, Series>();
  const gaps: Gap[] = [];
  const notes: string[] = [];
  const known = new Set(suite.metrics.map((metric) => metric.id));
  const activityNow = watchActivity();
  const noiseNow = settings.watchNoise();
  const { startedMs, ...timing } = timingOf(settings);
  let over = false;
  const afterwards: ((wakes: readonly Wake[]) => void)[] = [];
  const check = (metric: string): void => {
    if (!known.has(metric)) throw new Error(`suite ${suite.name} has no metric ${metric}`);
  };
  const add = (metric: string, condition: string, subject: string, samples: readonly number[]): void => {
    if (samples.length === 0) return;
    const key = JSON.stringify([metric, condition, subject]);
    const found = series.get(key);
    if (found) for (const sample of samples) found.samples.push(sample);
    else series.set(key, { suite: suite.name, metric, condition, subject, samples: [...samples] });
  };
  const context: SuiteContext = {
    quick: settings.quick,
    ...timing,
    subjects: settings.subjects,
    leavesOut: (condition, subject) => {
      if (performance.now() < settings.time.hardEndMs) return false;
      if (!gaps.some((gap) => gap.reason === OUT_OF_TIME)) settings.progress("no time is left for the rest");
      gaps.push({ suite: suite.name, condition, subject, reason: OUT_OF_TIME });
      return true;
    },
    record: (metric, condition, subject, ...samples) => {
      check(metric);
      if (!over) add(metric, condition, subject, samples);
    },
    recordMeanwhile: (metric, condition, subject, { beginUs, endUs }, of) => {
      check(metric);
      const then = ({ dueUs }: Wake): boolean => dueUs >= beginUs && dueUs <= endUs;
      if (!over) afterwards.push((wakes) => add(metric, condition, subject, of(wakes.filter(then))));
    },
    miss: (condition, subject, reason) => {
      if (over) return;
      settings.progress(`${subject}, ${condition}: ${reason}`);
      gaps.push({ suite: suite.name, condition, subject, reason });
    },
    note: (text) => void (notes.includes(text) || notes.push(text)),
    progress: (text) => void (over || settings.progress(text)),
  };
  let failed: string | null = null;
  try {
    const ended = settings.ended?.then(() => context.note(ENDED_EARLY));
    await Promise.race([suite.run(context), ...(ended ? [ended] : [])]);
  } catch (error) {
    failed = inOneLine(error);
  }
  over = true;
  const activity = activityNow();
  const { noise, wakes } = await noiseNow();
  if (wakes.length > 0) for (const recordFrom of afterwards) recordFrom(wakes);
  return {
    name: suite.name,
    title: suite.title,
    about: suite.about,
    metrics: suite.metrics,
    series: inOrder([...series.values()], suite.order ?? []),
    gaps: withoutRepetition(gaps),
    notes,
    activity,
    noise,
    tookSeconds: (performance.now() - startedMs) / 1000,
    failed,
  };
}

function inOrder(series: readonly Series[], order: readonly string[]): Series[] {
  const place = ({ condition }: Series): number => order.indexOf(condition);
  return [...series].sort((a, b) => place(a) - place(b));
}

/** One gap for all that are about the same, with the reason that was given last. */
function withoutRepetition(gaps: readonly Gap[]): Gap[] {
  const last = new Map(gaps.map((gap) => [JSON.stringify([gap.condition, gap.subject]), gap]));
  return [...last.values()];
}

type Timing = Pick<SuiteContext, "rounds" | "leftMs" | "isOver" | "compares"> & {
  readonly startedMs: number;
};

function timingOf({ quick, subjects, time }: SuiteSettings): Timing {
  const startedMs = performance.now();
  const compares = subjects.some(({ id }) => id === BEFORE);
  const leftMs = (share = 1): number => {
    if (!quick) return Number.POSITIVE_INFINITY;
    return startedMs + share * (time.softEndMs - startedMs) - performance.now();
  };
  function* rounds({ quick: often, full, share, least: own = 1 }: Rounds): Iterable<number> {
    const least = compares ? Math.max(own, ENOUGH_TO_COMPARE) : own;
    const most = Math.max(least, quick ? often : full);
    let longestMs = 0;
    for (let round = 0; round < most; round++) {
      const beganMs = performance.now();
      if (round >= least && longestMs > leftMs(share)) return;
      yield round;
      longestMs = Math.max(longestMs, performance.now() - beganMs);
    }
  }
  const isOver = (): boolean => performance.now() >= time.hardEndMs + PATIENCE_MS;
  return { startedMs, compares, leftMs, rounds, isOver };
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
