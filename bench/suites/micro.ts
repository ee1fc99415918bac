/** Micro-benchmarks of the pure parts, over the compiled package, this revision's and the one compared with. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Metric } from "../lib/model.js";
import { inOneLine, type Suite } from "../lib/suite.js";
import { type MicroBenchmark, microBenchmarks } from "./micro-cases.js";

const METRICS: readonly Metric[] = [
  {
    id: "time",
    title: "Time of one call",
    unit: "ns",
    better: "lower",
    grain: 20,
    note: "Each sample is the mean of as many calls as benchmark.js takes for one cycle; 30 cycles at least.",
  },
];

export const micro: Suite = {
  name: "micro",
  title: "codec, state machine, configuration",
  about:
    "Pure functions in this process, one after the other: encode, decode and check, step, compile, read a file.",
  metrics: METRICS,
  run: async (context) => {
    for (const { id, root } of context.subjects) {
      if (root === null) continue;
      context.progress(id);
      const dist = pathToFileURL(join(root, "dist/")).href;
      const cases: MicroBenchmark[] = await microBenchmarks(dist, context.quick);
      for (const { title, benchmark } of cases) {
        benchmark.run();
        if (benchmark.error) context.miss(title, id, inOneLine(benchmark.error));
        context.record("time", title, id, ...benchmark.stats.sample.map((seconds) => seconds * 1e9));
      }
    }
  },
};
