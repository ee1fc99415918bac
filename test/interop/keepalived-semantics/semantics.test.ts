/**
 * keepalived's semantics of weights, reverse and sync groups: the same scenarios with a pair of keepalived, a pair of
 * firsthop, and mixed pairs, side by side. All must end in the states, and with the priorities, that the table gives.
 */
import { describe, expect } from "vitest";
import { netnsTest } from "../../netns/testbed/index.js";
import { SCENARIOS } from "./scenarios.js";
import { type Course, type Expectation, settle } from "./settle.js";
import { type Make, openStage, type Stage } from "./stage.js";
import { intervalOf, type Placed, placeAll } from "./translate.js";

const PAIRS: readonly (readonly [Make, Make])[] = [
  ["keepalived", "keepalived"],
  ["firsthop", "firsthop"],
  ["firsthop", "keepalived"],
  ["keepalived", "firsthop"],
];
/** Two runs of a script, or Active_Down_Interval and the pace of a sync group. */
const STILL_MIN_MS = 4_000;
const TIMEOUT_MS = 500_000;
const SIGHTINGS_SHOWN = 8;

const PLACED = placeAll(SCENARIOS);
const STEPS = Math.max(...SCENARIOS.map(({ steps }) => steps.length));

/** What a scenario has to end in after this step, 0 being the beginning; null: it has no such step. */
function expectationOf({ scenario }: Placed, step: number): Expectation | null {
  const wanted = step === 0 ? scenario.begins : scenario.steps[step - 1]?.[1];
  // A take-over may take three intervals and a skew of almost one more.
  const slowestMs = 4_000 * intervalOf(scenario) + 500;
  return wanted === undefined ? null : { wanted, stillMs: Math.max(STILL_MIN_MS, slowestMs) };
}

/** In one line: which pair, after what, what was seen instead, and what both routers say of it. */
function complaint(
  stage: Stage,
  placed: Placed,
  step: number,
  { wanted, stillMs }: Expectation,
  course: Course,
) {
  const when =
    step === 0 ? "at the beginning" : `after step ${step}, ${placed.scenario.steps[step - 1]?.[0]}`;
  const seen = course.seen
    .slice(-SIGHTINGS_SHOWN)
    .map(({ atMs, outcome }) => `${outcome} at ${(atMs / 1000).toFixed(1)} s`);
  const wish = `wanted ${wanted} for ${stillMs / 1000} s`;
  return `${stage.title}, ${when}: ${wish}, saw ${seen.join(", ")} | ${stage.account(placed)}`;
}

/** For each scenario what went wrong, in a line each; of each pair only what went wrong first. */
async function play(): Promise<string[][]> {
  const stages: Stage[] = [];
  const problems = SCENARIOS.map((): string[] => []);
  const failed = new Set<string>();
  try {
    const opened = await Promise.allSettled(PAIRS.map((pair) => openStage(pair, PLACED)));
    for (const one of opened) if (one.status === "fulfilled") stages.push(one.value);
    for (const one of opened) if (one.status === "rejected") throw one.reason;
    const cells = stages.flatMap((stage) => PLACED.map((placed, at) => ({ stage, placed, at })));
    const look = async (): Promise<string[]> =>
      (await Promise.all(stages.map((stage) => stage.outcomes()))).flat();
    for (let step = 0; step <= STEPS; step++) {
      if (step > 0)
        for (const placed of PLACED) {
          const event = placed.scenario.steps[step - 1]?.[0];
          if (event !== undefined) await Promise.all(stages.map((stage) => stage.act(placed, event)));
        }
      const expected = cells.map(({ stage, placed, at }) =>
        failed.has(`${stage.title} ${at}`) ? null : expectationOf(placed, step),
      );
      const courses = await settle(look, expected);
      cells.forEach(({ stage, placed, at }, index) => {
        const [course, expectation] = [courses[index], expected[index]];
        if (!course || !expectation || course.settled) return;
        failed.add(`${stage.title} ${at}`);
        problems[at]?.push(complaint(stage, placed, step, expectation, course));
      });
    }
  } finally {
    if (process.env.FIRSTHOP_SHOW_LOGS) for (const stage of stages) console.info(stage.title, stage.log());
    await Promise.all(stages.map((stage) => stage.close()));
  }
  return problems;
}

let played: Promise<string[][]> | undefined;

describe("keepalived's semantics", () => {
  SCENARIOS.forEach(({ title }, at) => {
    netnsTest(
      title,
      ["keepalived"],
      async () => {
        played ??= play();
        const problems = (await played)[at]!;
        if (problems.length > 0) expect.fail(problems.join("\n"));
      },
      TIMEOUT_MS,
    );
  });
});
