/** What a suite is given, and what it gives. */

import { ENOUGH_TO_COMPARE } from "./compare.js";
import { watchActivity } from "./machine.js";
import type { Gap, Metric, Series, SuiteResult } from "./model.js";
import { BEFORE, type Subject } from "./subjects.js";

export interface SuiteContext {
  readonly quick: boolean;
  /** How often to measure at least, so that revisions can be compared. */
  readonly leastRuns: number;
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

export interface Suite {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly metrics: readonly Metric[];
  run(context: SuiteContext): Promise<void>;
}

export interface SuiteSettings {
  readonly quick: boolean;
  readonly subjects: readonly Subject[];
  readonly progress: (text: string) => void;
}

export async function runSuite(suite: Suite, settings: SuiteSettings): Promise<SuiteResult> {
  const series = new Map<string, Series>();
  const gaps: Gap[] = [];
  const notes: string[] = [];
  const known = new Set(suite.metrics.map((metric) => metric.id));
  const activityNow = watchActivity();
  const startedMs = performance.now();
  await suite.run({
    quick: settings.quick,
    leastRuns: settings.subjects.some(({ id }) => id === BEFORE) ? ENOUGH_TO_COMPARE : 1,
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
    note: (text) => void notes.push(text),
    progress: settings.progress,
  });
  return {
    name: suite.name,
    title: suite.title,
    about: suite.about,
    metrics: suite.metrics,
    series: [...series.values()],
    gaps,
    notes,
    activity: activityNow(),
    tookSeconds: (performance.now() - startedMs) / 1000,
  };
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

/** An error's message on one line, not too long. */
export function inOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}
