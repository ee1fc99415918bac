/** From the start of the process to the moment in which every virtual router has its timers armed. */
import { activeDownIntervalUs } from "../../src/core/vrrp/timing.js";
import { instrumentNowUs } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { extremes, type Watch, watchField } from "../lib/crowd-watch.js";
import type { Metric } from "../lib/model.js";
import { BACKUP_PRIORITY, type Subject } from "../lib/subjects.js";
import { inTurn, onePerWork, type Suite, type SuiteContext } from "../lib/suite.js";
import { residentMb } from "../lib/usage.js";
import { inOneLine } from "../lib/words.js";
import { type Crowd, prepareCrowd } from "../testbed/crowd.js";
import { type Field, membersOf, openField } from "../testbed/field.js";

const INTERVAL_MS = 100;
const COUNTS = [1, 255] as const;
const QUICK_RUNS = 5;
const FULL_RUNS = 10;
const READY_BOUND_MS = 15_000;
const SETTLE_MS = 1000;

const METRICS: readonly Metric[] = [
  {
    id: "ready",
    title: "Start to ready",
    unit: "ms",
    better: "lower",
    grain: 20,
    note:
      "From before the process is made to the moment in which the last virtual router armed its timers: its first " +
      "advertisement at the other end, less the 3 x interval + skew that it listened before (it is alone, so it takes " +
      "over then). Holds about 5 ms of `ip netns exec`. FRR: with zebra, its macvlans are there beforehand; its skew " +
      "is rounded down, which makes it look up to 10 ms faster.",
  },
  {
    id: "memory",
    title: "Resident memory after the start",
    unit: "MB",
    better: "lower",
    grain: 2,
    note: "VmRSS of all processes together, a second after the last virtual router became Active.",
  },
];

export const start: Suite = {
  name: "start",
  title: "start to ready, and memory",
  about: "One daemon with virtual routers on one interface, alone on its cable; the other end listens.",
  quickSeconds: 18,
  metrics: METRICS,
  run: async (context) => {
    const subjects = onePerWork(context);
    const all = COUNTS.flatMap((count) => subjects.map((subject): Start => ({ subject, count, done: 0 })));
    for (const round of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS })) {
      for (const count of COUNTS) {
        for (const subject of inTurn(subjects, round)) {
          await startRun(context, all.find((one) => one.subject === subject && one.count === count)!);
        }
      }
    }
    for (const one of all) if (one.done === 0) await startRun(context, one);
  },
};

interface Start {
  readonly subject: Subject;
  readonly count: number;
  /** How often it was measured. */
  done: number;
}

async function startRun(context: SuiteContext, own: Start): Promise<void> {
  const { subject, count } = own;
  const condition = count === 1 ? "1 virtual router" : `${count} virtual routers`;
  if (context.leavesOut(condition, subject.id)) return;
  context.progress(`${condition}: ${subject.id}`);
  const members = membersOf({ count, interfaces: 1, families: ["ipv4"] });
  let field: Field | null = null;
  let watch: Watch | null = null;
  try {
    field = await openField(1);
    const [node, other] = field.nodes;
    const seen = watchField(field, other, count, count * 1000);
    watch = seen;
    const options = { members, priority: BACKUP_PRIORITY, intervalMs: INTERVAL_MS };
    const prepared = await prepareCrowd(subject, field, node, options);
    const beginUs = instrumentNowUs();
    const crowd = await prepared.start();
    const spoke = (): ReadonlyMap<string, { readonly first: number }> => extremes(seen.since([0]));
    await eventually(
      "every virtual router is Active",
      READY_BOUND_MS,
      () => seen.count() >= count && spoke().size >= count,
      () => `${spoke().size} of ${count} are; ${crowd.log().slice(-200)}`,
    );
    const lastUs = Math.max(...[...spoke().values()].map(({ first }) => first));
    const downUs = activeDownIntervalUs(3, BACKUP_PRIORITY, 1000 * INTERVAL_MS);
    const memoryMb = wantsMemory(context, own) ? await memoryOf(crowd) : [];
    seen.loss();
    context.record("ready", condition, subject.id, (lastUs - downUs - beginUs) / 1000);
    context.record("memory", condition, subject.id, ...memoryMb);
    own.done++;
  } catch (error) {
    context.miss(condition, subject.id, inOneLine(error));
  } finally {
    await watch?.stop();
    field?.close();
  }
}

/** Memory differs little from start to start, and takes a second to settle: a quick run looks once. */
const wantsMemory = ({ quick, compares }: SuiteContext, { done }: Start): boolean =>
  !quick || compares || done === 0;

async function memoryOf(crowd: Crowd): Promise<number[]> {
  await pause(SETTLE_MS);
  return [residentMb(crowd.processes())];
}
