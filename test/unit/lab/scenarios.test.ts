/** The lab's promises, and its judgement of what was measured. */
import { describe, expect, it } from "vitest";
import { daemonConfig } from "../../../src/lab/daemon.js";
import type { Measurement, StepPlan } from "../../../src/lab/model.js";
import { cellMsFor } from "../../../src/lab/runner.js";
import { findScenarios, judge, OUTAGE_MARGIN_MS, SCENARIOS, TOUR } from "../../../src/lab/scenarios.js";

const bounded: StepPlan = {
  scenario: "lines",
  action: "cut-lines",
  title: "cut",
  promise: "bounded",
  successor: 2,
};
const lossless: StepPlan = { ...bounded, promise: "lossless" };

const calm: Measurement = {
  sent: 1000,
  lost: 0,
  duplicated: 0,
  longestGapMs: 1.2,
  slowestMs: 0.2,
  stallMs: 0,
  activeDownIntervalMs: 360.9,
  afterDeadlineMs: null,
  trouble: null,
};

describe("judge", () => {
  it("calls a gap without loss no outage", () => {
    expect(judge(bounded, { ...calm, longestGapMs: 900 })).toEqual({ outageMs: 0, kept: true, broken: [] });
  });

  it("allows an outage up to Active_Down_Interval and the margin, not longer", () => {
    const atMost = 360.9 + OUTAGE_MARGIN_MS;
    expect(judge(bounded, { ...calm, lost: 360, longestGapMs: atMost }).kept).toBe(true);
    const late = judge(bounded, { ...calm, lost: 390, longestGapMs: atMost + 0.1 });
    expect(late.kept).toBe(false);
    expect(late.broken).toEqual(["the outage is longer than 380.9 ms"]);
  });

  it("does not blame the routers for a machine that stood still", () => {
    const stalled = { ...calm, lost: 400, longestGapMs: 420, stallMs: 50 };
    expect(judge(bounded, stalled).kept).toBe(true);
    expect(judge(bounded, { ...stalled, stallMs: 30 }).kept).toBe(false);
  });

  it("allows no loss where none is promised", () => {
    expect(judge(lossless, calm).kept).toBe(true);
    expect(judge(lossless, { ...calm, lost: 1, longestGapMs: 2 }).broken).toEqual(["1 packet lost"]);
  });

  it("never allows doubled packets or a measurement in trouble", () => {
    expect(judge(bounded, { ...calm, duplicated: 1200 }).broken).toEqual(["1,200 packets doubled"]);
    expect(judge(bounded, { ...calm, trouble: "waited in vain\nits log" }).broken).toEqual([
      "waited in vain",
    ]);
  });
});

describe("scenarios", () => {
  it("end as they begin: router 1 is Active again", () => {
    for (const scenario of SCENARIOS) {
      expect(scenario.steps.map((step) => step.successor)).toEqual([2, 1]);
      expect(scenario.steps.every((step) => step.scenario === scenario.name)).toBe(true);
    }
  });

  it("are found by name, the tour being all of them", () => {
    expect(findScenarios(TOUR)).toEqual(SCENARIOS);
    expect(findScenarios("crash")?.map((one) => one.name)).toEqual(["crash"]);
    expect(findScenarios("earthquake")).toBeNull();
  });

  it("have titles that leave the table 80 columns", () => {
    for (const step of SCENARIOS.flatMap((one) => one.steps)) expect(step.title.length).toBeLessThan(30);
  });
});

describe("cellMsFor", () => {
  it("chooses round cells that fit a line", () => {
    expect(cellMsFor(500)).toBe(10);
    expect(cellMsFor(860)).toBe(20);
    expect(cellMsFor(4200)).toBe(100);
    expect(cellMsFor(100_000)).toBe(1516);
  });
});

describe("daemonConfig", () => {
  it("writes one virtual router for the lab's gateway", () => {
    const text = daemonConfig({
      vrid: 10,
      family: "ipv6",
      version: 3,
      priority: 150,
      intervalMs: 100,
      more: { preempt: false },
    });
    expect(JSON.parse(text)).toEqual({
      virtualRouters: [
        {
          interface: "lan0",
          vrid: 10,
          version: 3,
          priority: 150,
          addresses: ["fe80::1/64", "2001:db8:1::1/64"],
          advertisementInterval: "100ms",
          preempt: false,
        },
      ],
      log: { format: "json" },
    });
  });
});
