/** The noise of a machine in words. Pure. */
import type { Noise } from "./model.js";
import { figure } from "./summary.js";

/** "0.05 ms in the median, p99 0.12, …". */
export function noiseLine(noise: Noise): string {
  if ("absent" in noise) return `not measured: ${noise.absent}`;
  const { median, p99, p999, most } = noise;
  return (
    `${figure(median)} ms in the median, p99 ${figure(p99)}, p99.9 ${figure(p999)}, ` +
    `at most ${figure(most)} (${noise.count.toLocaleString("en")} wakes)`
  );
}
