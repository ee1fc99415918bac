/** One tracker: its schema over all kinds, what only shows between its keys, and the engine's form of it. */
import { z } from "zod";
import { canonicalIp } from "../../core/address.js";
import type { VerdictSettings } from "../../core/tracking/verdict.js";
import { duration, integer, text, yesNo } from "../fields.js";
import { isBlock, type Path, type Report, valid } from "../section.js";
import { formatDuration, parseDuration } from "../units.js";
import { parseUrl } from "./http.js";
import { type At, parseEndpoint, type TrackerKindConfig } from "./kind.js";
import { TRACKER_KINDS, type TrackerKindName, type TrackerSpec } from "./kinds.js";
import { canonicalPrefix } from "./route.js";

/** A tracker as the engine uses it. */
export interface TrackerConfig extends VerdictSettings {
  readonly name: string;
  readonly spec: TrackerSpec;
  /** What it looks at, for people: "203.0.113.1:443". */
  readonly target: string;
  /** Between the starts of two checks; 0 for kinds that follow news. */
  readonly intervalUs: number;
  /** What an answer may take; 0 for kinds that follow news. */
  readonly timeoutUs: number;
  /** For who tracks it without a weight of his own. 0: it forbids Active. */
  readonly weight: number;
  readonly reverse: boolean;
}

type AnyKind = TrackerKindConfig<z.ZodRawShape, TrackerSpec>;
const KINDS = Object.entries(TRACKER_KINDS) as unknown as readonly (readonly [TrackerKindName, AnyKind])[];
const kindNamed = (name: TrackerKindName): AnyKind => TRACKER_KINDS[name] as unknown as AnyKind;

export const trackerName = text("name", "the name of a tracker", (value) =>
  /^[\w./@%+-]{1,64}$/.test(value) ? null : `'${value}' is no name: 1 to 64 letters, digits or . / @ % + - _`,
);

const INTERVAL = { minUs: 1_000, maxUs: 3_600_000_000 };
const LEAST_INTERVAL_US = 10_000;
const DELAY = { minUs: 0, maxUs: 3_600_000_000 };

/** Where a tracker is followed, too. */
export const weightKeys = {
  weight: integer(-254, 254, {
    description:
      "Added to the priority: a positive weight while it is up, a negative one while it is down. Default (and 0): while it is down, the router cannot be Active.",
    examples: [-50],
  }).optional(),
  reverse: yesNo({
    description: "Turns the meaning round: the sign of what is added, or what forbids Active.",
  }).optional(),
};

const checkKeys = {
  interval: duration(
    {
      description: "Time between two checks, 10ms to 1h (bfd: from 1ms). Default 1s (bfd: 50ms).",
      examples: ["200ms"],
    },
    INTERVAL,
  ).optional(),
  timeout: duration(
    {
      description: "How long an answer may take; at most, and by default, the interval.",
      examples: ["100ms"],
    },
    { minUs: 1_000, maxUs: INTERVAL.maxUs },
  ).optional(),
  fall: integer(1, 1000, {
    description: "Failures in a row until it is down. Default 3 for what is asked over the network, else 1.",
    examples: [3],
  }).optional(),
  rise: integer(1, 1000, {
    description: "Successes in a row until it is up again. Default as fall, at most 2.",
    examples: [2],
  }).optional(),
};

const commonKeys = {
  ...weightKeys,
  upDelay: duration(
    { description: "How long it must have worked again before it is up, at most 1h.", examples: ["5s"] },
    DELAY,
  ).optional(),
  downDelay: duration(
    { description: "How long it must have failed before it is down, at most 1h.", examples: ["200ms"] },
    DELAY,
  ).optional(),
  damping: z
    .strictObject({
      flaps: integer(1, 100, { description: "So many falls ...", examples: [3] }),
      within: duration({ description: "... within this time ...", examples: ["1m"] }, DELAY),
      hold: duration(
        {
          description: "... and it is up again only after it worked for so long. Then they are counted anew.",
          examples: ["5m"],
        },
        DELAY,
      ),
    })
    .optional()
    .meta({ description: "Patience with what goes down again and again." }),
};

type Shapes = { [K in TrackerKindName]: (typeof TRACKER_KINDS)[K]["keys"] }[TrackerKindName];
type Intersection<T> = (T extends unknown ? (part: T) => void : never) extends (whole: infer W) => void
  ? W
  : never;
const kindKeys = Object.assign({}, ...KINDS.map(([, kind]) => kind.keys)) as Intersection<Shapes>;

/** The keys of every kind; which of them go together is checked below. */
export const trackerKeys = { ...kindKeys, ...checkKeys, ...commonKeys };

/** The kind that a tracker as written is of: the first whose own key is there. */
export function kindOf(written: Readonly<Record<string, unknown>>): TrackerKindName | null {
  return KINDS.find(([name]) => written[name] !== undefined)?.[0] ?? null;
}

/** What a tracker as written looks at: equal for two that are one when written in place. Null: at nothing. */
export function thingOf(written: Readonly<Record<string, unknown>>): string | null {
  const kind = kindOf(written);
  return kind === null ? null : JSON.stringify([kind, canonical(written[kind])]);
}

/** Addresses may be written in several ways. */
function canonical(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const url = /^https?:/i.test(value) ? parseUrl(value) : value;
  return typeof url === "string"
    ? (canonicalIp(value) ?? parseEndpoint(value) ?? canonicalPrefix(value) ?? value)
    : url;
}

/** Beyond the schema of each key. `at` leads to the tracker's block; `others`: keys that belong there as well. */
export function checkTracker(
  written: Readonly<Record<string, unknown>>,
  at: At,
  report: Report,
  others: readonly string[],
): void {
  const name = kindOf(written);
  if (name === null) {
    const all = KINDS.map(([key]) => key).join(", ");
    report("error", at(), `what it looks at is missing: one of ${all}`);
    return;
  }
  const kind = kindNamed(name);
  const known = new Set([
    ...Object.keys(kind.keys),
    ...Object.keys(commonKeys),
    ...(kind.polling ? pollingKeys(kind) : []),
    ...others,
  ]);
  for (const key of Object.keys(written)) {
    if (known.has(key) || !(key in trackerKeys)) continue;
    const own = KINDS.some(([other]) => other === key);
    const message = own
      ? `a tracker looks at one thing: ${name} is given already`
      : `${key} has no meaning for ${name}`;
    report("error", at(key), message);
  }
  const interval = parseDuration(valid(checkKeys.interval, written.interval));
  const leastUs = kind.polling?.leastIntervalUs ?? LEAST_INTERVAL_US;
  if (typeof interval === "number" && interval < leastUs)
    report(
      "error",
      at("interval"),
      `${written.interval} is out of range: ${name} takes ${formatDuration(leastUs)} and more`,
    );
  kind.check?.(written, at, report);
  checkTimes(written, at, report);
}

function pollingKeys({ polling }: AnyKind): string[] {
  return polling?.counted === false ? ["interval"] : Object.keys(checkKeys);
}

function checkTimes(written: Readonly<Record<string, unknown>>, at: At, report: Report): void {
  const interval = valid(checkKeys.interval, written.interval) ?? "1s";
  const timeout = valid(checkKeys.timeout, written.timeout);
  if (timeout === undefined) return;
  if ((parseDuration(timeout) as number) > (parseDuration(interval) as number))
    report(
      "error",
      at("timeout"),
      `${timeout} is longer than the interval ${interval}: checks would overlap`,
    );
}

export type CheckedTracker = z.output<z.ZodObject<typeof trackerKeys>>;

/** Without a name it is called after what it looks at: "interface:wan1". */
export function normalizeTracker(
  checked: CheckedTracker & { readonly name?: string | undefined },
): TrackerConfig {
  const kindName = kindOf(checked) as TrackerKindName;
  const kind = kindNamed(kindName);
  const spec = kind.normalize(checked as never);
  const { polling } = kind;
  const target = kind.target(spec);
  const us = (value: string | undefined): number =>
    value === undefined ? 0 : (parseDuration(value) as number);
  const intervalUs = polling ? us(checked.interval ?? polling.interval) : 0;
  const { damping } = checked;
  return {
    name: checked.name ?? `${kindName}:${target}`,
    spec,
    target,
    intervalUs,
    timeoutUs: polling ? us(checked.timeout) || intervalUs : 0,
    fall: checked.fall ?? polling?.fall ?? 1,
    rise: checked.rise ?? polling?.rise ?? 1,
    upDelayUs: us(checked.upDelay),
    downDelayUs: us(checked.downDelay),
    damping: damping
      ? { flaps: damping.flaps, withinUs: us(damping.within), holdUs: us(damping.hold) }
      : null,
    weight: checked.weight ?? kind.weight ?? 0,
    reverse: checked.reverse ?? false,
  };
}

/** `at` for a block at this path. */
export function below(path: Path): At {
  return (...more) => [...path, ...more];
}

/** The blocks of a list as written, with their paths. */
export function blocksOf(
  list: unknown,
  path: Path,
): { readonly block: Record<string, unknown>; readonly path: Path }[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((block: unknown, index) => (isBlock(block) ? [{ block, path: [...path, index] }] : []));
}
