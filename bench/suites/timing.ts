/** How punctual advertisements are at 10 ms, and whether a Backup ever takes over without need, while the machine works. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { daemonConfig } from "../../src/lab/daemon.js";
import { type Lab, type LabRouter, openLab } from "../../src/lab/topology.js";
import { captureLan, readAdverts, type SeenAdvert } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { compileFloor, startFloor } from "../lib/floor.js";
import { type LoadKind, loadTitle, startLoad, stressInstalled, WITHOUT_STRESS } from "../lib/load.js";
import { FLOOR_SUBJECT, type Metric } from "../lib/model.js";
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
const QUICK_SECONDS = 12;
const FULL_SECONDS = 120;
/** JavaScript stands still for 200 ms of every 250. */
const BLOCKED_MS = 200;
const BREATH_MS = 50;
const CONDITIONS = ["idle", "cpu load", "memory load"] as const;
const BLOCKED = "blocked JavaScript";

const METRICS: readonly Metric[] = [
  {
    id: "deviation",
    title: "Deviation of advertisements",
    unit: "ms",
    better: "lower",
    grain: 0.1,
    note:
      "How far the time between two advertisements that followed each other was from 10 ms, either way, by the " +
      "kernel's receive stamp at the switch port of the Active. Ideal: 0.",
  },
  {
    id: "missing",
    title: "Advertisements missing",
    unit: "of 1,000",
    better: "lower",
    grain: 1,
    note: "Of those that the interval asks for in the time of the measurement. Ideal: 0.",
    plot: false,
  },
  {
    id: "false",
    title: "False failovers",
    unit: "times",
    better: "lower",
    grain: 0,
    note: "How often the Backup spoke although the Active was there all the time. Ideal: 0.",
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
    "the very same load in the same moments. No failure is made: a Backup that speaks is wrong. `floor`: a bare loop " +
    `that sends one frame every ${INTERVAL_MS} ms in the real-time class (SCHED_FIFO ${PEER_REALTIME_PRIORITY}), in a ` +
    "lab of its own beside them: what it misses is the machine's.",
  quickSeconds: 65,
  metrics: METRICS,
  run: async (context) => {
    const seconds = context.quick ? QUICK_SECONDS : FULL_SECONDS;
    const places = await openPlaces(context);
    try {
      await measure(context, places, "idle", seconds);
      for (const kind of ["cpu", "memory"] as const) await underLoad(context, places, kind, seconds);
    } finally {
      for (const { lab } of places) lab.close();
    }
    await blockedJavaScript(context, seconds);
  },
};

async function openPlaces(context: SuiteContext): Promise<Place[]> {
  context.progress("starting all pairs");
  const places: Place[] = [];
  for (const subject of context.subjects) {
    const lab = await openLab({ routers: 2 });
    try {
      await startSubjectPair(lab, subject, { intervalMs: INTERVAL_MS });
      places.push({ subject, lab });
    } catch (error) {
      lab.close();
      for (const condition of CONDITIONS) context.miss(condition, subject.id, inOneLine(error));
    }
  }
  const floor = await openFloor(context);
  return floor ? [...places, floor] : places;
}

async function openFloor(context: SuiteContext): Promise<Place | null> {
  const compiled = compileFloor();
  if ("absent" in compiled) {
    for (const condition of CONDITIONS) context.miss(condition, FLOOR_SUBJECT, compiled.absent);
    return null;
  }
  const lab = await openLab({ routers: 2 });
  const router = lab.routers[0]!;
  startFloor(router, compiled.path, ["send", String(1000 * INTERVAL_MS), "1", router.lanInterface], {
    realtimePriority: PEER_REALTIME_PRIORITY,
  });
  return { subject: FLOOR_PLACE, lab };
}

async function underLoad(
  context: SuiteContext,
  places: readonly Place[],
  kind: LoadKind,
  seconds: number,
): Promise<void> {
  const condition = `${kind} load`;
  if (!stressInstalled()) {
    context.note(`**ABSENT**: ${condition}: ${WITHOUT_STRESS}`);
    for (const { subject } of places) context.miss(condition, subject.id, WITHOUT_STRESS);
    return;
  }
  const [first] = places;
  if (!first) return;
  context.note(`${condition}: ${loadTitle(kind)}, in the normal scheduling class`);
  const end = await startLoad(first.lab.hosts[0]!, kind);
  try {
    await measure(context, places, condition, seconds);
  } finally {
    await end();
  }
}

/** Listens to all places for the given time. */
async function measure(
  context: SuiteContext,
  places: readonly Place[],
  condition: string,
  seconds: number,
): Promise<void> {
  context.progress(`${condition}, ${seconds} s`);
  const captures = places.map(({ lab }) => captureLan(lab));
  await pause(1000 * seconds);
  for (const capture of captures) await capture.stop();
  for (const [at, { subject }] of places.entries()) {
    const capture = captures[at]!;
    capture.verify();
    judge(context, condition, subject.id, readAdverts(capture.frames()), seconds);
  }
}

function judge(
  context: SuiteContext,
  condition: string,
  subject: string,
  adverts: readonly SeenAdvert[],
  seconds: number,
): void {
  const times = adverts.filter((advert) => advert.port === "r1").map((advert) => advert.atUs);
  const deviations = times
    .slice(1)
    .map((atUs, index) => Math.abs(atUs - times[index]! - 1000 * INTERVAL_MS) / 1000);
  const expected = (1000 * seconds) / INTERVAL_MS;
  context.record("deviation", condition, subject, ...deviations);
  context.record("missing", condition, subject, Math.max(0, 1000 * (1 - times.length / expected)));
  if (subject === FLOOR_SUBJECT) return;
  context.record("false", condition, subject, falseFailovers(adverts));
}

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

async function blockedJavaScript(context: SuiteContext, seconds: number): Promise<void> {
  context.note(
    `blocked JavaScript: firsthop as a library in a program that leaves its event loop ${BREATH_MS} ms of every ` +
      `${BREATH_MS + BLOCKED_MS}`,
  );
  for (const { id, root } of context.subjects) {
    if (root === null) context.miss(BLOCKED, id, "it has no JavaScript to block");
  }
  const places: Place[] = [];
  try {
    for (const subject of context.subjects.filter(({ root }) => root !== null)) {
      const lab = await openLab({ routers: 2 });
      places.push({ subject, lab });
      await startBlocked(lab, lab.routers[0]!, subject, ACTIVE_PRIORITY);
      await startBlocked(lab, lab.routers[1]!, subject, BACKUP_PRIORITY);
      const capture = captureLan(lab, "r1");
      await eventually("router 1 is Active", 10_000, () => capture.count() > 20);
      await capture.stop();
    }
    await measure(context, places, BLOCKED, seconds);
  } finally {
    for (const { lab } of places) lab.close();
  }
}
