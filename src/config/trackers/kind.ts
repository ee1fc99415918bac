/**
 * What a kind of tracker brings along in the configuration. A kind is a file beside this one and a line in kinds.ts;
 * what it does at run time is in engine/tracking/kinds.
 */
import type { z } from "zod";
import { canonicalIp, familyOf, isLinkLocal } from "../../core/address.js";
import type { Failure } from "../failure.js";
import { address, interfaceName, text } from "../fields.js";
import type { Path, Report } from "../section.js";

/** How often a kind is checked unless its tracker says otherwise. Null: it follows news instead. */
export interface Polling {
  readonly interval: string;
  readonly fall: number;
  readonly rise: number;
  /** Whether fall, rise and timeout mean anything; content that is read once is just right. Default true. */
  readonly counted?: boolean;
  /** Default 10 ms. */
  readonly leastIntervalUs?: number;
}

export interface TrackerKindConfig<Shape extends z.ZodRawShape, Spec> {
  /** The kind's own key (named like the kind) and its options; all optional for zod, the own one is what tells the kind. */
  readonly keys: Shape;
  readonly polling: Polling | null;
  /** Weight where none is given; default 0: it forbids Active. */
  readonly weight?: number;
  /** Failures of a gateway that it sees; default: those of the uplink and of the network behind it. */
  readonly covers?: (spec: Spec) => readonly Failure[];
  /** From a failure to its result; default: interval x fall + timeout, or at once for what follows news. */
  readonly detectionUs?: (spec: Spec, intervalUs: number) => number;
  /** What does not fit together, beyond the schema of each key. `written` has not passed the schema. */
  readonly check?: (written: Readonly<Record<string, unknown>>, at: At, report: Report) => void;
  /** The engine's form; only called when there are no errors. */
  readonly normalize: (checked: z.output<z.ZodObject<Shape>>) => Spec;
  /** What it looks at, in one word or two: "203.0.113.1:443". Part of the name of a tracker that has none. */
  readonly target: (spec: Spec) => string;
}

export type At = (...path: (string | number)[]) => Path;

/** Infers the types of a kind. */
export function trackerKind<Shape extends z.ZodRawShape, Spec>(
  kind: TrackerKindConfig<Shape, Spec>,
): TrackerKindConfig<Shape, Spec> {
  return kind;
}

// ---- keys that several kinds share ----------------------------------------------------------------------------

/** Where probes leave. */
export const leaving = {
  interface: interfaceName.optional().meta({
    description:
      "Of a kind that sends: the interface that its probes leave by. Alone: the interface to follow.",
    examples: ["wan0"],
  }),
  source: address.optional().meta({
    description:
      "Source address of the probes; default: the interface's own one. A virtual address is never used.",
    examples: ["203.0.113.2"],
  }),
};

/** Where probes leave, as the engine has it. */
export interface Leaving {
  readonly interface: string | null;
  readonly source: string | null;
}

export function leavingOf(checked: { interface?: string | undefined; source?: string | undefined }): Leaving {
  return {
    interface: checked.interface ?? null,
    source: checked.source === undefined ? null : (canonicalIp(checked.source) as string),
  };
}

/** That probes to `target` can leave as written. */
export function checkLeaving(
  target: string,
  written: Readonly<Record<string, unknown>>,
  at: At,
  report: Report,
): void {
  const source = typeof written.source === "string" ? canonicalIp(written.source) : null;
  if (source && familyOf(source) !== familyOf(target))
    report("error", at("source"), `${source} is of another family than ${target}`);
  if (isLinkLocal(target) && written.interface === undefined)
    report("error", at(), `${target} is a link-local address: name the interface`);
}

export const absolutePath = (what: string) =>
  text("path", "an absolute path", (value) =>
    /^\/[^\0]+$/.test(value) ? null : `'${value}' is no absolute path of ${what}`,
  );

/** "203.0.113.1:443" or "[2001:db8::1]:443". Null: it is none. */
export function parseEndpoint(text: string): { readonly address: string; readonly port: number } | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match ? canonicalIp((match[1] ?? match[2]) as string) : null;
  const port = Number(match?.[3]);
  return host !== null && port >= 1 && port <= 65_535 ? { address: host, port } : null;
}
