/** The results that docs/benchmarks.md holds between two marks: written by a run, never by hand. Pure. */
import type { BenchResult } from "./model.js";
import { noiseLine } from "./noise-line.js";
import { judgePromises } from "./promises.js";
import { activityLine, atAGlance, gapLines, matrix, promiseTable } from "./report.js";

export const BEGIN = "<!-- results: written by `npm run bench -- --write-docs`, not by hand -->";
export const END = "<!-- end of results -->";
/** Where pictures are, seen from docs/. */
export const PICTURES = "images";

/** What of each suite the document shows; the report has all. */
const SHOWN: readonly (readonly [suite: string, metrics: readonly string[]])[] = [
  ["failover", ["over", "outage", "lost"]],
  ["bfd", ["gap"]],
  ["takeover", ["from-deadline"]],
  [
    "timing",
    [
      "deviation",
      "missing",
      "false",
      "alone-deviation",
      "alone-missing",
      "blocked-deviation",
      "blocked-missing",
      "blocked-false",
      "late",
      "shared",
      "rest",
    ],
  ],
  ["cpu", ["sent", "received", "share", "memory"]],
  [
    "scale",
    [
      "sent",
      "received",
      "memory",
      "deviation",
      "asleep",
      "standstills",
      "stalls",
      "failover",
      "notTakenOver",
    ],
  ],
  ["start", ["ready", "memory"]],
  ["probes", ["processor"]],
  ["duplicates", ["doubled", "lost"]],
  ["ownership", ["program", "packet", "added"]],
];

/** Of the report's pictures. */
const PICTURED: readonly string[] = [
  "failover-over.svg",
  "bfd-gap.svg",
  "timing-deviation.svg",
  "cpu-sent.svg",
  "ownership-added.svg",
];

export interface DocsResults {
  /** The document with its results replaced. */
  readonly text: string;
  /** Pictures of the report that it shows, by file name. */
  readonly pictures: readonly string[];
}

/**
 * Puts the results into the document.
 * @param plots File names of the report's pictures.
 * @throws Error when the document has no marks.
 */
export function writeResults(document: string, result: BenchResult, plots: readonly string[]): DocsResults {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the document has no "${BEGIN}" before a "${END}"`);
  const pictures = PICTURED.filter((name) => plots.includes(name));
  const middle = [BEGIN, "", ...head(result), ...sections(result, pictures), ""].join("\n");
  return { text: `${document.slice(0, begin)}${middle}${document.slice(end)}`, pictures };
}

function head(result: BenchResult): string[] {
  const { machine, suites } = result;
  const minutes = suites.reduce((sum, { tookSeconds }) => sum + tookSeconds, 0) / 60;
  const versions = result.subjects.flatMap(({ id, version, absent }) =>
    absent === null ? [`${id}: ${version}`] : [],
  );
  return [
    `firsthop ${result.revision}, ${result.startedAt.slice(0, 10)}; ${result.quick ? "quick run" : "full run"} of ` +
      `${minutes.toFixed(1)} minutes. ${machine.processors} processors (${machine.cpu}), ${machine.hypervisor}, ` +
      `${machine.memoryMb} MB, Linux ${machine.kernel}, Node.js ${machine.node}. ${versions.join("; ")}.`,
    "",
    ...atAGlance(result, "###"),
    "### Promises",
    "",
    ...promiseTable(judgePromises(result).filter(({ kept }) => kept !== null)),
    "",
  ];
}

function sections(result: BenchResult, pictures: readonly string[]): string[] {
  return SHOWN.flatMap(([name, metrics]) => {
    const suite = result.suites.find((one) => one.name === name);
    if (!suite) return [];
    const shown = suite.metrics.filter(
      ({ id }) => metrics.includes(id) && suite.series.some(({ metric }) => metric === id),
    );
    return [
      `### ${suite.name}: ${suite.title}`,
      "",
      `${activityLine(suite.activity)}; a bare real-time sleeper woke late by ${noiseLine(suite.noise)}.`,
      "",
      ...(suite.gaps.length > 0 ? [...gapLines(suite), ""] : []),
      ...shown.flatMap((metric) => {
        const picture = `${suite.name}-${metric.id}.svg`;
        return [
          `**${metric.title}** (${metric.unit}). ${metric.note}`,
          "",
          ...matrix(suite, metric, result.subjects),
          "",
          ...(pictures.includes(picture) ? [`![${metric.title}](${PICTURES}/${picture})`, ""] : []),
        ];
      }),
    ];
  });
}
