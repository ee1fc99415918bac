/** Failover and come-back: what a host's packets notice, after each way to fail, at three intervals. */
import { reportTraffic } from "../../src/lab/statistics.js";
import type { CutKind, Lab } from "../../src/lab/topology.js";
import { startTraffic, type Traffic } from "../../src/lab/traffic.js";
import { eventually } from "../../src/lab/wait.js";
import type { Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, type Subject, startSubjectPair } from "../lib/subjects.js";
import { inTurn, type Suite, type SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";
import { type Failover, measureTakeover } from "../testbed/failover.js";
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
  /** Repetitions in one session. */
  readonly silent: number;
  readonly others: number;
  /** Sessions of each subject; of a quick run as many as fit into the time until then. */
  readonly sessions: number;
  readonly untilSeconds?: number;
  /** All subjects at once, each in two labs of its own: one is cut off, the other is killed and stopped. */
  readonly together: boolean;
}

const QUICK_SECONDS = 100;
const QUICK: readonly Plan[] = [
  { intervalMs: 10, rate: 20_000, silent: 2, others: 1, sessions: 4, untilSeconds: 36, together: false },
  { intervalMs: 100, rate: 20_000, silent: 2, others: 1, sessions: 4, untilSeconds: 72, together: false },
  { intervalMs: 1000, rate: 2_000, silent: 1, others: 1, sessions: 1, together: true },
];

const FULL: readonly Plan[] = [
  { intervalMs: 10, rate: 20_000, silent: 10, others: 4, sessions: 5, together: false },
  { intervalMs: 100, rate: 20_000, silent: 6, others: 3, sessions: 4, together: false },
  { intervalMs: 1000, rate: 20_000, silent: 2, others: 2, sessions: 2, together: false },
];

/** What fails: the router's lines, or its daemon. */
type Part = "lines" | "daemon";
const PARTS: readonly Part[] = ["lines", "daemon"];

/** Longest that a session may send; memory is used as packets are sent. */
const SESSION_SECONDS = 180;
const QUIET_AFTER_MS = 150;

interface Session {
  readonly context: SuiteContext;
  readonly lab: Lab;
  readonly subject: Subject;
  readonly plan: Plan;
  readonly traffic: Traffic;
  active: Speaker;
  readonly backup: Speaker;
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

const timeOf = ({ untilSeconds }: Plan): { untilSeconds?: number } =>
  untilSeconds === undefined ? {} : { untilSeconds };

/** Sessions of all subjects; one that never ran through is given another one, where there is time. */
async function runPlan(context: SuiteContext, plan: Plan): Promise<void> {
  const outcomes = new Map<Subject, Outcome[]>(context.subjects.map((subject) => [subject, []]));
  const run = async (subject: Subject): Promise<void> => {
    context.progress(`${subject.id}, ${plan.intervalMs} ms`);
    const parts = plan.together
      ? await Promise.all(PARTS.map((part) => runSession(context, subject, plan, [part])))
      : [await runSession(context, subject, plan, PARTS)];
    outcomes.get(subject)!.push(parts.find((outcome) => outcome !== null) ?? null);
  };
  const runAll = async (subjects: readonly Subject[]): Promise<void> => {
    if (plan.together) await Promise.all(subjects.map(run));
    else for (const subject of subjects) await run(subject);
  };
  const rounds = { quick: plan.sessions, full: plan.sessions, ...timeOf(plan) };
  for (const round of context.rounds(rounds)) await runAll(inTurn(context.subjects, round));
  if (context.hasTime(plan.untilSeconds)) {
    await runAll(context.subjects.filter((subject) => !outcomes.get(subject)!.includes(null)));
  }
  for (const [subject, all] of outcomes) {
    const failures = all.filter((outcome) => outcome !== null);
    const where = `${plan.intervalMs} ms`;
    if (failures.length === all.length) context.miss(where, subject.id, failures.at(-1) ?? "no session");
    else if (failures.length > 0) {
      const share = `${failures.length} of ${all.length} sessions ended early`;
      context.note(`${where}, ${subject.id}: ${share}: ${failures.join("; ")}`);
    }
  }
}

/** Why a session ended before its end; null: it did not. */
type Outcome = string | null;

async function runSession(
  context: SuiteContext,
  subject: Subject,
  plan: Plan,
  parts: readonly Part[],
): Promise<Outcome> {
  const { intervalMs, rate } = plan;
  try {
    await withLab({ routers: 2 }, async (lab) => {
      const pair = await startSubjectPair(lab, subject, { intervalMs });
      const traffic = startTraffic(lab, { rate, capacitySeconds: SESSION_SECONDS });
      try {
        await eventually("packets flow", 5000, () => traffic.carriedBy(lab.routers[0]!.upstreamMac) > 0);
        await disturbances({ context, lab, subject, plan, traffic, ...pair }, parts);
      } finally {
        await traffic.stop();
      }
      traffic.verify();
    });
    return null;
  } catch (error) {
    context.progress(`${subject.id}, ${intervalMs} ms: ${inOneLine(error)}`);
    return inOneLine(error);
  }
}

async function disturbances(session: Session, parts: readonly Part[]): Promise<void> {
  const { plan } = session;
  for (let run = 0; parts.includes("lines") && run < plan.silent; run++) await cut(session, "silent");
  for (let run = 0; parts.includes("lines") && run < plan.others; run++) await cut(session, "line");
  for (let run = 0; parts.includes("daemon") && run < plan.others; run++) {
    await fail(session, "kill -9", "come-back after a kill", () => session.active.crash());
    await fail(session, "graceful stop", "come-back after a stop", () => session.active.stop());
  }
  await session.backup.stop();
  await session.active.stop();
}

async function cut(session: Session, kind: CutKind): Promise<void> {
  const { lab, active } = session;
  const takeover = await takeOver(session, () => lab.cut(active.router, "both", kind));
  recordTakeover(session, `${kind} cut`, takeover);
  await comeBack(session, `come-back after a ${kind} cut`, () => lab.restore(active.router, "both", kind));
}

async function fail(
  session: Session,
  title: string,
  back: string,
  disturb: () => Promise<void>,
): Promise<void> {
  recordTakeover(session, title, await takeOver(session, disturb));
  await comeBack(session, back, async () => {
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
  const from = session.traffic.sent();
  const failover = await measureTakeover({ backup: session.backup, traffic: session.traffic, disturb });
  const report = await settled(session, from);
  return { ...failover, ...report };
}

/** What became of the packets from `from` on, when those that follow have arrived too. */
async function settled(
  session: Session,
  from: number,
): Promise<{ outageUs: number; lost: number; duplicated: number }> {
  const { traffic, plan } = session;
  const to = traffic.sent() + Math.ceil((plan.rate * QUIET_AFTER_MS) / 1000);
  await eventually("the host goes on sending", 10_000, () => traffic.sent() > to + plan.rate / 20);
  const { longestGap, lost, duplicated } = reportTraffic(traffic.columns(from, to));
  return { outageUs: longestGap?.lengthUs ?? Number.NaN, lost, duplicated };
}

function recordTakeover({ context, subject, plan }: Session, title: string, takeover: Takeover): void {
  const condition = `${plan.intervalMs} ms, ${title}`;
  const record = (metric: string, value: number): void =>
    context.record(metric, condition, subject.id, value);
  record("over", takeover.overDownIntervalUs / 1000);
  record("advert", takeover.advertOverDownIntervalUs / 1000);
  record("outage", takeover.outageUs / 1000);
  record("lost", takeover.lost);
  record("doubled", takeover.duplicated);
}

/** Router 1 returns: it becomes Active again, which should cost nobody a packet. */
async function comeBack(session: Session, title: string, act: () => Promise<unknown>): Promise<void> {
  const { context, subject, plan, traffic, backup } = session;
  const boundMs = downIntervals(backup.options).activeDownUs / 1000 + 15_000;
  const from = traffic.sent();
  const mac = session.active.router.upstreamMac;
  const carried = traffic.carriedBy(mac);
  await act();
  await reach(session.active, "active", boundMs);
  await reach(backup, "backup", boundMs);
  await eventually("packets come through r1 again", boundMs, () => traffic.carriedBy(mac) > carried);
  const { outageUs, lost, duplicated } = await settled(session, from);
  const condition = `${plan.intervalMs} ms, ${title}`;
  context.record("outage", condition, subject.id, outageUs / 1000);
  context.record("lost", condition, subject.id, lost);
  context.record("doubled", condition, subject.id, duplicated);
}
