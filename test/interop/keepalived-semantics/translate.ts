/** One description, two configurations: keepalived.conf and firsthop's. */
import { join } from "node:path";
import type { Follows, Instance, Scenario, Tracker, TrackerKind } from "./scenarios.js";

/** A scenario's place on a router: what it is called there, and where its trackers look. */
export interface Placed {
  readonly scenario: Scenario;
  readonly number: number;
  readonly firstVrid: number;
}

/** VRIDs from 1 on, over all scenarios. */
export function placeAll(scenarios: readonly Scenario[]): Placed[] {
  let vrid = 1;
  return scenarios.map((scenario, number) => {
    const firstVrid = vrid;
    vrid += scenario.instances.length;
    return { scenario, number, firstVrid };
  });
}

export interface Site {
  readonly directory: string;
  /** Router 1 or 2. */
  readonly router: 1 | 2;
}

export const trackerName = ({ number }: Placed, tracker: string): string => `${tracker}-${number}`;
/** File whose number counts, or with a script's result. */
export const fileOf = ({ directory, router }: Site, name: string): string =>
  join(directory, `r${router}-${name}`);
export const scriptOf = (site: Site, name: string): string => `${fileOf(site, name)}.sh`;

/** What it is called in the logs of both makes. */
export const namesOf = (placed: Placed): string[] => [
  ...Object.keys(placed.scenario.trackers ?? {}).map((key) => trackerName(placed, key)),
  `group-${placed.number}`,
  ...placed.scenario.instances.flatMap((instance, index) => {
    const vrid = placed.firstVrid + index;
    return [`vr-${vrid}`, `${lanOf(instance)}/${vrid}`];
  }),
];

const INTERVAL_S: Readonly<Record<2 | 3, number>> = { 2: 1, 3: 0.5 };
/** Both makes' interval and timeout of scripts: to start one takes its time where processors are busy. */
const SCRIPT_INTERVAL_S = 2;

/** Advertisement_Interval in seconds. */
export const intervalOf = ({ version, intervalS }: Scenario): number => intervalS ?? INTERVAL_S[version ?? 3];
const lanOf = (instance: Instance): string => `lan${instance.lan ?? 0}`;

function addressOf({ scenario }: Placed, vrid: number): string {
  return scenario.family === "ipv6" ? `fe80::1:${vrid}/64` : `198.51.100.${vrid}/32`;
}

/** Tracked by the member, and by its group. */
const followedBy = (scenario: Scenario, instance: Instance): readonly Follows[] => [
  ...(instance.follows ?? []),
  ...(scenario.group?.follows ?? []),
];

export function firsthopConfig(all: readonly Placed[], site: Site): string {
  const trackers = all.flatMap((placed) =>
    Object.entries(placed.scenario.trackers ?? {}).map(([key, tracker]) => {
      const name = trackerName(placed, key);
      return { name, ...firsthopTracker(tracker, name, site) };
    }),
  );
  const virtualRouters = all.flatMap((placed) =>
    placed.scenario.instances.map((instance, index) => {
      const { scenario } = placed;
      const vrid = placed.firstVrid + index;
      return {
        interface: lanOf(instance),
        vrid,
        version: scenario.version ?? 3,
        priority: instance.priorities[site.router - 1],
        addresses: [addressOf(placed, vrid)],
        advertisementInterval: `${intervalOf(scenario) * 1000}ms`,
        virtualMac: false,
        preempt: instance.preempt ?? true,
        track: followedBy(scenario, instance).map(({ tracker, ...how }) => ({
          tracker: trackerName(placed, tracker),
          ...how,
        })),
        ...(scenario.group ? { syncGroup: `group-${placed.number}` } : {}),
      };
    }),
  );
  const syncGroups = all.flatMap(({ scenario, number }) =>
    scenario.group ? [{ name: `group-${number}` }] : [],
  );
  return `${JSON.stringify({ virtualRouters, syncGroups, trackers, log: { format: "json" } }, null, 2)}\n`;
}

function firsthopTracker({ kind, fall, rise }: Tracker, name: string, site: Site): object {
  const counts = { ...(fall ? { fall } : {}), ...(rise ? { rise } : {}) };
  switch (kind) {
    case "file":
      return { file: fileOf(site, name), interval: "100ms" };
    case "interface":
      return { interface: name };
    case "script":
      return { script: scriptOf(site, name), interval: `${SCRIPT_INTERVAL_S}s`, ...counts };
  }
}

const BLOCK: Readonly<Record<TrackerKind, string>> = {
  file: "track_file",
  script: "track_script",
  interface: "track_interface",
};

export function keepalivedConfig(all: readonly Placed[], site: Site, notifyFifo: string): string {
  return [
    "global_defs {",
    "  router_id lab",
    "  script_user root",
    "  enable_script_security",
    // As firsthop's own: one that gets no processor for long falls behind, and then ever further.
    "  vrrp_rt_priority 10",
    "  vrrp_rlimit_rttime 10000000",
    `  vrrp_notify_fifo ${notifyFifo}`,
    "}",
    ...all.flatMap((placed) =>
      Object.entries(placed.scenario.trackers ?? {}).flatMap(([key, tracker]) =>
        keepalivedTracker(tracker, trackerName(placed, key), site),
      ),
    ),
    ...all.flatMap((placed) => keepalivedGroup(placed)),
    ...all.flatMap((placed) =>
      placed.scenario.instances.flatMap((instance, index) =>
        keepalivedInstance(placed, instance, placed.firstVrid + index, site),
      ),
    ),
    "",
  ].join("\n");
}

function keepalivedTracker({ kind, fall, rise }: Tracker, name: string, site: Site): string[] {
  switch (kind) {
    case "file":
      return [`track_file ${name} {`, `  file "${fileOf(site, name)}"`, "}"];
    case "interface":
      return [];
    case "script": {
      const counts = [...(fall ? [`  fall ${fall}`] : []), ...(rise ? [`  rise ${rise}`] : [])];
      const lines = [`  script "${scriptOf(site, name)}"`, `  interval ${SCRIPT_INTERVAL_S}`, ...counts];
      return [`vrrp_script ${name} {`, ...lines, "}"];
    }
  }
}

function followLines(placed: Placed, follows: readonly Follows[]): string[] {
  return follows.flatMap(({ tracker, weight, reverse }) => {
    const how = `${weight === undefined ? "" : ` weight ${weight}`}${reverse ? " reverse" : ""}`;
    const kind = placed.scenario.trackers?.[tracker]?.kind ?? "file";
    return [`  ${BLOCK[kind]} {`, `    ${trackerName(placed, tracker)}${how}`, "  }"];
  });
}

function keepalivedGroup(placed: Placed): string[] {
  const { scenario, number, firstVrid } = placed;
  if (!scenario.group) return [];
  return [
    `vrrp_sync_group group-${number} {`,
    "  group {",
    ...scenario.instances.map((_, index) => `    vr-${firstVrid + index}`),
    "  }",
    ...followLines(placed, scenario.group.follows ?? []),
    ...(scenario.group.trackingWeight ? ["  sync_group_tracking_weight"] : []),
    "}",
  ];
}

function keepalivedInstance(placed: Placed, instance: Instance, vrid: number, site: Site): string[] {
  const version = placed.scenario.version ?? 3;
  return [
    `vrrp_instance vr-${vrid} {`,
    "  state BACKUP",
    `  interface ${lanOf(instance)}`,
    `  version ${version}`,
    `  virtual_router_id ${vrid}`,
    `  priority ${instance.priorities[site.router - 1]}`,
    `  advert_int ${intervalOf(placed.scenario)}`,
    ...(instance.preempt === false ? ["  nopreempt"] : []),
    ...followLines(placed, instance.follows ?? []),
    "  virtual_ipaddress {",
    `    ${addressOf(placed, vrid)}`,
    "  }",
    "}",
  ];
}
