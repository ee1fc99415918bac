/** Packets lost and doubled when the switch forgets, and when a daemon is frozen or dies but its kernel lives on. */
import { reportTraffic } from "../../src/lab/statistics.js";
import { type Lab, openLab } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { eventually } from "../../src/lab/wait.js";
import type { Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, type Subject, startSubjectPair } from "../lib/subjects.js";
import { inTurn, type Suite, type SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { downIntervals, reach, type Speaker } from "../testbed/speaker.js";

const INTERVAL_MS = 100;
const RATE = 20_000;
const SESSION_SECONDS = 120;
const FLUSHES = 5;
const QUICK_RUNS = 3;
const FULL_RUNS = 10;
const AFTER_MS = 300;
const BOUND_MS = 15_000;

const METRICS: readonly Metric[] = [
  {
    id: "doubled",
    title: "Packets doubled",
    unit: "packets",
    better: "lower",
    grain: 0,
    note:
      `Packets of a host (${RATE} a second) that reached the upstream more than once: two routers forwarded them. ` +
      "Ideal: 0.",
  },
  {
    id: "lost",
    title: "Packets lost",
    unit: "packets",
    better: "lower",
    grain: 20,
    compare: false,
    note:
      "Ideal: 0. After a kill or a freeze the kernel of the old Active can go on forwarding until its successor does; a " +
      "packet is lost where it does not, or where the switch sends it to a router that does not forward it.",
  },
];

interface Session {
  readonly lab: Lab;
  readonly subject: Subject;
  readonly traffic: Traffic;
  active: Speaker;
  readonly backup: Speaker;
}

export const duplicates: Suite = {
  name: "duplicates",
  title: "doubled and lost packets",
  about:
    `A pair at ${INTERVAL_MS} ms, a host that sends ${RATE} packets a second. The switch forgets where the virtual MAC ` +
    `is (its table is flushed ${FLUSHES} times, so frames for it go to both routers until it is heard again); the ` +
    "Active's daemon is frozen (SIGSTOP) while its kernel works on, until the successor carries the packets, then the " +
    "switch forgets, then the daemon goes on (SIGCONT); or it is killed (SIGKILL), the switch forgets after the " +
    "failover, and the daemon is started again.",
  quickSeconds: 27,
  metrics: METRICS,
  run: async (context) => {
    const done = new Map<Subject, Set<string>>(context.subjects.map((subject) => [subject, new Set()]));
    for (const round of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS })) {
      for (const subject of inTurn(context.subjects, round)) await session(context, subject, TITLES, done);
    }
    for (const [subject, titles] of done) {
      const missing = TITLES.filter((title) => !titles.has(title));
      if (missing.length > 0) await session(context, subject, missing, done);
    }
  },
};

/** The events of the titles; each of them that was measured is noted in `done`. */
async function session(
  context: SuiteContext,
  subject: Subject,
  titles: readonly string[],
  done: ReadonlyMap<Subject, Set<string>>,
): Promise<void> {
  if (titles.filter((title) => context.leavesOut(title, subject.id)).length > 0) return;
  context.progress(subject.id);
  const open = new Set(titles);
  let lab: Lab | null = null;
  try {
    lab = await openLab({ routers: 2 });
    const pair = await startSubjectPair(lab, subject, { intervalMs: INTERVAL_MS });
    const traffic = startTraffic(lab, { rate: RATE, capacitySeconds: SESSION_SECONDS });
    const own: Session = { lab, subject, traffic, ...pair };
    await eventually("packets flow", 5000, () => traffic.carriedBy(own.active.router.upstreamMac) > 0);
    for (const title of titles) {
      await counted(context, own, title, EVENTS[title]!);
      open.delete(title);
      done.get(subject)!.add(title);
    }
    await traffic.stop();
  } catch (error) {
    for (const title of open) context.miss(title, subject.id, inOneLine(error));
  } finally {
    lab?.close();
  }
}

/** Counts what became of the packets from the beginning of something until a while after it. */
async function counted(
  context: SuiteContext,
  own: Session,
  title: string,
  act: (own: Session) => Promise<void>,
): Promise<void> {
  const { traffic } = own;
  const from = traffic.sent();
  await act(own);
  const to = await goOn(traffic, AFTER_MS);
  const { lost, duplicated } = reportTraffic(traffic.columns(from, to));
  traffic.verify();
  context.record("doubled", title, own.subject.id, duplicated);
  context.record("lost", title, own.subject.id, lost);
}

/** Waits until the host has sent for so long. The number of packets then; those are through. */
async function goOn(traffic: Traffic, ms: number): Promise<number> {
  const to = traffic.sent() + (RATE * ms) / 1000;
  await eventually("the host goes on sending", BOUND_MS, () => traffic.sent() > to + RATE / 20);
  return to;
}

/** The switch forgets where every MAC is that it has learned. */
async function flush({ lab }: Session): Promise<void> {
  await lab.lan.run("ip", "link", "set", "br0", "type", "bridge", "fdb_flush");
}

async function carriesNow({ traffic }: Session, speaker: Speaker): Promise<void> {
  const mac = speaker.router.upstreamMac;
  const before = traffic.carriedBy(mac);
  await eventually(
    `packets come through ${speaker.router.name}`,
    BOUND_MS,
    () => traffic.carriedBy(mac) > before + 50,
  );
}

/** The Active again as in the beginning. */
async function asBefore(own: Session): Promise<void> {
  const boundMs = BOUND_MS + downIntervals(own.backup.options).activeDownUs / 1000;
  await reach(own.active, "active", boundMs);
  await reach(own.backup, "backup", boundMs);
  await carriesNow(own, own.active);
}

const signalAll = (speaker: Speaker, signal: NodeJS.Signals): void => {
  for (const pid of speaker.processes()) process.kill(pid, signal);
};

const EVENTS: Readonly<Record<string, (own: Session) => Promise<void>>> = {
  "bridge table flushed": async (own) => {
    for (let time = 0; time < FLUSHES; time++) {
      await flush(own);
      await goOn(own.traffic, INTERVAL_MS);
    }
  },
  "SIGSTOP, then a flush, then SIGCONT": async (own) => {
    const frozen = own.active;
    signalAll(frozen, "SIGSTOP");
    try {
      await reach(own.backup, "active", BOUND_MS);
      await carriesNow(own, own.backup);
      await flush(own);
      await goOn(own.traffic, AFTER_MS);
    } finally {
      signalAll(frozen, "SIGCONT");
    }
    await asBefore(own);
  },
  "kill -9, then a flush, then a new start": async (own) => {
    await own.active.crash();
    await reach(own.backup, "active", BOUND_MS);
    await carriesNow(own, own.backup);
    await flush(own);
    await goOn(own.traffic, AFTER_MS);
    own.active = await own.subject.start(own.lab, own.active.router, {
      priority: ACTIVE_PRIORITY,
      intervalMs: INTERVAL_MS,
    });
    await asBefore(own);
  },
};

const TITLES = Object.keys(EVENTS);
