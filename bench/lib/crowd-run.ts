/** The course of a measurement of many virtual routers: waiting until they are what they should be, and counting. */
import { instrumentNowUs, type SeenAdvert } from "../../src/lab/traffic.js";
import { pause } from "../../src/lab/wait.js";
import type { Crowd } from "../testbed/crowd.js";
import type { CrowdSize } from "../testbed/field.js";
import { extremes, type Watch } from "./crowd-watch.js";
import type { Subject } from "./subjects.js";

export interface CrowdPlan extends CrowdSize {
  readonly intervalMs: number;
  readonly quick: boolean;
  /** Whether the time of the run is over: then nothing is waited for any more. */
  isOver(): boolean;
}

/** Both crowds, and what is heard at each end: at one what the Backup says, at two what the Active says. */
export interface Crowds {
  readonly active: Crowd;
  readonly backup: Crowd;
  readonly atOne: Watch;
  readonly atTwo: Watch;
}

/** A crowd is complete when all speak, and as often as is due, or as often as in the half second before. */
const ALL_DUE = 0.95;
const STEADY = 0.03;
const LOOK_MS = 500;
/** A Backup that goes on speaking beside the Active is waited for so long. */
const QUIET_BOUND_MS = { quick: 1500, full: 60_000 } as const;

/** How long a crowd may take to start, or to become Backup. */
const boundMs = ({ count, quick }: CrowdPlan): number => (quick ? 10_000 : 60_000) + (quick ? 8 : 30) * count;

function throwIfOver(plan: CrowdPlan, said: string): void {
  if (plan.isOver()) throw new Error(`the time of a quick run was over when ${said}`);
}

/** Longer than an Active_Down_Interval: a Backup that says nothing meanwhile is one. */
export const restMs = ({ intervalMs }: CrowdPlan): number => Math.max(LOOK_MS, 5 * intervalMs);

const MOST_OF_FRR = 1000;

/** Why a crowd is not measured in a quick run; null: it is. */
export function whyTooMany(
  { make }: Pick<Subject, "make">,
  { count }: Pick<CrowdPlan, "count">,
): string | null {
  if (make !== "frr" || count <= MOST_OF_FRR) return null;
  return `left out of the quick run: ${2 * count} devices have to be made beforehand, and it never got them all to speak`;
}

/** Waits until all speak, as often as they ever will. @throws when they don't. */
export async function complete(plan: CrowdPlan, watch: Watch, crowd: Crowd, all = plan.count): Promise<void> {
  const due = (plan.count * LOOK_MS) / plan.intervalMs;
  let [heard, speaking] = [0, 0];
  let speakers: ReadonlySet<string> = new Set();
  const log = (): string => crowd.log().trimEnd().split("\n").slice(-2).join(" | ");
  const isComplete = async (): Promise<boolean> => {
    if (!crowd.running()) throw new Error(`it ended: ${log()}`);
    const [mark, beginUs, before] = [watch.mark(), instrumentNowUs(), heard];
    await pause(LOOK_MS);
    await watch.caughtUp();
    const since = watch.since(mark).filter(({ atUs }) => atUs >= beginUs && atUs < beginUs + 1000 * LOOK_MS);
    heard = since.length;
    const now = new Set(extremes(since).keys());
    speaking = new Set([...speakers, ...now]).size; // one that is slow may be silent for longer than a look
    speakers = now;
    const steady = Math.abs(heard - before) <= STEADY * due;
    return speaking >= all && (heard >= ALL_DUE * due || steady);
  };
  const limitMs = boundMs(plan);
  const giveUpAt = performance.now() + limitMs;
  while (!(await isComplete())) {
    const said = `${speaking} of ${all} advertised, ${heard} times in half a second of ${Math.round(due)}`;
    throwIfOver(plan, said);
    if (performance.now() > giveUpAt) {
      throw new Error(`after ${Math.round(limitMs / 1000)} s ${said}; its log ends: ${log()}`);
    }
  }
}

export interface Rest {
  /** All are Backup, whether they keep silent or not. */
  readonly ready: boolean;
  /** What they do instead; null: they rest. */
  readonly remark: string | null;
}

/** Waits until all virtual routers of the Backup are that, and silent for longer than their Active_Down_Interval. */
export async function atRest(plan: CrowdPlan, atOne: Watch, backup: Crowd): Promise<Rest> {
  if (backup.standingBy() === null) await pause(Math.min(5000, 500 + plan.count));
  const giveUpAt = performance.now() + boundMs(plan);
  while ((backup.standingBy() ?? plan.count) < plan.count) {
    const remark = `only ${backup.standingBy()} of ${plan.count} became Backup`;
    if (!backup.running()) throw new Error(`the Backup ended: ${backup.log().slice(-200)}`);
    throwIfOver(plan, remark);
    if (performance.now() > giveUpAt) return { ready: false, remark };
    await pause(100);
  }
  const quietAt = performance.now() + QUIET_BOUND_MS[plan.quick ? "quick" : "full"];
  for (;;) {
    const mark = atOne.mark();
    await pause(restMs(plan));
    const speaking = extremes(atOne.since(mark)).size;
    if (speaking === 0) return { ready: true, remark: null };
    if (performance.now() < quietAt) continue;
    const remark =
      `as Backup ${speaking} of ${plan.count} spoke beside the Active within ${restMs(plan)} ms: ` +
      "its figures hold that work, and its failover is that of the others";
    return { ready: true, remark };
  }
}

/** A stretch of time, and what each crowd used of the processors meanwhile. */
export interface Slice {
  readonly beginUs: number;
  readonly endUs: number;
  readonly seconds: readonly number[];
}

export interface Spent {
  /** Seconds of each crowd for a million advertisements. */
  readonly perMillion: readonly number[];
  readonly sharePercent: number;
}

/** What the slices cost for each advertisement that came within them. */
export function spentIn(
  { count, intervalMs }: Pick<CrowdPlan, "count" | "intervalMs">,
  slices: readonly Slice[],
  adverts: readonly Pick<SeenAdvert, "atUs">[],
): Spent[] {
  return slices.flatMap(({ beginUs, endUs, seconds }) => {
    const heard = adverts.filter(({ atUs }) => atUs >= beginUs && atUs < endUs).length;
    if (heard === 0) return [];
    const due = (count * (endUs - beginUs)) / 1000 / intervalMs;
    return [
      {
        perMillion: seconds.map((used) => (used * 1e6) / heard),
        sharePercent: Math.min(100, (100 * heard) / due),
      },
    ];
  });
}
