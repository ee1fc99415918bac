/** What the trackers that somebody follows make of his priority, at one moment. */
import {
  effectivePriority,
  type TrackEffect,
  type Tracked,
  trackedDelta,
  type Verdict,
} from "../../core/tracking/index.js";
import type { TrackingStatus } from "../status.js";

export interface FollowedTracker {
  readonly tracked: Tracked;
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly effect: TrackEffect;
}

export class Followed {
  readonly #list: readonly FollowedTracker[];

  constructor(list: readonly FollowedTracker[]) {
    this.#list = list;
  }

  /** The sum of weights that counts now. */
  get delta(): number {
    return trackedDelta(this.#effects());
  }

  priority(base: number): number {
    return effectivePriority(base, this.#effects());
  }

  /** Trackers that forbid Active, with their evidence. */
  get forbidding(): readonly { readonly tracker: string; readonly evidence: string }[] {
    return this.#list
      .filter((one) => one.effect.effect === "forbids")
      .map(({ tracked, evidence }) => ({ tracker: tracked.tracker, evidence }));
  }

  /** Trackers whose first result a start waits for. */
  get awaited(): readonly string[] {
    return this.#list.filter((one) => one.effect.effect === "waits").map((one) => one.tracked.tracker);
  }

  /** What now decides, in words: "isp is down (203.0.113.1 is silent): -50". */
  describe(): readonly string[] {
    return this.#list.flatMap(({ tracked, verdict, evidence, effect }) => {
      const what = `${tracked.tracker} is ${verdict} (${evidence})`;
      if (effect.effect === "forbids") return [`${what}: forbids Active`];
      const delta = `${effect.delta > 0 ? "+" : ""}${effect.delta}`;
      if (effect.effect === "weight") return effect.delta === 0 ? [] : [`${what}: ${delta}`];
      const goesOn = effect.delta === 0 ? "" : `, ${delta} as for its former target until then`;
      return [`${tracked.tracker} has no result yet: a start waits for it${goesOn}`];
    });
  }

  status(): readonly TrackingStatus[] {
    return this.#list.map(({ tracked, verdict, effect }) => ({
      tracker: tracked.tracker,
      state: verdict,
      weight: tracked.weight,
      reverse: tracked.reverse,
      effect: effect.effect,
      delta: effect.effect === "forbids" ? 0 : effect.delta,
    }));
  }

  #effects(): TrackEffect[] {
    return this.#list.map((one) => one.effect);
  }
}
