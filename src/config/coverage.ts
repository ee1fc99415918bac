/**
 * Which failures a configuration survives, by what each is noticed, and how long hosts are without a gateway then:
 * `firsthop check --failures`. Pure: it knows this router's configuration only, so it supposes that at least one other
 * router takes part with the same interval, and gives bounds where the other one's priority decides.
 */
import type { z } from "zod";
import { effectivePriority, type Tracked, trackEffect } from "../core/tracking/priority.js";
import { PRIORITY_OWNER } from "../core/vrrp/advertisement.js";
import { activeDownIntervalUs, skewTimeUs } from "../core/vrrp/timing.js";
import { FAILURES, type Failure } from "./failure.js";
import type { Config } from "./schema.js";
import type { TrackerKindConfig } from "./trackers/kind.js";
import { TRACKER_KINDS, type TrackerSpec } from "./trackers/kinds.js";
import type { TrackerConfig } from "./trackers/tracker.js";
import type { BfdConfig, VirtualRouterConfig } from "./types.js";

/**
 * What follows once it is known: the Active is silent, resigns (priority 0), or advertises a lower priority; or a
 * Backup takes over at once, because BFD told it.
 */
export type Reaction = "silent" | "resigns" | "lowers-priority" | "taken-over";

export interface Detection {
  /** In words: "no advertisement", "tracker wan (interface wan0)". */
  readonly by: string;
  readonly tracker: string | null;
  /** From the failure until it is known; 0: at once. */
  readonly detectionUs: number;
  readonly reaction: Reaction;
  /** The priority that is left; meaningful for "lowers-priority": somebody else's must be above. */
  readonly priority: number;
  /** From the failure until another router forwards, at most. */
  readonly outageUs: number;
}

export interface FailureReport {
  readonly failure: Failure;
  readonly survived: boolean;
  /** Fastest first. */
  readonly detections: readonly Detection[];
  /** What would close the hole; null where there is none. */
  readonly remedy: string | null;
}

/** From the highest to the lowest priority that a Backup may have, microseconds. */
export interface Range {
  readonly minUs: number;
  readonly maxUs: number;
}

export interface CoverageReport {
  readonly name: string;
  readonly priority: number;
  readonly skewTime: Range;
  readonly activeDownInterval: Range;
  readonly failures: readonly FailureReport[];
}

/** One report for each virtual router. */
export function coverage(config: Config): readonly CoverageReport[] {
  return config.virtualRouters.map((one) => coverageOf(one, config));
}

function coverageOf(one: VirtualRouterConfig, config: Config): CoverageReport {
  const { version, advertisementIntervalUs: intervalUs } = one;
  const range = (of: typeof skewTimeUs): Range => ({
    minUs: of(version, PRIORITY_OWNER - 1, intervalUs),
    maxUs: of(version, 1, intervalUs),
  });
  const waits = { skewTime: range(skewTimeUs), activeDownInterval: range(activeDownIntervalUs) };
  return {
    name: one.name,
    priority: one.priority,
    ...waits,
    failures: FAILURES.map((failure) => {
      const detections = [
        ...ownDetections(failure, one, config),
        ...trackerDetections(failure, one, config),
        ...groupDetections(failure, one, config),
      ]
        .map((found) => ({ priority: one.priority, ...found, outageUs: outage(found, waits) }))
        .sort((a, b) => a.outageUs - b.outageUs);
      const survived = detections.some((found) => !AIDS.has(found.by));
      return { failure, survived, detections, remedy: survived ? null : remedy(failure, one, config) };
    }),
  };
}

type Found = Omit<Detection, "outageUs" | "priority"> & { readonly priority?: number };

function outage(
  { detectionUs, reaction }: Found,
  waits: { readonly skewTime: Range; readonly activeDownInterval: Range },
): number {
  if (reaction === "taken-over") return detectionUs;
  return detectionUs + (reaction === "resigns" ? waits.skewTime.maxUs : waits.activeDownInterval.maxUs);
}

const STUCK = "controlTimeout (firsthop itself hangs)";
/** What sees a part of a kind of failure only, and so does not make it survived. */
const AIDS: ReadonlySet<string> = new Set([STUCK]);

/** What VRRP and the daemon see without any tracker. */
function ownDetections(failure: Failure, { bfd }: VirtualRouterConfig, config: Config): Found[] {
  switch (failure) {
    case "lan-line":
    case "lan-interface":
    case "router-hardware":
      // Nobody hears this router any more, whatever it knows: the others' timers count from its last word.
      return [
        { by: "no advertisement", tracker: null, detectionUs: 0, reaction: "silent" },
        ...(bfd ? [bfdDetection(bfd)] : []),
      ];
    case "router-software":
      return [{ by: STUCK, tracker: null, detectionUs: config.controlTimeoutUs, reaction: "resigns" }];
    default:
      return [];
  }
}

function bfdDetection({ intervalUs, multiplier }: BfdConfig): Found {
  const detection = { tracker: null, detectionUs: intervalUs * multiplier };
  return { by: "BFD", ...detection, reaction: "taken-over" };
}

/**
 * What is seen by the others of a group that moves together: one of them in fault takes all to fault, and without its
 * own interface it is. One line for each interface and tracker that this virtual router does not have itself.
 */
function groupDetections(failure: Failure, one: VirtualRouterConfig, config: Config): Found[] {
  const group = config.syncGroups.find(({ name }) => name === one.syncGroup);
  if (group?.mode !== "all") return [];
  const own = trackerDetections(failure, one, config).filter(({ reaction }) => reaction === "resigns");
  const seen = new Set([`interface ${one.interface}`, ...own.map(({ tracker }) => `tracker ${tracker}`)]);
  const isNew = (what: string): boolean => {
    const before = seen.size;
    return seen.add(what).size > before;
  };
  const say = (found: Omit<Found, "reaction">): Found => ({
    ...found,
    by: `sync group ${group.name}: ${found.by}`,
    reaction: "resigns",
    priority: one.priority,
  });
  const mates = config.virtualRouters.filter((mate) => mate !== one && mate.syncGroup === group.name);
  return mates.flatMap((mate) => {
    const { name, interface: lan } = mate;
    const interfaces =
      failure === "upstream-interface" && isNew(`interface ${lan}`)
        ? [say({ by: `${name} (interface ${lan})`, tracker: null, detectionUs: 0 })]
        : [];
    const trackers = trackerDetections(failure, mate, config, one.interface)
      .filter(({ reaction, tracker }) => reaction === "resigns" && isNew(`tracker ${tracker}`))
      .map((found) => say({ ...found, by: `${found.by} of ${name}` }));
    return [...interfaces, ...trackers];
  });
}

function trackerDetections(
  failure: Failure,
  one: VirtualRouterConfig,
  config: Config,
  lanInterface = one.interface,
): Found[] {
  const byName = new Map(config.trackers.map((tracker) => [tracker.name, tracker]));
  return one.track.flatMap((tracked) => {
    const tracker = byName.get(tracked.tracker);
    if (!tracker || !covers(tracker, lanInterface).includes(failure)) return [];
    const change = reactionTo(tracked, one.priority);
    if (!change) return [];
    const by = `tracker ${tracker.name} (${tracker.spec.kind} ${tracker.target})`;
    return [{ by, tracker: tracker.name, detectionUs: detectionUs(tracker), ...change }];
  });
}

type SomeKind = Pick<TrackerKindConfig<z.ZodRawShape, TrackerSpec>, "covers" | "detectionUs">;
const kindOf = ({ kind }: TrackerSpec): SomeKind => TRACKER_KINDS[kind] as unknown as SomeKind;

/** The failures that a kind of tracker sees. What looks at the LAN says nothing about the way out. */
function covers(tracker: TrackerConfig, lanInterface: string): readonly Failure[] {
  const through = "interface" in tracker.spec ? tracker.spec.interface : null;
  if (through === lanInterface) return [];
  return kindOf(tracker.spec).covers?.(tracker.spec) ?? ["upstream-interface", "upstream-network"];
}

/** What follows when the tracker goes down; null: nothing, or the opposite of what helps. */
function reactionTo(
  tracked: Tracked,
  base: number,
): { readonly reaction: Reaction; readonly priority: number } | null {
  const effects = (["up", "down"] as const).map((verdict) =>
    trackEffect(tracked, { verdict, value: null, byValue: false }),
  );
  const [working, failed] = effects as [(typeof effects)[0], (typeof effects)[0]];
  if (failed.effect === "forbids") return { reaction: "resigns", priority: base };
  const priority = effectivePriority(base, [failed]);
  return priority < effectivePriority(base, [working]) ? { reaction: "lowers-priority", priority } : null;
}

/** From a failure to the verdict: the last good answer may just have come in, and the last bad one takes its time. */
export function detectionUs({ spec, intervalUs, fall, timeoutUs, downDelayUs }: TrackerConfig): number {
  const own = kindOf(spec).detectionUs?.(spec, intervalUs);
  return (own ?? (intervalUs === 0 ? 0 : intervalUs * fall + timeoutUs)) + downDelayUs;
}

function remedy(failure: Failure, one: VirtualRouterConfig, config: Config): string {
  const owner = one.priority === PRIORITY_OWNER ? ", without a weight (255 stays 255)" : "";
  const uplink = config.trackers.flatMap(({ spec }) =>
    "interface" in spec && spec.interface !== null && spec.interface !== one.interface
      ? [spec.interface]
      : [],
  )[0];
  const name = uplink ?? "UPLINK";
  switch (failure) {
    case "router-software":
      return `track what forwarding depends on${owner}: { route: 0.0.0.0/0 }, { process: NAME } or { script: PATH }`;
    case "upstream-interface":
      return `track the uplink${owner}: { interface: ${name} }`;
    case "upstream-network":
      return `track something beyond the uplink${owner}: { icmp: ADDRESS, interface: ${name} }, or a route that a routing daemon takes away`;
    default:
      return "";
  }
}
