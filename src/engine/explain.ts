/** `firsthop explain NAME`: why a virtual router is what it is, from its status alone. */
import { describeDuration } from "./duration.js";
import type { Explanation, VirtualRouterStatus } from "./status.js";
import { remedies } from "./vrrp/reasons.js";

export function explainVirtualRouter(status: VirtualRouterStatus): Explanation {
  const { name, state } = status;
  return { name, state, ...byState(status) };
}

function byState(status: VirtualRouterStatus): Pick<Explanation, "summary" | "because" | "next"> {
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
      return explainBackup(status, history, own, downInterval);
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

function explainBackup(
  status: VirtualRouterStatus,
  history: readonly string[],
  own: string,
  downInterval: string,
): Pick<Explanation, "summary" | "because" | "next"> {
  const { active } = status;
  if (!active) {
    return {
      summary: "Backup: it has heard no Active yet",
      because: [...history, own],
      next: [`it becomes Active when nobody advertises for ${downInterval} (Active_Down_Interval)`],
    };
  }
  const better = active.priority >= status.priority;
  return {
    summary: `Backup: ${active.address} is Active with priority ${active.priority}`,
    because: [
      ...history,
      own,
      better
        ? `${active.priority} is not below ${status.priority}, so each of its advertisements is followed (RFC 9568 section 6.4.2)`
        : status.holdsBack
          ? `${active.priority} is below ${status.priority}, but it handed over by command and does not preempt`
          : status.preempt
            ? `${active.priority} is below ${status.priority}: it is being preempted, or the preempt delay runs`
            : `${active.priority} is below ${status.priority}, but preempt is off`,
    ],
    next: [
      `it becomes Active when ${active.address} is silent for ${downInterval} (Active_Down_Interval)`,
      ...turnText(status, active.address),
    ],
  };
}
