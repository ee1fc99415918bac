/** Listening to many virtual routers at one end of a field. */
import type { LabNode } from "../../src/lab/topology.js";
import { type Capture, captureAt, readAdverts, type SeenAdvert } from "../../src/lab/traffic.js";
import { pause } from "../../src/lab/wait.js";
import type { Field } from "../testbed/field.js";

const SNAP_OCTETS = 64;
/**
 * How long a frame may wait until it is counted: its stamp is the kernel's, of course. The longer, the more time do the
 * rings of a watch hold, 64 times as much, in which the kernel may take thousands of devices away and let nobody read.
 */
const LAG_MS = { few: 50, many: 200 } as const;
const MANY = 1000;

/** What a watch may lose of what it heard, so that its figures still stand. */
const LOSS_SHARE = 0.001;

export interface Watch {
  /** Waits until all that has come in by now is counted. */
  caughtUp(): Promise<void>;
  /** Advertisements heard so far. */
  count(): number;
  /** A place in what was heard, for `since`. */
  mark(): readonly number[];
  /** What was heard since, by interface, in order of arrival at each. */
  since(mark: readonly number[]): SeenAdvert[];
  /** What it lost until now is of no matter. */
  forgive(): void;
  /**
   * Null when it lost nothing since; in words what it lost, when that is next to nothing.
   * @throws Error when it lost more.
   */
  loss(): string | null;
  stop(): Promise<void>;
}

/**
 * Hears what arrives at the node on each cable, once each: a capture of all interfaces would count macvlans again.
 * @param members How many virtual routers speak. @param capacity How many advertisements are kept.
 */
export function watchField(field: Field, node: LabNode, members: number, capacity: number): Watch {
  const each = Math.ceil(capacity / field.interfaces.length);
  const waitMs = members < MANY ? LAG_MS.few : LAG_MS.many;
  const captures: Capture[] = field.interfaces.map((port) =>
    captureAt(node, port, { snapLength: SNAP_OCTETS, capacity: each, waitMs }),
  );
  const count = (): number => captures.reduce((sum, capture) => sum + capture.count(), 0);
  const lostInAll = (): number => captures.reduce((sum, capture) => sum + capture.lost(), 0);
  let forgiven = 0;
  return {
    caughtUp: () => pause(waitMs),
    count,
    mark: () => captures.map((capture) => capture.count()),
    since: (mark) => captures.flatMap((capture, at) => readAdverts(capture.frames(mark[at]))),
    forgive: () => {
      forgiven = lostInAll();
    },
    loss: () => {
      const lost = lostInAll() - forgiven;
      if (lost === 0) return null;
      const text = `the capture lost ${lost} of ${count() + lost} advertisements`;
      if (lost > LOSS_SHARE * count()) throw new Error(text);
      return text;
    },
    stop: async () => void (await Promise.all(captures.map((capture) => capture.stop()))),
  };
}

export const memberKey = (advert: Pick<SeenAdvert, "port" | "vrid" | "family">): string =>
  `${advert.port}/${advert.vrid}/${advert.family}`;

/** |time between two advertisements of a virtual router - interval|, in milliseconds, for all of them. */
export function deviations(adverts: readonly SeenAdvert[], intervalMs: number): number[] {
  const last = new Map<string, number>();
  const found: number[] = [];
  for (const advert of adverts) {
    const key = memberKey(advert);
    const before = last.get(key);
    if (before !== undefined) found.push(Math.abs((advert.atUs - before) / 1000 - intervalMs));
    last.set(key, advert.atUs);
  }
  return found;
}

/** First and last of each virtual router, microseconds. */
export function extremes(adverts: readonly SeenAdvert[]): Map<string, { first: number; last: number }> {
  const found = new Map<string, { first: number; last: number }>();
  for (const advert of adverts) {
    const known = found.get(memberKey(advert));
    if (known) known.last = advert.atUs;
    else found.set(memberKey(advert), { first: advert.atUs, last: advert.atUs });
  }
  return found;
}

/** At most `count` values that stand for all: evenly chosen by rank, least and most among them. */
export function thinByRank(values: readonly number[], count: number): number[] {
  if (values.length <= count) return [...values];
  const sorted = [...values].sort((a, b) => a - b);
  return Array.from(
    { length: count },
    (_, index) => sorted[Math.round((index * (sorted.length - 1)) / (count - 1))]!,
  );
}
