/** The lab's pictures, as text without colours. */
import { describe, expect, it } from "vitest";
import type { RouterView, StepResult, StripView } from "../../../src/lab/model.js";
import {
  closingLines,
  drawing,
  happeningLine,
  lanes,
  SOBER,
  type Style,
  stepLines,
  summaryTable,
  UNICODE,
  verdictLine,
} from "../../../src/lab/render.js";

const RICH: Style = { ...SOBER, glyphs: UNICODE };

const r1: RouterView = {
  name: "r1",
  priority: 150,
  state: "active",
  lan: "up",
  upstream: "up",
  carries: true,
};
const r2: RouterView = { ...r1, name: "r2", priority: 100, state: "backup", carries: false };

const strip: StripView = {
  fromMs: -20,
  cellMs: 10,
  cells: [
    { sent: 10, lost: 0, duplicated: 0, carried: [10, 0] },
    { sent: 10, lost: 0, duplicated: 0, carried: [10, 0] },
    { sent: 10, lost: 6, duplicated: 0, carried: [4, 0] },
    { sent: 10, lost: 10, duplicated: 0, carried: [0, 0] },
    { sent: 10, lost: 0, duplicated: 2, carried: [0, 10] },
    { sent: 0, lost: 0, duplicated: 0, carried: [0, 0] },
    { sent: 10, lost: 0, duplicated: 0, carried: [0, 10] },
  ],
};

const result: StepResult = {
  number: 1,
  total: 2,
  plan: { scenario: "lines", action: "cut-lines", title: "Lines are cut", promise: "bounded", successor: 2 },
  intervalMs: 100,
  sent: 60,
  lost: 16,
  duplicated: 0,
  longestGapMs: 17.04,
  slowestMs: 0.21,
  stallMs: 0.4,
  activeDownIntervalMs: 360.9,
  afterDeadlineMs: 0.31,
  trouble: null,
  outageMs: 17.04,
  kept: true,
  broken: [],
  happenings: [{ atMs: 0, who: "r1", kind: "act", text: "both lines are cut" }],
  strip,
  routers: [r1, r2],
};

describe("drawing", () => {
  it("shows both routers between the host and the upstream", () => {
    expect(drawing([r1, r2], RICH)).toEqual([
      "        ╭━━━━━━━   r1 ● Active (150)    ━━━━━━━╮",
      " host ──┤                                      ├── upstream",
      "        ╰───────   r2 ○ Backup (100)    ───────╯",
    ]);
  });

  it("shows cut lines, dead ports and dead daemons, all lines alike in width", () => {
    const cut = drawing(
      [
        { ...r1, state: "fault", lan: "cut", upstream: "muted" },
        { ...r2, state: "killed" },
      ],
      SOBER,
    );
    expect(cut[0]).toContain("-- X --");
    expect(cut[0]).toContain(". . . .");
    expect(cut[2]).toContain("r2 x killed (100)");
    expect(cut[0]!.length).toBe(cut[2]!.length);
  });
});

describe("lanes", () => {
  it("draw one lane a router, and what was lost or doubled", () => {
    expect(lanes(strip, ["r1", "r2"], RICH)).toEqual([
      "  r1    ██▄·· ·",
      "  r2    ····█ █",
      "  lost    ××",
      "  twice     2",
      "  ms      ▲0",
    ]);
  });

  it("label the time at round numbers", () => {
    const cell = { sent: 1, lost: 0, duplicated: 0, carried: [1, 0] };
    const long: StripView = { fromMs: -250, cellMs: 20, cells: Array.from({ length: 40 }, () => cell) };
    const [first, , axis] = lanes(long, ["r1", "r2"], SOBER);
    expect(first).toBe(`  r1    ${"#".repeat(40)}`);
    expect(axis).toBe("  ms       |-200     ^0        |200      |400");
  });

  it("show even one packet of many", () => {
    const cell = { sent: 1000, lost: 999, duplicated: 0, carried: [1, 0] };
    expect(lanes({ fromMs: 0, cellMs: 10, cells: [cell] }, ["r1", "r2"], RICH)[0]).toBe("  r1    ▁");
  });
});

describe("lines", () => {
  it("put times in one column", () => {
    const at = (atMs: number): string => happeningLine({ atMs, who: "r2", kind: "packet", text: "x" }, RICH);
    expect(at(-61.34)).toBe("     −61.3 ms  ▸ r2   x");
    expect(at(1234.5)).toBe("    1234.5 ms  ▸ r2   x");
    expect(at(-0.01)).toBe("       0.0 ms  ▸ r2   x");
  });

  it("say what the traffic felt", () => {
    expect(verdictLine(result, RICH)).toBe(
      "  ✔ outage 17.0 ms (Active_Down_Interval 360.9), 16 lost, none doubled, packets flow +0.31 ms from the deadline",
    );
    const calm = { ...result, lost: 0, outageMs: 0, afterDeadlineMs: null };
    expect(verdictLine(calm, RICH)).toBe("  ✔ no packet lost, the slowest took 0.21 ms, none doubled");
    expect(verdictLine({ ...calm, stallMs: 66.3 }, RICH)).toContain("(this machine stood still for 66.3 ms)");
    const bad = { ...result, duplicated: 3, kept: false, broken: ["3 packets doubled"] };
    expect(verdictLine(bad, SOBER)).toMatch(/^ {2}NOT OK outage .* 3 doubled.*: 3 packets doubled$/);
  });

  it("make a finished step of a title, what happened, lanes and a verdict", () => {
    const lines = stepLines(result, RICH);
    expect(lines[0]).toBe("  1/2  Lines are cut");
    expect(lines).toHaveLength(1 + 1 + 5 + 1 + 1);
  });
});

describe("summaryTable", () => {
  it("has one line a step, in 80 columns", () => {
    const planned: StepResult = {
      ...result,
      number: 2,
      plan: { ...result.plan, title: "They are plugged in again", promise: "lossless", successor: 1 },
      lost: 0,
      outageMs: 0,
      afterDeadlineMs: null,
    };
    expect(summaryTable([result, planned], RICH)).toEqual([
      "  #  what                       outage / bound  lost  dup  deadline",
      "  1  Lines are cut                17.0 / 360.9    16    0     +0.31  ✔",
      "  2  They are plugged in again           0 / 0     0    0            ✔",
    ]);
    const fast = { ...result, number: 12, plan: planned.plan, intervalMs: 10, lost: 12_345, kept: false };
    const wide = summaryTable([result, fast], RICH);
    expect(wide[2]).toContain("They are plugged in again @10ms");
    expect(Math.max(...wide.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("closingLines", () => {
  it("count promises kept and broken", () => {
    expect(closingLines([result], 3210, RICH).at(-1)).toBe("  ✔ all 1 promises kept in 3.2 s");
    expect(closingLines([result, { ...result, kept: false }], 3210, RICH).at(-1)).toBe(
      "  ✘ 1 of 2 promises broken in 3.2 s",
    );
  });
});
