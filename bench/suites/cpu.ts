/** What many virtual routers cost: processor time for each advertisement, memory, punctuality, failover of all. */
import { activeDownIntervalUs } from "../../src/core/vrrp/timing.js";
import type { Moment } from "../../src/lab/topology.js";
import { instrumentNowUs, type SeenAdvert } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import {
  atRest,
  type CrowdPlan,
  type Crowds,
  complete,
  restMs,
  type Slice,
  type Spent,
  spentIn,
  whyTooMany,
} from "../lib/crowd-run.js";
import { deviations, extremes, thinByRank, type Watch, watchField } from "../lib/crowd-watch.js";
import { compileFloor, startFloor } from "../lib/floor.js";
import { FLOOR_SUBJECT as FLOOR, type Metric } from "../lib/model.js";
import type { Wake } from "../lib/noise.js";
import { stallTailsMs } from "../lib/stalls.js";
import { ACTIVE_PRIORITY, BACKUP_PRIORITY, type Subject } from "../lib/subjects.js";
import { inTurn, onePerWork, type Suite, type SuiteContext } from "../lib/suite.js";
import { cpuSeconds, residentMb, whyNoCpuTimes } from "../lib/usage.js";
import { inOneLine } from "../lib/words.js";
import { type Crowd, type PreparedCrowd, prepareCrowd } from "../testbed/crowd.js";
import { type CrowdSize, type Field, membersOf, openField } from "../testbed/field.js";

const STANDSTILL_MS = 5;

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
    id: "asleep",
    title: "How late bare sleepers woke meanwhile",
    unit: "ms",
    better: "lower",
    grain: 0.5,
    compare: false,
    note:
      "One on each processor, every 10 ms, in the real-time class (SCHED_FIFO 90), in the very seconds of these " +
      "deviations: for so long a processor ran nobody, be it the host's doing or the kernel's.",
    plot: false,
  },
  {
    id: "standstills",
    title: `Standstills of a processor for more than ${STANDSTILL_MS} ms meanwhile`,
    unit: "times",
    better: "lower",
    grain: 0,
    compare: false,
    note: "Of those sleepers' wakes, how many came so late.",
    plot: false,
  },
  {
    id: "stalls",
    title: "Deviation that these stalls alone would make",
    unit: "ms",
    better: "lower",
    grain: 0.5,
    compare: false,
    note:
      "The p99.9 of the gaps of a loop that is late only as long as a sleeper was: a sample for each processor. A stall " +
      "makes a gap of each that was due in it longer, so a single one of 25 ms in 2.5 s makes 22.5.",
    plot: false,
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
    note:
      "That the Backup had not taken over within Active_Down_Interval + 10 s, or when it had taken over no other for " +
      "four seconds. Ideal: 0.",
    plot: false,
  },
];

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
/** A crowd that failed once is tried once more. */
const TRIES = 2;
/** Who fails sooner is tried again although the suite is late. */
const SOON_MS = 10_000;
const FAILOVER_BOUND_MS = 10_000;
/** When none was added for so long, none will be. */
const NOBODY_MORE_MS = 4_000;
const STAND_FOR_ALL = 5000;
/** Of one family on one interface. */
const MOST_VRIDS = 255;

const ABOUT =
  "Two daemons of one make, joined by cables (veth), share N virtual routers: router 1 is Active for all, router 2 " +
  "Backup. Advertisements are counted by the kernel's capture at each end.";

export const cpu: Suite = {
  name: "cpu",
  title: "processor time and memory of up to 255 virtual routers",
  about: `${ABOUT} All are on one interface (IPv4).`,
  quickSeconds: 66,
  metrics: METRICS,
  run: (context) => crowdRuns(context, FEW),
};

export const scale: Suite = {
  name: "scale",
  title: "processor time and memory of thousands of virtual routers",
  about: `${ABOUT} They are on 16 interfaces; 4,096 are 16 interfaces x 128 VRIDs x 2 families.`,
  quickSeconds: 140,
  metrics: METRICS,
  run: (context) => crowdRuns(context, MANY),
};

async function crowdRuns(
  context: SuiteContext,
  sizes: readonly (CrowdSize & { readonly intervalMs: number })[],
): Promise<void> {
  const missing = whyNoCpuTimes();
  if (missing) context.note(`**ABSENT**: processor times: ${missing}`);
  const subjects = onePerWork(context);
  for (const size of sizes) {
    const plan: CrowdPlan = { ...size, quick: context.quick, isOver: context.isOver };
    for (const round of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS })) {
      if (!context.leavesOut(titleOf(plan), FLOOR)) await floorRun(context, plan);
      for (const subject of slowestLast(plan, inTurn(subjects, round))) await tried(context, subject, plan);
    }
  }
}

/** Of thousands: keepalived with a device for each takes longest to start and to be removed, and may lack the time. */
function slowestLast({ count, quick }: CrowdPlan, subjects: readonly Subject[]): readonly Subject[] {
  if (!quick || count <= 1000) return subjects;
  const slow = ({ make, variant }: Subject): number => Number(make === "keepalived" && variant.virtualMac);
  return [...subjects].sort((a, b) => slow(a) - slow(b));
}

async function tried(context: SuiteContext, subject: Subject, plan: CrowdPlan): Promise<void> {
  const condition = titleOf(plan);
  const tooMany = context.quick ? whyTooMany(subject, plan) : null;
  if (tooMany) {
    context.miss(condition, subject.id, tooMany);
    return;
  }
  for (let time = 0; time < TRIES; time++) {
    if (context.leavesOut(condition, subject.id)) return;
    context.progress(`${condition}: ${subject.id}`);
    const beganMs = performance.now();
    const trouble = await crowdRun(context, subject, plan);
    if (trouble === null) return;
    context.miss(condition, subject.id, trouble);
    const tookMs = performance.now() - beganMs;
    if (tookMs > SOON_MS && tookMs > context.leftMs()) return;
  }
}

function titleOf({ count, intervalMs }: CrowdPlan): string {
  return `${count.toLocaleString("en")} virtual router${count === 1 ? "" : "s"}, ${intervalMs} ms`;
}

/** Room for the frames of a whole run, the starting and the failover included. */
function roomFor({ count, intervalMs, quick }: CrowdPlan): number {
  const seconds = 100 + (quick ? QUICK_SECONDS : FULL_SECONDS);
  return Math.ceil((count * 1000 * seconds) / intervalMs);
}

/** @returns why there are no figures; null: there are. */
async function crowdRun(context: SuiteContext, subject: Subject, plan: CrowdPlan): Promise<string | null> {
  const { intervalMs } = plan;
  const members = membersOf(plan);
  let field: Field | null = null;
  const watches: Watch[] = [];
  const lap = stopwatch();
  try {
    field = await openField(plan.interfaces);
    const [one, two] = field.nodes;
    const atTwo = watchField(field, two, plan.count, roomFor(plan));
    const atOne = watchField(field, one, plan.count, roomFor(plan));
    watches.push(atOne, atTwo);
    const prepare = (node: typeof one, priority: number): Promise<PreparedCrowd> =>
      prepareCrowd(subject, field!, node, { members, priority, intervalMs });
    const active = await (await prepare(one, ACTIVE_PRIORITY)).start();
    await complete(plan, atTwo, active);
    lap("Active");
    const backup = await (await prepare(two, BACKUP_PRIORITY)).start();
    const rest = await atRest(plan, atOne, backup);
    lap("Backup");
    const crowds = { active, backup, atOne, atTwo };
    for (const watch of watches) watch.forgive();
    const measured = await measure(plan, crowds);
    const markRest = atOne.mark();
    if (rest.remark) await pause(restMs(plan));
    const failover = rest.ready
      ? await killAll(plan, crowds, { active: measured.mark, rest: markRest })
      : null;
    const remarks = [rest.remark, ...watches.map((watch) => watch.loss())];
    lap("measured");
    recordAll(context, titleOf(plan), subject.id, measured, failover);
    if (plan.count >= 1000) recordStalls(context, titleOf(plan), subject.id, measured.time);
    const said = remarks.filter((remark) => remark !== null);
    if (said.length > 0) context.miss(titleOf(plan), subject.id, said.join("; "));
    return null;
  } catch (error) {
    return inOneLine(error);
  } finally {
    for (const watch of watches) await watch.stop();
    field?.close();
    context.progress(`  ${lap("removed")}`);
  }
}

/** "Active 2.1 s, Backup 1.4 s": says how long each part took, the one just over last. */
function stopwatch(): (part: string) => string {
  const parts: string[] = [];
  let sinceMs = performance.now();
  return (part) => {
    const nowMs = performance.now();
    parts.push(`${part} ${((nowMs - sinceMs) / 1000).toFixed(1)} s`);
    sinceMs = nowMs;
    return parts.join(", ");
  };
}

interface Measured {
  /** Where in what was heard it began. */
  readonly mark: readonly number[];
  readonly slices: readonly Spent[];
  readonly memoryMb: number;
  readonly time: Moment;
  readonly deviationsMs: readonly number[];
}

/** What crowds spend while advertisements come for a while. */
async function measure(plan: CrowdPlan, { active, backup, atTwo }: Crowds): Promise<Measured> {
  const mark = atTwo.mark();
  const times = await slicesOf(plan, [active, backup]);
  const memoryMb = residentMb(active.processes());
  await atTwo.caughtUp();
  const adverts = atTwo.since(mark);
  return {
    mark,
    slices: spentIn(plan, times, adverts),
    memoryMb,
    time: { beginUs: times[0]!.beginUs, endUs: times.at(-1)!.endUs },
    deviationsMs: thinByRank(deviations(adverts, plan.intervalMs), STAND_FOR_ALL),
  };
}

/** What crowds used in each slice of the time. */
async function slicesOf(plan: CrowdPlan, crowds: readonly Crowd[]): Promise<Slice[]> {
  const used = (): number[] => crowds.map((crowd) => cpuSeconds(crowd.processes()));
  const slices: Slice[] = [];
  const seconds = plan.quick ? QUICK_SECONDS : FULL_SECONDS;
  for (let slice = 0; slice < (1000 * seconds) / SLICE_MS; slice++) {
    const [beginUs, before] = [instrumentNowUs(), used()];
    await pause(SLICE_MS);
    const [endUs, after] = [instrumentNowUs(), used()];
    slices.push({ beginUs, endUs, seconds: after.map((now, at) => now - before[at]!) });
  }
  return slices;
}

function recordAll(
  context: SuiteContext,
  condition: string,
  subject: string,
  measured: Measured,
  failover: CrowdFailover | null,
): void {
  const record = (metric: string, ...values: readonly number[]): void =>
    context.record(metric, condition, subject, ...values);
  for (const { perMillion, sharePercent } of measured.slices) {
    record("sent", perMillion[0]!);
    if (failover) record("received", perMillion[1]!);
    record("share", sharePercent);
  }
  record("memory", measured.memoryMb);
  record("deviation", ...measured.deviationsMs);
  if (!failover) return;
  record("failover", ...failover.overMs);
  record("notTakenOver", failover.left);
}

/** What bare sleepers met while the gaps of thousands were measured. */
function recordStalls(context: SuiteContext, condition: string, subject: string, time: Moment): void {
  const seconds = (time.endUs - time.beginUs) / 1e6;
  const meanwhile = (metric: string, of: (wakes: readonly Wake[]) => readonly number[]): void =>
    context.recordMeanwhile(metric, condition, subject, time, of);
  meanwhile("asleep", (wakes) => wakes.map(({ lateMs }) => lateMs));
  meanwhile("standstills", (wakes) => [wakes.filter(({ lateMs }) => lateMs > STANDSTILL_MS).length]);
  meanwhile("stalls", (wakes) => stallTailsMs(wakes, seconds));
}

interface CrowdFailover {
  /** Of those that were at rest as Backup, and have a successor. */
  readonly overMs: readonly number[];
  /** Without a successor. */
  readonly left: number;
}

/** Places in what was heard: since `active` each of the Active's has said something; at rest is who is silent since `rest`. */
interface Marks {
  readonly active: readonly number[];
  readonly rest: readonly number[];
}

async function killAll(
  plan: CrowdPlan,
  { active, atOne, atTwo }: Crowds,
  marks: Marks,
): Promise<CrowdFailover> {
  const downUs = activeDownIntervalUs(3, BACKUP_PRIORITY, 1000 * plan.intervalMs);
  const restless = extremes(atOne.since(marks.rest));
  const markOne = atOne.mark();
  const killedUs = instrumentNowUs();
  await active.crash();
  const heard = (): SeenAdvert[] => atOne.since(markOne).filter(({ atUs }) => atUs > killedUs);
  // Many frames are looked through only when enough have come, and then once a second.
  const enough = (): boolean => atOne.count() - markOne.reduce((sum, at) => sum + at, 0) >= plan.count;
  let [successors, grownMs, lookMs] = [0, performance.now(), 200];
  await eventually("all have a successor", downUs / 1000 + FAILOVER_BOUND_MS, async () => {
    await pause(lookMs);
    const before = successors;
    if (enough()) [successors, lookMs] = [extremes(heard()).size, 1000];
    if (successors > before) grownMs = performance.now();
    if (successors === 0) return false;
    return successors >= plan.count || performance.now() - grownMs > NOBODY_MORE_MS;
  }).catch(() => {}); // What is missing is counted below.
  await atTwo.caughtUp();
  const last = extremes(atTwo.since(marks.active));
  const first = extremes(heard());
  const overMs = [...first].flatMap(([key, times]) => {
    const before = last.get(key);
    return before && !restless.has(key) ? [(times.first - before.last - downUs) / 1000] : [];
  });
  return { overMs, left: plan.count - first.size };
}

async function floorRun(context: SuiteContext, plan: CrowdPlan): Promise<void> {
  context.progress(`${titleOf(plan)}: ${FLOOR}`);
  const compiled = compileFloor();
  let field: Field | null = null;
  try {
    if ("absent" in compiled) throw new Error(compiled.absent);
    field = await openField(plan.interfaces);
    await floorMeasure(context, plan, field, compiled.path);
  } catch (error) {
    context.miss(titleOf(plan), FLOOR, inOneLine(error));
  } finally {
    field?.close();
  }
}

async function floorMeasure(
  context: SuiteContext,
  plan: CrowdPlan,
  field: Field,
  path: string,
): Promise<void> {
  const [one, two] = field.nodes;
  const watch = watchField(field, two, plan.count, roomFor(plan));
  try {
    const receiver = startFloor(two, path, ["receive"]);
    const each = String(Math.round(plan.count / plan.interfaces));
    const sender = startFloor(one, path, [
      ...["send", String(1000 * plan.intervalMs), each],
      ...field.interfaces,
    ]);
    await complete(plan, watch, sender, Math.min(plan.count, MOST_VRIDS * plan.interfaces));
    watch.forgive();
    const mark = watch.mark();
    const times = await slicesOf(plan, [sender, receiver]);
    await watch.caughtUp();
    watch.loss();
    for (const { perMillion } of spentIn(plan, times, watch.since(mark))) {
      context.record("sent", titleOf(plan), FLOOR, perMillion[0]!);
      context.record("received", titleOf(plan), FLOOR, perMillion[1]!);
    }
  } finally {
    await watch.stop();
  }
}
