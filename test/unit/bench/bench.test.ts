/** The pure parts of the benchmarks: what samples say, what counts as slower, and the report that a person reads. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compareSubjects } from "../../../bench/lib/compare.js";
import { deviations, extremes, thinByRank } from "../../../bench/lib/crowd-watch.js";
import { BEGIN, END, writeResults } from "../../../bench/lib/docs.js";
import { readTicks } from "../../../bench/lib/machine.js";
import type { BenchResult, Metric, Series } from "../../../bench/lib/model.js";
import { stripPlot } from "../../../bench/lib/plot.js";
import { judgePromises } from "../../../bench/lib/promises.js";
import { buildReport } from "../../../bench/lib/report.js";
import { scaleFor } from "../../../bench/lib/scales.js";
import { inTurn, runSuite, type Suite } from "../../../bench/lib/suite.js";
import { figure, summarise } from "../../../bench/lib/summary.js";
import { SUITES } from "../../../bench/suites/index.js";
import { falseFailovers } from "../../../bench/suites/timing.js";
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
    expect(summarise(thousand)).toMatchObject({ count: 1000, least: 0, median: 499.5, p90: 900, p99: 990 });
    expect(summarise(thousand)).toMatchObject({
      p999: 999,
      most: 999,
      lowerQuartile: 250,
      upperQuartile: 750,
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

  it("has a table with a column for each subject, those without figures too, and a row for each series", () => {
    const rows = markdown.split("\n").filter((line) => line.startsWith("| idle |"));
    expect(markdown).toMatch(/\| firsthop \| before \| keepalived \|/);
    expect(rows).toEqual([
      "| idle | 2 / 3 | 1 / 1 | n/a |",
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

  it("does not take a virtual router without a successor for a fast one", () => {
    const crowd = (metric: string, samples: number[]): Series => ({
      ...{ suite: "scale", metric, condition: "4,096 virtual routers, 100 ms", subject: "firsthop", samples },
    });
    expect(judged([crowd("failover", [1, 2]), crowd("notTakenOver", [3])])).toMatchObject([
      { found: 3, limit: 0, remark: "not taken over", kept: false },
    ]);
  });
});

describe("runSuite", () => {
  const suite = (run: Suite["run"]): Suite => ({
    name: "made-up",
    title: "",
    about: "",
    quickSeconds: 60,
    metrics: [METRIC],
    run,
  });
  const settings = {
    quick: true,
    subjects: [],
    progress: () => undefined,
    watchNoise: () => async () => ({ absent: "not watched" }),
  };

  it("keeps what was measured before something went wrong", async () => {
    const result = await runSuite(
      suite(async ({ record }) => {
        record("time", "idle", "firsthop", 1);
        throw new Error("gone");
      }),
      settings,
    );
    expect(result).toMatchObject({ failed: "gone", series: [{ samples: [1] }] });
  });

  it("repeats a quick measurement while there is time, and once at least", async () => {
    const counts: number[] = [];
    await runSuite(
      suite(async ({ rounds }) => {
        for (const untilSeconds of [60, 0]) {
          counts.push([...rounds({ quick: 3, full: 9, untilSeconds })].length);
        }
      }),
      settings,
    );
    expect(counts).toEqual([3, 1]);
  });

  it("leaves a minute and more of ten to the build of a fresh clone", () => {
    expect(SUITES.reduce((sum, { quickSeconds }) => sum + quickSeconds, 0)).toBeLessThanOrEqual(520);
    expect(inTurn([1, 2, 3], 4)).toEqual([2, 3, 1]);
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
    expect(text).toContain("| 10 ms, silent cut | 1.50 / 2 |");
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
    expect(Math.max(...places)).toBeLessThanOrEqual(790);
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

  it("reads the machine's ticks", () => {
    expect(readTicks("cpu  10 0 20 60 5 0 1 4 0 0\ncpu0 1 1 1")).toEqual({ all: 100, idle: 65, steal: 4 });
  });
});
