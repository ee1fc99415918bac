/**
 * The other Backups of a virtual router, as their backup advertisements show them (draft-ietf-rtgwg-vrrp-bfd-p2p): one
 * machine for each, which forgets who was silent for three of its intervals, and the order in which they take over.
 * As in `machine.ts`, `step` knows no clock.
 */
import { compareAddresses } from "../address.js";
import { PRIORITY_RELEASE } from "./advertisement.js";

/** Who would be Active, as far as that decides an election. */
export interface Contender {
  readonly address: string;
  readonly priority: number;
}

/** `gone`: it was silent for too long, or said that it is a Backup no longer. */
export type PeerState =
  | { readonly name: "heard"; readonly priority: number; readonly intervalUs: number }
  | { readonly name: "gone" };

export const PEER_GONE: PeerState = { name: "gone" };

export const PEER_TIMERS = ["aging"] as const;
export const PEER_COUNTERS = ["backupAdvertisementRcvd"] as const;

export type PeerEvent =
  | { readonly type: "heard"; readonly priority: number; readonly intervalUs: number }
  | { readonly type: "timer"; readonly timer: (typeof PEER_TIMERS)[number] };

export type PeerEffect =
  | { readonly effect: "arm"; readonly timer: (typeof PEER_TIMERS)[number]; readonly afterUs: number }
  | { readonly effect: "cancel"; readonly timer: (typeof PEER_TIMERS)[number] }
  | { readonly effect: "count"; readonly counter: (typeof PEER_COUNTERS)[number] };

export interface PeerStep {
  readonly state: PeerState;
  readonly effects: readonly PeerEffect[];
}

const AGED_AFTER_INTERVALS = 3;

/** What it said last is all that counts, whatever it was before. */
export function stepPeer(event: PeerEvent): PeerStep {
  if (event.type === "timer") return { state: PEER_GONE, effects: [] };
  const { priority, intervalUs } = event;
  const counted: PeerEffect = { effect: "count", counter: "backupAdvertisementRcvd" };
  if (priority === PRIORITY_RELEASE)
    return { state: PEER_GONE, effects: [counted, { effect: "cancel", timer: "aging" }] };
  const afterUs = AGED_AFTER_INTERVALS * intervalUs;
  return {
    state: { name: "heard", priority, intervalUs },
    effects: [counted, { effect: "arm", timer: "aging", afterUs }],
  };
}

/** Negative when `a` comes before `b`: by priority, then by address, as section 6.4.3 of RFC 9568 decides a tie. */
export function compareContenders(a: Contender, b: Contender): number {
  return b.priority - a.priority || compareAddresses(b.address, a.address);
}

/** The place of `own` among the Backups, from 1 on. */
export function rankAmong(own: Contender, backups: readonly Contender[]): number {
  return 1 + backups.filter((one) => compareContenders(one, own) < 0).length;
}
