/**
 * What the VRRP machine is made of: settings, states, events, reasons, and what follows from a state alone (its timers
 * and their lengths). States hold no time. RFC 9568 section 6.1 to 6.3.
 */
import type { IpFamily, VrrpVersion } from "./advertisement.js";
import type { VrrpEffect, VrrpTimer } from "./effects.js";
import { activeDownIntervalUs, skewTimeUs } from "./timing.js";

/** What one router knows about itself. Priority is the effective one, after tracking. */
export interface VrrpSettings {
  readonly version: VrrpVersion;
  readonly family: IpFamily;
  readonly priority: number;
  readonly addresses: readonly string[];
  /** Source address of our advertisements; decides a tie of priorities (section 6.4.3). */
  readonly primaryAddress: string;
  /** Advertisement_Interval, own configuration. */
  readonly intervalUs: number;
  /** Preempt_Mode. */
  readonly preempt: boolean;
  /** How long a lower-priority Active is tolerated after it was first heard; 0 for none. */
  readonly preemptDelayUs: number;
  /**
   * Advertisements do not leave from the MAC that hosts are told (unicast, or no virtual MAC), so the survivor of a
   * contest moves no table back with them. Who yields then claims the virtual router once more, for it to hear.
   */
  readonly yieldsAloud?: boolean;
  /** Does not become Active by itself: somebody else tells it when (`takeOver`). */
  readonly waits?: boolean;
  /** A Backup shows itself to the others as the Active does (draft-ietf-rtgwg-vrrp-bfd-p2p). */
  readonly backupAdvertisements?: boolean;
}

export interface InitializeState {
  readonly name: "initialize";
  /** The router left as Active and goes on forwarding until its successor is heard. */
  readonly handingOver: boolean;
}

export interface BackupState {
  readonly name: "backup";
  /** Active_Adver_Interval: learned from the Active (v3), own configuration until then and in v2. */
  readonly activeAdverIntervalUs: number;
  /** Whom we wait for; null until somebody is heard. */
  readonly active: { readonly address: string; readonly priority: number } | null;
  /** Preempt delay: not started, running, or over. */
  readonly preemptHold: "none" | "running" | "over";
  /** BFD said that the Active failed, and a Backup of a better rank has its turn first. */
  readonly activeFailed?: true;
  /** Would be Active by now, but `waits`. */
  readonly wants?: true;
}

export interface ActiveState {
  readonly name: "active";
  /** How many of ANNOUNCE_REPEATS_US are done. */
  readonly announced: number;
  /** Another speaker claims the virtual router: not, just now, or still although we announced ourselves. */
  readonly contest: "none" | "fresh" | "answered";
  /** The last interval a contender named; meaningful while contested. */
  readonly contenderIntervalUs: number;
  /**
   * Released the virtual router and forwards until a successor is heard. Where none is, it `returns`: goes on as
   * before; or `leaves`: becomes Backup all the same.
   */
  readonly resigning?: "returns" | "leaves";
}

export type VrrpState = InitializeState | BackupState | ActiveState;

export const INITIAL_STATE: InitializeState = { name: "initialize", handingOver: false };

export type VrrpEvent =
  | { readonly type: "startup" }
  /** `handOver`: the line works and others may follow, so say priority 0 and forward until one does. */
  | { readonly type: "shutdown"; readonly handOver: boolean }
  | { readonly type: "timer"; readonly timer: VrrpTimer }
  /** Hand over and stay as Backup; `returns`: unless nobody takes over. */
  | { readonly type: "resign"; readonly returns: boolean }
  /** Become Active now. */
  | { readonly type: "takeOver" }
  /** The kernel ceased to forward for this router and in favour of a successor that it heard. */
  | { readonly type: "gaveWay" }
  /** The effective priority is another one: `settings` has it. */
  | { readonly type: "priority" }
  /**
   * The BFD session to this address was Up and fell silent. `waitUs`: how long Backups of a better rank are given to
   * take over, 0 for the first.
   */
  | { readonly type: "bfdDown"; readonly address: string; readonly waitUs: number }
  /** An advertisement that passed every check of section 7.1. */
  | {
      readonly type: "advertisement";
      readonly source: string;
      readonly priority: number;
      readonly intervalUs: number;
    };

export type AdvertisementEvent = Extract<VrrpEvent, { type: "advertisement" }>;

/** Why a state was left; the words that `events` and `explain` build on. */
export type VrrpReason =
  | "startup"
  | "startup-owner"
  | "shutdown"
  | "active-down"
  | "bfd-down"
  | "active-released"
  | "preempted-lower-priority"
  | "higher-priority-heard"
  | "tie-lost"
  | "handed-over"
  | "no-successor"
  | "taken-over"
  | "gave-way";

export interface VrrpStep {
  readonly state: VrrpState;
  readonly effects: readonly VrrpEffect[];
  /** Set when the RFC's state changed. */
  readonly reason: VrrpReason | null;
}

/** Gaps between the repetitions of the announcement after becoming Active; the first one is immediate. */
export const ANNOUNCE_REPEATS_US: readonly number[] = [20_000, 80_000, 900_000, 4_000_000];
/** What a leaving Active grants beyond the largest Skew_Time (that of priority 1) to a successor. */
const HAND_OVER_MARGIN_US = 100_000;

/** Active_Adver_Interval as this router knows it now: as Backup, the one that it learned. */
export function currentActiveAdverIntervalUs(settings: VrrpSettings, state: VrrpState): number {
  return state.name === "backup" ? state.activeAdverIntervalUs : settings.intervalUs;
}

/** Skew_Time as this router computes it now. */
export function currentSkewTimeUs(settings: VrrpSettings, activeAdverIntervalUs: number): number {
  return skewTimeUs(settings.version, settings.priority, activeAdverIntervalUs);
}

/** Active_Down_Interval as this router computes it now. */
export function currentActiveDownIntervalUs(settings: VrrpSettings, activeAdverIntervalUs: number): number {
  return activeDownIntervalUs(settings.version, settings.priority, activeAdverIntervalUs);
}

/** How long a leaving Active waits for a successor: Skew_Time of priority 1, and a margin. */
export function handOverLimitUs(settings: VrrpSettings): number {
  return skewTimeUs(settings.version, 1, settings.intervalUs) + HAND_OVER_MARGIN_US;
}

/** Whether the virtual router was released and is still forwarded for, until a successor is heard. */
export function handsOver(state: VrrpState): boolean {
  if (state.name === "active") return state.resigning !== undefined;
  return state.name === "initialize" && state.handingOver;
}

/** Timers that may be running in a state: what the machine can be woken by. */
export function timersOf(settings: VrrpSettings, state: VrrpState): readonly VrrpTimer[] {
  switch (state.name) {
    case "initialize":
      return state.handingOver ? ["handOver"] : [];
    case "backup":
      return [
        ...(state.wants ? [] : (["activeDown"] as const)),
        ...(state.preemptHold === "running" ? (["preemptDelay"] as const) : []),
        ...(state.activeFailed ? (["rank"] as const) : []),
        ...(settings.backupAdvertisements ? (["adver"] as const) : []),
      ];
    case "active":
      if (state.resigning) return ["handOver"];
      return [
        "adver",
        ...(state.announced < ANNOUNCE_REPEATS_US.length ? (["announce"] as const) : []),
        ...(state.contest !== "none" ? (["refresh"] as const) : []),
      ];
  }
}
