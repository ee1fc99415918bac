/**
 * What happened to numbered packets, from when each was sent and when its first copy arrived. Pure.
 * All times are monotonic microseconds.
 */

/** Columns of packets `from`, `from + 1`, …; see TrafficArrivals for the last three. */
export interface TrafficColumns {
  readonly from: number;
  readonly sentUs: Float64Array;
  readonly firstUs: Float64Array;
  readonly copies: Uint32Array;
  readonly via: Uint8Array;
  /** Who `via` means: source MACs. */
  readonly senders: readonly string[];
}

/** Consecutive sequence numbers, both inclusive. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** The time between two arrivals that followed each other. */
export interface Gap {
  readonly lengthUs: number;
  readonly startUs: number;
  readonly endUs: number;
  /** Packets were lost at the end: the gap lasts until the last packet's departure, at least. */
  readonly open: boolean;
}

export interface TrafficReport {
  readonly sent: number;
  /** Packets of which at least one copy arrived. */
  readonly arrived: number;
  readonly lost: number;
  readonly lostRanges: readonly SequenceRange[];
  /** Packets of which more than one copy arrived. */
  readonly duplicated: number;
  /** Null with fewer than two instants to lie between. */
  readonly longestGap: Gap | null;
  /** Longest time from a packet's departure to its first arrival; 0 when none arrived. */
  readonly slowestUs: number;
  /** Longest time between two departures: more than a period means that the sending machine itself stood still. */
  readonly longestPauseUs: number;
  /** First copies by source MAC. */
  readonly bySender: Readonly<Record<string, number>>;
}

/** Sums up all packets of the columns. */
export function reportTraffic(columns: TrafficColumns): TrafficReport {
  const lostRanges: { first: number; last: number }[] = [];
  const counts = new Array<number>(columns.senders.length).fill(0);
  let lost = 0;
  let duplicated = 0;
  let slowestUs = 0;
  let longestPauseUs = 0;
  for (let at = 0; at < columns.sentUs.length; at++) {
    const copies = columns.copies[at]!;
    if (at > 0) longestPauseUs = Math.max(longestPauseUs, columns.sentUs[at]! - columns.sentUs[at - 1]!);
    if (copies === 0) {
      lost++;
      noteLost(lostRanges, columns.from + at);
      continue;
    }
    if (copies > 1) duplicated++;
    counts[columns.via[at]!]!++;
    slowestUs = Math.max(slowestUs, columns.firstUs[at]! - columns.sentUs[at]!);
  }
  return {
    sent: columns.sentUs.length,
    arrived: columns.sentUs.length - lost,
    lost,
    lostRanges,
    duplicated,
    longestGap: longestGap(columns),
    slowestUs,
    longestPauseUs,
    bySender: Object.fromEntries(columns.senders.map((mac, at) => [mac, counts[at]!])),
  };
}

function noteLost(ranges: { first: number; last: number }[], sequence: number): void {
  const last = ranges.at(-1);
  if (last?.last === sequence - 1) last.last = sequence;
  else ranges.push({ first: sequence, last: sequence });
}

/** Arrival times in order. Packets that waited somewhere may overtake each other. */
export function arrivalTimes(columns: TrafficColumns): Float64Array {
  return columns.firstUs.filter((us) => !Number.isNaN(us)).sort();
}

function longestGap(columns: TrafficColumns): Gap | null {
  const times = arrivalTimes(columns);
  const lastSentUs = columns.sentUs.at(-1);
  if (times.length === 0 || lastSentUs === undefined) return null;
  let best: Gap | null = null;
  const offer = (startUs: number, endUs: number, open: boolean): void => {
    if (endUs - startUs > (best?.lengthUs ?? 0)) best = { lengthUs: endUs - startUs, startUs, endUs, open };
  };
  for (let at = 1; at < times.length; at++) offer(times[at - 1]!, times[at]!, false);
  if (columns.copies.at(-1) === 0) offer(times.at(-1)!, lastSentUs, true);
  return best;
}

/** The first arrival after an instant, if one came; only through `mac` if given. */
export function firstArrivalAfter(columns: TrafficColumns, afterUs: number, mac?: string): number | null {
  let best = Number.POSITIVE_INFINITY;
  for (let at = 0; at < columns.firstUs.length; at++) {
    const us = columns.firstUs[at]!;
    if (us > afterUs && us < best && (mac === undefined || columns.senders[columns.via[at]!] === mac))
      best = us;
  }
  return Number.isFinite(best) ? best : null;
}

/** What happened to the packets that were sent within one stretch of time. */
export interface StripCell {
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Packets carried, by index into `senders`. */
  readonly carried: readonly number[];
}

/** Cuts the time from `beginUs` to `endUs` into cells of `cellUs` by when packets were sent. */
export function strip(columns: TrafficColumns, beginUs: number, endUs: number, cellUs: number): StripCell[] {
  const cells = Array.from({ length: Math.max(0, Math.ceil((endUs - beginUs) / cellUs)) }, () => ({
    sent: 0,
    lost: 0,
    duplicated: 0,
    carried: new Array<number>(columns.senders.length).fill(0),
  }));
  for (let at = 0; at < columns.sentUs.length; at++) {
    const cell = cells[Math.floor((columns.sentUs[at]! - beginUs) / cellUs)];
    if (!cell) continue;
    cell.sent++;
    const copies = columns.copies[at]!;
    if (copies === 0) cell.lost++;
    else cell.carried[columns.via[at]!]!++;
    if (copies > 1) cell.duplicated++;
  }
  return cells;
}

/** 0.9 of 30 is 27, whatever their product is in binary. */
const RANK_GRAIN = 1e-6;

/** The nearest rank: the least of the sorted values that at least `share` (0..1) of them do not exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const rank = Math.ceil(share * sorted.length - RANK_GRAIN);
  return sorted[Math.max(0, rank - 1)]!;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
