/** The section trackers: what is watched beside the LAN itself, by name, shared by all who track it. */
import { z } from "zod";
import { canonicalIp, isLinkLocal } from "../../core/address.js";
import { PRIORITY_OWNER } from "../../core/vrrp/advertisement.js";
import { isBlock, type Path, type Report, section } from "../section.js";
import { parseEndpoint } from "./kind.js";
import { trackersInPlace } from "./track.js";
import {
  below,
  blocksOf,
  checkTracker,
  kindOf,
  normalizeTracker,
  type TrackerConfig,
  thingOf,
  trackerKeys,
  trackerName,
} from "./tracker.js";

const trackerSchema = z.strictObject(
  {
    name: trackerName.meta({ description: "What `track` lists and commands call it.", examples: ["wan"] }),
    ...trackerKeys,
  },
  { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
);

const schema = z.array(trackerSchema, { error: "a list of trackers is expected" }).default([]).meta({
  description:
    "What else a router watches: its uplinks, its routes, whoever it depends on. Each looks at one thing and is shared by all who track it.",
});

type Checked = z.output<typeof schema>;

export const trackers = section({
  schema,
  check(written, report, document) {
    const seen = new Map<string, number>();
    for (const { block, path } of blocksOf(written, ["trackers"])) {
      checkTracker(block, below(path), report, ["name"]);
      const name = block.name;
      if (typeof name !== "string") continue;
      const before = seen.get(name);
      if (before === undefined) seen.set(name, path[1] as number);
      else
        report("error", [...path, "name"], `${name} is the name of another tracker`, [
          "trackers",
          before,
          "name",
        ]);
    }
    checkThoseInPlace(document, report);
    checkVirtual(document, report);
  },
  normalize: (checked, document): { readonly trackers: readonly TrackerConfig[] } => ({
    trackers: withThoseInPlace(checked.map(normalizeTracker), document),
  }),
});

/** The named trackers as the engine has them, for sections that refer to them. */
export function namedTrackers(document: Readonly<Record<string, unknown>>): TrackerConfig[] {
  return ((document.trackers ?? []) as Checked).map(normalizeTracker);
}

/** Trackers in place as written, with the keys of who tracks them. */
function blocksInPlace(document: Readonly<Record<string, unknown>>): ReturnType<typeof blocksOf> {
  const owners = Object.entries(document).flatMap(([key, part]) => blocksOf(part, [key]));
  return owners
    .flatMap(({ block, path }) => blocksOf(block.track, [...path, "track"]))
    .filter(({ block }) => block.tracker === undefined);
}

/** Trackers in place that look at the same thing are one tracker, so they have to agree. */
function checkThoseInPlace(document: Readonly<Record<string, unknown>>, report: Report): void {
  const seen = new Map<string, { readonly settings: string; readonly path: Path }>();
  for (const { block, path } of blocksInPlace(document)) {
    const thing = thingOf(block);
    if (thing === null) continue;
    const own = new Set(["weight", "reverse", kindOf(block)]);
    const settings = JSON.stringify(
      Object.entries(block)
        .filter(([key]) => !own.has(key))
        .sort(),
    );
    const before = seen.get(thing);
    if (before && before.settings !== settings)
      report(
        "error",
        path,
        "tracked in place with other settings already: give each a name under trackers",
        before.path,
      );
    seen.set(thing, before ?? { settings, path });
  }
}

/** A virtual address comes and goes, and answers to it may go to another router. */
function checkVirtual(document: Readonly<Record<string, unknown>>, report: Report): void {
  const virtual = new Map<string, Path>();
  for (const { block, path } of blocksOf(document.virtualRouters, ["virtualRouters"])) {
    if (block.priority === PRIORITY_OWNER || !Array.isArray(block.addresses)) continue;
    block.addresses.forEach((one: unknown, at) => {
      const host = typeof one === "string" ? canonicalIp(one.split("/")[0] as string) : null;
      if (host !== null) virtual.set(host, [...path, "addresses", at]);
    });
  }
  for (const { block, path } of [...blocksOf(document.trackers, ["trackers"]), ...blocksInPlace(document)]) {
    const source = typeof block.source === "string" ? canonicalIp(block.source) : null;
    const place = source === null ? undefined : virtual.get(source);
    if (place) report("error", [...path, "source"], `${source} is a virtual address: name an own one`, place);
    const [key, target] = hostOf(block);
    const there = target === null || isLinkLocal(target) ? undefined : virtual.get(target);
    if (there) {
      const message = `${target} is a virtual address: while this router is Active it answers itself`;
      report("warning", [...path, key], message, there);
    }
  }
}

/** The key that names whom a tracker as written asks, and his address; null for kinds that ask nobody. */
function hostOf(block: Readonly<Record<string, unknown>>): readonly [key: string, address: string | null] {
  const key = kindOf(block) ?? "";
  const written = block[key];
  if (typeof written !== "string") return [key, null];
  return [key, canonicalIp(written) ?? parseEndpoint(written)?.address ?? null];
}

/** With those in place, equal ones once. */
function withThoseInPlace(
  named: readonly TrackerConfig[],
  document: Readonly<Record<string, unknown>>,
): TrackerConfig[] {
  const all = [...named];
  for (const list of trackLists(document)) {
    for (const one of trackersInPlace(list)) {
      if (!all.some((other) => other.name === one.name)) all.push(one);
    }
  }
  return all;
}

/** Every `track` list of a checked configuration. */
function trackLists(document: Readonly<Record<string, unknown>>): Parameters<typeof trackersInPlace>[0][] {
  return Object.values(document).flatMap((part) =>
    Array.isArray(part)
      ? part.flatMap((one) => (isBlock(one) && Array.isArray(one.track) ? [one.track] : []))
      : [],
  );
}
