/** What became of a host's packets while something happened. */
import { reportTraffic } from "../../../src/lab/statistics.js";
import type { Traffic } from "../../../src/lab/traffic.js";
import { eventually } from "../../../src/lab/wait.js";

export interface Fate {
  readonly lost: number;
  readonly duplicated: number;
}

/** Of a planned move, and of every other that nobody should notice. */
export const CLEAN: Fate = { lost: 0, duplicated: 0 };

/** Packets that are under way arrive while so many more are sent: a tenth of a second at 4,000 packets a second. */
const UNDER_WAY = 400;

/** Waits for so many more packets of the host. */
export async function packets(traffic: Traffic, count: number): Promise<void> {
  const until = traffic.sent() + count;
  const boundMs = 5_000 + (count / traffic.rate) * 2_000;
  await eventually(`${count} packets are sent`, boundMs, () => traffic.sent() >= until);
}

/** Those from `from` on that were sent until now. */
export async function countedFrom(traffic: Traffic, from: number): Promise<Fate> {
  const to = traffic.sent();
  await packets(traffic, UNDER_WAY);
  const { lost, duplicated } = reportTraffic(traffic.columns(from, to));
  return { lost, duplicated };
}

/** Those that are sent while something happens. */
export async function counted(traffic: Traffic, happening: () => Promise<void>): Promise<Fate> {
  const from = traffic.sent();
  await happening();
  return countedFrom(traffic, from);
}
