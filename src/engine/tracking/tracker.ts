/**
 * One tracker at run time: a kind's watch, and the verdict that its results make. It begins unknown; a tracker that
 * takes the place of one with other settings keeps the verdict until its first result.
 */
import type { TrackerConfig } from "../../config/index.js";
import {
  elapse,
  judge,
  type TrackerState,
  type TrackerStep,
  type TrackResult,
  UNKNOWN_TRACKER,
  type Verdict,
} from "../../core/tracking/index.js";
import type { RunningWatch, TrackerKind, TrackingServices } from "./kind.js";
import { TRACKER_KINDS } from "./kinds/index.js";

/** A change of a tracker's verdict or value. */
export interface TrackerChange {
  readonly from: Verdict;
  readonly to: Verdict;
  readonly evidence: string;
}

/** A tracker's verdict between two processes. JSON. */
export interface TrackerRecord {
  readonly name: string;
  readonly state: TrackerState;
  readonly changedAtMs: number | null;
}

export interface TrackerHost extends TrackingServices {
  readonly trackerChanged: (tracker: Tracker, change: TrackerChange) => void;
}

export class Tracker {
  readonly config: TrackerConfig;
  readonly byValue: boolean;
  readonly #host: TrackerHost;
  #state: TrackerState;
  #watch: RunningWatch | null = null;
  #ended = false;
  #cancelWake: (() => void) | null = null;
  #changedAtMs: number | null = null;
  #last: { readonly up: boolean; readonly evidence: string; readonly atMs: number } | null = null;
  readonly #results = { up: 0, down: 0 };

  constructor(
    config: TrackerConfig,
    host: TrackerHost,
    before: Pick<TrackerRecord, "state" | "changedAtMs"> | null,
  ) {
    this.config = config;
    this.#host = host;
    const kind = TRACKER_KINDS[config.spec.kind] as TrackerKind<unknown>;
    this.byValue = kind.byValue ?? false;
    this.#state = before ? inherited(before.state) : UNKNOWN_TRACKER;
    this.#changedAtMs = before?.changedAtMs ?? null;
  }

  /** Begins to watch. Apart from the constructor, because results may come at once. */
  begin(): void {
    const { config } = this;
    const kind = TRACKER_KINDS[config.spec.kind] as TrackerKind<unknown>;
    this.#watch = kind.begin({
      ...this.#host,
      spec: config.spec,
      intervalUs: config.intervalUs,
      timeoutUs: config.timeoutUs,
      tell: (result, atUs) => this.#tell(result, atUs),
    });
    if (this.#ended) this.#watch.stop();
  }

  get name(): string {
    return this.config.name;
  }

  get state(): TrackerState {
    return this.#state;
  }

  /** Since when the verdict stands, milliseconds since 1970; null while it is unknown. */
  get changedAtMs(): number | null {
    return this.#changedAtMs;
  }

  get last(): { readonly up: boolean; readonly evidence: string; readonly atMs: number } | null {
    return this.#last;
  }

  /** Results so far. */
  get results(): { readonly up: number; readonly down: number } {
    return { ...this.#results };
  }

  networkChanged(): void {
    this.#watch?.networkChanged?.();
  }

  end(): void {
    this.#ended = true;
    this.#cancelWake?.();
    this.#cancelWake = null;
    this.#watch?.stop();
    this.#watch = null;
  }

  #tell(result: TrackResult, atUs?: number): void {
    if (this.#ended) return;
    this.#results[result.up ? "up" : "down"]++;
    this.#last = { up: result.up, evidence: result.evidence, atMs: this.#host.driver.wallClockMs() };
    this.#take(judge(this.config, this.#state, result, atUs ?? this.#host.heartbeat.now()));
  }

  #take(step: TrackerStep): void {
    const from = this.#state.verdict;
    this.#state = step.state;
    this.#cancelWake?.();
    this.#cancelWake = null;
    if (step.wakeAtUs !== null) this.#wakeAt(step.wakeAtUs);
    if (!step.changed) return;
    const { verdict: to, evidence } = step.state;
    if (from !== to) this.#changedAtMs = this.#host.driver.wallClockMs();
    this.#host.trackerChanged(this, { from, to, evidence });
  }

  #wakeAt(atUs: number): void {
    const { driver, heartbeat } = this.#host;
    this.#cancelWake = driver.setTimer(Math.max(0, atUs - heartbeat.now()), () => {
      this.#cancelWake = null;
      if (!this.#ended) this.#take(elapse(this.config, this.#state, heartbeat.now()));
    });
  }
}

/** What stays of a verdict when the settings that made it are others: it stands until the first result decides. */
function inherited(state: TrackerState): TrackerState {
  return { ...UNKNOWN_TRACKER, verdict: state.verdict, evidence: state.evidence, value: state.value };
}
