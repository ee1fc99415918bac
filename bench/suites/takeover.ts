/** How long a take-over takes inside this machine: from the deadline, and from the engine's wake-up, to the first packet. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import { arrivalTimes } from "../../src/lab/statistics.js";
import { type Lab, openLab } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { namespacesRemoved } from "../lib/kernel-rest.js";
import { startLoad, stressInstalled, WITHOUT_STRESS } from "../lib/load.js";
import type { Metric } from "../lib/model.js";
import type { Suite, SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";

const RATE = 50_000;
const QUICK_TAKEOVERS = 250;
const FULL_TAKEOVERS = 1_000;
const SUBJECT = "firsthop";
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const METRICS: readonly Metric[] = [
  {
    id: "from-wake-up",
    title: "From the engine thread's wake-up to the first packet let through",
    unit: "us",
    better: "lower",
    grain: 20,
    note: `Stamps of the thread and of the upstream's receive ring; packets come every ${1e6 / RATE} us. Ideal: half of that.`,
  },
  {
    id: "from-deadline",
    title: "From the deadline to the first packet let through",
    unit: "us",
    better: "lower",
    grain: 20,
    note: "The same, and how late the thread came.",
  },
];

export const takeover: Suite = {
  name: "takeover",
  title: "a take-over inside the machine",
  about:
    `A host sends ${RATE} packets a second to one router. Its heartbeat engine opens and closes the virtual router's ` +
    "lease by its own timers, while the process's JavaScript is blocked; what is closed drops, what is open forwards.",
  quickSeconds: 10,
  metrics: METRICS,
  run: async (context) => {
    await measured(context, "idle", null);
    if (stressInstalled()) await measured(context, "both processors busy", "cpu");
    else context.miss("both processors busy", SUBJECT, WITHOUT_STRESS);
  },
};

async function measured(context: SuiteContext, condition: string, load: "cpu" | null): Promise<void> {
  if (context.leavesOut(condition, SUBJECT)) return;
  context.progress(condition);
  const takeovers = context.quick ? QUICK_TAKEOVERS : FULL_TAKEOVERS;
  let lab: Lab | null = null;
  let unload: (() => Promise<void>) | null = null;
  try {
    await namespacesRemoved();
    lab = await openLab({ routers: 1 });
    unload = load && (await startLoad(lab.upstream, load));
    const router = lab.routers[0]!;
    await lab.hosts[0]!.run(
      ...(["ip", "neigh", "replace", "192.0.2.1", "lladdr", virtualMac("ipv4", 10), "dev", "eth0"] as const),
    );
    const traffic = startTraffic(lab, { rate: RATE, capacitySeconds: 60 });
    const loader = here("../../scripts/lib/typescript-loader.mjs");
    const said = await router.run(
      process.execPath,
      ...["--import", loader, here("takeover-worker.ts"), router.lanInterface, String(takeovers)],
      join(lab.directory, "state"),
    );
    const { openings } = JSON.parse(said) as { openings: readonly (readonly [number, number])[] };
    await traffic.stop();
    traffic.verify();
    record(context, condition, traffic, openings);
    await unload?.();
  } catch (error) {
    context.miss(condition, SUBJECT, inOneLine(error));
  } finally {
    lab?.close(); // with the load, if that is still there
  }
}

function record(
  context: SuiteContext,
  condition: string,
  traffic: Traffic,
  openings: readonly (readonly [number, number])[],
): void {
  const arrivals = arrivalTimes(traffic.columns());
  let at = 0;
  for (const [dueUs, carriedOutUs] of openings) {
    while (at < arrivals.length && (arrivals[at] as number) < dueUs) at++;
    const first = arrivals[at];
    if (first === undefined) break;
    context.record("from-wake-up", condition, SUBJECT, first - carriedOutUs);
    context.record("from-deadline", condition, SUBJECT, first - dueUs);
  }
}
