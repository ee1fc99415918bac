/** Failover by BFD: advertisements are rare, and a Backup learns within milliseconds that the Active is gone. */
import { join } from "node:path";
import { daemonConfig, type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { firstArrivalAfter } from "../../src/lab/statistics.js";
import type { Lab } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import type { Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, BACKUP_PRIORITY, type Subject } from "../lib/subjects.js";
import type { Rounds, Suite, SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { withLab } from "../testbed/lab.js";

const INTERVAL_MS = 1000;
const RATE = 4000;
const BOUND_MS = 20_000;
/** An Active that is back sooner had not failed, as far as a Backup can know. */
const AWAY_MS = 300;
const QUICK_RUNS = 12;
const QUICK_SECONDS = 24;
const FULL_RUNS = 100;
const SESSION_SECONDS = 1500;

const METRICS: readonly Metric[] = [
  {
    id: "gap",
    title: "Time without a packet after a cut",
    unit: "ms",
    better: "lower",
    grain: 1,
    note:
      "From the last packet that reached the upstream through the old Active to the first through the new one. Ideal: " +
      "the detection time (multiplier x interval), less up to one interval, + the distance of two packets (0.25 ms).",
  },
];

interface Pace {
  readonly interval: string;
  readonly multiplier: number;
}

const PACES: readonly Pace[] = [
  { interval: "1ms", multiplier: 3 },
  { interval: "10ms", multiplier: 3 },
];

export const bfd: Suite = {
  name: "bfd",
  title: "failover by BFD",
  about:
    `Two routers with advertisements every ${INTERVAL_MS} ms and a BFD session between them; the switch ports of the ` +
    `Active stop forwarding; a host sends ${RATE} packets a second. The peers have no BFD that is bound to the Active ` +
    "(keepalived's track_bfd changes priorities or states of its own router), so there is nothing to hold beside.",
  quickSeconds: QUICK_SECONDS,
  metrics: METRICS,
  run: async (context) => {
    const subjects = context.subjects.filter(({ root }) => root !== null);
    for (const [at, pace] of PACES.entries()) {
      for (const [turn, subject] of subjects.entries()) {
        const share = (at * subjects.length + turn + 1) / (PACES.length * subjects.length);
        const rounds = { quick: QUICK_RUNS, full: FULL_RUNS, share };
        for (let time = 0; time < TRIES; time++) {
          if (await session(context, subject, pace, rounds)) break;
        }
      }
    }
  },
};

const TRIES = 2;
/** A session that has just become fast still ends its polls; here it is measured as it is in service. */
const CALM_MS = 100;

/** @returns whether it measured something. */
async function session(
  context: SuiteContext,
  subject: Subject,
  pace: Pace,
  rounds: Rounds,
): Promise<boolean> {
  const condition = `BFD ${pace.interval.replace("ms", " ms")} x ${pace.multiplier}, silent cut`;
  if (context.leavesOut(condition, subject.id)) return false;
  context.progress(`${subject.id}, ${condition}`);
  let measured = false;
  try {
    await withLab({ routers: 2 }, async (lab) => {
      const pair = await startPair(lab, subject, pace);
      const traffic = startTraffic(lab, { rate: RATE, capacitySeconds: SESSION_SECONDS });
      const first = lab.routers[0]!.upstreamMac;
      await eventually("packets flow", BOUND_MS, () => traffic.carriedBy(first) > 0);
      for (const _ of context.rounds(rounds)) {
        const gapMs = await cutAndReturn(lab, pair, traffic);
        traffic.verify();
        context.record("gap", condition, subject.id, gapMs);
        measured = true;
      }
      await traffic.stop();
    });
  } catch (error) {
    context.miss(condition, subject.id, inOneLine(error));
  }
  return measured;
}

type Pair = readonly [LabDaemon, LabDaemon];

async function startPair(lab: Lab, subject: Subject, pace: Pace): Promise<Pair> {
  const start = (at: 0 | 1, priority: number): Promise<LabDaemon> => {
    const common = { vrid: 10, family: "ipv4", version: 3, intervalMs: INTERVAL_MS } as const;
    const config = daemonConfig({ ...common, priority, more: { bfd: pace } });
    return startDaemon(lab, lab.routers[at]!, config, undefined, join(subject.root!, "dist/cli/main.js"));
  };
  const active = await start(0, ACTIVE_PRIORITY);
  await active.reach("active", BOUND_MS);
  const pair = [active, await start(1, BACKUP_PRIORITY)] as const;
  await settled(pair, lab.routers[0]!.addresses.ipv4);
  return pair;
}

/** Roles are as in the beginning, and the session is up at its full pace. */
async function settled([active, backup]: Pair, address: string): Promise<void> {
  await active.reach("active", BOUND_MS);
  await backup.reach("backup", BOUND_MS);
  await eventually("the session is up and fast", BOUND_MS, async () => {
    const [session, ...others] = (await backup.status()).bfdSessions.filter(({ role }) => role === "active");
    if (!session || others.length > 0 || session.remoteAddress !== address) return false;
    return session.state === "up" && (session.detectionTimeMs ?? INTERVAL_MS) < 500;
  });
  await pause(CALM_MS);
}

async function cutAndReturn(lab: Lab, pair: Pair, traffic: Traffic): Promise<number> {
  const [router, successor] = [lab.routers[0]!, lab.routers[1]!];
  const from = Math.max(0, traffic.sent() - RATE / 10); // the last one before the cut is among them
  const carried = traffic.carriedBy(successor.upstreamMac);
  const cut = await lab.cut(router, "both", "silent");
  const through = (): boolean => traffic.carriedBy(successor.upstreamMac) > carried;
  await eventually("a packet comes through the Backup", BOUND_MS, through);
  const to = traffic.sent();
  await pause(AWAY_MS);
  const columns = traffic.columns(from, to);
  const firstUs = firstArrivalAfter(columns, cut.beginUs, successor.upstreamMac);
  const old = columns.senders.indexOf(router.upstreamMac);
  const lastUs = columns.firstUs.reduce(
    (last, us, at) => (columns.via[at] === old && us > last && us < (firstUs ?? 0) ? us : last),
    0,
  );
  await lab.restore(router, "both", "silent");
  await settled(pair, router.addresses.ipv4);
  if (firstUs === null) throw new Error("no packet came through the Backup");
  return (firstUs - lastUs) / 1000;
}
