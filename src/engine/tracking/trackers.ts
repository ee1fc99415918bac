/** All trackers of a router: each runs once, whoever tracks it. */
import type { TrackerConfig } from "../../config/index.js";
import { type Tracked, type Tracking, trackEffect } from "../../core/tracking/index.js";
import type { TrackStatus } from "../status.js";
import { Followed } from "./followed.js";
import type { TrackingServices } from "./kind.js";
import { Tracker, type TrackerChange, type TrackerRecord } from "./tracker.js";

/** What the machine lacks is told at most this often, however many checks want for it. */
const UNTRIED_TOLD_US = 60_000_000;

export interface TrackersHost {
  changed(tracker: TrackerConfig, change: TrackerChange): void;
  /** Whoever follows it starts without its first result. */
  overdue(name: string): void;
  /** Checks can't be made, in a line; seldom. */
  untried(name: string, detail: string): void;
}

export class Trackers {
  readonly #services: TrackingServices;
  readonly #to: TrackersHost;
  #untriedToldUs = Number.NEGATIVE_INFINITY;
  readonly #trackers = new Map<string, Tracker>();
  /** What was known of another target, by the name of the tracker that has a new one. */
  readonly #former = new Map<string, Tracking>();
  #cancelNews: (() => void) | null = null;

  constructor(services: TrackingServices, host: TrackersHost) {
    this.#services = services;
    this.#to = host;
  }

  /**
   * Takes over a configuration: what did not change goes on, with its verdict and its counts. `inherited`: verdicts that
   * another process reached.
   */
  apply(configs: readonly TrackerConfig[], inherited: readonly TrackerRecord[] = []): void {
    const wanted = new Map(configs.map((one) => [one.name, one]));
    for (const [name, tracker] of this.#trackers) {
      if (wanted.has(name)) continue;
      tracker.end();
      this.#trackers.delete(name);
      this.#former.delete(name);
    }
    const begun: Tracker[] = [];
    for (const config of configs) {
      const before = this.#trackers.get(config.name) ?? null;
      if (before && JSON.stringify(before.config) === JSON.stringify(config)) continue;
      before?.end();
      const sameThing =
        before?.config.target === config.target && before.config.spec.kind === config.spec.kind;
      if (before && !sameThing && before.state.verdict !== "unknown") {
        const { state, byValue } = before;
        this.#former.set(config.name, { verdict: state.verdict, value: state.value, byValue });
      }
      const record = inherited.find(({ name }) => name === config.name) ?? null;
      const tracker = new Tracker(
        config,
        this.#host(),
        sameThing ? before : record,
        !sameThing && record !== null,
      );
      this.#trackers.set(config.name, tracker);
      begun.push(tracker);
    }
    for (const tracker of begun) tracker.begin();
  }

  /** What a list of trackers makes of a priority now. */
  follow(list: readonly Tracked[]): Followed {
    return new Followed(
      list.map((tracked) => {
        const tracker = this.#trackers.get(tracked.tracker);
        const { verdict, value, evidence } = tracker?.state ?? {
          verdict: "unknown",
          value: null,
          evidence: "",
        };
        const { byValue = false, overdue = false } = tracker ?? {};
        const former = this.#former.get(tracked.tracker) ?? null;
        const effect = trackEffect(tracked, { verdict, value, byValue, overdue, former });
        return { tracked, verdict, evidence, effect };
      }),
    );
  }

  /** For the process that goes on with them. */
  records(): TrackerRecord[] {
    return [...this.#trackers.values()].map(({ name, state, changedAtMs }) => ({ name, state, changedAtMs }));
  }

  /**
   * Those that look for their source address anew do so once for all that is new: when hundreds of virtual routers move,
   * hundreds of news come in.
   */
  networkChanged(): void {
    for (const tracker of this.#trackers.values()) if (tracker.byNews) tracker.networkChanged();
    this.#cancelNews ??= this.#services.driver.setTimer(0, () => {
      this.#cancelNews = null;
      this.#services.prober.refresh();
      for (const tracker of this.#trackers.values()) if (!tracker.byNews) tracker.networkChanged();
    });
  }

  maskChanged(): void {
    for (const tracker of this.#trackers.values()) tracker.maskChanged();
  }

  /** `followers`: names of those who track a tracker. */
  status(followers: (tracker: string) => readonly string[]): readonly TrackStatus[] {
    return [...this.#trackers.values()].map((tracker) => statusOf(tracker, followers(tracker.name)));
  }

  end(): void {
    this.#cancelNews?.();
    this.#cancelNews = null;
    for (const tracker of this.#trackers.values()) tracker.end();
    this.#trackers.clear();
  }

  #host(): ConstructorParameters<typeof Tracker>[1] {
    return {
      ...this.#services,
      trackerChanged: (tracker, change) => this.#to.changed(tracker.config, change),
      overdue: (tracker) => this.#to.overdue(tracker.name),
      untried: (name, why) => {
        const nowUs = this.#services.heartbeat.now();
        if (nowUs - this.#untriedToldUs < UNTRIED_TOLD_US) return;
        this.#untriedToldUs = nowUs;
        this.#to.untried(name, `not checked, what was known stays: ${why}`);
      },
    };
  }
}

function statusOf(tracker: Tracker, trackedBy: readonly string[]): TrackStatus {
  const { config, state, last } = tracker;
  const stamp = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString());
  return {
    name: config.name,
    kind: config.spec.kind,
    target: config.target,
    state: state.verdict,
    evidence: tracker.evidence,
    value: state.value,
    since: stamp(tracker.changedAtMs),
    damped: state.damped,
    changing: state.against > 0 || state.pendingSinceUs !== null,
    weight: config.weight,
    reverse: config.reverse,
    intervalMs: config.intervalUs / 1000,
    timeoutMs: config.timeoutUs / 1000,
    fall: config.fall,
    rise: config.rise,
    last: last === null ? null : { up: last.up, evidence: last.evidence, at: stamp(last.atMs) as string },
    results: tracker.results,
    masked: tracker.masked,
    trackedBy,
  };
}
