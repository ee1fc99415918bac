/**
 * Whole LANs under random faults. `FIRSTHOP_SIM_RUNS=20000` runs more of them, `FIRSTHOP_SIM_FIRST=n` others, and
 * `FIRSTHOP_SIM_SEED=n` one again, with everything that happens in it.
 */
import { describe, expect, it } from "vitest";
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

describe.runIf(SEED !== undefined)("one seed", () => {
  it(`${SEED}`, { timeout: 600_000 }, () =>
    mustHold(Number(SEED), (line) => process.stdout.write(`${line}\n`)),
  );
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
});
