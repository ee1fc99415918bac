/** A run on one screen, for who decides between the makes: where each is better, one of them or another. Pure. */
import type { BenchResult, SuiteResult } from "./model.js";
import { countsOf, figure, type Summary, summarise } from "./summary.js";

interface Row {
  readonly what: string;
  readonly suite: string;
  readonly metric: string;
  readonly condition: string;
  /** Default: the median. */
  readonly of?: "tail" | "most";
}

const take = (interval: number): Row => ({
  what: `take-over of a silent router, after the deadline, ${interval} ms (ms)`,
  suite: "failover",
  metric: "over",
  condition: `${interval} ms, silent cut`,
});

export const GLANCED: readonly Row[] = [
  ...[10, 100, 1000].map(take),
  {
    what: "outage with BFD at 1 ms x 3 (ms)",
    suite: "bfd",
    metric: "gap",
    condition: "BFD 1 ms x 3, silent cut",
  },
  {
    what: "packets lost by a graceful stop, 100 ms",
    suite: "failover",
    metric: "lost",
    condition: "100 ms, graceful stop",
  },
  ...["bridge table flushed", "SIGSTOP, then a flush, then SIGCONT"].map((condition) => ({
    what: `packets doubled: ${condition}`,
    suite: "duplicates",
    metric: "doubled",
    condition,
  })),
  ...["cpu load", "memory load"].map((condition) => ({
    what: `deviation of advertisements at 10 ms, ${condition}, p99.9 (ms)`,
    suite: "timing",
    metric: "deviation",
    condition,
    of: "tail" as const,
  })),
  {
    what: "false failovers, memory load",
    suite: "timing",
    metric: "false",
    condition: "memory load",
  },
  ...(["sent", "received"] as const).flatMap((metric) =>
    ["1 virtual router", "255 virtual routers"].map((size) => ({
      what: `processor time for a million advertisements ${metric}, ${size} (s)`,
      suite: "cpu",
      metric,
      condition: `${size}, 10 ms`,
    })),
  ),
  ...(["memory", "ready"] as const).flatMap((metric) =>
    ["1 virtual router", "255 virtual routers"].map((condition) => ({
      what: `${metric === "memory" ? "resident memory" : "start to ready"}, ${condition} (${metric === "memory" ? "MB" : "ms"})`,
      suite: "start",
      metric,
      condition,
    })),
  ),
  {
    what: "4,096 virtual routers: the last take-over, after its deadline (ms)",
    suite: "scale",
    metric: "failover",
    condition: "4,096 virtual routers, 100 ms",
    of: "most",
  },
];

const figureOf = (summary: Summary, of: Row["of"]): number =>
  of === "most" ? summary.most : of === "tail" ? (summary.p999 ?? summary.most) : summary.median;

function summaryOf(
  { suite, metric, condition }: Row,
  suites: readonly SuiteResult[],
  subject: string,
): Summary | null {
  const series = suites
    .find(({ name }) => name === suite)
    ?.series.find((one) => one.metric === metric && one.condition === condition && one.subject === subject);
  return series ? summarise(series.samples) : null;
}

/**
 * Head and rows of a table: a column for each subject that was there, and how many samples each has. No row where nobody
 * has any.
 */
export function glance({ suites, subjects }: BenchResult): {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const ids = subjects.flatMap(({ id, absent }) => (absent === null ? [id] : []));
  const rows = GLANCED.flatMap((row) => {
    const found = ids.map((id) => summaryOf(row, suites, id));
    if (found.every((summary) => summary === null)) return [];
    const cells = found.map((summary) => (summary ? figure(figureOf(summary, row.of)) : "–"));
    return [[row.what, ...cells, countsOf(found.map((summary) => summary?.count ?? 0))]];
  });
  return { head: ["median, where nothing else is said", ...ids, "samples"], rows };
}
