/** Micro-benchmarks of the pure parts, over the compiled package, this revision's and the one compared with. */
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Metric } from "../lib/model.js";
import type { Suite, SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { type MicroBenchmark, microBenchmarks } from "./micro-cases.js";

const QUICK_ROUNDS = 2;
const ROUNDS = 4;

const METRICS: readonly Metric[] = [
  {
    id: "time",
    title: "Time of one call",
    unit: "ns",
    better: "lower",
    grain: 20,
    note: "Each sample is the mean of as many calls as benchmark.js takes for one cycle.",
  },
];

export const micro: Suite = {
  name: "micro",
  title: "codec, state machine, configuration",
  about:
    "Pure functions in this process, case by case and subject by subject, in rounds: encode, decode and check, step, compile, read a file.",
  quickSeconds: 5,
  metrics: METRICS,
  run: async (context) => {
    for (const round of context.rounds({ quick: QUICK_ROUNDS, full: ROUNDS })) {
      const cases = new Map<string, readonly MicroBenchmark[]>();
      for (const { id, root } of context.subjects) {
        if (root === null || context.leavesOut("all", id)) continue;
        const dist = pathToFileURL(join(root, "dist/")).href;
        try {
          cases.set(id, await microBenchmarks(dist, context.quick));
        } catch (error) {
          if (round === 0) context.miss("all", id, inOneLine(error)); // another revision may have other functions
        }
      }
      context.progress(`round ${round + 1}`);
      await runRound(context, cases);
    }
  },
};

/** Case by case, the subjects in turn. */
async function runRound(
  context: SuiteContext,
  cases: ReadonlyMap<string, readonly MicroBenchmark[]>,
): Promise<void> {
  const longest = Math.max(0, ...[...cases.values()].map((list) => list.length));
  for (let at = 0; at < longest; at++) {
    for (const [id, list] of cases) {
      const one = list[at];
      if (!one) continue;
      await setImmediate(); // Ctrl-C, or the end of the run's time
      one.benchmark.run();
      if (one.benchmark.error) context.miss(one.title, id, inOneLine(one.benchmark.error));
      else
        context.record("time", one.title, id, ...one.benchmark.stats.sample.map((seconds) => seconds * 1e9));
    }
  }
}
