/** The pure parts of the benchmarks: what samples say, what counts as slower, and the report that a person reads. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compareSubjects } from "../../../bench/lib/compare.js";
import { spentIn } from "../../../bench/lib/crowd-run.js";
import { deviations, extremes, thinByRank } from "../../../bench/lib/crowd-watch.js";
import { BEGIN, END, writeResults } from "../../../bench/lib/docs.js";
import { GLANCED, glance } from "../../../bench/lib/glance.js";
import { readTicks } from "../../../bench/lib/machine.js";
import type { BenchResult, Metric, Series } from "../../../bench/lib/model.js";
import { stripPlot } from "../../../bench/lib/plot.js";
import { judgePromises } from "../../../bench/lib/promises.js";
import { buildReport } from "../../../bench/lib/report.js";
import { scaleFor } from "../../../bench/lib/scales.js";
import { figure, summarise } from "../../../bench/lib/summary.js";
import { SUITES } from "../../../bench/suites/index.js";
import { falseFailovers, missingOf, phaseOf } from "../../../bench/suites/timing.js";
import { membersOf } from "../../../bench/testbed/field.js";
import type { SeenAdvert } from "../../../src/lab/traffic.js";

const METRIC: Metric = {
  id: "time",
  title: "Time",
  unit: "ms",
  better: "lower",
  grain: 0.1,
  note: "How long it took.",
};

function resultOf(series: readonly Series[], metric: Metric = METRIC): BenchResult {
  const subject = (id: string, absent: string | null = null) => ({ id, title: id, version: "1", absent });
  return {
    startedAt: "2026-01-01T00:00:00.000Z",
    revision: "abc",
    against: "HEAD~1 (def)",
    quick: true,
    machine: {
      cpu: "a processor",
      processors: 2,
      memoryMb: 1,
      kernel: "6.0",
      hypervisor: "none seen",
      clockSource: "tsc",
      node: "v20",
      realtime: "all",
    },
    subjects: [subject("firsthop"), subject("before"), subject("frr", "FRR is not installed")],
    suites: [
      {
        name: "made-up",
        title: "made up",
        about: "Nothing.",
        metrics: [metric],
        series,
        gaps: [{ suite: "made-up", condition: "idle", subject: "keepalived", reason: "it | died" }],
        notes: ["a note"],
        activity: { load1Before: 1, load1After: 2, busy: 0.5, steal: 0.01 },
        noise: { absent: "no compiler" },
        tookSeconds: 3,
        failed: "it | broke",
      },
    ],
  };
}

const series = (subject: string, samples: number[], condition = "idle"): Series => ({
  suite: "made-up",
  metric: "time",
  condition,
  subject,
  samples,
});

describe("summarise", () => {
  it("gives quantiles, and tails only where enough samples speak for them", () => {
    const thousand = Array.from({ length: 1000 }, (_, index) => 999 - index);
    expect(summarise(thousand)).toMatchObject({ count: 1000, least: 0, median: 499.5, p90: 899, p99: 989 });
    expect(summarise(thousand)).toMatchObject({
      p999: 998,
      most: 999,
      lowerQuartile: 249,
      upperQuartile: 749,
    });
    expect(summarise([1, 2, 3])).toMatchObject({ p99: null, p999: null, median: 2 });
    expect(summarise([])).toBeNull();
  });

  it("writes figures with three digits", () => {
    expect([0.12345, 1.2345, 12.345, 123.45, 12345.6, -0.5, 7, null].map(figure)).toEqual([
      ...["0.123", "1.23", "12.3", "123", "12,346", "-0.500", "7", "–"],
    ]);
  });

  it("thins by rank: least and most stay", () => {
    const values = Array.from({ length: 10_001 }, (_, index) => (index * 7919) % 10_001);
    expect(thinByRank(values, 5)).toEqual([0, 2500, 5000, 7500, 10_000]);
    expect(thinByRank([3, 1], 5)).toEqual([3, 1]);
  });
});

describe("compareSubjects", () => {
  const verdict = (before: number[], after: number[], metric = METRIC) =>
    compareSubjects(
      resultOf([series("before", before), series("firsthop", after)], metric),
      "before",
      "firsthop",
    ).map((change) => change.verdict);

  it("calls a median that is worse by more than 20 % slower", () => {
    expect(verdict([10, 10.1, 10.2, 10, 10.1], [12.5, 12.6, 12.7, 12.5, 12.6])).toEqual(["slower"]);
    expect(verdict([10, 10.1, 10.2], [11.8, 11.9, 12])).toEqual(["same"]);
    expect(verdict([13, 13.1, 13.2, 13, 13], [10, 10.1, 10.2, 10, 10])).toEqual(["faster"]);
  });

  it("knows which way is better", () => {
    const higher = { ...METRIC, better: "higher" as const };
    expect(verdict([100, 101, 100, 100, 100], [70, 71, 70, 70, 70], higher)).toEqual(["slower"]);
    expect(verdict([70, 71, 70, 70, 70], [100, 101, 100, 100, 100], higher)).toEqual(["faster"]);
  });

  it("calls nothing a change that is smaller than the grain, or whose samples overlap or are too few", () => {
    expect(verdict([0.1, 0.1, 0.1], [0.19, 0.19, 0.19])).toEqual(["same"]);
    expect(verdict([1, 5, 9, 13, 13], [2, 8, 14, 15, 15])).toEqual(["noise"]);
    expect(verdict([1, 1, 1, 1], [2, 2, 2, 2])).toEqual(["noise"]); // too few
  });

  it("measures against the size of a negative median, and of 0", () => {
    expect(verdict([-5, -5, -5, -5, -5], [-3, -3, -3, -3, -3])).toEqual(["slower"]);
    expect(verdict([0, 0, 0, 0, 0], [3, 3, 3, 3, 3])).toEqual(["slower"]);
    expect(verdict([0, 0, 0], [0, 0, 0])).toEqual(["same"]);
  });

  it("leaves out what chance decides", () => {
    expect(verdict([1, 1, 1, 1, 1], [9, 9, 9, 9, 9], { ...METRIC, compare: false })).toEqual([]);
  });

  it("leaves out what only one of them has", () => {
    const only = resultOf([series("before", [1], "idle"), series("firsthop", [2], "loaded")]);
    expect(compareSubjects(only, "before", "firsthop")).toEqual([]);
  });
});

describe("buildReport", () => {
  const result = resultOf([series("firsthop", [1, 2, 3]), series("before", [1, 1, 1])]);
  const { markdown, plots } = buildReport(result, compareSubjects(result, "before", "firsthop"));

  it("says who was absent, what the machine did, and what has no figures", () => {
    expect(markdown).toContain("**ABSENT: FRR is not installed**");
    expect(markdown).toContain("load 1.00 before and 2.00 after, processors busy 50.0 %, stolen 1.0 %");
    expect(markdown).toContain("- n/a: keepalived, idle: it \\| died");
    expect(markdown).toContain("sleeper woke: not measured: no compiler");
    expect(markdown).toContain("**This suite failed before its end**: it \\| broke");
    expect(markdown).toContain("- a note");
  });

  it("marks figures about which there is something to know", () => {
    const gap = { suite: "made-up", condition: "idle", subject: "before", reason: "it limped" };
    const [suite] = result.suites;
    const marked = { ...result, suites: [{ ...suite!, gaps: [gap] }] };
    const text = buildReport(marked, null).markdown;
    expect(text).toContain("| idle | 2 / 3 | 1 / 1 † | 3 |");
    expect(text).toContain("- †: before, idle: it limped");
  });

  it("names what a quick run had no time for", () => {
    expect(buildReport({ ...result, leftOut: ["micro"] }, null).markdown).toContain(
      "**Its time did not suffice for**: micro.",
    );
    expect(markdown).not.toContain("did not suffice");
  });

  it("has a table with a column for each subject, those without figures too, and a row for each series", () => {
    const rows = markdown.split("\n").filter((line) => line.startsWith("| idle |"));
    expect(markdown).toMatch(/\| firsthop \| before \| keepalived \| samples \|/);
    expect(rows).toEqual([
      "| idle | 2 / 3 | 1 / 1 | n/a | 3 |",
      "| idle | firsthop | 3 | 1 | 2 | 3 | – | – | 3 |",
      "| idle | before | 3 | 1 | 1 | 1 | – | – | 1 |",
    ]);
  });

  it("names what became slower", () => {
    expect(markdown).toContain("| made-up: Time | idle | 1 ms | 2 ms | +100 % |");
    expect(markdown).toContain("## Against HEAD~1 (def)");
  });

  it("shows every picture that it makes", () => {
    expect([...plots.keys()]).toEqual(["made-up-time.svg"]);
    expect(markdown).toContain("(made-up-time.svg)");
  });
});

describe("glance", () => {
  const of = (
    suite: string,
    metric: string,
    condition: string,
    subject: string,
    samples: number[],
  ): Series => ({
    ...{ suite, metric, condition, subject, samples },
  });

  it("has a row for what was measured, and a column for whoever was there", () => {
    const made = resultOf([]);
    const ready = (subject: string, samples: number[]): Series =>
      of("start", "ready", "1 virtual router", subject, samples);
    const suites = [{ ...made.suites[0]!, name: "start", series: [ready("firsthop", [190, 210])] }];
    expect(glance({ ...made, suites })).toEqual({
      head: ["median, where nothing else is said", "firsthop", "before", "samples"],
      rows: [["start to ready, 1 virtual router (ms)", "200", "–", "2"]],
    });
    expect(glance(made).rows).toEqual([]);
  });

  it("names figures that the suites have", () => {
    const known = new Set(SUITES.flatMap(({ name, metrics }) => metrics.map(({ id }) => `${name} ${id}`)));
    expect(GLANCED.filter(({ suite, metric }) => !known.has(`${suite} ${metric}`))).toEqual([]);
  });
});

describe("judgePromises", () => {
  const judged = (list: readonly Series[]) =>
    judgePromises(resultOf(list)).filter(({ kept }) => kept !== null);
  const over = (subject: string, samples: number[]): Series => ({
    suite: "failover",
    metric: "over",
    condition: "10 ms, silent cut",
    subject,
    samples,
  });

  it("judges what was measured, and nothing else", () => {
    expect(judged([])).toEqual([]);
    expect(judged([over("firsthop", [0.1, 0.2, 0.3])])).toEqual([
      {
        promise: "first packet after the deadline, 10 ms: nine of ten within 1 ms",
        found: 0.3,
        limit: 1,
        unit: "ms",
        floor: null,
        kept: true,
        remark: "",
        count: 3,
      },
    ]);
  });

  it("holds against the peer where the promise does", () => {
    const peers = [over("keepalived-vmac", [0.4, 0.4, 0.4]), over("keepalived", [0.6])];
    const kept = judged([over("firsthop", [0.4, 0.5, 2]), ...peers, over("keepalived-rt", [-3])]);
    expect(kept.map((one) => one.kept)).toEqual([false, false]);
    expect(kept[1]).toMatchObject({ found: 0.5, limit: 0.45, remark: "10 ms, silent cut" });
    const { markdown } = buildReport(resultOf([over("firsthop", [0.4, 0.5, 2]), ...peers]), null);
    expect(markdown).toContain("**0 of 2 met**");
    expect(markdown).toContain("| 0.450 ms |  | **not met**: 0.050 ms over |");
  });

  it("holds against both real-time variants, and against who is scheduled as packaged by half", () => {
    const deviation = (subject: string, ms: number): Series => ({
      ...{ suite: "timing", metric: "deviation", condition: "cpu load", subject, samples: [ms] },
    });
    const peers = ["keepalived-vmac", "keepalived", "frr", "keepalived-vmac-rt", "keepalived-rt"];
    const kept = judged([deviation("firsthop", 0.5), ...peers.map((peer) => deviation(peer, 0.9))]);
    expect(kept.map(({ limit, kept: met }) => [limit, met])).toEqual([
      ...[0, 1, 2].map(() => [0.45, false]),
      ...[0, 1].map(() => [1.1, true]),
    ]);
  });

  it("says what is left of a tail without shared stalls, and judges all of it", () => {
    const alone = (metric: string, subject: string, ms: number): Series => ({
      ...{ suite: "timing", metric, condition: "idle, by itself", subject, samples: [ms] },
    });
    const found = [
      alone("alone-deviation", "firsthop", 3.1),
      alone("alone-deviation", "floor", 3.2),
      alone("rest", "firsthop", 0.25),
    ];
    expect(judged(found)).toMatchObject([
      { found: 3.1, kept: false, floor: 3.2, remark: "0.250 without stalls that bare sleepers shared" },
    ]);
  });

  it("finds a false failover wherever there was one", () => {
    const found = (metric: string, condition: string, times: number): Series => ({
      ...{ suite: "timing", metric, condition, subject: "firsthop", samples: [times] },
    });
    const quiet = found("false", "idle", 0);
    expect(judged([quiet, found("blocked-false", "blocked JavaScript", 1)])).toMatchObject([
      { found: 1, kept: false, remark: "blocked JavaScript" },
    ]);
    expect(judged([quiet, found("blocked-false", "blocked JavaScript", 0)])).toMatchObject([{ kept: true }]);
  });

  it("takes the memory after the start and at work", () => {
    const memory = (suite: string, condition: string, mb: number): Series => ({
      ...{ suite, metric: "memory", condition, subject: "firsthop", samples: [mb] },
    });
    const both = [
      memory("start", "255 virtual routers", 70),
      memory("cpu", "255 virtual routers, 10 ms", 81),
    ];
    expect(judged(both)).toMatchObject([{ found: 81, kept: false, remark: "cpu" }]);
  });

  it("judges 95 of 100 only where there are 100", () => {
    const gaps = (count: number): Series => ({
      ...{ suite: "bfd", metric: "gap", condition: "BFD 1 ms x 3, silent cut", subject: "firsthop" },
      samples: Array.from({ length: count }, (_, at) => (at < 6 ? 20 : 3)),
    });
    expect(judged([gaps(24)])).toMatchObject([{ found: 3, limit: 5 }]);
    expect(judged([gaps(100)])).toMatchObject([{ kept: true }, { found: 20, limit: 10, kept: false }]);
  });

  it("says beside a median of how few samples it is", () => {
    const gap: Series = {
      ...{ suite: "bfd", metric: "gap", condition: "BFD 1 ms x 3, silent cut", subject: "firsthop" },
      samples: [3, 7.8],
    };
    const { markdown } = buildReport(resultOf([gap]), null);
    expect(markdown).toContain("| 5.40 ms (n = 2) | 5 ms |");
  });

  it("holds the machine's stalls of the same seconds beside thousands of virtual routers", () => {
    const of = (metric: string, samples: number[]): Series => ({
      ...{ suite: "scale", metric, condition: "4,096 virtual routers, 100 ms", subject: "firsthop", samples },
    });
    expect(judged([of("deviation", [24]), of("stalls", [23, 31])])).toMatchObject([
      { kept: false, floor: 23 },
    ]);
  });

  it("does not take a virtual router without a successor for a fast one", () => {
    const crowd = (metric: string, samples: number[]): Series => ({
      ...{ suite: "scale", metric, condition: "4,096 virtual routers, 100 ms", subject: "firsthop", samples },
    });
    expect(judged([crowd("failover", [1, 2]), crowd("notTakenOver", [3])])).toMatchObject([
      { found: 3, limit: 0, remark: "not taken over", kept: false },
    ]);
  });
});

describe("writeResults", () => {
  const over: Series = {
    suite: "failover",
    metric: "time",
    condition: "10 ms, silent cut",
    subject: "firsthop",
    samples: [1, 2],
  };
  const made = resultOf([over]);
  const failover = { ...made.suites[0]!, name: "failover", metrics: [{ ...METRIC, id: "over" }] };
  const result = { ...made, suites: [{ ...failover, series: [{ ...over, metric: "over" }] }] };
  const document = `before\n${BEGIN}\nold\n${END}\nafter\n`;

  it("replaces what stands between the marks, and nothing else", () => {
    const { text, pictures } = writeResults(document, result, ["failover-over.svg", "failover-lost.svg"]);
    expect(text).toMatch(/^before\n<!-- results.*\n\nfirsthop abc, 2026-01-01; quick run of 0\.1 minutes/);
    expect(text.endsWith(`\n${END}\nafter\n`)).toBe(true);
    expect(text).not.toContain("old");
    expect(text).toContain("| 10 ms, silent cut | 1.50 / 2 | 2 |");
    expect(text).toContain("(images/failover-over.svg)");
    expect(pictures).toEqual(["failover-over.svg"]);
    expect(writeResults(text, result, ["failover-over.svg"]).text).toBe(text);
  });

  it("does not guess where", () => {
    expect(() => writeResults("no marks", result, [])).toThrow(/the document has no/);
  });

  it("finds the marks in the document that there is", () => {
    const file = new URL("../../../docs/benchmarks.md", import.meta.url);
    expect(() => writeResults(readFileSync(file, "utf8"), result, [])).not.toThrow();
  });
});

describe("scaleFor", () => {
  const rising = (values: readonly number[]): boolean =>
    values.every((value, at) => at === 0 || value > values[at - 1]!);

  it("keeps order and stays inside, whatever spans the axis", () => {
    for (const values of [
      [1, 2, 3],
      [0.01, 1, 500],
      [-3576, -5, 0, 0.1, 20],
      [0, 0.001, 160],
    ]) {
      const scale = scaleFor(values, 0.1);
      const places = values.map(scale.at);
      expect(rising(places)).toBe(true);
      expect(places[0]).toBeGreaterThanOrEqual(0);
      expect(places.at(-1)).toBeLessThanOrEqual(1);
      expect(rising(scale.ticks)).toBe(true);
      expect(scale.ticks.length).toBeGreaterThan(2);
    }
  });

  it("shows what is next to nothing and what is enormous in one picture", () => {
    const scale = scaleFor([0, 0.01, 1, 3000], 0.1);
    expect(scale.at(1) - scale.at(0)).toBeGreaterThan(0.3);
    expect(scale.remark).toContain("both sides");
  });

  it("has no decades for what is next to nothing", () => {
    const scale = scaleFor([1e-6, 0.007, 0.2, 23], 0.1);
    expect(scale.ticks.filter((tick) => tick > 0 && tick < 0.01)).toEqual([]);
    expect(new Set(scale.ticks.map(figure)).size).toBe(scale.ticks.length);
  });
});

describe("stripPlot", () => {
  const row = (samples: number[]) => ({ label: "a<b", group: "g", samples, colour: "#000" });

  it("draws a dot for each sample and a bar at the median, inside the picture", () => {
    const svg = stripPlot([row([1, 2, 40])], { title: "t & u", unit: "ms", grain: 0.1 })!;
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg.match(/median 2 of 3/g)).toHaveLength(1);
    expect(svg).toContain("a&lt;b");
    expect(svg).toContain("t &amp; u");
    const places = [...svg.matchAll(/cx="([^"]+)"/g)].map(([, x]) => Number(x));
    expect(Math.min(...places)).toBeGreaterThanOrEqual(190);
    expect(Math.max(...places)).toBeLessThanOrEqual(770);
  });

  it("takes decades where values span them, and never NaN", () => {
    expect(stripPlot([row([0.1, 1000])], { title: "", unit: "ms", grain: 0.1 })).toContain("logarithmic");
    for (const samples of [[0], [5, 5], [-3, -3], [-4000, 12], [0.001]]) {
      expect(stripPlot([row(samples)], { title: "", unit: "ms", grain: 0.1 })).not.toMatch(
        /NaN|Infinity|undefined/,
      );
    }
    expect(stripPlot([row([])], { title: "", unit: "ms", grain: 0.1 })).toBeNull();
  });

  it("thins what is too much for one row", () => {
    const many = Array.from({ length: 100_000 }, (_, index) => index);
    expect(stripPlot([row(many)], { title: "", unit: "ms", grain: 0.1 })!.match(/<circle/g)).toHaveLength(
      160,
    );
  });
});

describe("what is read off the wire", () => {
  const advert = (atMs: number, port: string, vrid = 1): SeenAdvert => ({
    atUs: atMs * 1000,
    port,
    outgoing: false,
    family: "ipv4",
    version: 3,
    type: 1,
    vrid,
    priority: 100,
  });

  it("takes the deviation of each virtual router by itself", () => {
    const adverts = [advert(0, "lan0"), advert(5, "lan0", 2), advert(10.5, "lan0"), advert(14, "lan0", 2)];
    expect(deviations(adverts, 10)).toEqual([0.5, 1]);
    expect(extremes(adverts).get("lan0/1/ipv4")).toEqual({ first: 0, last: 10_500 });
  });

  it("knows at which time of an interval advertisements come, whoever is late", () => {
    const at = (offsets: readonly number[]): number[] => offsets.map((us, n) => 10_000 * (n + 1) + us);
    expect(phaseOf(at([40, 60, 3000, 50, 45, 55, 8000, 50, 50]))).toBeCloseTo(50, -2);
    expect(phaseOf(at([9990, 9995, 10_005, 9998, 10_002, 9990, 9999, 10_001, 10_000]))! % 9990).toBeLessThan(
      20,
    );
    expect(phaseOf(at([0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]))).toBeNull();
    expect(phaseOf(at([1, 2, 3]))).toBeNull();
  });

  it("counts a Backup that speaks once for each time that it begins", () => {
    const spoken = [0, 10, 20, 100, 110].map((atMs) => advert(atMs, "r2"));
    expect(falseFailovers([...spoken, advert(50, "r1")])).toBe(2);
    expect(falseFailovers([advert(50, "r1")])).toBe(0);
  });

  it("spreads members over interfaces, families and VRIDs without meeting itself", () => {
    const members = membersOf({ count: 4096, interfaces: 16, families: ["ipv4", "ipv6"] });
    expect(new Set(members.map((one) => `${one.interface}/${one.vrid}/${one.family}`)).size).toBe(4096);
    expect(new Set(members.map((one) => one.address)).size).toBe(4096);
    expect(Math.max(...members.map((one) => one.vrid))).toBe(128);
  });

  it("misses an advertisement that did not come, and none that was early, late or at the edge", () => {
    const due = Array.from({ length: 100 }, (_, at) => 5_000 + 10_000 * at);
    expect(missingOf(due, 0, 1_000_000)).toBe(0);
    expect(missingOf(due, 4_000, 1_003_000)).toBe(0);
    expect(
      missingOf(
        due.map((us, at) => us + (at % 2 === 0 ? 3_000 : -3_000)),
        0,
        1_000_000,
      ),
    ).toBe(0);
    expect(missingOf(due.toSpliced(40, 2), 0, 1_000_000)).toBe(20);
    expect(missingOf(due.slice(10), 0, 1_000_000)).toBe(100);
    expect(missingOf(due.slice(0, -10), 0, 1_000_000)).toBe(100);
    expect(missingOf([], 0, 1_000_000)).toBe(1000);
    const slow = Array.from({ length: 91 }, (_, at) => 11_000 * at);
    expect(missingOf(slow, 0, 1_000_000)).toBe(0);
    const halved = Array.from({ length: 50 }, (_, at) => 20_000 * at);
    expect(missingOf(halved, 0, 1_000_000)).toBeCloseTo(500, -1);
  });

  it("counts what came within a slice, whenever it was read", () => {
    const slices = [
      { beginUs: 0, endUs: 500_000, seconds: [0.1, 0.2] },
      { beginUs: 500_000, endUs: 1_000_000, seconds: [0.1, 0.2] },
      { beginUs: 1_000_000, endUs: 1_500_000, seconds: [0.1, 0.2] },
    ];
    const adverts = Array.from({ length: 75 }, (_, at) => ({ atUs: 10_000 * at }));
    expect(spentIn({ count: 1, intervalMs: 10 }, slices, adverts)).toEqual([
      { perMillion: [2000, 4000], sharePercent: 100 },
      { perMillion: [4000, 8000], sharePercent: 50 },
    ]);
  });

  it("reads the machine's ticks", () => {
    expect(readTicks("cpu  10 0 20 60 5 0 1 4 0 0\ncpu0 1 1 1")).toEqual({ all: 100, idle: 65, steal: 4 });
  });
});
