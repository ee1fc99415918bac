/** What surrounds a virtual router: the router that it belongs to, and what the network offers. */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { PortId } from "../../core/automaton.js";
import type { MemberView } from "../../core/sync-group.js";
import type { VrrpEvent, VrrpReason, VrrpState } from "../../core/vrrp/machine.js";
import type { RejectCounter } from "../../core/vrrp/validate.js";
import type { Heartbeat, Kernel, LinkInfo, SessionId, VirtualInterface } from "../../driver/driver.js";
import type { BfdSessions } from "../bfd/sessions.js";
import type { GlobalStatistics, StateChange } from "../status.js";
import type { FormsStore } from "./checksum-forms.js";
import type { FrozenMachine } from "./machine-session.js";
import type { FrozenPeerTable } from "./peer-table.js";
import type { StandingRecord } from "./standing.js";

/** What a virtual router needs from the router it belongs to. */
export interface VirtualRouterHost extends FormsStore {
  readonly heartbeat: Heartbeat;
  readonly kernel: Kernel;
  /** The LAN port of an interface, opened on first use; null when the interface is gone already, or refused it. */
  lanPort(link: LinkInfo): PortId | null;
  bfd(): BfdSessions;
  /** Reports of another session concern the virtual router with session `own`, too; until it is released. */
  adopt(session: SessionId, own: SessionId): void;
  release(session: SessionId): void;
  /** The port for unicast peers. */
  datagramPort(family: "ipv4" | "ipv6", ifindex: number): PortId | null;
  wallClockMs(): number;
  /** When the router was opened, monotonic microseconds: start-up delays count from then. */
  openedAtUs(): number;
  setTimer(afterUs: number, run: () => void): () => void;
  /** Called before an event is processed: the flight recorder. */
  record(name: string, atUs: number, event: VrrpEvent): void;
  /** Runs something soon, leaving the event loop its turns between two of them. */
  schedule(run: () => void): void;
  stateChanged(name: string, change: StateChange): void;
  /** After each step of the machine, and each change of what keeps it from running. */
  moved(one: Mover, move: Move | null): void;
  notice(level: "warning" | "info", name: string, code: string, detail: string): void;
  /** How long the kernel goes on for a router that has fallen silent; null: for ever. */
  ownershipLimitUs(): number | null;
  /** Something was prepared on an interface, with or without a filter. */
  placed(session: SessionId, link: LinkInfo, place: VirtualInterface): void;
}

/** What the network offers a virtual router now. */
export interface NetworkView {
  readonly link: LinkInfo | null;
  /** Source of advertisements; null while the interface has none. */
  readonly primaryAddress: string | null;
  /** There is too little of something for sockets on the interface. */
  readonly socketsRefused: boolean;
}

/** A virtual router that moved, as those see it who follow moves. */
export interface Mover {
  readonly name: string;
  readonly config: VirtualRouterConfig;
  /** Null outside of sync groups. */
  groupView(): MemberView | null;
}

/** A step of the machine that changed its state. */
export interface Move {
  readonly before: VrrpState;
  readonly after: VrrpState;
  readonly reason: VrrpReason | null;
  /** The passed deadline or the frame's arrival, monotonic microseconds. */
  readonly atUs: number;
}

/** Counters that only JavaScript moves; the others live in the engine (VRRP_COUNTERS). */
export type OwnCounter = Exclude<RejectCounter, keyof GlobalStatistics>;

export function nothingRejected(): Record<OwnCounter, number> {
  return {
    intervalErrors: 0,
    invalidTypePktsRcvd: 0,
    addressListErrors: 0,
    packetLengthErrors: 0,
    invalidAuthType: 0,
    authTypeMismatch: 0,
    authenticationFailures: 0,
  };
}

/** A virtual router between two processes. */
export interface FrozenVirtualRouter {
  readonly machine: FrozenMachine;
  readonly standing: StandingRecord;
  readonly rejected: Readonly<Record<OwnCounter, number>>;
  readonly controlLost: boolean;
  /** Missing where the process before knew of none. */
  readonly peers?: FrozenPeerTable;
}
