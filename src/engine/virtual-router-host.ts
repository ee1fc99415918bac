/** What surrounds a virtual router: the router that it belongs to, and what the network offers. */
import type { PortId } from "../core/automaton.js";
import type { VrrpEvent } from "../core/vrrp/machine.js";
import type { Heartbeat, Kernel, LinkInfo, VirtualInterface } from "../driver/driver.js";
import type { BfdSessions } from "./bfd/sessions.js";
import type { FormsStore } from "./checksum-forms.js";
import type { StateChange } from "./status.js";

/** What a virtual router needs from the router it belongs to. */
export interface VirtualRouterHost extends FormsStore {
  readonly heartbeat: Heartbeat;
  readonly kernel: Kernel;
  /** The LAN port of an interface, opened on first use; null when the interface is gone already. */
  lanPort(link: LinkInfo): PortId | null;
  bfd(): BfdSessions;
  /** The port for unicast peers. */
  datagramPort(family: "ipv4" | "ipv6", ifindex: number): PortId | null;
  wallClockMs(): number;
  setTimer(afterUs: number, run: () => void): () => void;
  /** Called before an event is processed: the flight recorder. */
  record(name: string, atUs: number, event: VrrpEvent): void;
  /** Runs something soon, leaving the event loop its turns between two of them. */
  schedule(run: () => void): void;
  stateChanged(name: string, change: StateChange): void;
  notice(level: "warning" | "info", name: string, code: string, detail: string): void;
  /** How long the kernel goes on for a router that has fallen silent; null: for ever. */
  ownershipLimitUs(): number | null;
  /** Something was prepared on an interface, with or without a filter. */
  ownershipPlaced(link: LinkInfo, place: VirtualInterface): void;
}

/** What the network offers a virtual router now. */
export interface NetworkView {
  readonly link: LinkInfo | null;
  /** Source of advertisements; null while the interface has none. */
  readonly primaryAddress: string | null;
}
