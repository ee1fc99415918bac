/** What a new configuration changes about a running one. */
import type { Config } from "./schema.js";
import type { VirtualRouterConfig } from "./types.js";

export interface VirtualRouterChange {
  readonly name: string;
  readonly old: VirtualRouterConfig;
  readonly new: VirtualRouterConfig;
  /** Whether the virtual router has to leave and start again (RFC 9568 section 6.4.1). */
  readonly restart: boolean;
  readonly fields: readonly (keyof VirtualRouterConfig)[];
}

export interface ConfigDiff {
  readonly added: readonly VirtualRouterConfig[];
  readonly removed: readonly VirtualRouterConfig[];
  readonly changed: readonly VirtualRouterChange[];
  readonly unchanged: readonly VirtualRouterConfig[];
  /** What virtual routers that stay (interface, VRID and family) were called, by their names now. */
  readonly names: ReadonlyMap<string, string>;
  /** What else differs, beside the virtual routers. */
  readonly settings: readonly Exclude<keyof Config, "virtualRouters">[];
}

/** What the machine, or the frames it sends, takes over without leaving. */
export const LIVE: ReadonlySet<keyof VirtualRouterConfig> = new Set([
  "priority",
  "preempt",
  "preemptDelayUs",
  "checksum",
  "track",
  "syncGroup",
  "notify",
  "startupDelayUs",
  "bfd",
]);

/** What a daemon is started with. */
export const AT_START: ReadonlySet<keyof Config> = new Set([
  "ownership",
  "controlTimeoutUs",
  "control",
  "log",
]);

/** What a key is called in the file, which writes times with their units. */
export const keyInFile = (key: string): string => key.replace(/Us$/, "");

export function diffConfig(old: Config, next: Config): ConfigDiff {
  const before = new Map(old.virtualRouters.map((one) => [one.name, one]));
  const after = new Map(next.virtualRouters.map((one) => [one.name, one]));
  const changed: VirtualRouterChange[] = [];
  const unchanged: VirtualRouterConfig[] = [];
  for (const [name, was] of before) {
    const is = after.get(name);
    if (!is) continue;
    const fields = changedKeys(was, is);
    if (fields.length === 0) unchanged.push(is);
    else
      changed.push({
        name,
        old: was,
        new: is,
        restart: fields.some((field) => !isLive(field, was, is)),
        fields,
      });
  }
  return {
    added: [...after.values()].filter((one) => !before.has(one.name)),
    removed: [...before.values()].filter((one) => !after.has(one.name)),
    changed,
    unchanged,
    names: namesOf(old, next),
    settings: settingsOf(old, next),
  };
}

/** The name of one over IPv6 is another one as soon as IPv4 uses its VRID, too. */
function namesOf(old: Config, next: Config): ReadonlyMap<string, string> {
  const identity = (one: VirtualRouterConfig): string => `${one.interface}/${one.vrid}/${one.family}`;
  const before = new Map(old.virtualRouters.map((one) => [identity(one), one.name]));
  return new Map(
    next.virtualRouters.flatMap((one) => {
      const name = before.get(identity(one));
      return name === undefined ? [] : [[one.name, name] as const];
    }),
  );
}

/** Becoming, or ceasing to be, the owner of the addresses is more than another priority. */
function isLive(
  field: keyof VirtualRouterConfig,
  was: VirtualRouterConfig,
  is: VirtualRouterConfig,
): boolean {
  if (field === "priority" && (was.priority === 255) !== (is.priority === 255)) return false;
  return LIVE.has(field);
}

function settingsOf(old: Config, next: Config): ConfigDiff["settings"] {
  const { virtualRouters: _old, ...was } = old;
  const { virtualRouters: _next, ...is } = next;
  return changedKeys(was, is);
}

function changedKeys<T extends object>(a: T, b: T): (keyof T)[] {
  return (Object.keys(a) as (keyof T)[]).filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}
