/** What samples say in a few numbers. Pure. */
import { median, quantile } from "../../src/lab/statistics.js";

export interface Summary {
  readonly count: number;
  readonly least: number;
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
  readonly p90: number;
  /** Null where there are too few samples to speak of: fewer than 100, and 1,000 for the last. */
  readonly p95: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly most: number;
}

const ENOUGH_FOR_P99 = 100;
const ENOUGH_FOR_P999 = 1000;

/** Null without samples. */
export function summarise(samples: readonly number[]): Summary | null {
  if (samples.length === 0) return null;
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    count: sorted.length,
    least: sorted[0]!,
    lowerQuartile: quantile(sorted, 0.25),
    median: median(sorted),
    upperQuartile: quantile(sorted, 0.75),
    p90: quantile(sorted, 0.9),
    p95: sorted.length >= ENOUGH_FOR_P99 ? quantile(sorted, 0.95) : null,
    p99: sorted.length >= ENOUGH_FOR_P99 ? quantile(sorted, 0.99) : null,
    p999: sorted.length >= ENOUGH_FOR_P999 ? quantile(sorted, 0.999) : null,
    most: sorted.at(-1)!,
  };
}

/** A number as people read it: three significant digits, thousands apart. */
export function figure(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (Number.isInteger(value)) return String(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

/** How many samples there are: "4", or "2 to 7" where subjects have more and fewer. Of those who have any. */
export function countsOf(counts: readonly number[]): string {
  const some = counts.filter((count) => count > 0);
  if (some.length === 0) return "–";
  const [fewest, most] = [Math.min(...some), Math.max(...some)];
  return fewest === most ? figure(most) : `${figure(fewest)} to ${figure(most)}`;
}
