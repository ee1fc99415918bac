/** What speaks VRRP in a router of the lab: firsthop or a peer of another make, behind one face. */
import { activeDownIntervalUs, skewTimeUs } from "../../src/core/vrrp/timing.js";
import type { Lab, LabFamily, LabRouter } from "../../src/lab/topology.js";
import { LAB_ADDRESSES } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";

export type SpeakerKind = "firsthop" | "keepalived" | "frr";
export type SpeakerState = "active" | "backup" | "other";

export interface SpeakerOptions {
  readonly vrid?: number;
  readonly version?: 2 | 3;
  readonly family?: LabFamily;
  readonly priority: number;
  readonly intervalMs?: number;
  /** With prefix lengths; default: the lab's gateway addresses. */
  readonly addresses?: readonly string[];
  readonly preempt?: boolean;
  readonly virtualMac?: boolean;
  /** v2 simple text password. */
  readonly password?: string;
  /** The peers' addresses, where multicast is not to be used. */
  readonly unicastPeers?: readonly string[];
  /** keepalived only: SCHED_RR priority of its VRRP process, locked in memory; 0: scheduled as packaged. */
  readonly realtimePriority?: number;
  /** firsthop only: more keys of the virtual router. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** firsthop only: more keys of the file's top level. */
  readonly top?: Readonly<Record<string, unknown>>;
}

/** Options with every default filled in. */
export interface FullSpeakerOptions extends Required<Omit<SpeakerOptions, "password" | "unicastPeers">> {
  readonly password: string | null;
  readonly unicastPeers: readonly string[] | null;
}

export function withDefaults(options: SpeakerOptions): FullSpeakerOptions {
  const family = options.family ?? "ipv4";
  return {
    vrid: options.vrid ?? 10,
    version: options.version ?? 3,
    family,
    priority: options.priority,
    intervalMs: options.intervalMs ?? 1000,
    addresses: options.addresses ?? LAB_ADDRESSES[family].virtual,
    preempt: options.preempt ?? true,
    virtualMac: options.virtualMac ?? true,
    password: options.password ?? null,
    unicastPeers: options.unicastPeers ?? null,
    realtimePriority: options.realtimePriority ?? 0,
    more: options.more ?? {},
    top: options.top ?? {},
  };
}

export interface Speaker {
  readonly kind: SpeakerKind;
  readonly router: LabRouter;
  readonly options: FullSpeakerOptions;
  state(): Promise<SpeakerState>;
  /** Ends in good order and waits for the end. */
  stop(): Promise<void>;
  /** Kills every process of it with SIGKILL and waits for the end. What it left in the kernel stays. */
  crash(): Promise<void>;
  /** Its processes now, threads not counted. */
  processes(): readonly number[];
  log(): string;
}

export type StartSpeaker = (lab: Lab, router: LabRouter, options: SpeakerOptions) => Promise<Speaker>;

/** Waits until a speaker is in a state. */
export async function reach(speaker: Speaker, state: SpeakerState, boundMs: number): Promise<void> {
  let seen: SpeakerState = "other";
  await eventually(
    `${speaker.kind} on ${speaker.router.name} is ${state}`,
    boundMs,
    async () => {
      seen = await speaker.state();
      return seen === state;
    },
    () => `it is ${seen}; its log ends: ${speaker.log().trimEnd().split("\n").slice(-6).join(" | ")}`,
  );
}

/** Skew_Time and Active_Down_Interval of a speaker, in microseconds. */
export function downIntervals(options: FullSpeakerOptions): { skewUs: number; activeDownUs: number } {
  const { version, priority } = options;
  const intervalUs = options.intervalMs * 1000;
  return {
    skewUs: skewTimeUs(version, priority, intervalUs),
    activeDownUs: activeDownIntervalUs(version, priority, intervalUs),
  };
}
