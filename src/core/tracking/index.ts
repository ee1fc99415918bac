/** Tracking: from results to verdicts, and from verdicts to priorities. Pure. */
export * from "./mask.js";
export * from "./neighbourhood.js";
export * from "./pace.js";
export * from "./priority.js";
export * from "./verdict.js";
