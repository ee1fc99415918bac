/** The report: markdown for people, and the pictures that it shows. Pure. */
import { type Change, TOLERANCE } from "./compare.js";
import { glance } from "./glance.js";
import type { Activity, BenchResult, Gap, Metric, Series, SubjectInfo, SuiteResult } from "./model.js";
import { noiseLine } from "./noise-line.js";
import { stripPlot } from "./plot.js";
import { type Judged, judgePromises } from "./promises.js";
import { countsOf, figure, summarise } from "./summary.js";

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

/** @param words How many columns hold words, from the left: those that follow hold figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], words = 2): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map((_, at) => (at < words ? "---" : "---:"))), ...rows.map(line)];
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
    ...atAGlance(result, "##"),
    ...promises(result),
    ...subjectsTable(result.subjects),
    ...(changes ? comparison(result, changes) : []),
    ...result.suites.flatMap((suite) => suiteSection({ suite, subjects: result.subjects, colours, plots })),
  ].join("\n");
  return { markdown: `${markdown.trimEnd()}\n`, plots };
}

function head(result: BenchResult): string[] {
  const { machine } = result;
  return [
    `${result.startedAt}; ${result.quick ? "quick run: few repetitions" : "full run"}. The method is in docs/benchmarks.md.`,
    "",
    ...(result.leftOut?.length
      ? [
          `**Its time did not suffice for**: ${result.leftOut.join(", ")}. This machine was too slow or too busy.`,
          "",
        ]
      : []),
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

/** @param mark Of a heading: "##". */
export function atAGlance(result: BenchResult, mark: string): string[] {
  const { head, rows } = glance(result);
  if (rows.length === 0) return [];
  return [
    `${mark} At a glance`,
    "",
    "Less is better everywhere. Less than 0 is too early: before the protocol lets a Backup take over.",
    "",
    ...table(head, rows, 1),
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
      3,
    ),
    "",
  ];
}

/** "met", or by how much not, and whether this machine could have met it at all. */
function verdict({ kept, found, limit, floor, unit }: Judged): string {
  if (kept === null || found === null || limit === null) return "–";
  if (kept) return "met";
  const over = `${figure(found - limit)} ${unit} over`;
  const machine = floor !== null && floor > limit ? ", and so is the machine's own" : "";
  return `**not met**: ${over}${machine}`;
}

/** Fewer samples than this stand beside their figure. */
const FEW = 10;

function promiseRow(judged: Judged): string[] {
  const { promise, found, limit, unit, floor, remark, count } = judged;
  const said = (value: number | null): string => (value === null ? "–" : `${figure(value)} ${unit}`);
  return [
    promise,
    `${said(found)}${besides([remark, count !== null && count < FEW ? `n = ${count}` : ""])}`,
    said(limit),
    floor === null ? "" : said(floor),
    verdict(judged),
  ];
}

const besides = (words: readonly string[]): string => {
  const said = words.filter((word) => word !== "");
  return said.length === 0 ? "" : ` (${said.join("; ")})`;
};

/** "not met: PROMISE: …" for a terminal. */
export const promiseLine = (judged: Judged): string =>
  promiseRow(judged)
    .filter((text) => text !== "")
    .join(" | ")
    .replaceAll("**", "");

/** The limits that a run judges, as rows of a table; whatever else is said about them stays with the caller. */
export function promiseTable(judged: readonly Judged[]): string[] {
  return table(["promise", "measured", "at most", "machine's own", "verdict"], judged.map(promiseRow));
}

function promises(result: BenchResult): string[] {
  const judged = judgePromises(result);
  const measured = judged.filter(({ kept }) => kept !== null);
  if (measured.length === 0) return [];
  const met = measured.filter(({ kept }) => kept).length;
  return [
    "## Promises",
    "",
    `The limits of SPECIFICATION.md that this run could judge: **${met} of ${measured.length} met**. ` +
      "*Machine's own* is the same figure of a bare loop or sleeper in the same minutes: what no daemon could be " +
      "better than here.",
    "",
    ...promiseTable(measured),
    "",
    ...unmeasured(judged),
  ];
}

function unmeasured(judged: readonly Judged[]): string[] {
  const without = judged.filter(({ kept }) => kept === null).map(({ promise }) => `- ${promise}`);
  if (without.length === 0) return [];
  return [`<details><summary>${without.length} not measured</summary>`, "", ...without, "", "</details>", ""];
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

/** What a suite's section is written from. */
interface Section {
  readonly suite: SuiteResult;
  readonly subjects: readonly SubjectInfo[];
  readonly colours: ReadonlyMap<string, string>;
  readonly plots: Map<string, string>;
}

function suiteSection(section: Section): string[] {
  const { suite } = section;
  return [
    `## ${suite.name}: ${suite.title}`,
    "",
    suite.about,
    "",
    `Machine meanwhile: ${activityLine(suite.activity)}. How late a bare real-time sleeper woke: ` +
      `${noiseLine(suite.noise)}. Took ${suite.tookSeconds.toFixed(0)} s.`,
    "",
    ...(suite.failed === null ? [] : [`**This suite failed before its end**: ${cell(suite.failed)}`, ""]),
    ...suite.notes.map((note) => `- ${note}`),
    ...gapLines(suite),
    ...(suite.notes.length + suite.gaps.length > 0 ? [""] : []),
    ...suite.metrics.flatMap((metric) => metricSection(section, metric)),
  ];
}

function metricSection(section: Section, metric: Metric): string[] {
  const { suite, subjects, colours, plots } = section;
  const own = suite.series.filter((series) => series.metric === metric.id);
  if (own.length === 0) return [];
  const ids = distinct([...subjects.map((subject) => subject.id), ...own.map((series) => series.subject)]);
  const conditions = distinct(own.map((series) => series.condition));
  const ordered = conditions.flatMap((condition) =>
    ids.flatMap((id) => own.filter((one) => one.condition === condition && one.subject === id)),
  );
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
          { title: `${metric.title} (${metric.unit})`, unit: metric.unit, grain: metric.grain },
        );
  const file = `${suite.name}-${metric.id}.svg`;
  if (svg) plots.set(file, svg);
  const columns = ["condition", "subject", "n", "least", "median", "p90", "p99", "p99.9", "most"];
  return [
    `### ${metric.title} (${metric.unit})`,
    "",
    metric.note,
    "",
    ...matrix(suite, metric, subjects),
    "",
    ...(svg ? [`![${metric.title}](${file})`, ""] : []),
    "<details><summary>All figures</summary>",
    "",
    ...table(columns, ordered.map(seriesRow)),
    "",
    "</details>",
    "",
  ];
}

/** Conditions down, subjects across: median, and the tail where there is one; and of how many samples. */
export function matrix(suite: SuiteResult, metric: Metric, subjects: readonly SubjectInfo[]): string[] {
  const own = suite.series.filter((series) => series.metric === metric.id);
  const conditions = distinct(own.map((series) => series.condition));
  const cellOf = (condition: string, id: string): string | null => {
    const series = own.find((one) => one.condition === condition && one.subject === id);
    if (!series) return whyNone(suite.gaps, condition, id);
    const marked = suite.gaps.some((gap) => gap.condition === condition && gap.subject === id);
    return `${medianAndTail(series)}${marked ? ` ${MARK}` : ""}`;
  };
  const known = [...subjects.map(({ id }) => id), ...[...own, ...suite.gaps].map(({ subject }) => subject)];
  const ids = distinct(known).filter((id) => conditions.some((one) => cellOf(one, id) !== null));
  const rows = conditions.map((condition) => [
    condition,
    ...ids.map((id) => cellOf(condition, id) ?? "–"),
    countsOf(own.filter((series) => series.condition === condition).map(({ samples }) => samples.length)),
  ]);
  return table([`median / p99.9, or the most below 1,000 samples`, ...ids, "samples"], rows, 1);
}

function medianAndTail(series: Series): string {
  const summary = summarise(series.samples);
  if (!summary) return "–";
  const tail = summary.count === 1 ? "" : ` / ${figure(summary.p999 ?? summary.most)}`;
  return `${figure(summary.median)}${tail}`;
}

/** At figures about which there is something to know, which the list above the tables tells. */
const MARK = "†";

/** What is n/a, and what is marked, and why: as items of a list. */
export function gapLines(suite: SuiteResult): string[] {
  return suite.gaps.map((gap) => {
    const mark = hasFigures(suite.series, gap) ? MARK : "n/a";
    return `- ${mark}: ${gap.subject}, ${gap.condition}: ${cell(gap.reason)}`;
  });
}

const hasFigures = (series: readonly Series[], { condition, subject }: Gap): boolean =>
  series.some((one) => one.condition === condition && one.subject === subject);

/** A gap is about a condition, or about all that begin like it. */
const whyNone = (gaps: readonly Gap[], condition: string, subject: string): string | null =>
  gaps.some((gap) => gap.subject === subject && condition.startsWith(gap.condition)) ? "n/a" : null;

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
