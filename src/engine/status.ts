/** What a running router says about itself: the shapes of `show --json`, `events --json` and `explain --json`. */

import type { BfdAuthenticationType } from "../core/bfd/authentication.js";
import type { BfdRejectReason } from "../core/bfd/validate.js";
import type { Verdict } from "../core/tracking/verdict.js";
import type { ChecksumForm, IpFamily, VrrpVersion } from "../core/vrrp/advertisement.js";
import type { EngineTiming, OwnershipStatus, PortCounters } from "../driver/driver.js";

/** `fault`: the machine is in Initialize because `causes` forbid it to run. */
export type VirtualRouterStateName = "initialize" | "backup" | "active" | "fault";

/** Leaf names of ietf-vrrp (RFC 8347), camelCase. */
export interface VirtualRouterStatistics {
  readonly masterTransitions: number;
  readonly advertisementRcvd: number;
  readonly advertisementSent: number;
  readonly intervalErrors: number;
  readonly priorityZeroPktsRcvd: number;
  readonly priorityZeroPktsSent: number;
  /** Packets of type 2 (draft-ietf-rtgwg-vrrp-bfd-p2p), which no standard counts. */
  readonly backupAdvertisementRcvd: number;
  readonly backupAdvertisementSent: number;
  readonly invalidTypePktsRcvd: number;
  readonly addressListErrors: number;
  readonly packetLengthErrors: number;
  /** VRRPv2 authentication (RFC 2787); YANG has no leaves for it. */
  readonly invalidAuthType: number;
  readonly authTypeMismatch: number;
  readonly authenticationFailures: number;
}

/** RFC 8347 `/vrrp/statistics`. */
export interface GlobalStatistics {
  readonly checksumErrors: number;
  readonly versionErrors: number;
  readonly vridErrors: number;
  readonly ipTtlErrors: number;
  /** Frames left out unread: over a sender's or a port's rate, or the socket's buffer was full. */
  readonly droppedUnread: number;
}

export interface StateChange {
  readonly at: string;
  readonly from: VirtualRouterStateName;
  readonly to: VirtualRouterStateName;
  /** A stable word: active-down, preempted-lower-priority, higher-priority-heard, control-lost … */
  readonly reason: string;
  /** The same in a sentence, with the evidence. */
  readonly detail: string;
}

export interface VirtualRouterStatus {
  /** IFNAME/VRID, with /ipv6 where both families use it. */
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly family: IpFamily;
  readonly version: VrrpVersion;
  readonly state: VirtualRouterStateName;
  /** Left as Active and still forwards until the successor is heard. */
  readonly handingOver: boolean;
  /** Why it is in fault: interface-missing, interface-down, no-carrier, no-primary-address, kernel-refused … */
  readonly causes: readonly string[];
  /** The same in sentences, with the evidence. */
  readonly causeTexts: readonly string[];
  /** Effective. */
  readonly priority: number;
  readonly configuredPriority: number;
  /** Set by `priority NAME N`; stands for the configured one until it is reset or the daemon ends. */
  readonly runtimePriority: number | null;
  /** Has handed over by `switchover`: does not preempt until it was Active again. */
  readonly holdsBack: boolean;
  /** Its sync group, while that does not let it become Active by itself; null: nobody holds it back. */
  readonly heldBackBy: string | null;
  /** Sum of the trackers' weights that count now; the effective priority is clamped to 1..254 (255 stays). */
  readonly trackedDelta: number;
  readonly tracking: readonly TrackingStatus[];
  /** Who is Active as far as this router knows; null while nobody was heard. */
  readonly active: { readonly address: string; readonly priority: number } | null;
  readonly addresses: readonly string[];
  readonly primaryAddress: string | null;
  readonly virtualMac: string | null;
  readonly virtualInterface: string | null;
  /** `configured` as in the file; `sent` what leaves now. */
  readonly checksum: { readonly configured: string; readonly sent: readonly ChecksumForm[] };
  readonly advertisementIntervalMs: number;
  /** Learned from the Active while Backup (v3). */
  readonly activeAdverIntervalMs: number;
  readonly activeDownIntervalMs: number;
  readonly skewTimeMs: number;
  readonly preempt: boolean;
  /** Null without `bfd` in its configuration. */
  readonly bfd: VirtualRouterBfdStatus | null;
  readonly lastChange: StateChange | null;
  readonly statistics: VirtualRouterStatistics;
}

/** Who takes over when BFD says that the Active failed. */
export interface VirtualRouterBfdStatus {
  readonly rankFrom: "configuration" | "backup-advertisements";
  /** When this Backup would; null while it is no Backup, or BFD is not asked. */
  readonly turn: { readonly rank: number; readonly afterMs: number } | null;
  /** The other Backups, by their backup advertisements; who takes over first is first. */
  readonly backups: readonly {
    readonly address: string;
    readonly priority: number;
    readonly advertisementIntervalMs: number;
  }[];
}

/** How a virtual router follows a tracker, and what that makes now. */
export interface TrackingStatus {
  readonly tracker: string;
  readonly state: Verdict;
  /** 0: it forbids Active. */
  readonly weight: number;
  readonly reverse: boolean;
  readonly effect: "weight" | "forbids" | "waits";
  readonly delta: number;
}

/** A tracker: `show tracks`. */
export interface TrackStatus {
  readonly name: string;
  readonly kind: string;
  readonly target: string;
  readonly state: Verdict;
  /** What the state rests on: the last result that agreed with it. */
  readonly evidence: string;
  /** Of trackers that measure a number. */
  readonly value: number | null;
  readonly since: string | null;
  /** It went down too often and has to prove itself. */
  readonly damped: boolean;
  /** The last results contradict the state, but not often or long enough yet. */
  readonly changing: boolean;
  /** For who tracks it without saying otherwise; `tracking` of each virtual router has what counts there. */
  readonly weight: number;
  readonly reverse: boolean;
  /** 0: it follows news. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly fall: number;
  readonly rise: number;
  readonly last: { readonly up: boolean; readonly evidence: string; readonly at: string } | null;
  readonly results: { readonly up: number; readonly down: number };
  /** Whom it leaves out, and the entry of the mask table that says so. */
  readonly masked: readonly { readonly address: string; readonly mac: string | null; readonly by: string }[];
  /** Names of virtual routers. */
  readonly trackedBy: readonly string[];
}

/** A BFD session (RFC 5880). */
export interface BfdSessionStatus {
  readonly interface: string;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly state: "adminDown" | "down" | "init" | "up";
  /** Why it went down last, as this end tells the neighbour. */
  readonly diagnostic: string;
  /** What the neighbour says of itself; null while it is not heard. */
  readonly remoteState: "adminDown" | "down" | "init" | "up" | null;
  /** `passive`: the neighbour opened it; `head`, `tail`: multipoint, the group is at the other end or at this one. */
  readonly role: "active" | "passive" | "head" | "tail";
  /** Virtual routers and trackers. */
  readonly usedBy: readonly string[];
  readonly localDiscriminator: number;
  readonly remoteDiscriminator: number | null;
  /** Agreed with the neighbour, before jitter; null while nothing is sent. */
  readonly transmitIntervalMs: number | null;
  readonly detectionTimeMs: number | null;
  readonly multiplier: number;
  /** Null: packets are not authenticated. */
  readonly authentication: BfdAuthenticationType | null;
  /** How long it has been in this state. */
  readonly forMs: number;
  readonly lastDown: string | null;
  readonly statistics: {
    readonly packetsRcvd: number;
    readonly packetsSent: number;
    readonly sessionUp: number;
    readonly sessionDown: number;
  };
}

/** An entry of the mask table. */
export interface MaskStatus {
  /** Canonical text. */
  readonly entry: string;
  /** `runtime`: added since the start, and gone with the daemon. */
  readonly origin: "configuration" | "runtime";
  /** False: it was lifted at run time, until the daemon ends. */
  readonly inForce: boolean;
}

export interface InterfaceStatus {
  readonly name: string;
  readonly ifindex: number | null;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly mac: string | null;
  /** Where packets are judged by ownership. */
  readonly hook: OwnershipStatus["hook"];
  /** Why it is not the hook that was wanted. */
  readonly hookDetail: string | null;
  readonly counters: PortCounters | null;
}

/** Of a sync group; the reason is that of its members. */
export type GroupChange = StateChange;

export interface SyncGroupStatus {
  readonly name: string;
  readonly mode: "all" | "any";
  /** What all members are (any: the best of them); the last such state while they are on their way. */
  readonly state: VirtualRouterStateName;
  /** Another router keeps one of its members: none becomes Active before all of them could. */
  readonly blocked: boolean;
  readonly members: readonly string[];
}

export interface RouterStatus {
  readonly virtualRouters: readonly VirtualRouterStatus[];
  readonly syncGroups: readonly SyncGroupStatus[];
  readonly tracks: readonly TrackStatus[];
  readonly mask: readonly MaskStatus[];
  readonly interfaces: readonly InterfaceStatus[];
  readonly bfdSessions: readonly BfdSessionStatus[];
  /** BFD packets that count for nothing, by reason. */
  readonly bfdRejected: Readonly<Partial<Record<BfdRejectReason, number>>>;
  readonly statistics: GlobalStatistics;
  readonly engine: EngineTiming;
}

/** One line of `firsthop events`. */
export type RouterEvent = RouterHappening & {
  /**
   * Counts from 1 since the start of the daemon, without a gap, also where one process follows another. 0: told by a
   * process that numbers no more because another one does.
   */
  readonly sequence: number;
};

export type RouterHappening =
  | ({ readonly type: "stateChange"; readonly name: string } & StateChange)
  | {
      readonly type: "warning" | "info";
      readonly at: string;
      readonly name: string | null;
      readonly code: string;
      readonly detail: string;
    }
  | ({ readonly type: "groupChange"; readonly name: string } & GroupChange)
  | {
      /** A tracker changed its state, or its number. */
      readonly type: "track";
      readonly at: string;
      /** The tracker's. */
      readonly name: string;
      readonly from: Verdict;
      readonly to: Verdict;
      /** The evidence. */
      readonly detail: string;
      /** Names of the virtual routers that follow it. */
      readonly trackedBy: readonly string[];
    }
  | {
      readonly type: "reload";
      readonly at: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly changed: readonly string[];
      /** Other sections of the configuration that differ, by their keys in the file. */
      readonly settings: readonly string[];
    };

/** What became of an order to one virtual router. */
export interface Outcome {
  readonly name: string;
  readonly done: boolean;
  /** In words. */
  readonly detail: string;
}

/** One virtual router's move from one router to another. */
export interface SwitchoverMove extends Outcome {
  /** Who is Active afterwards; null where nobody took over. */
  readonly to: { readonly address: string; readonly priority: number } | null;
  /** From the release to the successor's claim: nobody advertised. Null where it is not known. */
  readonly silentMs: number | null;
  /** How long nobody forwarded, by what was advertised: the one who leaves forwards until it hears the claim. */
  readonly outageMs: number | null;
}

export interface SwitchoverReport extends Outcome {
  readonly at: string;
  /** Away from here: of this virtual router, and of those that move together with it. */
  readonly moves: readonly SwitchoverMove[];
  /** Back again; null where that was not asked for, or not tried because nobody took over. */
  readonly back: readonly SwitchoverMove[] | null;
}

/** Why a virtual router is what it is: `firsthop explain NAME`. */
export interface Explanation {
  readonly name: string;
  readonly state: VirtualRouterStateName;
  /** One sentence. */
  readonly summary: string;
  /** The facts it follows from, with the RFC section where one decides. */
  readonly because: readonly string[];
  /** What would change it. */
  readonly next: readonly string[];
}
