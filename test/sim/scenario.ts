/** From a seed to a LAN: which routers, which virtual routers, and what may go wrong in this run ("swarm testing"). */
import type { ConfigInput } from "../../src/config/index.js";
import type { Random } from "../../src/driver/simulated/index.js";

export type Family = "ipv4" | "ipv6";

/** What all routers of a virtual router have in common. */
export interface Group {
  readonly vrid: number;
  readonly family: Family;
  readonly version: 2 | 3;
  readonly addresses: readonly string[];
  readonly virtualMac: boolean;
  readonly accept: boolean;
  readonly unicast: boolean;
  readonly password: string | null;
}

/** What one router says about it. */
export interface Member {
  readonly group: Group;
  readonly priority: number;
  readonly intervalMs: number;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly checksum: "auto" | "message-only" | "pseudo-header";
}

export interface RouterPlan {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly members: readonly Member[];
  readonly controlTimeoutMs: number;
  readonly ownership: "auto" | "off";
}

export const FAULT_KINDS = [
  "loss",
  "delay",
  "duplicate",
  "reorder",
  "partition",
  "one-way",
  "swizzle",
  "carrier",
  "host-carrier",
  "kill",
  "close",
  "power",
  "freeze",
  "stop",
  "pause",
  "interface-down",
  "interface-gone",
  "address-gone",
  "failing-steps",
  "refused",
  "no-sockets",
  "priority",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Scenario {
  readonly groups: readonly Group[];
  readonly routers: readonly RouterPlan[];
  readonly faultKinds: readonly FaultKind[];
  /** How many faults, and over which time. */
  readonly faults: number;
  readonly faultyForUs: number;
}

const ADDRESS_OF: Record<Family, (index: number) => string> = {
  ipv4: (index) => `192.0.2.${index}`,
  ipv6: (index) => `fe80::${index}`,
};
export const PREFIX_OF: Record<Family, number> = { ipv4: 24, ipv6: 64 };

/** A router's own address. */
export function routerAddress(family: Family, index: number): string {
  return ADDRESS_OF[family](index + 11);
}

export function hostAddress(family: Family, index: number): string {
  return ADDRESS_OF[family](index + 101);
}

export function makeScenario(random: Random): Scenario {
  const groups = [
    makeGroup(random, 10, "ipv4"),
    makeGroup(random, 10, "ipv6"),
    makeGroup(random, 20, "ipv4"),
  ];
  const chosen = random.shuffle(groups).slice(0, random.pick([1, 1, 2]));
  const size = random.pick([2, 2, 3, 3, 4, 5]);
  const intervalsMs = new Map(chosen.map((group) => [group, drawInterval(random, group)]));
  const owners = new Map(chosen.map((group) => [group, drawOwner(random, group, size)]));
  const samePreempt = random.pick([true, false, null]);
  const routers = Array.from({ length: size }, (_, index): RouterPlan => {
    const members = chosen.map((group): Member => {
      const owner = owners.get(group) === index;
      const intervalMs = intervalsMs.get(group) as number;
      return {
        group,
        priority: owner ? 255 : random.pick([1, 50, 100, 100, 150, 200, 254, random.integer(1, 254)]),
        // v3 learns the interval of whoever is Active, so they may differ.
        intervalMs:
          group.version === 3 && random.chance(0.3) ? random.pick([1, 2, 5]) * intervalMs : intervalMs,
        preempt: samePreempt ?? random.chance(0.5),
        preemptDelayMs: random.chance(0.2) ? random.integer(1, 6) * intervalMs : 0,
        checksum: random.pick(["auto", "auto", "message-only", "pseudo-header"] as const),
      };
    });
    return {
      name: `r${index + 1}`,
      addresses: addressesOf(index, chosen, owners),
      members,
      controlTimeoutMs: random.pick([200, 1_000, 5_000]),
      ownership: random.pick(["auto", "auto", "off"]),
    };
  });
  const longestMs = Math.max(...routers.flatMap((one) => one.members.map((member) => member.intervalMs)));
  return {
    groups: chosen,
    routers,
    faultKinds: random.shuffle(FAULT_KINDS).slice(0, random.integer(1, 8)),
    faults: random.integer(2, 14),
    faultyForUs: Math.max(3_000, 25 * longestMs) * 1_000,
  };
}

function makeGroup(random: Random, vrid: number, family: Family): Group {
  const version = family === "ipv4" && random.chance(0.3) ? 2 : 3;
  const first = family === "ipv4" ? ADDRESS_OF.ipv4(vrid === 10 ? 1 : 2) : ADDRESS_OF.ipv6(1);
  const more = family === "ipv4" ? ADDRESS_OF.ipv4(vrid === 10 ? 3 : 4) : "2001:db8::1";
  return {
    vrid,
    family,
    version,
    addresses: random.chance(0.4) ? [first, more] : [first],
    virtualMac: random.chance(0.85),
    accept: random.chance(0.8),
    unicast: random.chance(0.1),
    password: version === 2 && random.chance(0.3) ? "secret" : null,
  };
}

function drawInterval(random: Random, group: Group): number {
  return group.version === 2 ? random.pick([1_000, 1_000, 2_000]) : random.pick([10, 10, 50, 100, 1_000]);
}

/** Which router owns the addresses of a group, if one does. A link-local address is the first one of IPv6. */
function drawOwner(random: Random, group: Group, size: number): number | null {
  const draw = random.integer(0, size - 1);
  return group.virtualMac && random.chance(0.15) ? draw : null;
}

function addressesOf(
  index: number,
  groups: readonly Group[],
  owners: ReadonlyMap<Group, number | null>,
): string[] {
  const families = new Set(groups.map((group) => group.family));
  const owned = groups.filter((group) => owners.get(group) === index).flatMap((group) => group.addresses);
  const own = [...families].map((family) => routerAddress(family, index));
  return [...own, ...owned].map(
    (address) => `${address}/${PREFIX_OF[address.includes(":") ? "ipv6" : "ipv4"]}`,
  );
}

/** The configuration of a router; `priority` replaces those of the plan (a reload). */
export function configOf(plan: RouterPlan, scenario: Scenario, priority?: number): ConfigInput {
  return {
    controlTimeout: `${plan.controlTimeoutMs}ms`,
    ownership: plan.ownership,
    virtualRouters: plan.members.map((member) => {
      const { group } = member;
      const own = scenario.routers.indexOf(plan);
      const peers = scenario.routers.map((_, index) => routerAddress(group.family, index));
      return {
        interface: "eth0",
        vrid: group.vrid,
        version: group.version,
        priority: member.priority === 255 ? 255 : (priority ?? member.priority),
        addresses: group.addresses.map((address) => `${address}/${PREFIX_OF[group.family]}`),
        advertisementInterval: `${member.intervalMs}ms`,
        preempt: member.preempt,
        preemptDelay: `${member.preemptDelayMs}ms`,
        accept: group.accept,
        virtualMac: group.virtualMac,
        checksum: member.checksum,
        ...(group.password === null
          ? {}
          : { authentication: { type: "simple" as const, password: group.password } }),
        ...(group.unicast
          ? { unicast: { source: peers[own] as string, peers: peers.filter((_, index) => index !== own) } }
          : {}),
      };
    }),
  };
}

export function ownerKey(group: Group): string {
  return `eth0/${group.vrid}/${group.family}`;
}

/** What the router calls it. */
export function routerName(group: Group, groups: readonly Group[]): string {
  const both = groups.filter((one) => one.vrid === group.vrid).length > 1;
  return `eth0/${group.vrid}${both && group.family === "ipv6" ? "/ipv6" : ""}`;
}

/** One line, for failures. */
export function describeScenario({ routers, faultKinds }: Scenario): string {
  const lines = routers.map((router) => {
    const members = router.members.map(
      ({ group, ...member }) =>
        `${group.vrid}/${group.family} v${group.version} prio ${member.priority} ${member.intervalMs}ms` +
        `${member.preempt ? "" : " no-preempt"}${member.preemptDelayMs ? ` delay ${member.preemptDelayMs}ms` : ""}` +
        `${group.virtualMac ? "" : " own-mac"}${group.accept ? "" : " no-accept"}${group.unicast ? " unicast" : ""}`,
    );
    return `  ${router.name} (control ${router.controlTimeoutMs}ms, ownership ${router.ownership}): ${members.join("; ")}`;
  });
  return [...lines, `  faults: ${faultKinds.join(" ")}`].join("\n");
}
