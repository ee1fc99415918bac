/** What the lab plans, sees and says: plain data between the runner and whoever shows it. */
import type { StripCell } from "./statistics.js";
import type { LabFamily } from "./topology.js";

/** `bounded`: the outage lasts Active_Down_Interval at most. `lossless`: no packet is lost. */
export type PromiseKind = "bounded" | "lossless";

/** What is done to router 1, the Active one in normal times. */
export type LabAction =
  | "cut-lines"
  | "restore-lines"
  | "cut-lan"
  | "restore-lan"
  | "mute-port"
  | "restore-port"
  | "kill-daemon"
  | "stop-daemon"
  | "start-daemon";

export interface StepPlan {
  readonly scenario: string;
  readonly action: LabAction;
  readonly title: string;
  readonly promise: PromiseKind;
  /** Index of the router that must be Active afterwards. */
  readonly successor: 1 | 2;
}

export interface LabSettings {
  readonly family: LabFamily;
  readonly intervalMs: number;
  /** Packets a second. */
  readonly rate: number;
  readonly vrid: number;
  /** By router, in order. */
  readonly priorities: readonly number[];
}

export type HappeningKind = "act" | "state" | "advert" | "packet" | "trouble";

/** Something worth a line. */
export interface Happening {
  /** Relative to the moment in which the lab acted. */
  readonly atMs: number;
  /** "r1", "r2", "host" or "lab". */
  readonly who: string;
  readonly kind: HappeningKind;
  readonly text: string;
  /** For `state`: the change itself, in the daemon's words. */
  readonly change?: { readonly from: string; readonly to: string; readonly reason: string };
}

export type RouterStateName =
  | "initialize"
  | "backup"
  | "active"
  | "fault"
  | "killed"
  | "stopped"
  | "starting";

/** A router as the drawing shows it. */
export interface RouterView {
  readonly name: string;
  readonly priority: number;
  readonly state: RouterStateName;
  readonly lan: LineView;
  readonly upstream: LineView;
  /** Whether it carried the host's packets a moment ago. */
  readonly carries: boolean;
}

/** `muted`: up, but the switch drops everything. */
export type LineView = "up" | "cut" | "muted";

/** The host's packets over a stretch of time, in cells; `carried` of a cell is by router. */
export interface StripView {
  /** Beginning of the first cell, relative to the moment in which the lab acted. */
  readonly fromMs: number;
  readonly cellMs: number;
  readonly cells: readonly StripCell[];
}

/** A step under way. */
export interface StepView {
  readonly number: number;
  readonly total: number;
  readonly plan: StepPlan;
  readonly nowMs: number;
  readonly happenings: readonly Happening[];
  readonly routers: readonly RouterView[];
  readonly strip: StripView;
}

/** What was measured in a step, before it is judged. */
export interface Measurement {
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  /** The longest time without an arrival. */
  readonly longestGapMs: number;
  /** The longest way that a packet took. */
  readonly slowestMs: number;
  /** How long the host itself sent nothing although it should have: the machine stood still. */
  readonly stallMs: number;
  /** 3 x interval + skew of the router that takes over. */
  readonly activeDownIntervalMs: number;
  /** First packet through the successor, after its last advertisement heard, minus Active_Down_Interval. */
  readonly afterDeadlineMs: number | null;
  /** Whether the measurement itself is sound and the roles are as planned; else why not. */
  readonly trouble: string | null;
}

export interface StepResult extends Measurement {
  readonly number: number;
  readonly total: number;
  readonly plan: StepPlan;
  readonly intervalMs: number;
  /** 0 when nothing was lost. */
  readonly outageMs: number;
  readonly kept: boolean;
  /** Why it wasn't kept; empty when it was. */
  readonly broken: readonly string[];
  readonly happenings: readonly Happening[];
  readonly strip: StripView;
  readonly routers: readonly RouterView[];
}

/** Where the lab tells what it does. */
export interface LabReporter {
  /** The world stands, the host sends, router 1 is Active. `setUpMs` is how long that took. */
  began(settings: LabSettings, routers: readonly RouterView[], setUpMs: number): void;
  /** Several times a second while a step runs. */
  tick(view: StepView): void;
  stepEnded(result: StepResult): void;
  /** Something takes a while; null: it is over. */
  busy(text: string | null): void;
  ended(results: readonly StepResult[], elapsedMs: number): void;
}
