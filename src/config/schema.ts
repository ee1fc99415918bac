/**
 * The configuration's schema: the one source of its types, checks, defaults, JSON Schema and reference page.
 * A section is a file and a line here.
 */
import { z } from "zod";
import { control, controlTimeout, log } from "./daemon.js";
import { mask } from "./mask.js";
import { ownership, ownershipLimit } from "./ownership.js";
import type { Section } from "./section.js";
import { syncGroups } from "./sync-groups.js";
import { trackers } from "./trackers/index.js";
import { virtualRouters } from "./virtual-routers.js";

/** The keys of the top level. */
export const SECTIONS = {
  virtualRouters,
  syncGroups,
  trackers,
  mask,
  ownership,
  ownershipLimit,
  controlTimeout,
  control,
  log,
};

/** Keys that have their place in the format, but nothing behind them in this version. By path, * for any index. */
export const PLANNED_KEYS: ReadonlySet<string> = new Set(["gateways", "metrics"]);

type Sections = typeof SECTIONS;
type Schemas = { [K in keyof Sections]: Sections[K]["schema"] };
type Parts = { [K in keyof Sections]: ReturnType<Sections[K]["normalize"]> }[keyof Sections];
type Intersection<T> = (T extends unknown ? (part: T) => void : never) extends (whole: infer W) => void
  ? W
  : never;

export const configSchema = z.strictObject(
  Object.fromEntries(Object.entries(SECTIONS).map(([key, one]) => [key, one.schema])) as Schemas,
  { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
);

/** The configuration as people write it. */
export type ConfigInput = z.input<typeof configSchema>;
export type VirtualRouterInput = ConfigInput["virtualRouters"][number];
export type CheckedConfig = z.output<typeof configSchema>;

type Flat<T> = { readonly [K in keyof T]: T[K] };

/** The configuration as the engine uses it: every default filled in, every unit made integer microseconds. */
export type Config = Flat<Intersection<Parts>>;

/** The same sections where only their common shape counts. */
export const sectionList: readonly (readonly [string, Section<z.ZodType, object>])[] = Object.entries(
  SECTIONS as unknown as Record<string, Section<z.ZodType, object>>,
);
