/** Tracking: from results to verdicts, and from verdicts to priorities. Pure. */
export * from "./priority.js";
export * from "./verdict.js";
