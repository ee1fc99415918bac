/**
 * Probes of a simulated machine. Whether a probe that leaves now is answered, and after how long, is what a script of
 * the test says; so is who shows on a link. Counting is core/tracking's.
 */
import { judge, type TrackerState, UNKNOWN_TRACKER } from "../../core/tracking/verdict.js";
import type { ProbeCounts, ProbedTarget, ProbeNews, Prober, Probing, Sighting } from "../prober.js";
import type { Context } from "./context.js";

/**
 * Microseconds until a probe's answer is there, an errno when it can't be sent, null when nobody answers, and the errno of
 * what the machine lacks when it can't even be tried.
 */
export type EchoScript = (target: ProbedTarget) => number | string | null | { readonly untried: string };

/** Who hears of neighbours, by interface. */
export type Followers = Map<string, Set<(seen: Sighting) => void>>;

export class SimulatedProber implements Prober {
  readonly #javaScript: Context;
  readonly #script: () => EchoScript;
  readonly #now: () => number;
  readonly #followers: Followers;

  constructor(javaScript: Context, now: () => number, script: () => EchoScript, followers: Followers) {
    this.#javaScript = javaScript;
    this.#now = now;
    this.#script = script;
    this.#followers = followers;
  }

  probe(target: ProbedTarget, onNews: (news: ProbeNews) => void): Probing {
    const settings = { ...target, upDelayUs: 0, downDelayUs: 0, damping: null };
    const counts = { sent: 0, answered: 0, timeouts: 0, errors: 0 };
    let state: TrackerState = { ...UNKNOWN_TRACKER, verdict: target.verdict ?? "unknown" };
    let last: ProbeNews | null = null;
    let asked = target;
    let answeredAtUs: number | null = null;
    let cancel = (): void => {};

    const take = (outcome: ProbeNews["outcome"], errno: string | null, roundTripUs: number): void => {
      const step = judge(settings, state, { up: outcome === "answered", evidence: outcome }, this.#now());
      state = step.state;
      if (outcome === "answered") answeredAtUs = this.#now();
      const same = last !== null && last.outcome === outcome && last.errno === errno;
      const news: ProbeNews = {
        verdict: state.verdict === "down" ? "down" : "up",
        outcome,
        errno,
        streak: same && last ? last.streak + 1 : 1,
        atUs: this.#now(),
        roundTripUs,
      };
      last = news;
      if (!same || step.changed) onNews(news);
    };
    const next = (afterUs: number, run: () => void): void => {
      cancel = this.#javaScript.post(afterUs, run);
    };
    const send = (): void => {
      const answer = this.#script()(asked);
      if (typeof answer === "object" && answer !== null) {
        last = {
          verdict: state.verdict,
          outcome: "untried",
          errno: answer.untried,
          streak: 0,
          atUs: this.#now(),
          roundTripUs: 0,
        };
        next(target.intervalUs, send);
        onNews(last);
        return;
      }
      if (typeof answer === "string") {
        counts.errors++;
        next(target.intervalUs, send);
        take("error", answer, 0);
        return;
      }
      counts.sent++;
      const inTime = answer !== null && answer <= target.timeoutUs;
      const waitUs = inTime ? answer : target.timeoutUs;
      next(waitUs, () => {
        counts[inTime ? "answered" : "timeouts"]++;
        next(target.intervalUs - waitUs, send);
        take(inTime ? "answered" : "timeout", null, inTime ? waitUs : (last?.roundTripUs ?? 0));
      });
    };
    next(0, send);
    return {
      changeSource: (source) => {
        asked = { ...asked, source };
      },
      counts: (): ProbeCounts => ({
        ...counts,
        answeredAtUs,
        roundTripUs: answeredAtUs === null ? null : (last?.roundTripUs ?? 0),
        mac: null,
      }),
      end: () => cancel(),
    };
  }

  followNeighbours(interfaceName: string, onSighting: (seen: Sighting) => void): () => void {
    const those = this.#followers.get(interfaceName) ?? new Set();
    this.#followers.set(interfaceName, those.add(onSighting));
    return () => those.delete(onSighting);
  }

  refresh(): void {}
}
