/** All suites, in the order in which they run: last the one that takes longest, so that it alone lacks what the others took. */
import type { Suite } from "../lib/suite.js";
import { bfd } from "./bfd.js";
import { cpu, scale } from "./cpu.js";
import { duplicates } from "./duplicates.js";
import { failover } from "./failover.js";
import { micro } from "./micro.js";
import { ownership } from "./ownership.js";
import { probes } from "./probes.js";
import { start } from "./start.js";
import { takeover } from "./takeover.js";
import { timing } from "./timing.js";

export const SUITES: readonly Suite[] = [
  failover,
  bfd,
  takeover,
  timing,
  cpu,
  start,
  probes,
  duplicates,
  ownership,
  micro,
  scale,
];
