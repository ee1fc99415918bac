/** Where a value stands along an axis: linear, logarithmic, or logarithmic on both sides of a linear middle. Pure. */

export interface Scale {
  /** 0 at the left end, 1 at the right one. */
  readonly at: (value: number) => number;
  /** Values to name along the axis. */
  readonly ticks: readonly number[];
  /** What the axis says about itself, after its unit. */
  readonly remark: string;
}

/** Values that differ by more than this are not told apart on a linear axis. */
const WIDE = 50;
/** Ticks nearer to each other than this would run into each other. */
const APART = 0.06;

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
  return { ticks, at: (value) => (value - from) / (to - from), remark: "" };
}

function logarithmic(least: number, most: number): Scale {
  const from = Math.floor(Math.log10(least));
  const to = Math.max(from + 1, Math.ceil(Math.log10(most)));
  const ticks = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  return { ticks, at: (value) => (Math.log10(value) - from) / (to - from), remark: ", logarithmic" };
}

/** Logarithmic in |value|, except within `unit` of 0, which is where the logarithm would have no end. */
function twoSided(least: number, most: number, unit: number): Scale {
  const bent = (value: number): number => Math.sign(value) * Math.log10(1 + Math.abs(value) / unit);
  const from = Math.min(0, bent(least));
  const to = Math.max(0, bent(most), from + 1);
  const at = (value: number): number => (bent(value) - from) / (to - from);
  const decades = Array.from({ length: 12 }, (_, power) => Number((unit * 10 ** (power + 1)).toPrecision(3)));
  const ticks: number[] = [0];
  for (const value of decades.flatMap((one) => [one, -one])) {
    const place = at(value);
    const crowded = ticks.some((other) => Math.abs(at(other) - place) < APART);
    if (place >= 0 && place <= 1 && !crowded) ticks.push(value);
  }
  return { ticks: ticks.sort((a, b) => a - b), at, remark: ", logarithmic on both sides of 0" };
}

/**
 * Linear where the values are alike, else logarithmic.
 * @param grain What is next to nothing in this unit: the middle of a two-sided axis.
 */
export function scaleFor(values: readonly number[], grain: number): Scale {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const unit = grain > 0 ? grain / 10 : 0.1;
  const tells = least > unit / 10; // what is less is next to nothing, and no decade of its own
  if (tells && most / least > WIDE) return logarithmic(least, most);
  if (!tells && Math.max(most, -least) / unit > 10 * WIDE) return twoSided(least, most, unit);
  if (least > 0) least = 0;
  if (most < 0) most = 0;
  return linear(least, most > least ? most : least + 1);
}
