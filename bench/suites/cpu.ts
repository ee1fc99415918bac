/** What many virtual routers cost: processor time for each advertisement, memory, punctuality, failover of all. */
import { activeDownIntervalUs } from "../../src/core/vrrp/timing.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { deviations, extremes, thinByRank, type Watch, watchField } from "../lib/crowd-watch.js";
import { compileFloor, startFloor } from "../lib/floor.js";
import { FLOOR_SUBJECT as FLOOR, type Metric } from "../lib/model.js";
import { ACTIVE_PRIORITY, BACKUP_PRIORITY, type Subject } from "../lib/subjects.js";
import { inTurn, onePerWork, type Suite, type SuiteContext } from "../lib/suite.js";
import { cpuSeconds, residentMb, whyNoCpuTimes } from "../lib/usage.js";
import { inOneLine } from "../lib/words.js";
import { type Crowd, prepareCrowd } from "../testbed/crowd.js";
import { type CrowdSize, type Field, type Member, membersOf, openField } from "../testbed/field.js";

const METRICS: readonly Metric[] = [
  {
    id: "sent",
    title: "Processor time for a million advertisements sent",
    unit: "s",
    better: "lower",
    grain: 1,
    note:
      "Seconds on a processor of all threads of the Active's processes, over the advertisements that arrived at the " +
      "other end meanwhile; half a second gives a sample. On veth the sender's time holds the kernel's delivery to the receiver's socket, alike for " +
      "all. `floor`: a bare sendmmsg loop, all frames of an interface in one call.",
  },
  {
    id: "received",
    title: "Processor time for a million advertisements received",
    unit: "s",
    better: "lower",
    grain: 1,
    note: "The same of the Backup's processes. `floor`: a bare recvmmsg loop that looks at nothing.",
  },
  {
    id: "share",
    title: "Advertisements of those that are due",
    unit: "%",
    better: "higher",
    grain: 1,
    note:
      "That arrived in the time of the measurement. Less than 100: the daemon does not keep its interval, because it " +
      "arms its timers late each time, or has no time.",
    plot: false,
  },
  {
    id: "memory",
    title: "Resident memory of the Active",
    unit: "MB",
    better: "lower",
    grain: 2,
    note: "VmRSS of all its processes together, at the end of the measurement.",
  },
  {
    id: "deviation",
    title: "Deviation of advertisements",
    unit: "ms",
    better: "lower",
    grain: 0.5,
    note:
      "How far the time between two advertisements of a virtual router was from its interval, at the other end. Where " +
      "there are more than 5,000, as many stand for all, evenly by rank.",
  },
  {
    id: "failover",
    title: "Failover of all virtual routers",
    unit: "ms",
    better: "lower",
    grain: 1,
    note:
      "The Active is killed with SIGKILL. For each virtual router: its last advertisement + 3 x interval + skew of the " +
      "Backup, to the Backup's first. The last of them is in the column `most`. Ideal: 0.",
  },
  {
    id: "notTakenOver",
    title: "Virtual routers without a successor",
    unit: "routers",
    better: "lower",
    grain: 0,
    note: "That the Backup had not taken over within Active_Down_Interval + 10 s. Ideal: 0.",
    plot: false,
  },
];

interface Plan extends CrowdSize {
  readonly intervalMs: number;
  readonly seconds: number;
}

const BOTH = ["ipv4", "ipv6"] as const;
const FEW = [
  { count: 1, interfaces: 1, families: ["ipv4"], intervalMs: 10 },
  { count: 50, interfaces: 1, families: ["ipv4"], intervalMs: 10 },
  { count: 255, interfaces: 1, families: ["ipv4"], intervalMs: 10 },
] as const;
const MANY = [
  { count: 1000, interfaces: 16, families: ["ipv4"], intervalMs: 100 },
  { count: 4096, interfaces: 16, families: BOTH, intervalMs: 100 },
] as const;

/** Each gives a sample: what a daemon does once in a while, like collecting its garbage, is in one of many then. */
const SLICE_MS = 500;
const QUICK_SECONDS = 2.5;
const FULL_SECONDS = 20;
const QUICK_RUNS = 1;
const FULL_RUNS = 3;
const FAILOVER_BOUND_MS = 10_000;
const STAND_FOR_ALL = 5000;
/** A crowd is complete when all speak, and as often as is due, or as often as in the half second before. */
const ALL_DUE = 0.95;
const STEADY = 0.03;
/** Of one family on one interface. */
const MOST_VRIDS = 255;

const boundMs = (count: number, quick: boolean): number =>
  (quick ? 12_000 : 60_000) + (quick ? 10 : 30) * count;

const ABOUT =
  "Two daemons of one make, joined by cables (veth), share N virtual routers: router 1 is Active for all, router 2 " +
  "Backup. Advertisements are counted by the kernel's capture at each end.";

export const cpu: Suite = {
  name: "cpu",
  title: "processor time and memory of up to 255 virtual routers",
  about: `${ABOUT} All are on one interface (IPv4).`,
  quickSeconds: 90,
  metrics: METRICS,
  run: (context) => crowdRuns(context, FEW, () => true),
};

export const scale: Suite = {
  name: "scale",
  title: "processor time and memory of thousands of virtual routers",
  about: `${ABOUT} They are on 16 interfaces; 4,096 are 16 interfaces x 128 VRIDs x 2 families.`,
  quickSeconds: 90,
  metrics: METRICS,
  run: (context) => crowdRuns(context, MANY, (subject) => !context.quick || canBeMany(subject)),
};

async function crowdRuns(
  context: SuiteContext,
  sizes: readonly (CrowdSize & { readonly intervalMs: number })[],
  takesPart: (subject: Subject) => boolean,
): Promise<void> {
  const missing = whyNoCpuTimes();
  if (missing) context.note(`**ABSENT**: processor times: ${missing}`);
  const subjects = onePerWork(context);
  for (const size of sizes) {
    const plan = { ...size, seconds: context.quick ? QUICK_SECONDS : FULL_SECONDS };
    for (const round of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS })) {
      await floorRun(context, plan);
      for (const subject of inTurn(subjects, round)) {
        if (takesPart(subject)) await crowdRun(context, subject, plan);
        else context.miss(titleOf(plan), subject.id, "left out of the quick run for its time");
      }
    }
  }
}

/** In a quick run, of those that manage 1,000 and more. */
function canBeMany({ id, make }: Subject): boolean {
  return make === "firsthop" || id === "keepalived-vmac";
}

function titleOf({ count, intervalMs }: Plan): string {
  return `${count.toLocaleString("en")} virtual router${count === 1 ? "" : "s"}, ${intervalMs} ms`;
}

/** Room for the frames of a whole run, the starting and the failover included. */
function roomFor({ count, intervalMs, seconds }: Plan): number {
  return Math.ceil((count * 1000 * (seconds + 100)) / intervalMs);
}

async function crowdRun(context: SuiteContext, subject: Subject, plan: Plan): Promise<void> {
  context.progress(`${titleOf(plan)}: ${subject.id}`);
  const { intervalMs } = plan;
  const members = membersOf(plan);
  const field = await openField(plan.interfaces);
  const watches: Watch[] = [];
  try {
    const [one, two] = field.nodes;
    const atTwo = watchField(field, two, roomFor(plan));
    const atOne = watchField(field, one, roomFor(plan));
    watches.push(atOne, atTwo);
    const start = async (node: typeof one, priority: number): Promise<Crowd> =>
      (await prepareCrowd(subject, field, node, { members, priority, intervalMs })).start();
    const active = await start(one, ACTIVE_PRIORITY);
    await complete(plan, atTwo, active, context.quick);
    const backup = await start(two, BACKUP_PRIORITY);
    const titled = { context, condition: titleOf(plan), subject: subject.id };
    const restless = await whyRestless(plan, { atOne, backup, quick: context.quick });
    if (restless) context.miss(titled.condition, subject.id, `not as Backup: ${restless}`);
    await measure(titled, plan, { active, backup: restless ? null : backup, atTwo });
    if (restless) return;
    await killAll(titled, plan, { active, atOne, atTwo, members });
    for (const watch of watches) watch.verify();
    await backup.crash();
  } catch (error) {
    context.miss(titleOf(plan), subject.id, inOneLine(error));
  } finally {
    for (const watch of watches) await watch.stop();
    field.close();
  }
}

/** Waits until all speak, as often as they ever will. */
async function complete(
  plan: Plan,
  watch: Watch,
  crowd: Crowd,
  quick: boolean,
  speakers = plan.count,
): Promise<void> {
  const due = (plan.count * 500) / plan.intervalMs;
  let [heard, speaking] = [0, 0];
  await eventually(
    `${plan.count} virtual routers advertise`,
    boundMs(plan.count, quick),
    async () => {
      const mark = watch.mark();
      await pause(500);
      const before = heard;
      const since = watch.since(mark);
      heard = since.length;
      speaking = extremes(since).size;
      const steady = Math.abs(heard - before) <= STEADY * due;
      return speaking >= speakers && (heard >= ALL_DUE * due || steady);
    },
    () =>
      `${speaking} did, ${heard} times in half a second of ${due}; ` +
      crowd.log().trimEnd().split("\n").slice(-2).join(" | "),
  );
}

interface BackupPlace {
  readonly atOne: Watch;
  readonly backup: Crowd;
  readonly quick: boolean;
}

/**
 * Waits until all virtual routers of the Backup are that, and say nothing for longer than their Active_Down_Interval.
 * @returns null then; else what it does, when it goes on with it.
 */
async function whyRestless(plan: Plan, { atOne, backup, quick }: BackupPlace): Promise<string | null> {
  const restMs = 1000 + 5 * plan.intervalMs;
  let heard = -1;
  await pause(Math.min(5000, 500 + plan.count));
  const giveUpAt = performance.now() + boundMs(plan.count, quick);
  while ((backup.standingBy() ?? plan.count) < plan.count) {
    if (performance.now() > giveUpAt) return `only ${backup.standingBy()} of ${plan.count} became Backup`;
    await pause(500);
  }
  do {
    heard = atOne.count();
    await pause(restMs);
    if (atOne.count() === heard) return null;
  } while (performance.now() < giveUpAt);
  const log = backup.log().trimEnd().split("\n").at(-1);
  return `it sent ${atOne.count() - heard} advertisements in ${restMs} ms beside the Active; its log ends: ${log}`;
}

interface Titled {
  readonly context: SuiteContext;
  readonly condition: string;
  readonly subject: string;
}

async function measure(
  { context, condition, subject }: Titled,
  plan: Plan,
  { active, backup, atTwo }: { active: Crowd; backup: Crowd | null; atTwo: Watch },
): Promise<void> {
  const mark = atTwo.mark();
  const record = (metric: string, ...values: number[]): void =>
    context.record(metric, condition, subject, ...values);
  for (let slice = 0; slice < (1000 * plan.seconds) / SLICE_MS; slice++) {
    const spent = await sliceOf(plan, atTwo, [active, backup]);
    record("sent", spent.perMillion[0]!);
    if (backup) record("received", spent.perMillion[1]!);
    record("share", spent.sharePercent);
  }
  record("memory", residentMb(active.processes()));
  const found = deviations(atTwo.since(mark), plan.intervalMs);
  record("deviation", ...thinByRank(found, STAND_FOR_ALL));
}

interface Spent {
  /** Seconds of each crowd for a million advertisements. */
  readonly perMillion: readonly number[];
  readonly sharePercent: number;
}

/** What crowds use while advertisements come for a while. */
async function sliceOf(plan: Plan, watch: Watch, crowds: readonly (Crowd | null)[]): Promise<Spent> {
  const used = (): number[] => crowds.map((crowd) => cpuSeconds(crowd?.processes() ?? []));
  const [beganMs, count, before] = [performance.now(), watch.count(), used()];
  await pause(SLICE_MS);
  const [endedMs, millions, after] = [performance.now(), (watch.count() - count) / 1e6, used()];
  const dueMillions = (plan.count * (endedMs - beganMs)) / plan.intervalMs / 1e6;
  return {
    perMillion: after.map((seconds, at) => (seconds - before[at]!) / millions),
    sharePercent: Math.min(100, (100 * millions) / dueMillions),
  };
}

interface KillPlace {
  readonly active: Crowd;
  readonly atOne: Watch;
  readonly atTwo: Watch;
  readonly members: readonly Member[];
}

async function killAll({ context, condition, subject }: Titled, plan: Plan, place: KillPlace): Promise<void> {
  const { active, atOne, atTwo, members } = place;
  const downUs = activeDownIntervalUs(3, BACKUP_PRIORITY, 1000 * plan.intervalMs);
  const [markOne, markTwo] = [atOne.mark(), atTwo.mark()];
  await pause(2 * plan.intervalMs); // so that each has been heard since the marks
  await active.crash();
  const all = (): boolean => extremes(atOne.since(markOne)).size >= members.length;
  // Many frames are looked through only when enough have come.
  const enough = (): boolean => atOne.count() - markOne.reduce((sum, at) => sum + at, 0) >= members.length;
  await eventually("all have a successor", downUs / 1000 + FAILOVER_BOUND_MS, async () => {
    await pause(200);
    return enough() && all();
  }).catch(() => {}); // What is missing is counted below.
  const last = extremes(atTwo.since(markTwo));
  const first = extremes(atOne.since(markOne));
  const over = [...first].flatMap(([key, times]) => {
    const heard = last.get(key);
    return heard ? [(times.first - heard.last - downUs) / 1000] : [];
  });
  context.record("failover", condition, subject, ...over);
  context.record("notTakenOver", condition, subject, members.length - first.size);
}

async function floorRun(context: SuiteContext, plan: Plan): Promise<void> {
  context.progress(`${titleOf(plan)}: ${FLOOR}`);
  const field = await openField(plan.interfaces);
  const compiled = compileFloor();
  try {
    if ("absent" in compiled) {
      context.miss(titleOf(plan), FLOOR, compiled.absent);
      return;
    }
    await floorMeasure(context, plan, field, compiled.path);
  } finally {
    field.close();
  }
}

async function floorMeasure(context: SuiteContext, plan: Plan, field: Field, path: string): Promise<void> {
  const [one, two] = field.nodes;
  const watch = watchField(field, two, roomFor(plan));
  const receiver = startFloor(two, path, ["receive"]);
  const each = String(Math.round(plan.count / plan.interfaces));
  const sender = startFloor(one, path, [
    ...["send", String(1000 * plan.intervalMs), each],
    ...field.interfaces,
  ]);
  const vrids = Math.min(plan.count, MOST_VRIDS * plan.interfaces);
  await complete(plan, watch, sender, context.quick, vrids);
  for (let slice = 0; slice < (1000 * plan.seconds) / SLICE_MS; slice++) {
    const { perMillion } = await sliceOf(plan, watch, [sender, receiver]);
    context.record("sent", titleOf(plan), FLOOR, perMillion[0]!);
    context.record("received", titleOf(plan), FLOOR, perMillion[1]!);
  }
  await watch.stop();
  await sender.crash();
  await receiver.crash();
}
