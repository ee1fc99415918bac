/** How punctual advertisements are at 10 ms, and whether a Backup ever takes over without need, while the machine works. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { daemonConfig } from "../../src/lab/daemon.js";
import { type Lab, type LabRouter, openLab } from "../../src/lab/topology.js";
import {
  type Capture,
  captureLan,
  instrumentNowUs,
  readAdverts,
  type SeenAdvert,
} from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { compileFloor, startFloor } from "../lib/floor.js";
import { namespacesRemoved } from "../lib/kernel-rest.js";
import { type LoadKind, loadTitle, startLoad, stressInstalled, WITHOUT_STRESS } from "../lib/load.js";
import { FLOOR_SUBJECT, type Metric } from "../lib/model.js";
import { sleepInPhase, type Wake } from "../lib/noise.js";
import { attribute } from "../lib/stalls.js";
import {
  ACTIVE_PRIORITY,
  BACKUP_PRIORITY,
  PEER_REALTIME_PRIORITY,
  type Subject,
  startSubjectPair,
} from "../lib/subjects.js";
import type { Suite, SuiteContext } from "../lib/suite.js";
import { inOneLine } from "../lib/words.js";

const INTERVAL_MS = 10;
/** So that a peer that leaves out every tenth advertisement still has a thousand gaps, which p99.9 needs. */
const QUICK_SECONDS = 11.5;
const FULL_SECONDS = 120;
/** JavaScript stands still for 200 ms of every 250. */
const BLOCKED_MS = 200;
const BREATH_MS = 50;
const CONDITIONS = ["idle", "cpu load", "memory load"] as const;
const BLOCKED = "blocked JavaScript";
const ALONE = "idle, by itself";
const TRIES = 2;
/** Frames are stamped as they come in; whoever reads them may be late by 64 times this, as he is under memory pressure. */
const CAPTURE_WAIT_MS = 100;
/** Who started last has settled then, too. */
const SETTLE_MS = 1000;

/**
 * Before the names of what is measured of firsthop only: with its JavaScript blocked, which peers have none of, and with
 * nothing else at work, since a machine that runs six other daemons is not idle.
 */
type Only = "blocked-" | "alone-";

const metricsOf = (prefix: "" | Only, what: string): readonly Metric[] => [
  {
    id: `${prefix}deviation`,
    title: `Deviation of advertisements${what}`,
    unit: "ms",
    better: "lower",
    grain: 0.1,
    note:
      "How far the time between two advertisements that followed each other was from 10 ms, either way, by the " +
      "kernel's receive stamp at the switch port of the Active. Ideal: 0.",
  },
  {
    id: `${prefix}missing`,
    title: `Advertisements missing${what}`,
    unit: "of 1,000",
    better: "lower",
    grain: 1,
    note: "Gaps with time for another one. One that is late, and moves those after it, leaves none out. Ideal: 0.",
    plot: false,
  },
  {
    id: `${prefix}false`,
    title: `False failovers${what}`,
    unit: "times",
    better: "lower",
    grain: 0,
    note: "How often the Backup spoke although the Active was there all the time. Ideal: 0.",
    plot: false,
  },
];

/** From when on an advertisement is called late. */
const LATE_MS = 0.5;
/** How much later than firsthop's advertisements the sleepers are due: they don't meet its own work. */
const APART_US = 200;
const SAME_TIME =
  `While this was measured, a bare sleeper on each processor (SCHED_FIFO 90) was due ${APART_US / 1000} ms after each of ` +
  "firsthop's advertisements.";

/** Whose lateness it was: of all conditions, those of firsthop only included. */
const EVIDENCE: readonly Metric[] = [
  {
    id: "late",
    title: `Advertisements late by more than ${LATE_MS} ms`,
    unit: "of 1,000",
    better: "lower",
    grain: 1,
    compare: false,
    note: "That came so much later than an interval after the one before. Ideal: 0.",
    plot: false,
  },
  {
    id: "shared",
    title: "Late advertisements that a bare sleeper slept through, too",
    unit: "%",
    better: "higher",
    grain: 1,
    compare: false,
    note:
      `${SAME_TIME} Of the late advertisements, the share for which one of these sleepers woke late as well, by half as ` +
      "much at least: then the machine did not run anybody there. What is missing to 100 is the daemon's own, or a " +
      "stall that ended within these 0.2 ms.",
    plot: false,
  },
  {
    id: "rest",
    title: "Deviation of advertisements without what bare sleepers slept through, too",
    unit: "ms",
    better: "lower",
    grain: 0.1,
    compare: false,
    note: `${SAME_TIME} The deviations, without those that the shared stalls of the table above made.`,
    plot: false,
  },
];

interface Place {
  readonly subject: Pick<Subject, "id" | "root">;
  readonly lab: Lab;
}

const FLOOR_PLACE: Place["subject"] = { id: FLOOR_SUBJECT, root: null };

export const timing: Suite = {
  name: "timing",
  title: "punctuality at 10 ms, and false failovers",
  about:
    "Every subject runs a pair at 10 ms in a lab of its own, all of them at the same time, so that each of them meets " +
    "the very same load in the same moments; before the peers start, firsthop by itself. No failure is made: a Backup that speaks is wrong. `floor`: a bare loop " +
    `that sends one frame every ${INTERVAL_MS} ms in the real-time class (SCHED_FIFO ${PEER_REALTIME_PRIORITY}), in a ` +
    "lab of its own beside them: what it misses is the machine's.",
  quickSeconds: 56,
  metrics: [
    ...metricsOf("alone-", " with nothing else at work"),
    ...metricsOf("", ""),
    ...EVIDENCE,
    ...metricsOf("blocked-", " with JavaScript blocked"),
  ],
  order: [ALONE, ...CONDITIONS, BLOCKED],
  run: async (context) => {
    const seconds = context.quick ? QUICK_SECONDS : FULL_SECONDS;
    const places: Place[] = [];
    const blocked: Place[] = [];
    try {
      await openPlaces(context, places, (subject) => subject.root !== null);
      await openFloor(context, places);
      await namespacesRemoved();
      await pause(SETTLE_MS);
      await measure(context, places, ALONE, seconds, "alone-");
      await openPlaces(context, places, (subject) => subject.root === null);
      await openBlocked(context, blocked);
      await pause(SETTLE_MS);
      await Promise.all([
        measure(context, places, "idle", seconds),
        measure(context, blocked, BLOCKED, seconds, "blocked-"),
      ]);
      for (const { lab } of blocked.splice(0)) lab.close();
      for (const kind of ["cpu", "memory"] as const) await underLoad(context, places, kind, seconds);
    } finally {
      for (const { lab } of [...places, ...blocked]) lab.close();
    }
  },
};

async function openPlaces(
  context: SuiteContext,
  places: Place[],
  wanted: (subject: Subject) => boolean,
): Promise<void> {
  context.progress("starting pairs");
  for (const subject of context.subjects.filter(wanted)) {
    for (let time = 0; time < TRIES; time++) {
      if (CONDITIONS.filter((condition) => context.leavesOut(condition, subject.id)).length > 0) break;
      const place = await openPlace(subject, (lab) =>
        startSubjectPair(lab, subject, { intervalMs: INTERVAL_MS }),
      );
      if ("lab" in place) {
        places.push(place);
        break;
      }
      for (const condition of CONDITIONS) context.miss(condition, subject.id, place.reason);
    }
  }
}

/** A lab with a subject at work; or why there is none. */
async function openPlace(
  subject: Place["subject"],
  start: (lab: Lab) => Promise<unknown>,
): Promise<Place | { readonly reason: string }> {
  let lab: Lab | null = null;
  try {
    lab = await openLab({ routers: 2 });
    await start(lab);
    return { subject, lab };
  } catch (error) {
    lab?.close();
    return { reason: inOneLine(error) };
  }
}

async function openFloor(context: SuiteContext, places: Place[]): Promise<void> {
  const compiled = compileFloor();
  const made =
    "absent" in compiled
      ? { reason: compiled.absent }
      : await openPlace(FLOOR_PLACE, async (lab) => {
          const router = lab.routers[0]!;
          startFloor(router, compiled.path, ["send", String(1000 * INTERVAL_MS), "1", router.lanInterface], {
            realtimePriority: PEER_REALTIME_PRIORITY,
          });
        });
  if ("lab" in made) places.push(made);
  else for (const condition of CONDITIONS) context.miss(condition, FLOOR_SUBJECT, made.reason);
}

async function underLoad(
  context: SuiteContext,
  places: readonly Place[],
  kind: LoadKind,
  seconds: number,
): Promise<void> {
  const condition = `${kind} load`;
  const missAll = (reason: string): void => {
    for (const { subject } of places) context.miss(condition, subject.id, reason);
  };
  if (!stressInstalled()) {
    context.note(`**ABSENT**: ${condition}: ${WITHOUT_STRESS}`);
    missAll(WITHOUT_STRESS);
    return;
  }
  const [first] = places;
  if (!first) return;
  context.note(`${condition}: ${loadTitle(kind)}, in the normal scheduling class`);
  try {
    const end = await startLoad(first.lab.hosts[0]!, kind);
    try {
      await measure(context, places, condition, seconds);
    } finally {
      await end();
    }
  } catch (error) {
    missAll(inOneLine(error));
  }
}

/** Listens to all places for the given time, the same for all. */
async function measure(
  context: SuiteContext,
  places: readonly Place[],
  condition: string,
  seconds: number,
  prefix: "" | Only = "",
): Promise<void> {
  const here = places.filter(({ subject }) => !context.leavesOut(condition, subject.id));
  if (here.length === 0) return;
  context.progress(`${condition}, ${seconds} s`);
  const captures = here.map(({ lab }) => captureLan(lab, undefined, { waitMs: CAPTURE_WAIT_MS }));
  const ours = here.findIndex(({ subject }) => subject.root !== null);
  const sleepers = ours < 0 ? null : await startBeside(captures[ours]!);
  const beginUs = instrumentNowUs();
  const endAtUs = beginUs + 1e6 * seconds;
  for (let nowUs = beginUs; nowUs < endAtUs; nowUs = instrumentNowUs()) {
    await pause(Math.min(FOLLOW_MS, (endAtUs - nowUs) / 1000));
    sleepers?.follow();
  }
  const endUs = instrumentNowUs();
  const wakes = await (sleepers?.end() ?? []);
  for (const capture of captures) await capture.stop();
  for (const [at, { subject }] of here.entries()) {
    const capture = captures[at]!;
    try {
      capture.verify();
    } catch (error) {
      context.miss(condition, subject.id, inOneLine(error));
      continue;
    }
    const adverts = readAdverts(capture.frames()).filter(({ atUs }) => atUs >= beginUs && atUs <= endUs);
    const times = adverts.filter((advert) => advert.port === "r1").map((advert) => advert.atUs);
    context.record(`${prefix}deviation`, condition, subject.id, ...deviationsOf(times));
    context.record(`${prefix}missing`, condition, subject.id, missingOf(times, beginUs, endUs));
    recordLate(context, condition, subject.id, times, at === ours ? wakes : []);
    if (subject.id === FLOOR_SUBJECT) continue;
    context.record(`${prefix}false`, condition, subject.id, falseFailovers(adverts));
  }
}

interface Beside {
  /** Who was late by more than an interval goes on at another time of it, and the sleepers with him. */
  follow(): void;
  end(): Promise<readonly Wake[]>;
}

/** Sleepers that are due a little later than the advertisements of a capture. */
async function startBeside(capture: Capture): Promise<Beside> {
  const phase = (): number | null => {
    const latest = readAdverts(capture.frames(Math.max(0, capture.count() - LATEST_FRAMES)));
    const phaseUs = phaseOf(latest.flatMap(({ port, atUs }) => (port === "r1" ? [atUs] : [])));
    return phaseUs === null ? null : (phaseUs + APART_US) % INTERVAL_US;
  };
  let slept = await eventually("advertisements are seen", PHASE_BOUND_MS, phase);
  const sleepers = sleepInPhase(slept);
  return {
    follow: () => {
      const now = phase();
      if (now === null || awayUs(now, slept) < OUT_OF_PHASE_US) return;
      slept = now;
      sleepers.rephase(now);
    },
    end: async () => (await sleepers.end()).wakes,
  };
}

const FOLLOW_MS = 250;
const PHASE_BOUND_MS = 5000;
/** Of a capture, in which the switch has copies of its own of each. */
const LATEST_FRAMES = 30;
const PHASE_ADVERTS = 9;
const OUT_OF_PHASE_US = 150;

/** From one time of an interval to another, the shorter way. */
function awayUs(a: number, b: number): number {
  const away = Math.abs(a - b) % INTERVAL_US;
  return Math.min(away, INTERVAL_US - away);
}

/** When within an interval most of the last advertisements came; null: too few did, or they did not agree. */
export function phaseOf(times: readonly number[]): number | null {
  const last = times.slice(-PHASE_ADVERTS);
  if (last.length < PHASE_ADVERTS) return null;
  const near = last.map((one) => last.filter((other) => awayUs(one, other) < OUT_OF_PHASE_US).length);
  const most = Math.max(...near);
  return most <= PHASE_ADVERTS / 2 ? null : last[near.indexOf(most)]! % INTERVAL_US;
}

function recordLate(
  context: SuiteContext,
  condition: string,
  subject: string,
  times: readonly number[],
  wakes: readonly Wake[],
): void {
  const listened = { intervalMs: INTERVAL_MS, leastMs: LATE_MS, apartUs: APART_US };
  const { late, shared, restMs } = attribute(times, wakes, listened);
  context.record("late", condition, subject, (1000 * late) / Math.max(1, times.length - 1));
  if (wakes.length === 0) return;
  if (late > 0) context.record("shared", condition, subject, (100 * shared) / late);
  context.record("rest", condition, subject, ...restMs);
}

const INTERVAL_US = 1000 * INTERVAL_MS;

const deviationsOf = (times: readonly number[]): number[] =>
  times.slice(1).map((atUs, index) => Math.abs(atUs - times[index]! - INTERVAL_US) / 1000);

/**
 * Of a thousand advertisements from `beginUs` to `endUs` those that did not come at `times`: there was time for another one
 * between two of them, or at an edge. One that is late, and moves those after it, leaves none out.
 */
export function missingOf(times: readonly number[], beginUs: number, endUs: number): number {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return 1000;
  const gaps = times.slice(1).map((atUs, at) => (atUs - times[at]!) / INTERVAL_US);
  const missing = [
    ...gaps.map((gap) => Math.floor(gap + EARLY_SHARE)),
    Math.round((first - beginUs) / INTERVAL_US),
    Math.round((endUs - last) / INTERVAL_US),
  ].reduce((sum, room) => sum + Math.max(0, room - 1), 0);
  return (1000 * missing) / (times.length + missing);
}

/** A gap that is so much of an interval too short for another advertisement had one that came early. */
const EARLY_SHARE = 0.25;

/** Times that router 2 began to speak. What it says within three intervals belongs to the same time. */
export function falseFailovers(adverts: readonly SeenAdvert[]): number {
  const spoke = adverts.filter((advert) => advert.port === "r2").map((advert) => advert.atUs);
  return spoke.filter((atUs, index) => index === 0 || atUs - spoke[index - 1]! > 3000 * INTERVAL_MS).length;
}

/** A program that uses the library, and whose other work leaves the event loop 50 ms of every 250. */
function blockedProgram(root: string, config: string, state: string): string {
  const library = pathToFileURL(join(root, "dist/index.js")).href;
  return [
    `import { defineConfig, openRouter } from ${JSON.stringify(library)};`,
    `const router = await openRouter(defineConfig(${config.trim()}), { stateDirectory: ${JSON.stringify(state)} });`,
    'console.log("ready");',
    "const still = new Int32Array(new SharedArrayBuffer(4));",
    `setInterval(() => Atomics.wait(still, 0, 0, ${BLOCKED_MS}), ${BREATH_MS});`,
    'process.on("SIGTERM", () => router.close().then(() => process.exit(0)));',
    "",
  ].join("\n");
}

async function startBlocked(
  lab: Lab,
  router: LabRouter,
  subject: Place["subject"],
  priority: number,
): Promise<void> {
  const config = daemonConfig({ vrid: 10, family: "ipv4", version: 3, priority, intervalMs: INTERVAL_MS });
  const file = join(lab.directory, `${router.name}-blocked.mjs`);
  writeFileSync(file, blockedProgram(subject.root!, config, join(lab.directory, `${router.name}-state`)));
  const child = router.spawn(`${router.name}-blocked`, process.execPath, [file]);
  await eventually("the program runs", 10_000, () => child.output().includes("ready"), child.output);
}

async function openBlocked(context: SuiteContext, places: Place[]): Promise<void> {
  context.note(
    `blocked JavaScript: firsthop as a library in a program that leaves its event loop ${BREATH_MS} ms of every ` +
      `${BREATH_MS + BLOCKED_MS}; the peers have no JavaScript`,
  );
  for (const subject of context.subjects.filter(({ root }) => root !== null)) {
    if (context.leavesOut(BLOCKED, subject.id)) continue;
    const place = await openPlace(subject, (lab) => startBlockedPair(lab, subject));
    if ("lab" in place) places.push(place);
    else context.miss(BLOCKED, subject.id, place.reason);
  }
}

async function startBlockedPair(lab: Lab, subject: Place["subject"]): Promise<void> {
  await startBlocked(lab, lab.routers[0]!, subject, ACTIVE_PRIORITY);
  await startBlocked(lab, lab.routers[1]!, subject, BACKUP_PRIORITY);
  const capture = captureLan(lab, "r1");
  await eventually("router 1 is Active", 10_000, () => capture.count() > 20);
  await capture.stop();
}
