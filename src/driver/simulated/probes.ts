/** Probes and routes of a simulated machine: what a script of the test says they are. */
import type { TrackResult, Untried } from "../../core/tracking/verdict.js";
import type { ProbeRequest, ProbeRun, Probes, ProbeTime, RouteInfo } from "../driver.js";
import type { Context } from "./context.js";

/** What a probe that begins now will find, and after how long. Null: nothing answers. */
export type ProbeScript = (
  request: ProbeRequest,
) => { readonly result: TrackResult | Untried; readonly afterUs?: number } | null;

export class SimulatedProbes implements Probes {
  readonly #javaScript: Context;
  readonly #now: () => number;
  readonly #script: () => ProbeScript;

  constructor(javaScript: Context, now: () => number, script: () => ProbeScript) {
    this.#javaScript = javaScript;
    this.#now = now;
    this.#script = script;
  }

  start(request: ProbeRequest, { deadlineUs }: ProbeTime): ProbeRun {
    const answer = this.#script()(request);
    const afterUs = answer?.afterUs ?? 0;
    const leftUs = Math.max(0, deadlineUs - this.#now());
    const inTime = answer !== null && afterUs <= leftUs;
    const result = inTime ? answer.result : { up: false, evidence: "no answer in time" };
    let cancel = (): void => {};
    return {
      result: new Promise((resolve) => {
        cancel = this.#javaScript.post(inTime ? afterUs : leftUs, () => resolve(result));
      }),
      cancel: () => cancel(),
    };
  }
}

/** The routes of a machine, by prefix, and who follows them. */
export class RouteTable {
  readonly #routes = new Map<string, readonly RouteInfo[]>();
  readonly #followers = new Set<(prefix: string) => void>();

  of(prefix: string): readonly RouteInfo[] {
    return this.#routes.get(prefix) ?? [];
  }

  set(prefix: string, routes: readonly RouteInfo[]): void {
    this.#routes.set(prefix, routes);
    for (const follow of [...this.#followers]) follow(prefix);
  }

  /** Hears of each change until the function returned is called. */
  follow(onChange: (prefix: string) => void): () => void {
    this.#followers.add(onChange);
    return () => this.#followers.delete(onChange);
  }
}
