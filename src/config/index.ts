/** Configuration: schema, checking, the engine's form of it, and differences between two. */

export {
  type CoverageReport,
  coverage,
  type Detection,
  type FailureReport,
  type Range,
  type Reaction,
} from "./coverage.js";
export * from "./diff.js";
export type { Failure } from "./failure.js";
export * from "./file.js";
export { configJsonSchema } from "./json-schema.js";
export { defineConfig, formatPath, type ParseResult, parseConfig } from "./parse.js";
export { type Config, type ConfigInput, configSchema, type VirtualRouterInput } from "./schema.js";
export type { TrackerKindName, TrackerSpec } from "./trackers/kinds.js";
export type { TrackerConfig } from "./trackers/tracker.js";
export * from "./types.js";
export { formatDuration, parseDuration } from "./units.js";
