/** How long a host's packets had no way, measured on the wire. */
import { firstArrivalAfter, median, reportTraffic } from "../../src/lab/statistics.js";
import type { CutKind, Lab, Legs } from "../../src/lab/topology.js";
import {
  captureAt,
  instrumentNowUs,
  readAdverts,
  type SeenAdvert,
  type Traffic,
} from "../../src/lab/traffic.js";
import { eventually } from "../../src/lab/wait.js";
import { downIntervals, reach, type Speaker } from "./speaker.js";

export interface Failover {
  /** The old Active's last advertisement that reached the Backup. Monotonic microseconds, like all times. */
  readonly lastAdvertUs: number;
  /** The first packet that reached the upstream through the new Active afterwards. */
  readonly firstPacketUs: number;
  /**
   * When the protocol lets the Backup take over: 3 x interval + skew after the last advertisement, or one skew after
   * one of priority 0. The skew is the Backup's.
   */
  readonly deadlineUs: number;
  /** firstPacketUs - deadlineUs: 0 would be exact, less is too early. */
  readonly overDownIntervalUs: number;
  /**
   * The same for its first advertisement: how punctual the daemon was. A peer's Backup may forward before it claims,
   * because what the switch floods, or learned to be there from its macvlan's own frames, is taken by its kernel.
   */
  readonly advertOverDownIntervalUs: number;
  readonly lost: number;
  readonly duplicated: number;
}

/** The Backup took over before anything had been disturbed: there is nothing to measure, but a false failover. */
export class FalseFailover extends Error {}

export interface TakeoverPlan {
  readonly backup: Speaker;
  readonly traffic: Traffic;
  /** Makes the Active fail. Resolves when that is done. */
  readonly disturb: () => Promise<unknown>;
}

/**
 * Lets the Active fail, and measures until the Backup is Active and carries the packets.
 * @throws FalseFailover before anything is disturbed.
 */
export async function measureTakeover({ backup, traffic, disturb }: TakeoverPlan): Promise<Failover> {
  const { activeDownUs, skewUs } = downIntervals(backup.options);
  const boundMs = activeDownUs / 1000 + 10_000;
  // On the Backup's side: what the failure let through, and nothing else.
  const capture = captureAt(backup.router, backup.router.lanInterface, { outgoing: true });
  try {
    const heard = (): boolean => readAdverts(capture.frames()).some((advert) => !advert.outgoing);
    await eventually(`${backup.router.name} hears an advertisement`, boundMs, heard);
    const mac = backup.router.upstreamMac;
    const from = traffic.sent();
    const beginUs = instrumentNowUs();
    if (readAdverts(capture.frames()).some((advert) => advert.outgoing)) {
      throw new FalseFailover(`${backup.router.name} spoke although nothing had failed`);
    }
    await disturb();
    let firstPacketUs = Number.NaN;
    const claimed = (): boolean => readAdverts(capture.frames()).some((advert) => advert.outgoing);
    await eventually(
      `${backup.router.name} claims, and a packet comes through it`,
      boundMs,
      () => {
        if (!claimed()) return false;
        // Counters alone would take a packet that still waited in the receive ring for one.
        firstPacketUs = firstArrivalAfter(traffic.columns(from), beginUs, mac) ?? Number.NaN;
        return !Number.isNaN(firstPacketUs);
      },
      () => backup.log().split("\n").slice(-6).join(" | "),
    );
    await reach(backup, "active", boundMs);
    const to = traffic.sent(); // later ones may still be under way when the columns are read
    await capture.stop();
    capture.verify();
    const { lost, duplicated } = reportTraffic(traffic.columns(from, to));
    const over = againstDeadline(readAdverts(capture.frames()), { firstPacketUs, activeDownUs, skewUs });
    if (!over) throw new Error(`${backup.router.name} spoke before it had heard an advertisement`);
    return { firstPacketUs, ...over, lost, duplicated };
  } finally {
    await capture.stop();
  }
}

/** The deadline as the frames on the Backup's leg tell it, and what happened beside it. */
function againstDeadline(
  adverts: readonly SeenAdvert[],
  times: { readonly firstPacketUs: number; readonly activeDownUs: number; readonly skewUs: number },
): Pick<Failover, "lastAdvertUs" | "deadlineUs" | "overDownIntervalUs" | "advertOverDownIntervalUs"> | null {
  const claim = adverts.find((advert) => advert.outgoing);
  const heard = adverts.filter((advert) => !advert.outgoing && claim && advert.atUs < claim.atUs);
  // A release may be repeated: the first one counts.
  const lastClaim = heard.findLastIndex((advert) => advert.priority !== 0);
  const last = heard[lastClaim + 1] ?? heard[lastClaim];
  if (!last || !claim) return null;
  const deadlineUs = last.atUs + (last.priority === 0 ? times.skewUs : times.activeDownUs);
  return {
    lastAdvertUs: last.atUs,
    deadlineUs,
    overDownIntervalUs: times.firstPacketUs - deadlineUs,
    advertOverDownIntervalUs: claim.atUs - deadlineUs,
  };
}

export interface FailoverPlan {
  readonly lab: Lab;
  readonly active: Speaker;
  readonly backup: Speaker;
  readonly traffic: Traffic;
  readonly legs?: Legs;
  readonly kind?: CutKind;
}

/** Cuts the Active's lines, measures, restores them, and waits until the roles are as before. */
export async function measureFailover(plan: FailoverPlan): Promise<Failover> {
  const { lab, active, backup, traffic } = plan;
  const boundMs = downIntervals(backup.options).activeDownUs / 1000 + 10_000;
  const legs = plan.legs ?? "both";
  const failover = await measureTakeover({
    backup,
    traffic,
    disturb: () => lab.cut(active.router, legs, plan.kind),
  });
  await lab.restore(active.router, legs, plan.kind);
  await reach(active, "active", boundMs);
  await reach(backup, "backup", boundMs);
  return failover;
}

/** One line: "median 0.31 ms, least 0.12, most 0.44 (5 runs), lost 33 .. 35, duplicated 0". */
export function failoverSummary(runs: readonly Failover[]): string {
  const over = runs.map((run) => run.overDownIntervalUs / 1000);
  const lost = runs.map((run) => run.lost);
  return (
    `median ${median(over).toFixed(2)} ms, least ${Math.min(...over).toFixed(2)}, most ${Math.max(...over).toFixed(2)}` +
    ` (${runs.length} runs), lost ${Math.min(...lost)} .. ${Math.max(...lost)},` +
    ` duplicated ${Math.max(...runs.map((run) => run.duplicated))}`
  );
}
