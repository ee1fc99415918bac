/** What a virtual router says about itself, put together from its parts. */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { MemberView } from "../../core/sync-group.js";
import type { ChecksumForm } from "../../core/vrrp/advertisement.js";
import {
  currentActiveAdverIntervalUs,
  currentActiveDownIntervalUs,
  currentSkewTimeUs,
  handsOver,
  VRRP_COUNTERS,
  type VrrpSettings,
  type VrrpState,
} from "../../core/vrrp/machine.js";
import type { Orders } from "../orders.js";
import type {
  StateChange,
  VirtualRouterStateName,
  VirtualRouterStatistics,
  VirtualRouterStatus,
} from "../status.js";
import type { Followed } from "../tracking/followed.js";
import type { PeerRecord } from "./peer-table.js";
import { describeCauses, type FaultCause } from "./reasons.js";

export interface StatusParts {
  readonly config: VirtualRouterConfig;
  /** In force now. */
  readonly settings: VrrpSettings;
  readonly state: VrrpState;
  readonly shown: VirtualRouterStateName;
  readonly causes: Iterable<FaultCause>;
  readonly orders: Orders;
  readonly tracking: Followed;
  readonly primaryAddress: string | null;
  readonly mac: string | null;
  readonly virtualInterface: string | null;
  readonly checksumForms: readonly ChecksumForm[];
  readonly lastChange: StateChange | null;
  /** By VRRP_COUNTERS. */
  readonly counters: Float64Array;
  readonly rejected: Readonly<Record<string, number>>;
  readonly peers: readonly PeerRecord[];
  readonly backupAdvertisementRcvd: number;
  readonly bfdTurn: { readonly rank: number; readonly waitUs: number } | null;
}

export function virtualRouterStatus(parts: StatusParts): VirtualRouterStatus {
  const { config, settings, state, orders, tracking } = parts;
  const learnedUs = currentActiveAdverIntervalUs(settings, state);
  return {
    name: config.name,
    interface: config.interface,
    vrid: config.vrid,
    family: config.family,
    version: config.version,
    state: parts.shown,
    handingOver: handsOver(state),
    causes: [...parts.causes],
    causeTexts: describeCauses(parts.causes, tracking.forbidding, orders.groupFault),
    priority: settings.priority,
    configuredPriority: config.priority,
    runtimePriority: orders.priority,
    holdsBack: orders.holdsBack,
    heldBackBy: orders.waits ? config.syncGroup : null,
    trackedDelta: tracking.delta,
    tracking: tracking.status(),
    active: activeAsKnown(settings, state),
    addresses: settings.addresses,
    primaryAddress: parts.primaryAddress,
    virtualMac: config.virtualMac ? parts.mac : null,
    virtualInterface: parts.virtualInterface,
    checksum: { configured: config.checksum, sent: parts.checksumForms },
    advertisementIntervalMs: settings.intervalUs / 1000,
    activeAdverIntervalMs: learnedUs / 1000,
    activeDownIntervalMs: currentActiveDownIntervalUs(settings, learnedUs) / 1000,
    skewTimeMs: currentSkewTimeUs(settings, learnedUs) / 1000,
    preempt: config.preempt,
    bfd: bfdOf(parts),
    lastChange: parts.lastChange,
    statistics: statisticsOf(parts),
  };
}

function bfdOf({ config, bfdTurn, peers }: StatusParts): VirtualRouterStatus["bfd"] {
  if (!config.bfd) return null;
  return {
    rankFrom: config.bfd.backupAdvertisements ? "backup-advertisements" : "configuration",
    turn: bfdTurn && { rank: bfdTurn.rank, afterMs: bfdTurn.waitUs / 1000 },
    backups: peers.map(({ intervalUs, ...peer }) => ({
      ...peer,
      advertisementIntervalMs: intervalUs / 1000,
    })),
  };
}

function activeAsKnown(settings: VrrpSettings, state: VrrpState): VirtualRouterStatus["active"] {
  if (state.name === "active") return { address: settings.primaryAddress, priority: settings.priority };
  return state.name === "backup" ? state.active : null;
}

function statisticsOf({ counters, rejected, backupAdvertisementRcvd }: StatusParts): VirtualRouterStatistics {
  const moved = Object.fromEntries(VRRP_COUNTERS.map((name, index) => [name, counters[index] ?? 0]));
  return { ...moved, backupAdvertisementRcvd, ...rejected } as unknown as VirtualRouterStatistics;
}

/** How a virtual router stands in its sync group. `fault`: something of its own keeps it from running. */
export function memberView(
  name: string,
  state: VrrpState,
  fault: boolean,
  { preempt, priority: own }: VrrpSettings,
): MemberView {
  /** Whether an Active of this priority is left in peace; 0: it released the virtual router. */
  const follows = (priority: number): boolean => priority > 0 && (priority >= own || !preempt);
  const running = state.name === "initialize" ? "preparing" : state.name;
  return {
    name,
    standing: fault ? "fault" : running,
    wants: state.name === "backup" && state.wants === true,
    follows: state.name === "backup" && !state.wants && follows(state.active?.priority ?? 0),
    resigning: state.name === "active" && state.resigning !== undefined,
  };
}
