/** How long a host's packets had no way, measured on the wire. */
import { firstArrivalAfter, median, reportTraffic } from "../../src/lab/statistics.js";
import type { CutKind, Lab, Legs } from "../../src/lab/topology.js";
import { captureAt, readAdverts, type Traffic } from "../../src/lab/traffic.js";
import { eventually } from "../../src/lab/wait.js";
import { downIntervals, reach, type Speaker } from "./speaker.js";

export interface Failover {
  /** The old Active's last advertisement that reached the Backup. Monotonic microseconds, like all times. */
  readonly lastAdvertUs: number;
  /** The first packet that reached the upstream through the new Active afterwards. */
  readonly firstPacketUs: number;
  /** firstPacketUs - lastAdvertUs - (3 x interval + skew of the new Active): 0 would be exact, less is too early. */
  readonly overDownIntervalUs: number;
  /** The same for its first advertisement: how punctual the daemon was, packets aside. Null: it sent none yet. */
  readonly advertOverDownIntervalUs: number | null;
  readonly lost: number;
  readonly duplicated: number;
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
  const { activeDownUs } = downIntervals(backup.options);
  const boundMs = activeDownUs / 1000 + 10_000;
  // On the Backup's side: what the cut let through, and nothing else.
  const capture = captureAt(backup.router, backup.router.lanInterface, { outgoing: true });
  await eventually("an advertisement is captured", boundMs, () => capture.count() > 0);
  const from = traffic.sent();
  const cut = await lab.cut(active.router, plan.legs ?? "both", plan.kind);
  const mac = backup.router.upstreamMac;
  const carried = traffic.carriedBy(mac);
  await eventually(
    `a packet comes through ${backup.router.name}`,
    boundMs,
    () => traffic.carriedBy(mac) > carried,
    () => backup.log().split("\n").slice(-6).join(" | "),
  );
  await reach(backup, "active", boundMs);
  const to = traffic.sent(); // later ones may still be under way when the columns are read
  await capture.stop();
  capture.verify();
  const columns = traffic.columns(from, to);
  const firstPacketUs = firstArrivalAfter(columns, cut.beginUs, mac);
  const report = reportTraffic(columns);
  await lab.restore(active.router, plan.legs ?? "both", plan.kind);
  await reach(active, "active", boundMs);
  await reach(backup, "backup", boundMs);
  if (firstPacketUs === null) throw new Error(`no packet came through ${backup.router.name}`);
  const adverts = readAdverts(capture.frames());
  const last = adverts.findLast((advert) => !advert.outgoing && advert.atUs < firstPacketUs);
  if (!last) throw new Error(`no advertisement of ${active.router.name} was captured`);
  const first = adverts.find((advert) => advert.outgoing && advert.atUs > last.atUs);
  const lastAdvertUs = last.atUs;
  return {
    lastAdvertUs,
    firstPacketUs,
    overDownIntervalUs: firstPacketUs - lastAdvertUs - activeDownUs,
    advertOverDownIntervalUs: first ? first.atUs - lastAdvertUs - activeDownUs : null,
    lost: report.lost,
    duplicated: report.duplicated,
  };
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
