/**
 * Whole LANs under random faults. `FIRSTHOP_SIM_RUNS=20000` runs more of them, `FIRSTHOP_SIM_FIRST=n` others, and
 * `FIRSTHOP_SIM_SEED=n` one again, with everything that happens in it.
 */
import { describe, expect, it } from "vitest";
import { REGRESSIONS } from "./regressions.js";
import { runSeed } from "./run.js";

const SEED = process.env.FIRSTHOP_SIM_SEED;
const RUNS = Number(process.env.FIRSTHOP_SIM_RUNS ?? 300);
const FIRST = Number(process.env.FIRSTHOP_SIM_FIRST ?? 1);
const BATCH = 25;

async function mustHold(seed: number, log?: (line: string) => void): Promise<void> {
  const { violations, description } = await runSeed(seed, log ? { log } : {});
  if (violations.length === 0) return;
  const lines = [
    `seed ${seed}: FIRSTHOP_SIM_SEED=${seed} npx vitest run test/sim`,
    description,
    ...violations,
  ];
  expect.fail(lines.join("\n"));
}

/** Everything that happens in a run, in words. */
async function story(seed: number): Promise<string[]> {
  const lines: string[] = [];
  await runSeed(seed, {
    observe: ({ atUs, ...happening }) => {
      const frame = happening.type === "frame" ? Buffer.from(happening.frame).toString("hex") : "";
      lines.push(`${atUs} ${JSON.stringify({ ...happening, frame })}`);
    },
  });
  return lines;
}

describe.runIf(SEED !== undefined)("one seed", () => {
  it(`${SEED}`, { timeout: 600_000 }, () =>
    mustHold(Number(SEED), (line) => process.stdout.write(`${line}\n`)),
  );
});

describe.skipIf(SEED !== undefined)("seeds that found something", () => {
  it.each(REGRESSIONS.map(({ seed, found }) => [seed, found] as const))("%i: %s", (seed) => mustHold(seed));
});

describe.skipIf(SEED !== undefined)("LANs under random faults", () => {
  const batches = Math.ceil(RUNS / BATCH);
  it.each(Array.from({ length: batches }, (_, index) => FIRST + index * BATCH))(
    `hold their promises, seeds from %i`,
    { timeout: 600_000 },
    async (first) => {
      const end = Math.min(first + BATCH, FIRST + RUNS);
      for (let seed = first; seed < end; seed++) await mustHold(seed);
    },
  );

  it("tell the same story twice", async () => {
    const stories = await Promise.all([story(FIRST + 4), story(FIRST + 4)]);
    expect(stories[0]?.length).toBeGreaterThan(1_000);
    expect(stories[0]).toEqual(stories[1]);
  });
});
