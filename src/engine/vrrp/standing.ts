/** What is told of a virtual router's state: under which name, why it changed, and when it changed last. */
import type { VrrpEvent, VrrpReason, VrrpSettings, VrrpState } from "../../core/vrrp/machine.js";
import type { StateChange, VirtualRouterStateName } from "../status.js";
import type { Followed } from "../tracking/followed.js";
import { describeCauses, describeChange, type FaultCause, LEFT, waitingFor } from "./reasons.js";

type ChangeReason = VrrpReason | FaultCause | "preparing";

/** JSON. */
export interface StandingRecord {
  readonly shown: VirtualRouterStateName;
  readonly lastChange: StateChange | null;
}

export interface StandingOwner {
  state(): VrrpState;
  /** What keeps it from running. */
  causes(): ReadonlySet<FaultCause>;
  tracking(): Followed;
  /** What its sync group suffers from. */
  groupFault(): string | null;
  wallClockMs(): number;
  changed(change: StateChange): void;
}

export class Standing {
  readonly #owner: StandingOwner;
  #record: StandingRecord = { shown: "initialize", lastChange: null };

  constructor(owner: StandingOwner) {
    this.#owner = owner;
  }

  /** The state as users know it: a machine that may not run is in fault. */
  get state(): VirtualRouterStateName {
    const { name } = this.#owner.state();
    if (name !== "initialize") return name;
    return this.#owner.causes().size > 0 ? "fault" : "initialize";
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

  /** Another process had it, and its state may have changed in between. */
  tellExchange(): void {
    this.#tell(this.state, "changed while one process followed another", "startup");
  }

  /** The machine does not run: what keeps it, or what it waits for. `ready`: the kernel holds what it needs. */
  tellWaiting(ready: boolean): void {
    const causes = this.#owner.causes();
    const [cause = "preparing"] = causes;
    this.#tell(
      this.state,
      this.#describe(causes) || waitingFor(ready, this.#owner.tracking().awaited),
      cause,
    );
  }

  /** The machine made a step. `order`: why it was told to move. */
  tellStep(
    reason: VrrpReason,
    settings: VrrpSettings,
    before: VrrpState,
    event: VrrpEvent,
    order: string,
  ): void {
    const all = this.#owner.causes();
    const causes = all.has("control-lost") ? new Set<FaultCause>(["control-lost"]) : all;
    const [cause] = causes;
    if (reason === "shutdown" && cause) this.#tell(this.state, this.#describe(causes), cause);
    else this.#tell(this.state, describeChange(reason, settings, before, event, order), reason);
  }

  /** One in fault left long ago; whoever follows its state is to hear that it is no more. */
  tellLeft(): void {
    this.#tell("initialize", LEFT, "shutdown");
  }

  /** What is wrong, in a sentence, with the trackers' evidence. */
  #describe(causes: ReadonlySet<FaultCause>): string {
    return describeCauses(causes, this.#owner.tracking().forbidding, this.#owner.groupFault()).join("; ");
  }

  /** Tells a state, unless it was told last. */
  #tell(to: VirtualRouterStateName, detail: string, reason: ChangeReason): void {
    const from = this.#record.shown;
    if (to === from) return;
    const at = new Date(this.#owner.wallClockMs()).toISOString();
    const change: StateChange = { at, from, to, reason, detail };
    this.#record = { shown: to, lastChange: change };
    this.#owner.changed(change);
  }
}
