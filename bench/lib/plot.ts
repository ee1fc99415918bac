/**
 * Samples as a picture: one row for each subject under each condition, a dot for each sample, a bar at the median.
 * Pure; SVG that needs nothing else.
 */
import { figure, summarise } from "./summary.js";

export interface PlotRow {
  readonly label: string;
  /** Rows of one group stand together under its name. */
  readonly group: string;
  readonly samples: readonly number[];
  readonly colour: string;
}

export interface PlotOptions {
  readonly title: string;
  readonly unit: string;
}

const WIDTH = 860;
const LEFT = 210;
const RIGHT = 24;
const ROW = 18;
const GROUP = 22;
const HEAD = 40;
const FOOT = 46;
/** More dots than this tell no more: evenly chosen ones by rank stand for all. */
const MOST_DOTS = 400;

const inXml = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);

/** Where a value stands, and the values to name along the axis. */
interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

function niceStep(span: number): number {
  const power = 10 ** Math.floor(Math.log10(span / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => span / step <= 6)!;
}

function linear(least: number, most: number): Scale {
  const step = niceStep(most - least);
  const from = Math.floor(least / step) * step;
  const to = Math.ceil(most / step) * step;
  const count = Math.round((to - from) / step);
  const ticks = Array.from({ length: count + 1 }, (_, index) =>
    Number((from + index * step).toPrecision(12)),
  );
  return { ticks, at: (value) => LEFT + ((value - from) / (to - from)) * (WIDTH - LEFT - RIGHT) };
}

function logarithmic(least: number, most: number): Scale {
  const from = Math.floor(Math.log10(least));
  const to = Math.max(from + 1, Math.ceil(Math.log10(most)));
  const ticks = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  return {
    ticks,
    at: (value) => LEFT + ((Math.log10(value) - from) / (to - from)) * (WIDTH - LEFT - RIGHT),
  };
}

/** Logarithmic where everything is positive and spans more than two decades. */
function scaleFor(values: readonly number[]): { readonly scale: Scale; readonly log: boolean } {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least > 0 && most / least > 100) return { scale: logarithmic(least, most), log: true };
  if (least > 0) least = 0;
  if (most < 0) most = 0;
  return { scale: linear(least, most > least ? most : least + 1), log: false };
}

function thinned(samples: readonly number[]): readonly number[] {
  if (samples.length <= MOST_DOTS) return samples;
  const sorted = [...samples].sort((a, b) => a - b);
  return Array.from(
    { length: MOST_DOTS },
    (_, index) => sorted[Math.round((index * (sorted.length - 1)) / (MOST_DOTS - 1))]!,
  );
}

function rowMarks(row: PlotRow, y: number, scale: Scale): string[] {
  const summary = summarise(row.samples);
  if (!summary) return [];
  const x = (value: number): string => scale.at(value).toFixed(1);
  return [
    `<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end">${inXml(row.label)}</text>`,
    ...thinned(row.samples).map(
      (value) => `<circle cx="${x(value)}" cy="${y}" r="2.6" fill="${row.colour}" fill-opacity="0.45"/>`,
    ),
    `<rect x="${(scale.at(summary.median) - 1).toFixed(1)}" y="${y - 7}" width="2" height="14" fill="${row.colour}">` +
      `<title>median ${figure(summary.median)} of ${summary.count}</title></rect>`,
  ];
}

/** Null when there is nothing to draw. */
export function stripPlot(rows: readonly PlotRow[], options: PlotOptions): string | null {
  const drawn = rows.filter((row) => row.samples.length > 0);
  const values = drawn.flatMap((row) => [...thinned(row.samples)]);
  if (values.length === 0) return null;
  const { scale, log } = scaleFor(values);
  const marks: string[] = [];
  let y = HEAD;
  let group: string | null = null;
  for (const row of drawn) {
    if (row.group !== group) {
      y += GROUP;
      marks.push(`<text x="12" y="${y - 2}" font-weight="bold">${inXml(row.group)}</text>`);
      group = row.group;
      y += ROW - 4;
    }
    marks.push(...rowMarks(row, y, scale));
    y += ROW;
  }
  const bottom = y + 4;
  const grid = scale.ticks.flatMap((tick) => {
    const x = scale.at(tick).toFixed(1);
    return [
      `<line x1="${x}" x2="${x}" y1="${HEAD}" y2="${bottom}" stroke="${tick === 0 ? "#666" : "#ddd"}"/>`,
      `<text x="${x}" y="${bottom + 16}" text-anchor="middle" fill="#555">${figure(tick)}</text>`,
    ];
  });
  const height = bottom + FOOT;
  const axis = `${options.unit}${log ? ", logarithmic" : ""}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      `font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${inXml(options.title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="bold">${inXml(options.title)}</text>`,
    ...grid,
    ...marks,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${height - 10}" text-anchor="middle" fill="#555">${inXml(axis)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}
