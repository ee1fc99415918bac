/** Configuration: schema, checking, the engine's form of it, and differences between two. */
export * from "./diff.js";
export * from "./file.js";
export { configJsonSchema } from "./json-schema.js";
export { defineConfig, formatPath, type ParseResult, parseConfig } from "./parse.js";
export { type Config, type ConfigInput, configSchema, type VirtualRouterInput } from "./schema.js";
export {
  type CoverageReport,
  coverage,
  type Detection,
  type Failure,
  type FailureReport,
  type Range,
  type Reaction,
} from "./trackers/failures.js";
export type { TrackerKindName, TrackerSpec } from "./trackers/kinds.js";
export type { TrackerConfig } from "./trackers/tracker.js";
export * from "./types.js";
export { formatDuration, parseDuration } from "./units.js";
