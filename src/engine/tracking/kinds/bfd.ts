/** bfd: up is a BFD session that is Up. The session may be one that others use as well. */
import type { BfdState, BfdStep } from "../../../core/bfd/machine.js";
import type { TrackResult } from "../../../core/tracking/verdict.js";
import type { BfdWatch } from "../../bfd/sessions.js";
import { describeDuration } from "../../duration.js";
import type { RunningWatch, SpecOf, TrackerKind, Watch } from "../kind.js";

/** How long a neighbour has to answer at the start: a session comes up at one packet a second. */
const ANSWER_WITHIN_US = 4_000_000;

export const bfdKind: TrackerKind<SpecOf<"bfd">> = {
  begin: (watch) => new BfdTracking(watch),
};

class BfdTracking implements RunningWatch {
  readonly #watch: Watch<SpecOf<"bfd">>;
  #session: BfdWatch | null = null;
  #place = "";
  #cancelPatience: (() => void) | null = null;

  constructor(watch: Watch<SpecOf<"bfd">>) {
    this.#watch = watch;
    this.networkChanged();
  }

  /** The session runs between addresses of one interface: another one of these is another session. */
  networkChanged(): void {
    const { spec, network } = this.#watch;
    const name = spec.interface ?? network.interfaceTowards(spec.address);
    const local = name === null ? null : (spec.source ?? this.#watch.sourceOn(name, spec.address));
    const place = name === null || local === null ? `no way to ${spec.address}` : `${name} ${local}`;
    if (place === this.#place) return;
    this.#place = place;
    this.#session?.close();
    this.#session = null;
    if (name === null || local === null) {
      this.#watch.tell({
        up: false,
        evidence: `${spec.address} is on no network of ${name ?? "this machine"}`,
      });
      return;
    }
    this.#session = this.#watch.bfd().watch(
      { interface: name, local, remote: spec.address },
      {
        user: `tracker bfd:${spec.address}`,
        terms: {
          intervalUs: this.#watch.intervalUs,
          multiplier: spec.multiplier,
          authentication: spec.authentication,
        },
        changed: (state, reason) => this.#changed(state, reason),
      },
    );
    if (this.#session.state.name === "up") this.#changed(this.#session.state, "up");
    else this.#waitForAnswer();
  }

  stop(): void {
    this.#cancelPatience?.();
    this.#session?.close();
    this.#session = null;
  }

  #waitForAnswer(): void {
    this.#cancelPatience?.();
    this.#cancelPatience = this.#watch.driver.setTimer(ANSWER_WITHIN_US, () => {
      this.#cancelPatience = null;
      const state = this.#session?.state;
      if (!state || state.name === "up") return;
      this.#watch.tell(
        state.remote?.state === "adminDown"
          ? this.#adminDown()
          : { up: false, evidence: `${this.#watch.spec.address} does not answer BFD` },
      );
    });
  }

  #changed(state: BfdState, reason: BfdStep["reason"]): void {
    const result = this.#resultOf(state, reason);
    if (!result) return;
    this.#cancelPatience?.();
    this.#cancelPatience = null;
    this.#watch.tell(result);
  }

  /** Null: this says nothing yet. */
  #resultOf(state: BfdState, reason: BfdStep["reason"]): TrackResult | null {
    const { address, multiplier } = this.#watch.spec;
    switch (reason) {
      case "up":
        return { up: true, evidence: `BFD session to ${address} is up` };
      case "detection-time-expired": {
        const detection = describeDuration(multiplier * this.#watch.intervalUs);
        return {
          up: false,
          evidence: `BFD heard nothing from ${address} for its detection time (${detection} asked for)`,
        };
      }
      case "neighbour-signalled-down":
        return { up: false, evidence: `${address} says by BFD that it does not hear us` };
      case "neighbour-admin-down":
        return this.#adminDown();
      case "admin-down":
        return state.remote ? null : { up: false, evidence: `the interface to ${address} is gone` };
      default:
        return null;
    }
  }

  /** RFC 5882 section 4.2: who takes it down on purpose says nothing of the path. */
  #adminDown(): TrackResult {
    return { up: true, evidence: `${this.#watch.spec.address} took its BFD session down on purpose` };
  }
}
