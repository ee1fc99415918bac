/**
 * One tracker at run time: a kind's watch, and the verdict that its results make. It begins unknown; a tracker that
 * takes the place of one with other settings keeps the verdict until its own results contradict it.
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
  type VerdictSettings,
} from "../../core/tracking/index.js";
import { isShortage } from "../../shortage-advice.js";
import type { MaskedTarget, RunningWatch, TrackerKind, TrackingServices } from "./kind.js";
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
  /** A check could not be made; the verdict stands. */
  readonly untried: (name: string, why: string) => void;
  /** It still has no result, and whom it only weighs is to wait no longer. */
  readonly overdue: (tracker: Tracker) => void;
}

/**
 * So long a start waits for the first result of a tracker with a weight: longer than most take, and not so long that a LAN
 * without any Active would suffer from what only is to choose between two.
 */
const FIRST_RESULT_WAIT_US = 3_000_000;

/** Until a watch that this machine had too little for is tried again. */
const RETRY_AFTER_US = 1_000_000;

/** For results that decide at once. */
const AT_ONCE: VerdictSettings = { fall: 1, rise: 1, upDelayUs: 0, downDelayUs: 0, damping: null };

export class Tracker {
  readonly config: TrackerConfig;
  readonly byValue: boolean;
  readonly byNews: boolean;
  readonly #kind: TrackerKind<unknown>;
  readonly #host: TrackerHost;
  /** What it looks at, where that is one address. */
  readonly #address: string | null;
  #mac: string | null = null;
  #maskedBy: string | null = null;
  #unfollow: (() => void) | null = null;
  /** The next result decides at once: it was masked before. */
  #fresh = false;
  #state: TrackerState;
  #watch: RunningWatch | null = null;
  /** A kind that begins may tell its first result at once. */
  #beginning = false;
  #ended = false;
  #cancelWake: (() => void) | null = null;
  #cancelOverdue: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #overdue = false;
  #changedAtMs: number | null = null;
  #last: { readonly up: boolean; readonly evidence: string; readonly atMs: number } | null = null;
  readonly #results = { up: 0, down: 0 };

  constructor(
    config: TrackerConfig,
    host: TrackerHost,
    before: Pick<TrackerRecord, "state" | "changedAtMs"> | null,
    /** `before` was made with the same settings, in another process. */
    goesOn: boolean,
  ) {
    this.config = config;
    this.#host = host;
    this.#kind = TRACKER_KINDS[config.spec.kind] as TrackerKind<unknown>;
    this.byValue = this.#kind.byValue ?? false;
    this.byNews = this.#kind.byNews ?? false;
    this.#address = "address" in config.spec ? config.spec.address : null;
    this.#state = UNKNOWN_TRACKER;
    if (before)
      this.#state = goesOn ? { ...UNKNOWN_TRACKER, ...before.state } : inherited(before.state, config);
    this.#changedAtMs = before?.changedAtMs ?? null;
  }

  /** Begins to watch. Apart from the constructor, because results may come at once. */
  begin(): void {
    if (this.#state.pendingSinceUs !== null)
      this.#take(elapse(this.config, this.#state, this.#host.heartbeat.now()));
    this.#followMac();
    this.#weighMask();
    if (this.#ended || this.#state.verdict !== "unknown") return;
    this.#cancelOverdue = this.#host.driver.setTimer(FIRST_RESULT_WAIT_US, () => {
      this.#overdue = true;
      if (this.#state.verdict === "unknown") this.#host.overdue(this);
    });
  }

  maskChanged(): void {
    if (this.#ended) return;
    this.#followMac();
    this.#weighMask();
    this.#watch?.maskChanged?.();
  }

  get name(): string {
    return this.config.name;
  }

  get state(): TrackerState {
    return this.#state;
  }

  get overdue(): boolean {
    return this.#overdue;
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
    return this.#watch?.results?.() ?? { ...this.#results };
  }

  /** What the verdict rests on; of some kinds, what they see now. */
  get evidence(): string {
    return this.#watch?.evidence?.() ?? this.#state.evidence;
  }

  /** Whom the mask table keeps it from. */
  get masked(): readonly MaskedTarget[] {
    if (this.#maskedBy === null || this.#address === null) return this.#watch?.masked?.() ?? [];
    return [{ address: this.#address, mac: this.#mac, by: this.#maskedBy }];
  }

  networkChanged(): void {
    this.#watch?.networkChanged?.();
  }

  end(): void {
    this.#ended = true;
    this.#cancelWake?.();
    this.#cancelWake = null;
    this.#cancelOverdue?.();
    this.#cancelRetry?.();
    this.#unfollow?.();
    this.#unfollow = null;
    this.#watch?.stop();
    this.#watch = null;
  }

  #watchNow(): void {
    this.#beginning = true;
    let begun: RunningWatch | null = null;
    try {
      begun = this.#begun();
    } catch (error) {
      if (!isShortage(error)) throw error;
      this.#watchLater((error as Error).message);
    } finally {
      this.#beginning = false;
    }
    // What it told at once may have ended the tracker, or shown whose address it is.
    if (this.#ended || this.#maskedBy !== null) begun?.stop();
    else this.#watch = begun;
  }

  /** This machine has too little of what it takes to look: what was known stays. */
  #watchLater(why: string): void {
    this.#host.untried(this.name, why);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#host.driver.setTimer(RETRY_AFTER_US, () => {
      this.#cancelRetry = null;
      if (!this.#ended) this.#weighMask();
    });
  }

  #begun(): RunningWatch {
    const { config } = this;
    return this.#kind.begin({
      ...this.#host,
      spec: config.spec,
      intervalUs: config.intervalUs,
      timeoutUs: config.timeoutUs,
      fall: config.fall,
      rise: config.rise,
      verdict: this.#fresh ? "unknown" : this.#state.verdict,
      tell: (result, atUs) => this.#tell(result, atUs),
      untried: (why) => {
        if (!this.#ended) this.#host.untried(this.name, why);
      },
    });
  }

  /** Watches, unless the mask table keeps checks from its address: what is not looked at does not fail. */
  #weighMask(): void {
    const address = this.#address;
    this.#mac = this.#watch?.mac?.() ?? this.#mac;
    const before = this.#maskedBy;
    this.#maskedBy = address === null ? null : this.#host.mask.maskedBy(address, this.#mac);
    if (this.#maskedBy === null) {
      this.#fresh ||= before !== null;
      if (!this.#watch && !this.#beginning) this.#watchNow();
      return;
    }
    this.#watch?.stop();
    this.#watch = null;
    if (this.#maskedBy === before) return;
    const evidence = `${address} is masked by ${this.#maskedBy}`;
    this.#take(judge(AT_ONCE, this.#state, { up: true, evidence }, this.#host.heartbeat.now()));
  }

  /** Whose address it is matters where the mask table names MAC addresses; a neighbour's shows on its link. */
  #followMac(): void {
    const { spec } = this.config;
    const name = "interface" in spec ? spec.interface : null;
    const wanted = this.#host.mask.namesMacs && this.#address !== null && name !== null;
    if (!wanted) {
      this.#unfollow?.();
      this.#unfollow = null;
      return;
    }
    try {
      this.#unfollow ??= this.#host.prober.followNeighbours(name, (seen) => {
        if (seen.address !== this.#address || seen.mac === this.#mac) return;
        this.#mac = seen.mac;
        this.#weighMask();
      });
    } catch (error) {
      if (!isShortage(error)) throw error;
      this.#host.untried(this.name, (error as Error).message);
    }
  }

  #tell(result: TrackResult, atUs?: number): void {
    if (this.#ended) return;
    if (this.#host.mask.namesMacs) this.#weighMask();
    if (this.#maskedBy !== null) return;
    this.#results[result.up ? "up" : "down"]++;
    this.#last = { up: result.up, evidence: result.evidence, atMs: this.#host.driver.wallClockMs() };
    const settings = this.#fresh
      ? AT_ONCE
      : this.#kind.counted
        ? { ...this.config, fall: 1, rise: 1 }
        : this.config;
    this.#fresh = false;
    this.#take(judge(settings, this.#state, result, atUs ?? this.#host.heartbeat.now()));
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
    this.#cancelWake = driver.setAlarm(atUs, () => {
      this.#cancelWake = null;
      if (!this.#ended) this.#take(elapse(this.config, this.#state, heartbeat.now()));
    });
  }
}

/**
 * What stays of a verdict when the settings that made it are others: it stands until enough results contradict it, and
 * what was damped has to prove itself all the same.
 */
function inherited(state: TrackerState, { damping }: TrackerConfig): TrackerState {
  const { verdict, evidence, value, fallsUs, damped } = state;
  const past = damping ? { fallsUs, damped } : {};
  return { ...UNKNOWN_TRACKER, verdict, evidence, value, ...past };
}
