/**
 * What a kind of tracker does at run time. A kind is a file in kinds/ and a line in kinds/index.ts; its configuration
 * is in config/trackers. A kind turns facts into results; what results make of a verdict is core/tracking's.
 */
import type { TrackerSpec } from "../../config/index.js";
import type { TrackResult, Verdict } from "../../core/tracking/verdict.js";
import type { Driver, Heartbeat, Kernel, Prober, Probes } from "../../driver/driver.js";
import type { BfdSessions } from "../bfd/sessions.js";
import type { NetworkCache } from "../lan/network.js";
import type { MaskTable } from "./mask-table.js";

/** What kinds work with; one for all trackers of a router. */
export interface TrackingServices {
  readonly driver: Driver;
  readonly heartbeat: Heartbeat;
  readonly kernel: Kernel;
  readonly network: NetworkCache;
  readonly probes: Probes;
  bfd(): BfdSessions;
  readonly prober: Prober;
  readonly mask: MaskTable;
  /**
   * The own address that probes to `target` leave from: never a virtual one. Null: the interface is not there or has
   * none of this family.
   */
  sourceOn(interfaceName: string, target: string): string | null;
  /** Whether an address is on this machine, or a virtual one of the configuration, wherever that is now. */
  isOwn(address: string): boolean;
}

/** One tracker's watch, as its kind sees it. */
export interface Watch<Spec> extends TrackingServices {
  readonly spec: Spec;
  readonly intervalUs: number;
  readonly timeoutUs: number;
  /** For kinds whose results come counted. */
  readonly fall: number;
  readonly rise: number;
  /** What is known when it begins: of settings before these, or of another process. */
  readonly verdict: Verdict;
  /** A check ended. `atUs` (monotonic): when, default now. After the end of the watch it does nothing. */
  tell(result: TrackResult, atUs?: number): void;
  /** A check could not be made for want of something on this machine. */
  untried(why: string): void;
}

/** Somebody whom the mask table keeps checks from. */
export interface MaskedTarget {
  readonly address: string;
  readonly mac: string | null;
  /** The entry. */
  readonly by: string;
}

/** A watch that was begun. */
export interface RunningWatch {
  /** Links or addresses changed. */
  networkChanged?(): void;
  /** The mask table changed; for kinds that look at more than one address. */
  maskChanged?(): void;
  /** Checks so far, where not each of them is told. */
  results?(): { readonly up: number; readonly down: number };
  /** The MAC address of who answered last, where it is seen. */
  mac?(): string | null;
  /** What it sees now, where that changes without the verdict. */
  evidence?(): string | null;
  /** Whom it leaves out, of several that it could look at. */
  masked?(): readonly MaskedTarget[];
  /** Ends it; nothing of it stays. */
  stop(): void;
}

export interface TrackerKind<Spec> {
  /** The number that it tells counts, not the verdict. */
  readonly byValue?: boolean;
  /** What it tells went through fall and rise already. */
  readonly counted?: boolean;
  /** News of links are what it lives on: it has each of them at once. */
  readonly byNews?: boolean;
  begin(watch: Watch<Spec>): RunningWatch;
}

export type SpecOf<Kind extends TrackerSpec["kind"]> = Extract<TrackerSpec, { kind: Kind }>;
