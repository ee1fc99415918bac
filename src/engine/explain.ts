/** `firsthop explain NAME`: why a virtual router is what it is, from its status alone. */
import { describeDuration } from "./duration.js";
import type { Explanation, RouterStatus, VirtualRouterStatus } from "./status.js";
import { remedies } from "./vrrp/reasons.js";

/** Where a virtual router stands: those beside it, and their groups. */
type Company = Pick<RouterStatus, "virtualRouters" | "syncGroups">;

export function explainVirtualRouter(status: VirtualRouterStatus, company: Company): Explanation {
  const { name, state } = status;
  return { name, state, ...byState(status, company) };
}

function byState(
  status: VirtualRouterStatus,
  company: Company,
): Pick<Explanation, "summary" | "because" | "next"> {
  const last = status.lastChange;
  const history = last ? [`since ${last.at}: ${last.detail}`] : [];
  const own = `our priority is ${priorityText(status)}, our address ${status.primaryAddress ?? "unknown"}`;
  const downInterval = describeDuration(status.activeDownIntervalMs * 1000);
  switch (status.state) {
    case "active":
      return {
        summary: `Active: this router forwards for ${status.addresses.join(", ")}`,
        because: [
          ...history,
          own,
          `it advertises every ${describeDuration(status.advertisementIntervalMs * 1000)}`,
        ],
        next: [
          `an advertisement with a priority above ${status.priority} makes it Backup (RFC 9568 section 6.4.3)`,
          `so does one with priority ${status.priority} from an address above ${status.primaryAddress}`,
        ],
      };
    case "backup":
      return explainBackup(status, company, [...history, own], downInterval);
    case "fault":
      return {
        summary: `Fault: it takes no part in the election (${status.causes.join(", ")})`,
        because: [...status.causeTexts, ...history],
        next: [
          `it starts as Backup when nothing of this is left: ${status.causes.join(", ")}`,
          ...remedies(status, status.causes),
        ],
      };
    case "initialize":
      return {
        summary: status.handingOver
          ? "Initialize: it left as Active and forwards until its successor is heard"
          : "Initialize: it has not started yet",
        because: history,
        next: [],
      };
  }
}

/** "100", or what made it so: "100: 150 configured, -50 by isp (down)". */
function priorityText(status: VirtualRouterStatus): string {
  const { priority, configuredPriority, runtimePriority, tracking } = status;
  const counting = tracking.filter((one) => one.delta !== 0);
  const ordered = runtimePriority === null ? [] : [`${runtimePriority} by command`];
  if (counting.length + ordered.length === 0) return String(priority);
  const parts = counting.map(
    ({ tracker, delta, state }) => `${delta > 0 ? "+" : ""}${delta} by ${tracker} (${state})`,
  );
  return `${priority}: ${configuredPriority} configured, ${[...ordered, ...parts].join(", ")}`;
}

/** Whose turn it is when BFD says that the Active failed. */
function turnText({ bfd, priority, primaryAddress }: VirtualRouterStatus, active: string): string[] {
  if (!bfd?.turn) return [];
  const { rank, afterMs } = bfd.turn;
  if (afterMs === 0) return [`when BFD finds ${active} silent, it becomes Active at once: it is of rank 1`];
  const before = bfd.backups.slice(0, rank - 1).map((one) => `${one.address} (${one.priority})`);
  const why =
    bfd.rankFrom === "configuration"
      ? `it is of rank ${rank}, as configured`
      : `${before.join(", ")} before it, ${primaryAddress} (${priority}), by priority and address`;
  return [
    `when BFD finds ${active} silent, it becomes Active ${describeDuration(afterMs * 1000)} later: ${why}`,
  ];
}

const MATES_MAX = 3;

/** Why its sync group holds it back, as far as the others show it, and what would end that. */
function heldBackText(
  { name, heldBackBy }: VirtualRouterStatus,
  { virtualRouters, syncGroups }: Company,
): { readonly because: readonly string[]; readonly next: string } {
  const group = syncGroups.find((one) => one.name === heldBackBy);
  const others = virtualRouters.filter((one) => one.name !== name && group?.members.includes(one.name));
  const because = others.flatMap(({ name: other, state, active }) => {
    if (state === "initialize") return [`${other} of its sync group does not run yet (initialize)`];
    if (state !== "backup" || !active) return [];
    const who = `${active.address}, which is Active there (priority ${active.priority})`;
    return [`${other} of its sync group follows ${who}`];
  });
  if (because.length === 0 && group?.blocked)
    because.push(
      "another router kept one of its sync group when they became Active together: it waits before it tries again",
    );
  const more = because.length - MATES_MAX;
  return {
    because: more > 0 ? [...because.slice(0, MATES_MAX), `and ${more} more of its sync group`] : because,
    next: `it becomes Active together with the others of its sync group ${heldBackBy}, when all of them can`,
  };
}

function explainBackup(
  status: VirtualRouterStatus,
  company: Company,
  known: readonly string[],
  downInterval: string,
): Pick<Explanation, "summary" | "because" | "next"> {
  const { active, heldBackBy } = status;
  const held = heldBackBy ? heldBackText(status, company) : null;
  if (!active && held) {
    return {
      summary: `Backup: it hears no Active, and its sync group ${heldBackBy} holds it back`,
      because: [...known, ...held.because],
      next: [held.next],
    };
  }
  if (!active) {
    return {
      summary: "Backup: it has heard no Active yet",
      because: known,
      next: [`it becomes Active when nobody advertises for ${downInterval} (Active_Down_Interval)`],
    };
  }
  const better = active.priority >= status.priority;
  return {
    summary: `Backup: ${active.address} is Active with priority ${active.priority}`,
    because: [
      ...known,
      better
        ? `${active.priority} is not below ${status.priority}, so each of its advertisements is followed (RFC 9568 section 6.4.2)`
        : held
          ? `${active.priority} is below ${status.priority}, but its sync group ${heldBackBy} holds it back`
          : status.holdsBack
            ? `${active.priority} is below ${status.priority}, but it handed over by command and does not preempt`
            : status.preempt
              ? `${active.priority} is below ${status.priority}: it is being preempted, or the preempt delay runs`
              : `${active.priority} is below ${status.priority}, but preempt is off`,
      ...(held?.because ?? []),
    ],
    next: held
      ? [held.next]
      : [
          `it becomes Active when ${active.address} is silent for ${downInterval} (Active_Down_Interval)`,
          ...turnText(status, active.address),
        ],
  };
}
