/** All suites, in the order in which they run. */
import type { Suite } from "../lib/suite.js";
import { failover } from "./failover.js";
import { timing } from "./timing.js";

export const SUITES: readonly Suite[] = [failover, timing];
