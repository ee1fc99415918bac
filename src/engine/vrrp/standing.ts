/** What was told of a virtual router's state, and when it changed last. */
import type { VrrpReason } from "../../core/vrrp/machine.js";
import type { FaultCause } from "./reasons.js";
import type { StateChange, VirtualRouterStateName } from "../status.js";

export type ChangeReason = VrrpReason | FaultCause | "preparing";

/** JSON. */
export interface StandingRecord {
  readonly shown: VirtualRouterStateName;
  readonly lastChange: StateChange | null;
}

export class Standing {
  readonly #wallClockMs: () => number;
  readonly #changed: (change: StateChange) => void;
  #record: StandingRecord = { shown: "initialize", lastChange: null };

  constructor(wallClockMs: () => number, changed: (change: StateChange) => void) {
    this.#wallClockMs = wallClockMs;
    this.#changed = changed;
  }

  get lastChange(): StateChange | null {
    return this.#record.lastChange;
  }

  get record(): StandingRecord {
    return this.#record;
  }

  /** Goes on from what another process told. */
  inherit(record: StandingRecord): void {
    this.#record = record;
  }

  /** Tells a state, unless it was told last. */
  show(to: VirtualRouterStateName, detail: string, reason: ChangeReason): void {
    const from = this.#record.shown;
    if (to === from) return;
    const at = new Date(this.#wallClockMs()).toISOString();
    const change: StateChange = { at, from, to, reason, detail };
    this.#record = { shown: to, lastChange: change };
    this.#changed(change);
  }
}
