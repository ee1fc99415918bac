/**
 * `npm run bench [NAME…] [--json]`: micro-benchmarks of the pure parts, over the compiled package. Each figure is the
 * median of the samples that benchmark.js takes, with their relative margin of error; the machine's load stands
 * above them, because a busy machine measures itself.
 */
import { cpus, loadavg } from "node:os";
import { SUITES } from "./suites.mjs";

const json = process.argv.includes("--json");
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const unknown = names.filter((name) => !Object.hasOwn(SUITES, name));
if (unknown.length > 0 || process.argv.includes("--help")) {
  console.error(`usage: npm run bench -- [${Object.keys(SUITES).join("|")}]… [--json]`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const results = [];
if (!json) {
  console.log(
    `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(2)}`,
  );
}
for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
  if (!json) console.log(`\n${name}`);
  for (const { title, benchmark } of SUITES[name]()) {
    benchmark.run();
    if (benchmark.error) throw benchmark.error;
    const medianNs = median(benchmark.stats.sample) * 1e9;
    const result = {
      suite: name,
      title,
      medianNs,
      marginPercent: benchmark.stats.rme,
      samples: benchmark.stats.sample.length,
    };
    results.push(result);
    if (json) continue;
    const figure = medianNs >= 1000 ? `${(medianNs / 1000).toFixed(2)} us` : `${medianNs.toFixed(0)} ns`;
    console.log(
      `  ${title.padEnd(58)} ${figure.padStart(10)}  +-${result.marginPercent.toFixed(1)} %  (${result.samples} samples)`,
    );
  }
}
if (json) console.log(JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, results }, null, 2));
