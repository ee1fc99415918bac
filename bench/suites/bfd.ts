/** Failover by BFD: advertisements are rare, and a Backup learns within milliseconds that the Active is gone. */
import { join } from "node:path";
import { daemonConfig, type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { firstArrivalAfter } from "../../src/lab/statistics.js";
import type { Lab, LabRouter } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import type { Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, BACKUP_PRIORITY, type Subject } from "../lib/subjects.js";
import type { Suite, SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { withLab } from "../testbed/lab.js";

const INTERVAL_MS = 1000;
const RATE = 4000;
const BOUND_MS = 20_000;
/** An Active that is back sooner had not failed, as far as a Backup can know. */
const AWAY_MS = 300;
const QUICK_RUNS = 12;
/** In each lab, also where the suites before took the time: one stall of the machine must not make the median. */
const LEAST_RUNS = 4;
const QUICK_SECONDS = 22;
const FULL_RUNS = 60;
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

/** Waiting is most of a cut's time, so several labs wait at once. The first pace is the one that is promised. */
const PACES: readonly Pace[] = [
  { interval: "1ms", multiplier: 3 },
  { interval: "10ms", multiplier: 3 },
  { interval: "1ms", multiplier: 3 },
];

export const bfd: Suite = {
  name: "bfd",
  title: "failover by BFD",
  about:
    `Two routers with advertisements every ${INTERVAL_MS} ms and a BFD session between them; the switch ports of the ` +
    `Active stop forwarding; a host sends ${RATE} packets a second. There are three such labs, and one of them is cut ` +
    "while the others wait for their sessions. The peers have no BFD that is bound to the Active " +
    "(keepalived's track_bfd changes priorities or states of its own router), so there is nothing to hold beside.",
  quickSeconds: QUICK_SECONDS,
  metrics: METRICS,
  order: PACES.map(conditionOf),
  run: async (context) => {
    const subjects = context.subjects.filter(({ root }) => root !== null);
    const paces = subjects.length > 1 ? PACES.slice(0, 2) : PACES;
    const turns = inTurns();
    await Promise.all(
      paces.flatMap((pace) => subjects.map((subject) => place({ context, subject, pace, turns }))),
    );
  },
};

const TRIES = 2;
/** A session that has just become fast still ends its polls; here it is measured as it is in service. */
const CALM_MS = 100;
/** Between two questions whether a session is up: each disturbs the others a little. */
const ASK_MS = 50;

function conditionOf({ interval, multiplier }: Pace): string {
  return `BFD ${interval.replace("ms", " ms")} x ${multiplier}, silent cut`;
}

/** One after the other, in the order in which they asked. */
type Turns = <T>(work: () => Promise<T>) => Promise<T>;

function inTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };
}

interface Place {
  readonly context: SuiteContext;
  readonly subject: Subject;
  readonly pace: Pace;
  readonly turns: Turns;
}

/** A lab and its cuts; a second one, if the first ended before it had measured anything. */
async function place(own: Place): Promise<void> {
  const { context, subject, pace } = own;
  const condition = conditionOf(pace);
  for (let time = 0; time < TRIES; time++) {
    if (context.leavesOut(condition, subject.id)) return;
    context.progress(`${subject.id}, ${condition}`);
    let measured = false;
    try {
      await session(own, (gapMs) => {
        context.record("gap", condition, subject.id, gapMs);
        measured = true;
      });
    } catch (error) {
      context.miss(condition, subject.id, inOneLine(error));
    }
    if (measured) return;
  }
}

async function session(
  { context, subject, pace, turns }: Place,
  onGap: (gapMs: number) => void,
): Promise<void> {
  await withLab({ routers: 2 }, async (lab) => {
    const pair = await startPair(lab, subject, pace);
    const traffic = startTraffic(lab, { rate: RATE, capacitySeconds: SESSION_SECONDS });
    const [router, successor] = [lab.routers[0]!, lab.routers[1]!];
    await eventually("packets flow", BOUND_MS, () => traffic.carriedBy(router.upstreamMac) > 0);
    for (const _ of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS, least: LEAST_RUNS })) {
      await settled(pair, router.addresses.ipv4);
      const gapMs = await turns(() => cutOff(lab, [router, successor], traffic));
      traffic.verify();
      onGap(gapMs);
      await pause(AWAY_MS);
      await turns(() => lab.restore(router, "both", "silent"));
    }
    await traffic.stop();
  });
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
  return [active, await start(1, BACKUP_PRIORITY)];
}

/** Roles are as in the beginning, and the session is up at its full pace. */
async function settled([active, backup]: Pair, address: string): Promise<void> {
  await active.reach("active", BOUND_MS);
  await backup.reach("backup", BOUND_MS);
  await eventually("the session is up and fast", BOUND_MS, async () => {
    await pause(ASK_MS);
    const [session, ...others] = (await backup.status()).bfdSessions.filter(({ role }) => role === "active");
    if (!session || others.length > 0 || session.remoteAddress !== address) return false;
    return session.state === "up" && (session.detectionTimeMs ?? INTERVAL_MS) < 500;
  });
  await pause(CALM_MS);
}

/** @returns milliseconds from the last packet through the first router to the first through the second one. */
async function cutOff(
  lab: Lab,
  [router, successor]: readonly [LabRouter, LabRouter],
  traffic: Traffic,
): Promise<number> {
  const from = Math.max(0, traffic.sent() - RATE / 10); // the last one before the cut is among them
  const { beginUs } = await lab.cut(router, "both", "silent");
  const firstUs = await eventually("a packet comes through the Backup", BOUND_MS, () =>
    firstArrivalAfter(traffic.columns(from), beginUs, successor.upstreamMac),
  );
  const columns = traffic.columns(from);
  const old = columns.senders.indexOf(router.upstreamMac);
  const lastUs = columns.firstUs.reduce(
    (last, us, at) => (columns.via[at] === old && us > last && us < firstUs ? us : last),
    0,
  );
  return (firstUs - lastUs) / 1000;
}
