/**
 * keepalived's semantics of weights, reverse and sync groups: the same scenarios with a pair of keepalived, a pair of
 * firsthop, and mixed pairs, side by side. All must end in the states, and with the priorities, that the table gives.
 */
import { describe, expect } from "vitest";
import { netnsTest, pause } from "../../netns/testbed/index.js";
import { SCENARIOS } from "./scenarios.js";
import { type Make, openStage, type Stage } from "./stage.js";
import { placeAll } from "./translate.js";

const PAIRS: readonly (readonly [Make, Make])[] = [
  ["keepalived", "keepalived"],
  ["firsthop", "firsthop"],
  ["firsthop", "keepalived"],
  ["keepalived", "firsthop"],
];
/** Longer than the slowest way to a decision takes: two runs of a script, or Active_Down_Interval of version 2. */
const STILL_MS = 4_000;
const BOUND_MS = 25_000;
const LOOK_EVERY_MS = 100;

const PLACED = placeAll(SCENARIOS);
const STEPS = Math.max(...SCENARIOS.map(({ steps }) => steps.length));

/** Waits until nothing changed for a while; longer where it is not yet what it should be. */
async function settled(stages: readonly Stage[], wanted: readonly string[]): Promise<string[][]> {
  const giveUpAt = performance.now() + BOUND_MS;
  let before = "";
  let stillSince = performance.now();
  for (;;) {
    const seen = await Promise.all(stages.map((stage) => stage.outcomes()));
    const now = performance.now();
    const text = JSON.stringify(seen);
    if (text !== before) stillSince = now;
    before = text;
    const right = seen.every((outcomes) => outcomes.every((one, at) => one === wanted[at]));
    const patience = right ? STILL_MS : 2 * STILL_MS;
    if (now - stillSince > patience || now > giveUpAt) return seen;
    await pause(LOOK_EVERY_MS);
  }
}

/** [pair][scenario]: what it ended in at the beginning and after each step. */
async function play(): Promise<string[][][]> {
  const stages: Stage[] = [];
  const results = PAIRS.map(() => SCENARIOS.map((): string[] => []));
  try {
    for (const pair of PAIRS) stages.push(await openStage(pair, PLACED));
    for (let step = 0; step <= STEPS; step++) {
      if (step > 0)
        for (const placed of PLACED) {
          const event = placed.scenario.steps[step - 1]?.[0];
          if (event !== undefined) await Promise.all(stages.map((stage) => stage.act(placed, event)));
        }
      const wanted = SCENARIOS.map(
        ({ begins, steps }) => steps[Math.min(step, steps.length) - 1]?.[1] ?? begins,
      );
      const seen = await settled(stages, wanted);
      seen.forEach((outcomes, pair) => {
        outcomes.forEach((outcome, at) => {
          if (step <= SCENARIOS[at]!.steps.length) results[pair]![at]!.push(outcome);
        });
      });
    }
  } finally {
    if (process.env.FIRSTHOP_SHOW_LOGS) for (const stage of stages) console.info(stage.title, stage.log());
    await Promise.all(stages.map((stage) => stage.close()));
  }
  return results;
}

let played: Promise<string[][][]> | undefined;

describe("keepalived's semantics", () => {
  SCENARIOS.forEach(({ title, begins, steps }, at) => {
    netnsTest(
      title,
      ["keepalived"],
      async () => {
        played ??= play();
        const results = await played;
        const wanted = [begins, ...steps.map(([, outcome]) => outcome)];
        const seen = Object.fromEntries(PAIRS.map((pair, index) => [pair.join(" + "), results[index]![at]]));
        expect(seen).toEqual(Object.fromEntries(PAIRS.map((pair) => [pair.join(" + "), wanted])));
      },
      240_000,
    );
  });
});
