/** The lab's pictures as text: drawing, timeline, lanes, table. Pure; colours and glyphs come from the caller. */
import type { Happening, LineView, RouterView, StepResult, StepView, StripView } from "./model.js";
import { OUTAGE_MARGIN_MS } from "./scenarios.js";

type Paint = (text: string) => string;

export interface Style {
  readonly glyphs: Glyphs;
  readonly bold: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly bad: Paint;
  readonly warn: Paint;
  /** By router index (0-based). */
  readonly router: readonly Paint[];
}

export interface Glyphs {
  /** Rising levels of a lane; the last is full. */
  readonly levels: readonly string[];
  readonly idle: string;
  readonly lost: string;
  readonly tick: string;
  readonly zero: string;
  readonly yes: string;
  readonly no: string;
  readonly arrow: string;
  readonly minus: string;
  readonly kinds: Readonly<Record<Happening["kind"], string>>;
  readonly lines: Readonly<Record<LineView | "busy", string>>;
  readonly trunk: string;
  readonly corners: readonly [topLeft: string, topRight: string, bottomLeft: string, bottomRight: string];
  readonly forks: readonly [left: string, right: string];
  readonly states: Readonly<Record<"on" | "off" | "gone", string>>;
}

export const UNICODE: Glyphs = {
  levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
  idle: "·",
  lost: "×",
  tick: "╷",
  zero: "▲",
  yes: "✔",
  no: "✘",
  arrow: "→",
  minus: "−",
  kinds: { act: "◆", state: "●", advert: "◌", packet: "▸", trouble: "!" },
  lines: { up: "───────", busy: "━━━━━━━", cut: "─╴ ✂ ╶─", muted: "╌╌╌╌╌╌╌" },
  trunk: "──",
  corners: ["╭", "╮", "╰", "╯"],
  forks: ["┤", "├"],
  states: { on: "●", off: "○", gone: "✘" },
};

export const ASCII: Glyphs = {
  levels: ["_", ".", ":", "-", "=", "+", "*", "#"],
  idle: ".",
  lost: "x",
  tick: "|",
  zero: "^",
  yes: "ok",
  no: "NOT OK",
  arrow: "->",
  minus: "-",
  kinds: { act: "!", state: "*", advert: "~", packet: ">", trouble: "!" },
  lines: { up: "-------", busy: "=======", cut: "-- X --", muted: ". . . ." },
  trunk: "--",
  corners: ["/", "\\", "\\", "/"],
  forks: ["+", "+"],
  states: { on: "*", off: "o", gone: "x" },
};

const plain: Paint = (text) => text;

/** No colours, no glyphs beyond ASCII: for pipes and files. */
export const SOBER: Style = {
  glyphs: ASCII,
  bold: plain,
  dim: plain,
  good: plain,
  bad: plain,
  warn: plain,
  router: [plain, plain],
};

const STATE_WORDS: Readonly<Record<RouterView["state"], string>> = {
  active: "Active",
  backup: "Backup",
  initialize: "Initialize",
  fault: "Fault",
  killed: "killed",
  stopped: "stopped",
  starting: "starting",
};

const NAME_WIDTH = 22;

/** Two routers between a host and the upstream, three lines. */
export function drawing(routers: readonly RouterView[], style: Style): string[] {
  const { corners, forks } = style.glyphs;
  const pad = " ".repeat(8);
  const row = (at: number): string => {
    const router = routers[at]!;
    const [left, right] = at === 0 ? [corners[0], corners[1]] : [corners[2], corners[3]];
    const legs = [router.lan, router.upstream].map((line) => legOf(router, line, at, style));
    return `${pad}${left}${legs[0]} ${routerBox(router, at, style)} ${legs[1]}${right}`;
  };
  const wide = " ".repeat(2 * style.glyphs.lines.up.length + NAME_WIDTH + 2);
  const busy = routers.some((router) => router.carries);
  const end = busy ? style.bold : style.dim;
  const { trunk } = style.glyphs;
  const middle = ` ${end("host")} ${end(trunk)}${forks[0]}${wide}${forks[1]}${end(`${trunk} upstream`)}`;
  return [row(0), middle, row(1)];
}

function legOf(router: RouterView, line: LineView, at: number, style: Style): string {
  if (line === "cut") return style.bad(style.glyphs.lines.cut);
  if (line === "muted") return style.warn(style.glyphs.lines.muted);
  return router.carries ? style.router[at]!(style.glyphs.lines.busy) : style.dim(style.glyphs.lines.up);
}

function routerBox(router: RouterView, at: number, style: Style): string {
  const { on, off, gone } = style.glyphs.states;
  const dead = router.state === "killed" || router.state === "stopped";
  const dot = router.state === "active" ? on : dead ? gone : off;
  const text = `${router.name} ${dot} ${STATE_WORDS[router.state]} (${router.priority})`;
  const padded = text.padStart((NAME_WIDTH + text.length) >> 1).padEnd(NAME_WIDTH);
  if (router.state === "active") return style.bold(style.router[at]!(padded));
  if (dead || router.state === "fault") return style.bad(padded);
  return style.router[at]!(padded);
}

/** "322.9 ms" under "−61.3 ms", decimal points in one column. */
function stamp(ms: number, style: Style): string {
  const text = `${ms < -0.05 ? style.glyphs.minus : ""}${Math.abs(ms).toFixed(1)}`;
  return `${text.padStart(8)} ms`;
}

function routerPaint(who: string, style: Style): Paint {
  return style.router[Number(/^r(\d)$/.exec(who)?.[1] ?? 0) - 1] ?? style.bold;
}

export function happeningLine(happening: Happening, style: Style): string {
  const { kind, who, text } = happening;
  const glyph = style.glyphs.kinds[kind];
  const paint = kind === "act" ? style.bold : kind === "trouble" ? style.bad : plain;
  const name = routerPaint(who, style)(who.padEnd(4));
  const mark = kind === "act" ? style.warn(glyph) : kind === "trouble" ? style.bad(glyph) : style.dim(glyph);
  return `  ${style.dim(stamp(happening.atMs, style))}  ${mark} ${name} ${paint(text)}`;
}

/** Level of a share 0..1; anything above nothing shows. */
function level(share: number, glyphs: Glyphs): string {
  if (share <= 0) return glyphs.idle;
  const at = Math.ceil(share * glyphs.levels.length) - 1;
  return glyphs.levels[Math.min(at, glyphs.levels.length - 1)]!;
}

const LANE_NAME = 6;

/** One lane a router, and lanes for what was lost or doubled when there was any; below, a time axis. */
export function lanes(strip: StripView, names: readonly string[], style: Style): string[] {
  const { cells } = strip;
  const { glyphs } = style;
  const lane = (name: string, paint: Paint, draw: (at: number) => string): string => {
    const text = cells
      .map((_, at) => draw(at))
      .join("")
      .trimEnd();
    return `  ${paint(name.padEnd(LANE_NAME))}${segments(text, glyphs.idle, paint, style.dim)}`;
  };
  const result = names.map((name, router) =>
    lane(name, style.router[router] ?? plain, (at) => {
      const cell = cells[at]!;
      return cell.sent === 0 ? " " : level((cell.carried[router] ?? 0) / cell.sent, glyphs);
    }),
  );
  if (cells.some((cell) => cell.lost > 0)) {
    result.push(lane("lost", style.bad, (at) => (cells[at]!.lost > 0 ? glyphs.lost : " ")));
  }
  if (cells.some((cell) => cell.duplicated > 0)) {
    result.push(lane("twice", style.bad, (at) => (cells[at]!.duplicated > 0 ? "2" : " ")));
  }
  result.push(style.dim(axis(strip, style)));
  return result;
}

/** Paints runs, not characters, so that lines stay short. */
function segments(text: string, idle: string, paint: Paint, quiet: Paint): string {
  const runs = text.match(new RegExp(`[${idle}]+| +|[^ ${idle}]+`, "gu")) ?? [];
  return runs
    .map((run) => (run.startsWith(idle) ? quiet(run) : run.startsWith(" ") ? run : paint(run)))
    .join("");
}

/** Labels at round times, the zero marked. */
function axis(strip: StripView, style: Style): string {
  const width = strip.cells.length;
  const every = axisStep(strip.cellMs);
  let line = "";
  for (let ms = Math.ceil(strip.fromMs / every) * every; ; ms += every) {
    const column = Math.round((ms - strip.fromMs) / strip.cellMs);
    if (column >= width) break;
    const label = ms === 0 ? `${style.glyphs.zero}0` : `${style.glyphs.tick}${axisLabel(ms, style)}`;
    if (column >= line.length) line = line.padEnd(column) + label;
  }
  return `  ${"ms".padEnd(LANE_NAME)}${line}`;
}

const axisLabel = (ms: number, style: Style): string =>
  ms < 0 ? `${style.glyphs.minus}${-ms}` : ms.toLocaleString("en");

/** A label every ten cells or so, at a round number. */
function axisStep(cellMs: number): number {
  const wanted = cellMs * 10;
  const steps = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
  return steps.find((step) => step >= wanted) ?? 10_000;
}

export function stepTitle(
  step: { number: number; total: number; plan: { title: string } },
  style: Style,
): string {
  return `${style.dim(`${step.number}/${step.total}`.padStart(5))}  ${style.bold(step.plan.title)}`;
}

const STALL_WORTH_A_WORD_MS = 5;

/** What a step's traffic felt, in one line. */
export function verdictLine(result: StepResult, style: Style): string {
  const felt =
    result.lost === 0
      ? `no packet lost, the slowest took ${result.slowestMs.toFixed(2)} ms`
      : `outage ${result.outageMs.toFixed(1)} ms (Active_Down_Interval ${result.activeDownIntervalMs.toFixed(1)}), ` +
        `${result.lost.toLocaleString("en")} lost`;
  const twice = result.duplicated === 0 ? "none doubled" : `${result.duplicated} doubled`;
  const punctual =
    result.afterDeadlineMs === null
      ? ""
      : `, packets flow ${signed(result.afterDeadlineMs, style)} ms from the deadline`;
  const stalled =
    result.stallMs < STALL_WORTH_A_WORD_MS
      ? ""
      : style.warn(` (this machine stood still for ${result.stallMs.toFixed(1)} ms)`);
  const mark = result.kept ? style.good(style.glyphs.yes) : style.bad(style.glyphs.no);
  const why = result.broken.length > 0 ? style.bad(`: ${result.broken.join(", ")}`) : "";
  return `  ${mark} ${felt}, ${twice}${punctual}${stalled}${why}`;
}

function signed(ms: number, style: Style): string {
  return `${ms < 0 ? style.glyphs.minus : "+"}${Math.abs(ms).toFixed(2)}`;
}

/** A finished step: title, what happened, lanes, verdict. */
export function stepLines(result: StepResult, style: Style): string[] {
  const names = result.routers.map((router) => router.name);
  return [
    stepTitle(result, style),
    ...result.happenings.map((happening) => happeningLine(happening, style)),
    ...lanes(result.strip, names, style),
    verdictLine(result, style),
    "",
  ];
}

/** A step under way: what a terminal redraws. */
export function liveLines(view: StepView, style: Style): string[] {
  const names = view.routers.map((router) => router.name);
  return [
    stepTitle(view, style),
    ...view.happenings.map((happening) => happeningLine(happening, style)),
    ...lanes(view.strip, names, style),
    "",
    ...drawing(view.routers, style),
  ];
}

const HEADER = ["#", "what", "outage / bound", "lost", "dup", "deadline", ""];
const RIGHT = [true, false, true, true, true, true, false];

/** All steps, one a line, in 80 columns. */
export function summaryTable(results: readonly StepResult[], style: Style): string[] {
  const several = new Set(results.map((result) => result.intervalMs)).size > 1;
  const rows = results.map((result) => [
    String(result.number),
    several && result.intervalMs !== results[0]!.intervalMs
      ? `${result.plan.title} @${result.intervalMs}ms`
      : result.plan.title,
    result.plan.promise === "bounded"
      ? `${result.outageMs.toFixed(1)} / ${result.activeDownIntervalMs.toFixed(1)}`
      : `${result.outageMs === 0 ? "0" : result.outageMs.toFixed(1)} / 0`,
    result.lost.toLocaleString("en"),
    result.duplicated.toLocaleString("en"),
    result.afterDeadlineMs === null ? "" : signed(result.afterDeadlineMs, style),
    result.kept ? style.glyphs.yes : style.glyphs.no,
  ]);
  const widths = HEADER.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]!.length)));
  const line = (cells: readonly string[], mark: Paint): string => {
    const last = cells.length - 1;
    const padded = cells.map((cell, at) =>
      RIGHT[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
    );
    return `  ${[...padded.slice(0, last), mark(cells[last]!)].join("  ")}`.trimEnd();
  };
  return [
    style.dim(line(HEADER, plain)),
    ...rows.map((row, at) => line(row, results[at]!.kept ? style.good : style.bad)),
  ];
}

/** The last words. */
export function closingLines(results: readonly StepResult[], elapsedMs: number, style: Style): string[] {
  const kept = results.filter((result) => result.kept).length;
  const all = kept === results.length;
  const words = all
    ? style.good(`${style.glyphs.yes} all ${results.length} promises kept`)
    : style.bad(`${style.glyphs.no} ${results.length - kept} of ${results.length} promises broken`);
  return [
    ...summaryTable(results, style),
    "",
    ...[
      "outage    ms between the last packet before and the first after; 0 when none was lost",
      `bound     Active_Down_Interval, 3 x interval + skew (grace: ${OUTAGE_MARGIN_MS} ms); 0 for what must cost nothing`,
      "deadline  ms from the end of the Active_Down_Interval to the first packet",
    ].map((text) => style.dim(`  ${text}`)),
    "",
    `  ${words} ${style.dim(`in ${(elapsedMs / 1000).toFixed(1)} s`)}`,
  ];
}
