/** Failover and come-back: what a host's packets notice, after each way to fail, at three intervals. */
import { reportTraffic } from "../../src/lab/statistics.js";
import type { CutKind, Lab } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { eventually } from "../../src/lab/wait.js";
import { InStep } from "../lib/in-step.js";
import { namespacesRemoved } from "../lib/kernel-rest.js";
import type { Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, type Subject, startSubjectPair } from "../lib/subjects.js";
import { inTurn, type Suite, type SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { type Failover, FalseFailover, measureTakeover } from "../testbed/failover.js";
import { withLab } from "../testbed/lab.js";
import { downIntervals, reach, type Speaker } from "../testbed/speaker.js";

const METRICS: readonly Metric[] = [
  {
    id: "over",
    title: "First packet after the deadline",
    unit: "ms",
    better: "lower",
    grain: 0.1,
    note:
      "From the deadline of the protocol to the first packet that reaches the upstream through the new Active. The " +
      "deadline is the last advertisement on the Backup's wire + 3 x interval + the Backup's skew; after a graceful " +
      "stop the first advertisement of priority 0 + skew. Ideal: 0, plus up to the distance of two packets of the " +
      "host. Below 0: the Backup carried packets before the protocol lets it, because it fired early (FRR), or because " +
      "its device takes packets for the virtual MAC while it is Backup, which reach it as soon as the switch forgets " +
      "where the MAC is (after a line cut: keepalived with use_vmac, FRR).",
  },
  {
    id: "advert",
    title: "First advertisement after the deadline",
    unit: "ms",
    better: "lower",
    grain: 0.1,
    note: "The same, to the first advertisement that leaves the new Active: how punctual the daemon is, packets aside.",
  },
  {
    id: "outage",
    title: "Longest time without a packet",
    unit: "ms",
    better: "lower",
    grain: 1,
    compare: false,
    note:
      "Between two arrivals at the upstream that followed each other, over the whole event. Ideal of a cut: from the " +
      "last packet before it to the deadline, so up to one interval less than Active_Down_Interval. Ideal of the " +
      "others, where the old Active's kernel can still forward: the distance of two packets.",
  },
  {
    id: "lost",
    title: "Packets lost",
    unit: "packets",
    better: "lower",
    grain: 20,
    compare: false,
    note: "Of the host's packets, over the whole event. Ideal of a cut: outage x rate; of the others: 0.",
    plot: false,
  },
  {
    id: "doubled",
    title: "Packets doubled",
    unit: "packets",
    better: "lower",
    grain: 0,
    note: "Packets that reached the upstream more than once. Ideal: 0.",
    plot: false,
  },
];

interface Plan {
  readonly intervalMs: number;
  readonly rate: number;
  /** How often each failure is made in a session of a full run. In a quick one: once, then as often as time allows. */
  readonly times: Readonly<Record<Failure, number>>;
  /** Sessions of each subject. */
  readonly sessions: number;
  /** Up to which share of the suite's time. */
  readonly share: number;
  /**
   * All subjects at once, each in a lab of its own: first they are cut off, then, in other labs, killed and stopped.
   * They fail together, and come back when all were measured: who starts a daemon disturbs nobody's take-over.
   */
  readonly together: boolean;
}

const EACH = { "silent cut": 1, "line cut": 1, "kill -9": 1, "graceful stop": 1 } as const;
/** A cut line has no deadline that all makes keep: a quick run makes it at one interval, and has more of the others. */
const WITHOUT_LINE = { ...EACH, "line cut": 0 } as const;
const timesOf = (silent: number, others: number): Plan["times"] => ({
  "silent cut": silent,
  "line cut": others,
  "kill -9": others,
  "graceful stop": others,
});

const QUICK_SECONDS = 110;
const QUICK: readonly Plan[] = [
  { intervalMs: 10, rate: 20_000, times: EACH, sessions: 1, share: 0.32, together: false },
  { intervalMs: 100, rate: 20_000, times: WITHOUT_LINE, sessions: 1, share: 0.65, together: false },
  { intervalMs: 1000, rate: 4_000, times: WITHOUT_LINE, sessions: 1, share: 1, together: true },
];

const FULL: readonly Plan[] = [
  { intervalMs: 10, rate: 20_000, times: timesOf(10, 4), sessions: 5, share: 1, together: false },
  { intervalMs: 100, rate: 20_000, times: timesOf(6, 3), sessions: 4, share: 1, together: false },
  { intervalMs: 1000, rate: 20_000, times: timesOf(2, 2), sessions: 2, share: 1, together: false },
];

/** What fails, as the report calls it, and what follows. */
type Failure = "silent cut" | "line cut" | "kill -9" | "graceful stop";
const COME_BACK: Readonly<Record<Failure, string>> = {
  "silent cut": "come-back after a silent cut",
  "line cut": "come-back after a line cut",
  "kill -9": "come-back after a kill",
  "graceful stop": "come-back after a stop",
};
const FAILURES = Object.keys(COME_BACK) as readonly Failure[];
/** The router's lines, then its daemon: where all subjects run at once, each in a lab of its own. */
const PARTS: readonly (readonly Failure[])[] = [FAILURES.slice(0, 2), FAILURES.slice(2)];
const failuresOf = ({ times }: Plan, part = FAILURES): readonly Failure[] =>
  part.filter((failure) => times[failure] > 0);
/** What a session that has time left repeats: where a deadline says most, more often. */
const REPEATED: readonly Failure[] = ["silent cut", "kill -9", "graceful stop", "silent cut", "line cut"];

/** Longest that a session may send; memory is used as packets are sent. */
const SESSION_SECONDS = 180;
const QUIET_AFTER_MS = 100;
/** Of an interval, where that is less. */
const QUIET_INTERVALS = 4;
/** Packets that follow those have arrived long after them. */
const ARRIVED_MS = 30;
/** Of what was missed at first: sessions more. */
const SECOND_TRIES = 2;
/** A Backup that takes over by itself: as often it is waited for until it does no more. */
const FALSE_FAILOVERS = 5;

interface Session {
  readonly context: SuiteContext;
  readonly lab: Lab;
  readonly subject: Subject;
  readonly plan: Plan;
  readonly traffic: Traffic;
  active: Speaker;
  readonly backup: Speaker;
  /** Waits for the others that are measured at the same time. */
  readonly step: () => Promise<void>;
}

export const failover: Suite = {
  name: "failover",
  title: "failover and come-back",
  about:
    "Two routers of one make share a virtual router; a host sends numbered packets through it. Router 1 is cut off " +
    "(`silent cut`: its switch ports stop forwarding while the carrier stays; `line cut`: both lines lose their " +
    "carrier), killed with SIGKILL, or stopped with SIGTERM, and comes back afterwards. Subjects take turns, session " +
    "by session, another one first in each round, so that all of them meet the same machine.",
  quickSeconds: QUICK_SECONDS,
  metrics: METRICS,
  order: FULL.flatMap((plan) =>
    FAILURES.flatMap((failure) => [conditionOf(plan, failure), conditionOf(plan, COME_BACK[failure])]),
  ),
  run: async (context) => {
    for (const plan of context.quick ? QUICK : FULL) {
      const who = plan.together ? "all subjects at once in labs of their own" : "one subject at a time";
      context.note(
        `${plan.intervalMs} ms: ${who}, ${plan.rate.toLocaleString("en")} packets a second in each`,
      );
      await runPlan(context, plan);
    }
  },
};

/** What one subject has under one plan. */
interface Progress {
  readonly subject: Subject;
  /** Whose failover and come-back were measured. */
  readonly done: Set<Failure>;
  /** Why sessions ended early. */
  readonly troubles: string[];
  /** What failed last goes last when it is tried again. */
  failedLast: Failure | null;
}

const missing = ({ done, failedLast }: Progress, part: readonly Failure[]): Failure[] =>
  part.filter((one) => !done.has(one)).sort((a, b) => Number(a === failedLast) - Number(b === failedLast));

/** Sessions of all subjects; what one of them missed is tried again. */
async function runPlan(context: SuiteContext, plan: Plan): Promise<void> {
  const all = context.subjects.map(
    (subject): Progress => ({ subject, done: new Set(), troubles: [], failedLast: null }),
  );
  for (const round of context.rounds({ quick: plan.sessions, full: plan.sessions, share: plan.share })) {
    await sessions(context, plan, inTurn(all, round), (_own, part) => part);
  }
  for (let time = 0; time < SECOND_TRIES && !context.isOver(); time++) {
    const again = all.filter((own) => missing(own, failuresOf(plan)).length > 0);
    if (again.length > 0) await sessions(context, plan, again, missing);
  }
  for (const { subject, done, troubles } of all) {
    const reason = troubles.at(-1);
    if (reason === undefined) continue;
    for (const failure of failuresOf(plan).filter((one) => !done.has(one))) {
      context.miss(conditionOf(plan, failure), subject.id, reason);
      context.miss(conditionOf(plan, COME_BACK[failure]), subject.id, reason);
    }
    const times = troubles.length === 1 ? "a session" : `${troubles.length} sessions`;
    context.note(`${plan.intervalMs} ms, ${subject.id}: ${times} ended early: ${troubles.join("; ")}`);
  }
}

function conditionOf({ intervalMs }: Plan, title: string): string {
  return `${intervalMs} ms, ${title}`;
}

/** A session of each of them: of its failures those that `wanted` chooses. */
async function sessions(
  context: SuiteContext,
  plan: Plan,
  all: readonly Progress[],
  wanted: (own: Progress, part: readonly Failure[]) => readonly Failure[],
): Promise<void> {
  if (plan.together) {
    for (const [at, half] of PARTS.entries()) {
      const part = failuresOf(plan, half);
      const untilMs = performance.now() + context.leftMs(plan.share) / (PARTS.length - at);
      const together = new InStep();
      const begun = all.map((own) => ({ own, ...together.join() }));
      await Promise.all(
        begun.map(async ({ own, step, leave }) => {
          try {
            await session(context, plan, own, { failures: wanted(own, part), part, untilMs, step });
          } finally {
            leave();
          }
        }),
      );
    }
    return;
  }
  const part = failuresOf(plan);
  for (const [at, own] of all.entries()) {
    // Each has an equal part of the time that is left.
    const untilMs = performance.now() + context.leftMs(plan.share) / (all.length - at);
    await session(context, plan, own, { failures: wanted(own, part), part, untilMs, step: async () => {} });
  }
}

interface Wanted {
  /** At first. */
  readonly failures: readonly Failure[];
  /** What a quick session repeats then, and until when. */
  readonly part: readonly Failure[];
  readonly untilMs: number;
  readonly step: () => Promise<void>;
}

async function session(context: SuiteContext, plan: Plan, own: Progress, made: Wanted): Promise<void> {
  const { subject } = own;
  const { failures } = made;
  const title = `${subject.id}, ${plan.intervalMs} ms`;
  if (failures.length === 0 || outOfTime(context, plan, own, failures)) return;
  await namespacesRemoved();
  context.progress(title);
  try {
    await withLab({ routers: 2 }, async (lab) => {
      const pair = await startSubjectPair(lab, subject, { intervalMs: plan.intervalMs });
      const traffic = startTraffic(lab, { rate: plan.rate, capacitySeconds: SESSION_SECONDS });
      try {
        await eventually("packets flow", 5000, () => traffic.carriedBy(lab.routers[0]!.upstreamMac) > 0);
        await disturbances({ context, lab, subject, plan, traffic, step: made.step, ...pair }, own, made);
      } finally {
        await traffic.stop();
      }
    });
  } catch (error) {
    context.progress(`${title}: ${inOneLine(error)}`);
    own.troubles.push(inOneLine(error));
  }
}

function outOfTime(context: SuiteContext, plan: Plan, own: Progress, failures: readonly Failure[]): boolean {
  const titles = failures.filter((one) => !own.done.has(one)).flatMap((one) => [one, COME_BACK[one]]);
  const left = titles.filter((title) => context.leavesOut(conditionOf(plan, title), own.subject.id));
  return left.length > 0;
}

async function disturbances(
  session: Session,
  own: Progress,
  { failures, part, untilMs }: Wanted,
): Promise<void> {
  const { context, plan } = session;
  const longestMs = new Map<Failure, number>();
  const make = async (failure: Failure): Promise<void> => {
    const beganMs = performance.now();
    own.failedLast = failure;
    await MAKE[failure](session);
    own.done.add(failure);
    own.failedLast = null;
    longestMs.set(failure, Math.max(longestMs.get(failure) ?? 0, performance.now() - beganMs));
  };
  for (const failure of failures) {
    for (let time = 0; time < plan.times[failure]; time++) await make(failure);
  }
  if (!context.quick) return;
  const repeated = REPEATED.filter((failure) => part.includes(failure));
  for (let at = 0; ; at++) {
    const failure = repeated[at % repeated.length]!;
    const takesMs = longestMs.get(failure) ?? 3 * plan.intervalMs + LEAST_REPETITION_MS;
    if (performance.now() + takesMs > untilMs) return;
    await make(failure);
  }
}

/** What a failure and a come-back take beside the interval, about. */
const LEAST_REPETITION_MS = 600;

const MAKE: Readonly<Record<Failure, (session: Session) => Promise<void>>> = {
  "silent cut": (session) => cut(session, "silent"),
  "line cut": (session) => cut(session, "line"),
  "kill -9": (session) => fail(session, "kill -9", () => session.active.crash()),
  "graceful stop": (session) => fail(session, "graceful stop", () => session.active.stop()),
};

async function cut(session: Session, kind: CutKind): Promise<void> {
  const { lab, active } = session;
  await session.step();
  const takeover = await takeOver(session, () => lab.cut(active.router, "both", kind));
  await session.step();
  recordTakeover(session, `${kind} cut`, takeover);
  await comeBack(session, `${kind} cut`, () => lab.restore(active.router, "both", kind));
}

async function fail(session: Session, failure: Failure, disturb: () => Promise<void>): Promise<void> {
  await session.step();
  const takeover = await takeOver(session, disturb);
  await session.step();
  recordTakeover(session, failure, takeover);
  await comeBack(session, failure, async () => {
    session.active = await session.subject.start(session.lab, session.active.router, {
      priority: ACTIVE_PRIORITY,
      intervalMs: session.plan.intervalMs,
    });
  });
}

interface Takeover extends Failover {
  readonly outageUs: number;
}

async function takeOver(session: Session, disturb: () => Promise<unknown>): Promise<Takeover> {
  const { active, backup, traffic } = session;
  for (let time = 0; ; time++) {
    const from = traffic.sent();
    try {
      const failover = await measureTakeover({ backup, traffic, disturb });
      return { ...failover, ...(await settled(session, from)) };
    } catch (error) {
      if (!(error instanceof FalseFailover) || time === FALSE_FAILOVERS) throw error;
      const { context, plan, subject } = session;
      context.note(`${plan.intervalMs} ms, ${subject.id}: a false failover between two measurements`);
      await reach(active, "active", ROLE_BOUND_MS);
      await reach(backup, "backup", ROLE_BOUND_MS);
    }
  }
}

const ROLE_BOUND_MS = 15_000;

/** What became of the packets from `from` on, when those that follow have arrived too. */
async function settled(
  session: Session,
  from: number,
): Promise<{ outageUs: number; lost: number; duplicated: number }> {
  const { traffic, plan } = session;
  const quietMs = Math.min(QUIET_AFTER_MS, QUIET_INTERVALS * plan.intervalMs);
  const to = traffic.sent() + Math.ceil((plan.rate * quietMs) / 1000);
  const past = to + (plan.rate * ARRIVED_MS) / 1000;
  await eventually("the host goes on sending", 10_000, () => traffic.sent() > past);
  const { longestGap, lost, duplicated } = reportTraffic(traffic.columns(from, to));
  traffic.verify(); // before anything of it is recorded
  return { outageUs: longestGap?.lengthUs ?? Number.NaN, lost, duplicated };
}

function recordTakeover({ context, subject, plan }: Session, failure: Failure, takeover: Takeover): void {
  const condition = conditionOf(plan, failure);
  const record = (metric: string, value: number): void =>
    context.record(metric, condition, subject.id, value);
  record("over", takeover.overDownIntervalUs / 1000);
  record("advert", takeover.advertOverDownIntervalUs / 1000);
  record("outage", takeover.outageUs / 1000);
  record("lost", takeover.lost);
  record("doubled", takeover.duplicated);
}

/** Router 1 returns: it becomes Active again, which should cost nobody a packet. */
async function comeBack(session: Session, failure: Failure, act: () => Promise<unknown>): Promise<void> {
  const { context, subject, plan, traffic, backup } = session;
  const boundMs = downIntervals(backup.options).activeDownUs / 1000 + ROLE_BOUND_MS;
  const from = traffic.sent();
  const mac = session.active.router.upstreamMac;
  const carried = traffic.carriedBy(mac);
  await act();
  await reach(session.active, "active", boundMs);
  await reach(backup, "backup", boundMs);
  await eventually("packets come through r1 again", boundMs, () => traffic.carriedBy(mac) > carried);
  const { outageUs, lost, duplicated } = await settled(session, from);
  const condition = conditionOf(plan, COME_BACK[failure]);
  context.record("outage", condition, subject.id, outageUs / 1000);
  context.record("lost", condition, subject.id, lost);
  context.record("doubled", condition, subject.id, duplicated);
}
