/** The promises of SPECIFICATION.md that a run can judge: met or not, by how much, on this machine. Pure. */

import type { BenchResult, Series, SuiteResult } from "./model.js";
import { FLOOR_SUBJECT } from "./model.js";
import { figure, type Summary, summarise } from "./summary.js";

export interface Judged {
  readonly promise: string;
  /** What was measured; null: nothing. */
  readonly found: number | null;
  readonly limit: number | null;
  readonly unit: string;
  /** The same of what does nothing else: a bare sleeper, a bare loop. Null: there is none. */
  readonly floor: number | null;
  /** Null: not measured. */
  readonly kept: boolean | null;
  /** Which of several the figures are about, or why there are none. */
  readonly remark: string;
  /** Samples that it was found in; null where their number says nothing. */
  readonly count: number | null;
}

/** Looks into a result. */
interface Look {
  /** Samples of one subject, of all conditions that the pattern fits. */
  series(suite: string, metric: string, condition: RegExp, subject: string): Summary | null;
  conditions(suite: string, metric: string, pattern: RegExp): readonly string[];
  noise(suite: string): Summary | null;
}

type Finding = Omit<Judged, "promise">;

interface Promised {
  readonly promise: string;
  readonly judge: (look: Look) => Finding | null;
}

const OURS = "firsthop";
const REALTIME = ["keepalived-vmac-rt", "keepalived-rt"] as const;
const PACKAGED = ["keepalived-vmac", "keepalived", "frr"] as const;
const KEEPALIVED = ["keepalived-vmac", "keepalived-vmac-rt", "keepalived", "keepalived-rt"] as const;
/** What a host with 20,000 packets a second can tell apart. */
const BEHIND_PEER_MS = 0.05;

const FAILURE_AT = (interval: number): RegExp => new RegExp(`^${interval} ms, (?!come-back)`);
const exactly = (condition: string): RegExp =>
  new RegExp(`^${condition.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);

interface Beside {
  readonly floor?: number | null;
  readonly remark?: string;
  readonly count?: number | undefined;
}

function atMost(
  found: number | null | undefined,
  limit: number,
  unit: string,
  { floor = null, remark = "", count }: Beside = {},
): Finding | null {
  return found === null || found === undefined
    ? null
    : { found, limit, unit, floor, kept: found <= limit, remark, count: count ?? null };
}

/** A median against its limit. */
const medianAtMost = (
  summary: Summary | null,
  limit: number,
  unit: string,
  beside: Beside = {},
): Finding | null => atMost(summary?.median, limit, unit, { ...beside, count: summary?.count });

/** p99.9, or the most where there are too few samples for it. */
const tail = (summary: Summary | null): number | null => (summary ? (summary.p999 ?? summary.most) : null);

/** The one that is nearest to its limit, or farthest beyond. */
function worst(findings: readonly Finding[]): Finding | null {
  const share = ({ found, limit }: Finding): number => (found ?? 0) - (limit ?? 0);
  return findings.reduce<Finding | null>(
    (most, one) => (most === null || share(one) > share(most) ? one : most),
    null,
  );
}

/** Which failures end with a deadline that all makes have. A line cut has not: see the note of the metric. */
const FAILURES = ["silent cut", "kill -9", "graceful stop"] as const;

function failovers(): Promised[] {
  return [10, 100, 1000].flatMap((interval) => [
    {
      promise: `first packet after the deadline, ${interval} ms: nine of ten within 1 ms`,
      judge: (look: Look) => {
        const ours = look.series("failover", "over", FAILURE_AT(interval), OURS);
        const floor = look.noise("failover")?.p90 ?? null;
        return atMost(ours?.p90, 1, "ms", { floor, count: ours?.count });
      },
    },
    {
      promise: `the same, ${interval} ms: median at most ${BEHIND_PEER_MS} ms behind the best keepalived's, each failure`,
      judge: (look: Look) =>
        worst(FAILURES.flatMap((failure) => besideKeepalived(look, `${interval} ms, ${failure}`) ?? [])),
    },
  ]);
}

/** Against the variant of keepalived that is best here. One that is early has not waited, and is none. */
function besideKeepalived(look: Look, condition: string): Finding | null {
  const over = (subject: string): Summary | null =>
    look.series("failover", "over", exactly(condition), subject);
  const theirs = KEEPALIVED.flatMap((subject) => over(subject)?.median ?? []).filter((ms) => ms >= 0);
  if (theirs.length === 0) return null;
  return medianAtMost(over(OURS), Math.min(...theirs) + BEHIND_PEER_MS, "ms", {
    floor: look.noise("failover")?.median ?? null,
    remark: condition,
  });
}

function punctuality(): Promised[] {
  const deviation = (look: Look, condition: string, subject: string): number | null =>
    tail(look.series("timing", "deviation", exactly(condition), subject));
  const byItself = (look: Look, subject: string): number | null =>
    tail(look.series("timing", "alone-deviation", /./, subject));
  /** What is left without the machine's part; the verdict is about all. */
  const own = (look: Look, condition: RegExp): string => {
    const rest = tail(look.series("timing", "rest", condition, OURS));
    return rest === null ? "" : `${figure(rest)} without stalls that bare sleepers shared`;
  };
  const against = (load: string, peer: string, limitOf: (theirs: number) => number) => (look: Look) => {
    const theirs = deviation(look, load, peer);
    return theirs === null
      ? null
      : atMost(deviation(look, load, OURS), limitOf(theirs), "ms", {
          floor: deviation(look, load, FLOOR_SUBJECT),
          remark: own(look, exactly(load)),
        });
  };
  return [
    {
      promise: "deviation at 10 ms, idle: p99.9 within 0.5 ms",
      judge: (look) =>
        atMost(byItself(look, OURS), 0.5, "ms", {
          floor: byItself(look, FLOOR_SUBJECT),
          remark: own(look, /^idle, by itself$/),
        }),
    },
    ...(["cpu load", "memory load"] as const).flatMap((load) => [
      ...PACKAGED.map((peer) => ({
        promise: `deviation at 10 ms, ${load}: p99.9 at most half of ${peer}'s`,
        judge: against(load, peer, (theirs) => theirs / 2),
      })),
      ...REALTIME.map((peer) => ({
        promise: `deviation at 10 ms, ${load}: p99.9 at most 0.2 ms above ${peer}'s`,
        judge: against(load, peer, (theirs) => theirs + 0.2),
      })),
    ]),
    {
      promise: "no false failover under any load, nor with JavaScript blocked",
      judge: (look) =>
        worst(
          ["false", "alone-false", "blocked-false"].flatMap(
            (metric) => none(look, "timing", metric, /./, "times") ?? [],
          ),
        ),
    },
    {
      promise: "no advertisement missing with JavaScript blocked",
      judge: (look) => none(look, "timing", "blocked-missing", /./, "of 1,000"),
    },
  ];
}

/** The most of all conditions is 0. */
function none(look: Look, suite: string, metric: string, condition: RegExp, unit: string): Finding | null {
  return worst(
    look.conditions(suite, metric, condition).flatMap((one) => {
      const most = look.series(suite, metric, exactly(one), OURS)?.most;
      return atMost(most, 0, unit, { remark: most ? one : "" }) ?? [];
    }),
  );
}

function packets(): Promised[] {
  return [
    {
      promise: "BFD 1 ms x 3: packets pass again within 5 ms of the last, in the median",
      judge: (look) => medianAtMost(look.series("bfd", "gap", /^BFD 1 ms x 3/, OURS), 5, "ms"),
    },
    {
      promise: "BFD 1 ms x 3: 95 of 100 within 10 ms",
      judge: (look) => atMost(look.series("bfd", "gap", /^BFD 1 ms x 3/, OURS)?.p95, 10, "ms"),
    },
    {
      promise: "come-backs lose no packet",
      judge: (look) => none(look, "failover", "lost", /come-back/, "packets"),
    },
    {
      promise: "no packet lost by a kill or a graceful stop",
      judge: (look) => none(look, "failover", "lost", /ms, (?:kill -9|graceful stop)$/, "packets"),
    },
    {
      promise: "no packet doubled by a failure or a come-back",
      judge: (look) => none(look, "failover", "doubled", /./, "packets"),
    },
    {
      promise: "no packet doubled on a flush, a freeze, a kill",
      judge: (look) => none(look, "duplicates", "doubled", /./, "packets"),
    },
  ];
}

function sizes(): Promised[] {
  const median = (look: Look, metric: string, subject: string): number | undefined =>
    look.series("cpu", metric, /^255 /, subject)?.median;
  return [
    ...(["sent", "received"] as const).flatMap((way) =>
      (["keepalived-vmac", "keepalived"] as const).map((peer) => ({
        promise: `processor time for a million advertisements ${way}, 255 virtual routers at 10 ms: at most half of ${peer}'s`,
        judge: (look: Look) => {
          const theirs = median(look, way, peer);
          if (theirs === undefined) return null;
          return atMost(median(look, way, OURS), theirs / 2, "s", {
            floor: median(look, way, FLOOR_SUBJECT) ?? null,
          });
        },
      })),
    ),
    {
      promise: "resident memory with 255 virtual routers at most 80 MB, after the start and at work",
      judge: (look) =>
        worst(
          ["start", "cpu"].flatMap((suite) => {
            const memory = look.series(suite, "memory", /^255 /, OURS);
            return medianAtMost(memory, 80, "MB", { remark: suite }) ?? [];
          }),
        ),
    },
    {
      promise: "start to ready with 1 virtual router within 300 ms",
      judge: (look) => medianAtMost(look.series("start", "ready", /^1 /, OURS), 300, "ms"),
    },
    {
      promise: "start to ready with 255 virtual routers within 1 s",
      judge: (look) => medianAtMost(look.series("start", "ready", /^255 /, OURS), 1000, "ms"),
    },
  ];
}

function probing(): Promised {
  const median = (look: Look, subject: string): number | undefined =>
    look.series("probes", "processor", /^all answer$/, subject)?.median;
  return {
    promise: "1,000 ICMP targets every 100 ms: at most 10 % of a processor",
    judge: (look) => atMost(median(look, OURS), 10, "%", { floor: median(look, FLOOR_SUBJECT) ?? null }),
  };
}

function thousands(): Promised[] {
  const many = /^4,096 /;
  return [
    {
      promise: "4,096 virtual routers at 100 ms: 99.9 % of gaps within 20 ms of 100",
      judge: (look) =>
        atMost(tail(look.series("scale", "deviation", many, OURS)), 20, "ms", {
          floor: look.series("scale", "stalls", many, OURS)?.least ?? null,
        }),
    },
    {
      promise: "4,096 virtual routers: all taken over within Active_Down_Interval + 100 ms",
      judge: (look) => {
        const left = look.series("scale", "notTakenOver", many, OURS);
        if (!left) return null;
        if (left.most > 0) return atMost(left.most, 0, "routers", { remark: "not taken over" });
        return atMost(look.series("scale", "failover", many, OURS)?.most, 100, "ms");
      },
    },
  ];
}

function filter(): Promised[] {
  const program = (promise: string, condition: RegExp, limit: number): Promised => ({
    promise,
    judge: (look) =>
      worst(
        look.conditions("ownership", "program", condition).flatMap((one) => {
          const ns = look.series("ownership", "program", exactly(one), OURS)?.median;
          return atMost(ns, limit, "ns", { remark: one }) ?? [];
        }),
      ),
  });
  const added = (look: Look, subject: string): number | undefined =>
    look.series("ownership", "added", /^dropped/, subject)?.median;
  const ours = (look: Look): number | undefined => added(look, "firsthop, native XDP");
  return [
    program("filter: a frame that is owned costs at most 40 ns over a bare program", /, owned,/, 40),
    program("filter: a frame of a virtual router that is not owned, 30 ns", /, not owned,/, 30),
    program("filter: a frame for anyone else, 15 ns", /, for anyone else,/, 15),
    {
      promise: "dropping on native XDP adds at most 45 ns to a bare XDP_DROP",
      judge: (look) => atMost(ours(look), 45, "ns"),
    },
    ...(["nftables netdev", "xt_cluster"] as const).map((peer) => ({
      promise: `dropping on native XDP adds at most a quarter of what ${peer} adds`,
      judge: (look: Look) => {
        const theirs = added(look, peer);
        return theirs === undefined ? null : atMost(ours(look), theirs / 4, "ns");
      },
    })),
  ];
}

const ALL: readonly Promised[] = [
  ...failovers(),
  ...packets(),
  ...punctuality(),
  ...sizes(),
  probing(),
  ...thousands(),
  ...filter(),
];

function lookInto(suites: readonly SuiteResult[]): Look {
  const all: readonly Series[] = suites.flatMap((suite) => suite.series);
  return {
    series: (suite, metric, condition, subject) =>
      summarise(
        all
          .filter((one) => one.suite === suite && one.metric === metric && one.subject === subject)
          .filter((one) => condition.test(one.condition))
          .flatMap((one) => one.samples),
      ),
    conditions: (suite, metric, pattern) => [
      ...new Set(
        all
          .filter((one) => one.suite === suite && one.metric === metric && pattern.test(one.condition))
          .map((one) => one.condition),
      ),
    ],
    noise: (suite) => {
      const noise = suites.find((one) => one.name === suite)?.noise;
      return noise && !("absent" in noise) ? noise : null;
    },
  };
}

const NOT_MEASURED: Finding = {
  found: null,
  limit: null,
  unit: "",
  floor: null,
  kept: null,
  remark: "not measured in this run",
  count: null,
};

export function judgePromises(result: BenchResult): Judged[] {
  const look = lookInto(result.suites);
  return ALL.map(({ promise, judge }) => ({ promise, ...(judge(look) ?? NOT_MEASURED) }));
}
