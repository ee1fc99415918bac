/**
 * Samples as a picture: one row for each subject under each condition, a dot for each sample, a bar over the middle half
 * of them, a mark at the median, its figure and how many samples it is of. Pure; SVG that needs nothing else.
 */
import { type Scale, scaleFor } from "./scales.js";
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
  /** What is next to nothing in this unit. */
  readonly grain: number;
}

const WIDTH = 900;
const LEFT = 190;
const RIGHT = 130;
/** Room for the number of samples. */
const COUNT = 64;
const ROW = 17;
const GROUP = 24;
const HEAD = 62;
const FOOT = 46;
const INK = "#1f2937";
const PALE = "#6b7280";
/** More dots than this tell no more: evenly chosen ones by rank stand for all. */
const MOST_DOTS = 160;

const inXml = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);

function thinned(samples: readonly number[]): readonly number[] {
  if (samples.length <= MOST_DOTS) return samples;
  const sorted = [...samples].sort((a, b) => a - b);
  return Array.from(
    { length: MOST_DOTS },
    (_, index) => sorted[Math.round((index * (sorted.length - 1)) / (MOST_DOTS - 1))]!,
  );
}

function rowMarks(row: PlotRow, y: number, x: (value: number) => number): string[] {
  const summary = summarise(row.samples);
  if (!summary) return [];
  const at = (value: number): string => x(value).toFixed(1);
  const { lowerQuartile, median, upperQuartile, count } = summary;
  const wide = Math.max(0, x(upperQuartile) - x(lowerQuartile));
  return [
    `<text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${inXml(row.label)}</text>`,
    `<rect x="${at(lowerQuartile)}" y="${y - 4}" width="${wide.toFixed(1)}" height="8" rx="2" fill="${row.colour}" fill-opacity="0.18"/>`,
    `<g fill="${row.colour}" fill-opacity="0.4">`,
    ...thinned(row.samples).map((value) => `<circle cx="${at(value)}" cy="${y}" r="2.4"/>`),
    "</g>",
    `<rect x="${(x(median) - 1.25).toFixed(1)}" y="${y - 7}" width="2.5" height="14" rx="1" fill="${row.colour}">` +
      `<title>median ${figure(median)} of ${count}</title></rect>`,
    `<text x="${WIDTH - COUNT}" y="${y + 4}" text-anchor="end" fill="${row.colour}">${figure(median)}</text>`,
    `<text x="${WIDTH - 14}" y="${y + 4}" text-anchor="end" fill="${PALE}">${figure(count)}</text>`,
  ];
}

/** Groups of rows from the top: each on a band of its own. */
function groups(rows: readonly PlotRow[]): { readonly name: string; readonly rows: PlotRow[] }[] {
  const found: { name: string; rows: PlotRow[] }[] = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last?.name === row.group) last.rows.push(row);
    else found.push({ name: row.group, rows: [row] });
  }
  return found;
}

/** Taller than this, the axis is named at its upper end too. */
const TALL = 500;

function grid(scale: Scale, x: (value: number) => number, bottom: number): string[] {
  const ends = bottom > TALL ? [HEAD - 12, bottom + 16] : [bottom + 16];
  return scale.ticks.flatMap((tick) => [
    `<line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${HEAD - 8}" y2="${bottom}" ` +
      `stroke="${tick === 0 ? "#9ca3af" : "#e5e7eb"}"/>`,
    ...ends.map(
      (y) =>
        `<text x="${x(tick).toFixed(1)}" y="${y}" text-anchor="middle" fill="${PALE}">${figure(tick)}</text>`,
    ),
  ]);
}

/** Null when there is nothing to draw. */
export function stripPlot(rows: readonly PlotRow[], options: PlotOptions): string | null {
  const drawn = rows.filter((row) => row.samples.length > 0);
  const values = drawn.flatMap((row) => [...thinned(row.samples)]);
  if (values.length === 0) return null;
  const scale = scaleFor(values, options.grain);
  const x = (value: number): number => LEFT + scale.at(value) * (WIDTH - LEFT - RIGHT);
  const [bands, marks]: [string[], string[]] = [[], []];
  let y = HEAD;
  for (const [at, group] of groups(drawn).entries()) {
    const height = GROUP + group.rows.length * ROW + 6;
    if (at % 2 === 0) bands.push(`<rect x="0" y="${y}" width="${WIDTH}" height="${height}" fill="#f9fafb"/>`);
    marks.push(`<text x="14" y="${y + 16}" font-weight="600">${inXml(group.name)}</text>`);
    for (const [index, row] of group.rows.entries()) {
      marks.push(...rowMarks(row, y + GROUP + index * ROW + 6, x));
    }
    y += height;
  }
  const height = y + FOOT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      `font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12" fill="${INK}">`,
    `<title>${inXml(options.title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...bands,
    `<text x="14" y="26" font-size="16" font-weight="600">${inXml(options.title)}</text>`,
    `<text x="${WIDTH - 14}" y="26" text-anchor="end" fill="${PALE}">median, samples</text>`,
    ...grid(scale, x, y),
    ...marks,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${height - 10}" text-anchor="middle" fill="${PALE}">` +
      `${inXml(`${options.unit}${scale.remark}`)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}
