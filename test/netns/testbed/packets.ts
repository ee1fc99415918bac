/** What became of a host's packets while something happened. */
import { reportTraffic, type SequenceRange, type TrafficColumns } from "../../../src/lab/statistics.js";
import type { Traffic } from "../../../src/lab/traffic.js";
import { eventually } from "../../../src/lab/wait.js";

export interface Fate {
  readonly lost: number;
  readonly duplicated: number;
  /** When which packets were lost, and who carried those beside them: for whoever reads that a test failed. */
  readonly story: readonly string[];
}

/** Of a planned move, and of every other that nobody should notice. */
export const CLEAN: Fate = { lost: 0, duplicated: 0, story: [] };

/** More packets than change their order: a tenth of a second at 4,000 packets a second. */
const UNDER_WAY = 400;
const UNDER_WAY_BOUND_MS = 5_000;

/** Waits for so many more packets of the host. */
export async function packets(traffic: Traffic, count: number): Promise<void> {
  const until = traffic.sent() + count;
  const boundMs = 5_000 + (count / traffic.rate) * 2_000;
  await eventually(`${count} packets are sent`, boundMs, () => traffic.sent() >= until);
}

/** Those from `from` on that were sent until now. */
export async function countedFrom(traffic: Traffic, from: number): Promise<Fate> {
  const to = traffic.sent();
  await packets(traffic, UNDER_WAY);
  const later = to + UNDER_WAY / 2;
  await eventually("packets that were sent later arrive", UNDER_WAY_BOUND_MS, () =>
    traffic.columns(later).copies.some((copies) => copies > 0),
  );
  traffic.verify();
  const columns = traffic.columns(from, to);
  const { lost, duplicated, lostRanges } = reportTraffic(columns);
  return { lost, duplicated, story: lostRanges.map((range) => storyOf(columns, range)) };
}

function storyOf(columns: TrafficColumns, { first, last }: SequenceRange): string {
  const at = first - columns.from;
  const sinceMs = (columns.sentUs[at]! - columns.sentUs[0]!) / 1000;
  const carrier = (index: number): string =>
    columns.copies[index] ? columns.senders[columns.via[index]!]! : "nobody";
  const after = last - columns.from + 1;
  return `${last - first + 1} from ${sinceMs.toFixed(2)} ms: before ${carrier(at - 1)}, after ${carrier(after)}`;
}

/** Those that are sent while something happens. */
export async function counted(traffic: Traffic, happening: () => Promise<void>): Promise<Fate> {
  const from = traffic.sent();
  await happening();
  return countedFrom(traffic, from);
}
