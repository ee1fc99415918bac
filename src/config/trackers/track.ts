/** `track:` lists: which trackers somebody follows, by name, with a weight of his own, or written in place. */
import { z } from "zod";
import type { Tracked } from "../../core/tracking/priority.js";
import { isBlock, type Path, type Report, valid } from "../section.js";
import { closest } from "../suggest.js";
import {
  below,
  blocksOf,
  type CheckedTracker,
  checkTracker,
  normalizeTracker,
  type TrackerConfig,
  thingOf,
  trackerKeys,
  trackerName,
  weightKeys,
} from "./tracker.js";

const reference = z.strictObject({
  tracker: trackerName.optional().meta({ description: "The tracker's name.", examples: ["wan"] }),
  ...trackerKeys,
});

/** For a section that has a `track` key. */
export const trackSchema = z
  .array(z.union([trackerName, reference]), { error: "a list of trackers is expected: names, or blocks" })
  .default([])
  .meta({
    title: "list of trackers",
    description: "Trackers to follow: a name, {tracker, weight, reverse}, or a tracker written in place.",
    examples: [["wan"], [{ tracker: "isp", weight: -50 }], [{ interface: "wan1" }]],
  });

type Entry = z.output<typeof trackSchema>[number];
type InPlace = Exclude<Entry, string>;

const nameOf = (entry: unknown): unknown => (isBlock(entry) ? entry.tracker : entry);

/** Names that exist, and what is given in place. `path` leads to the list, `trackers` is that section as written. */
export function checkTrack(list: unknown, path: Path, report: Report, trackers: unknown): void {
  if (!Array.isArray(list)) return;
  const names = blocksOf(trackers, []).flatMap(({ block }) => valid(trackerName, block.name) ?? []);
  const seen = new Map<string, number>();
  list.forEach((entry: unknown, index) => {
    const here = [...path, index];
    const name = nameOf(entry);
    if (typeof name === "string") {
      const place = isBlock(entry) ? [...here, "tracker"] : here;
      const before = seen.get(name);
      if (before !== undefined) report("error", place, `${name} is tracked twice here`, [...path, before]);
      seen.set(name, index);
      if (!names.includes(name)) report("error", place, unknownTracker(name, names));
    }
    if (!isBlock(entry)) return;
    if (name !== undefined) {
      checkReference(entry, here, report);
      return;
    }
    checkTracker(entry, below(here), report, []);
    const thing = thingOf(entry);
    const twin = thing === null ? undefined : seen.get(thing);
    if (twin !== undefined) report("error", here, "the same is tracked twice here", [...path, twin]);
    if (thing !== null) seen.set(thing, index);
  });
}

function unknownTracker(name: string, names: readonly string[]): string {
  const meant = closest(name, names);
  if (meant !== null) return `there is no tracker ${name}: did you mean ${meant}?`;
  return `there is no tracker ${name} in trackers`;
}

function checkReference(entry: Readonly<Record<string, unknown>>, path: Path, report: Report): void {
  for (const key of Object.keys(entry)) {
    if (key === "tracker" || key in weightKeys || !(key in trackerKeys)) continue;
    report("error", [...path, key], `${key} belongs to the tracker itself, under trackers`);
  }
}

/** A list as checked, in the engine's form. `trackers`: those with names. */
export function normalizeTrack(
  list: readonly Entry[],
  trackers: readonly TrackerConfig[],
): readonly Tracked[] {
  const byName = new Map(trackers.map((one) => [one.name, one]));
  return list.map((entry) => {
    const own = typeof entry === "string" ? {} : entry;
    const name = nameOf(entry) as string | undefined;
    const tracker = name === undefined ? placed(entry as InPlace) : (byName.get(name) as TrackerConfig);
    return {
      tracker: tracker.name,
      weight: own.weight ?? tracker.weight,
      reverse: own.reverse ?? tracker.reverse,
    };
  });
}

/** The trackers that a list holds in place. Their weight is the list's affair. */
export function trackersInPlace(list: readonly Entry[]): TrackerConfig[] {
  return list.flatMap((entry) =>
    typeof entry === "string" || entry.tracker !== undefined ? [] : [placed(entry)],
  );
}

function placed(entry: InPlace): TrackerConfig {
  return normalizeTracker(entry as CheckedTracker);
}
