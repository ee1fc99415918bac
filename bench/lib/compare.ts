/** Two revisions beside each other: which medians got worse. Pure. */
import type { BenchResult, Metric, Series } from "./model.js";
import { type Summary, summarise } from "./summary.js";

/** Worse by more than this share of the older median is a regression. */
export const TOLERANCE = 0.2;
/** With fewer samples on either side nothing is called slower or faster. */
export const ENOUGH_TO_COMPARE = 5;

export interface Change {
  readonly suite: string;
  readonly metric: Metric;
  readonly condition: string;
  readonly before: Summary;
  readonly after: Summary;
  /** (after - before) / |before|; positive is worse, whichever direction is better. */
  readonly worseBy: number;
  /**
   * `slower`: the median is worse by more than the tolerance and the grain, and the middle halves of the samples do
   * not overlap. `noise`: the median is, but the samples overlap or are too few. `faster`: the mirror image of slower.
   */
  readonly verdict: "slower" | "faster" | "noise" | "same";
}

/** Compares the series that both subjects have. */
export function compareSubjects(result: BenchResult, before: string, after: string): Change[] {
  return result.suites.flatMap((suite) =>
    suite.series
      .filter((series) => series.subject === after)
      .flatMap((series) => {
        const same = (other: Series): boolean =>
          other.subject === before && other.metric === series.metric && other.condition === series.condition;
        const older = summarise(suite.series.find(same)?.samples ?? []);
        const newer = summarise(series.samples);
        const metric = suite.metrics.find((one) => one.id === series.metric);
        if (!older || !newer || !metric || metric.compare === false) return [];
        return [changeOf(suite.name, metric, series.condition, older, newer)];
      }),
  );
}

function changeOf(suite: string, metric: Metric, condition: string, before: Summary, after: Summary): Change {
  const sign = metric.better === "lower" ? 1 : -1;
  const difference = sign * (after.median - before.median);
  const worseBy = difference === 0 ? 0 : difference / Math.abs(before.median);
  const counts = Math.abs(worseBy) > TOLERANCE && Math.abs(difference) > metric.grain;
  const enough = Math.min(before.count, after.count) >= ENOUGH_TO_COMPARE;
  const apart = before.upperQuartile < after.lowerQuartile || after.upperQuartile < before.lowerQuartile;
  const direction = difference > 0 ? "slower" : "faster";
  const verdict = !counts ? "same" : enough && apart ? direction : "noise";
  return { suite, metric, condition, before, after, worseBy, verdict };
}
