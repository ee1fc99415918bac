/** How a suite is run, and how a quick run shares out its time. */
import { describe, expect, it } from "vitest";
import type { Metric } from "../../../bench/lib/model.js";
import { inTurn, runSuite, type Suite } from "../../../bench/lib/suite.js";
import {
  hardEnd,
  LAST_WORDS_MS,
  PATIENCE_MS,
  type TimeFrame,
  timeFrame,
  UNBOUNDED,
} from "../../../bench/lib/time.js";
import { SUITES } from "../../../bench/suites/index.js";

const METRIC: Metric = {
  id: "time",
  title: "Time",
  unit: "ms",
  better: "lower",
  grain: 0.1,
  note: "How long it took.",
};

describe("runSuite", () => {
  const suite = (run: Suite["run"]): Suite => ({
    name: "made-up",
    title: "",
    about: "",
    quickSeconds: 60,
    metrics: [METRIC],
    run,
  });
  const timeOf = (softSeconds: number, hardSeconds = Number.POSITIVE_INFINITY): TimeFrame => ({
    softEndMs: performance.now() + 1000 * softSeconds,
    hardEndMs: performance.now() + 1000 * hardSeconds,
  });
  const settings = {
    quick: true,
    subjects: [],
    time: timeOf(60),
    progress: () => undefined,
    watchNoise: () => async () => ({ noise: { absent: "not watched" }, wakes: [] }),
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
        for (const share of [1, 0]) counts.push([...rounds({ quick: 3, full: 9, share })].length);
      }),
      settings,
    );
    expect(counts).toEqual([3, 1]);
  });

  it("repeats nothing when its time is over, but measures once", async () => {
    const counts: number[] = [];
    const left: boolean[] = [];
    const late = suite(async ({ rounds, leftMs, leavesOut }) => {
      counts.push([...rounds({ quick: 3, full: 9 })].length);
      left.push(leftMs() < 0, leavesOut("idle", "firsthop"));
    });
    await runSuite(late, { ...settings, time: timeOf(-1) });
    expect(counts).toEqual([1]);
    expect(left).toEqual([true, false]);
  });

  it("leaves out what the whole run has no time for, and says so; that is no failure", async () => {
    const measure = suite(async ({ leavesOut, record }) => {
      if (!leavesOut("idle", "firsthop")) record("time", "idle", "firsthop", 1);
    });
    const result = await runSuite(measure, { ...settings, time: timeOf(-2, -1) });
    expect(result).toMatchObject({ failed: null, series: [], gaps: [{ subject: "firsthop" }] });
    expect(result.gaps[0]?.reason).toContain("left out");
    const full = await runSuite(measure, { ...settings, quick: false, time: UNBOUNDED });
    expect(full.series).toHaveLength(1);
  });

  it("is given up at the end of the run, with what it has", async () => {
    let late = (): void => undefined;
    const stuck = suite(async ({ record }) => {
      record("time", "idle", "firsthop", 1);
      await new Promise<void>((resolve) => {
        late = resolve;
      });
      record("time", "idle", "firsthop", 2);
    });
    const result = await runSuite(stuck, { ...settings, ended: Promise.resolve() });
    late();
    await Promise.resolve();
    expect(result).toMatchObject({ failed: null, series: [{ samples: [1] }] });
    expect(result.notes[0]).toContain("before this suite's end");
  });

  it("records what sleepers met in a stretch of time, at the end, and only that", async () => {
    const slept = [5, 15, 25].map((atMs) => ({ processor: 0, dueUs: 1000 * atMs, lateMs: atMs }));
    const watched = suite(async ({ recordMeanwhile }) => {
      const time = { beginUs: 10_000, endUs: 20_000 };
      recordMeanwhile("time", "idle", "firsthop", time, (wakes) => wakes.map(({ lateMs }) => lateMs));
    });
    const watchNoise = () => async () => ({ noise: { absent: "" }, wakes: slept });
    expect(await runSuite(watched, { ...settings, watchNoise })).toMatchObject({
      series: [{ samples: [15] }],
    });
    expect(await runSuite(watched, settings)).toMatchObject({ failed: null, series: [] });
  });

  it("says once what it said again and again", async () => {
    const again = suite(async ({ miss }) => {
      for (const reason of ["first", "last"]) miss("idle", "firsthop", reason);
    });
    expect((await runSuite(again, settings)).gaps).toMatchObject([{ reason: "last" }]);
  });

  it("puts conditions in the order of the report", async () => {
    const mixed = suite(async ({ record }) => {
      for (const condition of ["b", "a", "other"]) record("time", condition, "firsthop", 1);
    });
    const result = await runSuite({ ...mixed, order: ["a", "b"] }, settings);
    expect(result.series.map(({ condition }) => condition)).toEqual(["other", "a", "b"]);
    expect(inTurn([1, 2, 3], 4)).toEqual([2, 3, 1]);
  });
});

describe("the time of a quick run", () => {
  const clock = { beganMs: 1000, commandBeganMs: 1000 };

  it("is little more than eight minutes for all suites", () => {
    const all = SUITES.reduce((sum, { quickSeconds }) => sum + quickSeconds, 0);
    expect(all).toBeLessThanOrEqual(495);
  });

  it("ends within ten minutes of the command, its build included", () => {
    const declared = SUITES.map(({ quickSeconds }) => quickSeconds);
    const built = { beganMs: 0, commandBeganMs: -100_000 };
    expect(hardEnd(built)).toBe(455_000);
    expect(hardEnd(built) + PATIENCE_MS + LAST_WORDS_MS).toBeLessThan(490_000);
    for (const at of declared.keys()) {
      expect(timeFrame(declared, at, built).hardEndMs).toBeLessThanOrEqual(455_000);
    }
  });

  it("is shared out: what one suite takes too much, its followers lack", () => {
    const hardMs = hardEnd(clock);
    expect(timeFrame([10, 20, 30], 0, clock)).toEqual({ softEndMs: 11_000, hardEndMs: hardMs - 25_000 });
    expect(timeFrame([10, 20, 30], 2, clock)).toEqual({ softEndMs: 61_000, hardEndMs: hardMs });
  });
});
