/** The report: markdown for people, and the pictures that it shows. Pure. */
import { type Change, TOLERANCE } from "./compare.js";
import type { Activity, BenchResult, Metric, Series, SubjectInfo, SuiteResult } from "./model.js";
import { stripPlot } from "./plot.js";
import { judgePromises } from "./promises.js";
import { figure, summarise } from "./summary.js";

export interface Report {
  readonly markdown: string;
  /** By file name, beside the markdown. */
  readonly plots: ReadonlyMap<string, string>;
}

const COLOURS = [
  "#0b6e4f",
  "#c2410c",
  "#1d4ed8",
  "#9333ea",
  "#b45309",
  "#0e7490",
  "#be123c",
  "#4d7c0f",
  "#525252",
];

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A cell can't hold what divides cells. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map((_, at) => (at < 2 ? "---" : "---:"))), ...rows.map(line)];
}

export function activityLine(activity: Activity): string {
  return (
    `load ${activity.load1Before.toFixed(2)} before and ${activity.load1After.toFixed(2)} after, ` +
    `processors busy ${percent(activity.busy)}, stolen ${percent(activity.steal)}`
  );
}

/** In the order in which they were met first. */
function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

export function buildReport(result: BenchResult, changes: readonly Change[] | null): Report {
  const plots = new Map<string, string>();
  const colours = new Map(result.subjects.map((subject, at) => [subject.id, COLOURS[at % COLOURS.length]!]));
  const markdown = [
    `# Benchmarks of firsthop ${result.revision}`,
    "",
    ...head(result),
    ...subjectsTable(result.subjects),
    ...promises(result),
    ...(changes ? comparison(result, changes) : []),
    ...result.suites.flatMap((suite) => suiteSection(suite, result.subjects, colours, plots)),
  ].join("\n");
  return { markdown: `${markdown.trimEnd()}\n`, plots };
}

function head(result: BenchResult): string[] {
  const { machine } = result;
  return [
    `${result.startedAt}; ${result.quick ? "quick run: few repetitions" : "full run"}. The method is in docs/benchmarks.md.`,
    "",
    ...table(
      ["machine", ""],
      [
        ["processor", `${machine.processors} x ${machine.cpu}`],
        ["virtualisation", machine.hypervisor],
        ["memory", `${machine.memoryMb} MB`],
        ["kernel", machine.kernel],
        ["clock source", machine.clockSource],
        ["real-time class may use", machine.realtime],
        ["Node.js", machine.node],
      ],
    ),
    "",
  ];
}

function subjectsTable(subjects: readonly SubjectInfo[]): string[] {
  return [
    "## Who was measured",
    "",
    ...table(
      ["subject", "what", "version"],
      subjects.map(({ id, title, version, absent }) => [
        id,
        title,
        absent ? `**ABSENT: ${absent}**` : version,
      ]),
    ),
    "",
  ];
}

function promises(result: BenchResult): string[] {
  const judged = judgePromises(result);
  if (judged.every(({ kept }) => kept === null)) return [];
  const said = (kept: boolean | null): string => (kept === null ? "–" : kept ? "kept" : "**NOT KEPT**");
  return [
    "## Promises",
    "",
    "The limits of SPECIFICATION.md that a run can judge, on this machine and in what it was doing.",
    "",
    ...table(
      ["promise", "found", ""],
      judged.map(({ promise, found, kept }) => [promise, found, said(kept)]),
    ),
    "",
  ];
}

function comparison(result: BenchResult, changes: readonly Change[]): string[] {
  const said = { slower: "**SLOWER**", faster: "faster", noise: "not certain", same: "" } as const;
  const worse = changes.filter((change) => change.verdict === "slower");
  const row = ({ suite, metric, condition, before, after, worseBy, verdict }: Change): string[] => [
    `${suite}: ${metric.title}`,
    condition,
    `${figure(before.median)} ${metric.unit}`,
    `${figure(after.median)} ${metric.unit}`,
    Number.isFinite(worseBy) ? `${worseBy > 0 ? "+" : ""}${(100 * worseBy).toFixed(0)} %` : "from nothing",
    said[verdict],
  ];
  return [
    `## Against ${result.against ?? "?"}`,
    "",
    worse.length === 0
      ? `No median is worse by more than ${percent(TOLERANCE)}.`
      : `${worse.length} of ${changes.length} medians are worse by more than ${percent(TOLERANCE)}.`,
    "",
    ...table(["what", "condition", "before", "after", "worse by", ""], changes.map(row)),
    "",
  ];
}

function suiteSection(
  suite: SuiteResult,
  subjects: readonly SubjectInfo[],
  colours: ReadonlyMap<string, string>,
  plots: Map<string, string>,
): string[] {
  const conditions = distinct([...suite.series, ...suite.gaps].map((one) => one.condition));
  const lines = [
    `## ${suite.name}: ${suite.title}`,
    "",
    suite.about,
    "",
    `Machine meanwhile: ${activityLine(suite.activity)}. Took ${suite.tookSeconds.toFixed(0)} s.`,
    "",
    ...suite.notes.flatMap((note) => [`- ${note}`]),
    ...suite.gaps.map(
      (gap) => `- **without figures**: ${gap.subject}, ${gap.condition}: ${cell(gap.reason)}`,
    ),
    ...(suite.notes.length + suite.gaps.length > 0 ? [""] : []),
  ];
  for (const metric of suite.metrics) {
    const own = suite.series.filter((series) => series.metric === metric.id);
    if (own.length === 0) continue;
    lines.push(...metricSection(suite, metric, own, { subjects, conditions, colours, plots }));
  }
  return lines;
}

interface Surroundings {
  readonly subjects: readonly SubjectInfo[];
  readonly conditions: readonly string[];
  readonly colours: ReadonlyMap<string, string>;
  readonly plots: Map<string, string>;
}

function metricSection(
  suite: SuiteResult,
  metric: Metric,
  own: readonly Series[],
  around: Surroundings,
): string[] {
  const { subjects, conditions, colours, plots } = around;
  const ids = distinct([...subjects.map((subject) => subject.id), ...own.map((series) => series.subject)]);
  const ordered = conditions.flatMap((condition) =>
    ids.flatMap((id) => own.filter((one) => one.condition === condition && one.subject === id)),
  );
  const rows = ordered.map(seriesRow);
  const svg =
    metric.plot === false
      ? null
      : stripPlot(
          ordered.map((series) => ({
            label: series.subject,
            group: series.condition,
            samples: series.samples,
            colour: colours.get(series.subject) ?? "#525252",
          })),
          { title: `${metric.title} (${metric.unit})`, unit: metric.unit },
        );
  const file = `${suite.name}-${metric.id}.svg`;
  if (svg) plots.set(file, svg);
  const columns = ["condition", "subject", "n", "least", "median", "p90", "p99", "p99.9", "most"];
  return [
    `### ${metric.title} (${metric.unit})`,
    "",
    metric.note,
    "",
    ...table(columns, rows),
    "",
    ...(svg ? [`![${metric.title}](${file})`, ""] : []),
  ];
}

function seriesRow(series: Series): string[] {
  const summary = summarise(series.samples);
  if (!summary) return [series.condition, series.subject, "0", "", "", "", "", "", ""];
  const { count, least, median, p90, p99, p999, most } = summary;
  return [
    series.condition,
    series.subject,
    String(count),
    ...[least, median, p90, p99, p999, most].map(figure),
  ];
}
