/** The promises of SPECIFICATION.md that a run can judge: kept or not, on this machine. Pure. */
import type { BenchResult, Series } from "./model.js";
import { figure, type Summary, summarise } from "./summary.js";

export interface Judged {
  readonly promise: string;
  /** What was measured, and what it was held against; "not measured" where a suite or a peer is missing. */
  readonly found: string;
  /** Null: not measured. */
  readonly kept: boolean | null;
}

/** Looks into a result: samples of one subject, of all conditions that the pattern fits. */
type Look = (suite: string, metric: string, condition: RegExp, subject: string) => Summary | null;

interface Promised {
  readonly promise: string;
  readonly judge: (look: Look) => Omit<Judged, "promise"> | null;
}

const OURS = "firsthop";
const RT = "keepalived-vmac-rt";
const PACKAGED = ["keepalived-vmac", "keepalived", "frr"] as const;
const FAILURE_AT = (interval: number): RegExp => new RegExp(`^${interval} ms, (?!come-back)`);

const atMost = (value: number | null, limit: number, unit: string): Omit<Judged, "promise"> | null =>
  value === null ? null : { found: `${figure(value)} ${unit}, limit ${figure(limit)}`, kept: value <= limit };

/** p99.9, or the most where there are too few samples for it. */
const tail = (summary: Summary | null): number | null => (summary ? (summary.p999 ?? summary.most) : null);

function failovers(): Promised[] {
  return [10, 100, 1000].flatMap((interval) => [
    {
      promise: `first packet after the deadline, ${interval} ms: nine of ten within 1 ms`,
      judge: (look: Look) =>
        atMost(look("failover", "over", FAILURE_AT(interval), OURS)?.p90 ?? null, 1, "ms"),
    },
    {
      promise: `first packet after the deadline, ${interval} ms, silent cut: at most 0.05 ms behind keepalived's median`,
      judge: (look: Look) => {
        const condition = new RegExp(`^${interval} ms, silent cut$`);
        const theirs = look("failover", "over", condition, "keepalived-vmac");
        const ours = look("failover", "over", condition, OURS);
        return theirs && ours ? atMost(ours.median, theirs.median + 0.05, "ms") : null;
      },
    },
  ]);
}

function punctuality(): Promised[] {
  const deviation = (look: Look, condition: RegExp, subject: string): number | null =>
    tail(look("timing", "deviation", condition, subject));
  const loads = (["cpu load", "memory load"] as const).flatMap((load) => [
    ...PACKAGED.map((peer) => ({
      promise: `deviation at 10 ms, ${load}: p99.9 at most half of ${peer}'s`,
      judge: (look: Look) => {
        const theirs = deviation(look, new RegExp(load), peer);
        return theirs === null ? null : atMost(deviation(look, new RegExp(load), OURS), theirs / 2, "ms");
      },
    })),
    {
      promise: `deviation at 10 ms, ${load}: p99.9 at most 0.2 ms above ${RT}'s`,
      judge: (look: Look) => {
        const theirs = deviation(look, new RegExp(load), RT);
        return theirs === null ? null : atMost(deviation(look, new RegExp(load), OURS), theirs + 0.2, "ms");
      },
    },
  ]);
  return [
    {
      promise: "deviation at 10 ms, idle: p99.9 within 0.5 ms",
      judge: (look) => atMost(deviation(look, /^idle$/, OURS), 0.5, "ms"),
    },
    ...loads,
    {
      promise: "no false failover under any load",
      judge: (look) => atMost(look("timing", "false", /./, OURS)?.most ?? null, 0, "times"),
    },
    {
      promise: "no advertisement missing with JavaScript blocked",
      judge: (look) => atMost(look("timing", "missing", /^blocked/, OURS)?.most ?? null, 0, "of 1,000"),
    },
  ];
}

function planned(): Promised[] {
  return [
    {
      promise: "BFD 1 ms x 3: packets pass again within 5 ms of the last, in the median",
      judge: (look) => atMost(look("bfd", "gap", /^BFD 1 ms x 3/, OURS)?.median ?? null, 5, "ms"),
    },
    {
      promise: "come-backs lose no packet",
      judge: (look) => atMost(look("failover", "lost", /come-back/, OURS)?.most ?? null, 0, "packets"),
    },
    {
      promise: "no packet doubled by a failure or a come-back",
      judge: (look) => atMost(look("failover", "doubled", /./, OURS)?.most ?? null, 0, "packets"),
    },
    {
      promise: "no packet lost by a kill or a graceful stop",
      judge: (look) =>
        atMost(look("failover", "lost", /ms, (?:kill -9|graceful stop)$/, OURS)?.most ?? null, 0, "packets"),
    },
    {
      promise: "no packet doubled on a flush, a freeze, a kill",
      judge: (look) => atMost(look("duplicates", "doubled", /./, OURS)?.most ?? null, 0, "packets"),
    },
  ];
}

function sizes(): Promised[] {
  const many = /^4,096 /;
  return [
    ...(["sent", "received"] as const).flatMap((way) =>
      (["keepalived-vmac", "keepalived"] as const).map((peer) => ({
        promise: `processor time for a million advertisements ${way}, 255 virtual routers at 10 ms: at most half of ${peer}'s`,
        judge: (look: Look) => {
          const theirs = look("cpu", way, /^255 /, peer);
          return theirs
            ? atMost(look("cpu", way, /^255 /, OURS)?.median ?? null, theirs.median / 2, "s")
            : null;
        },
      })),
    ),
    {
      promise: "resident memory with 255 virtual routers at most 80 MB",
      judge: (look) => atMost(look("start", "memory", /^255 /, OURS)?.median ?? null, 80, "MB"),
    },
    {
      promise: "start to ready with 1 virtual router within 300 ms",
      judge: (look) => atMost(look("start", "ready", /^1 /, OURS)?.median ?? null, 300, "ms"),
    },
    {
      promise: "start to ready with 255 virtual routers within 1 s",
      judge: (look) => atMost(look("start", "ready", /^255 /, OURS)?.median ?? null, 1000, "ms"),
    },
    {
      promise: "4,096 virtual routers at 100 ms: 99.9 % of gaps within 20 ms of 100",
      judge: (look) => atMost(tail(look("scale", "deviation", many, OURS)), 20, "ms"),
    },
    {
      promise: "4,096 virtual routers: all taken over within Active_Down_Interval + 100 ms",
      judge: (look) => {
        const left = look("scale", "notTakenOver", many, OURS);
        const over = look("scale", "failover", many, OURS);
        if (!left) return null;
        if (left.most > 0) return { found: `${left.most} were not taken over`, kept: false };
        return atMost(over?.most ?? null, 100, "ms");
      },
    },
  ];
}

export function judgePromises(result: BenchResult): Judged[] {
  const all: readonly Series[] = result.suites.flatMap((suite) => suite.series);
  const look: Look = (suite, metric, condition, subject) =>
    summarise(
      all
        .filter((one) => one.suite === suite && one.metric === metric && one.subject === subject)
        .filter((one) => condition.test(one.condition))
        .flatMap((one) => one.samples),
    );
  return [...failovers(), ...planned(), ...punctuality(), ...sizes()].map(({ promise, judge }) => ({
    promise,
    ...(judge(look) ?? { found: "not measured in this run", kept: null }),
  }));
}
