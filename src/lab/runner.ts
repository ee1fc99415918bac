/** Runs steps in a world: acts, waits for the successor, measures, judges, and tells a reporter all along. */
import { FirsthopError } from "../errors.js";
import { loadNative } from "../native.js";
import type {
  Happening,
  LabAction,
  LabReporter,
  LabSettings,
  Measurement,
  StepPlan,
  StepResult,
  StepView,
  StripView,
} from "./model.js";
import { FAST_INTERVAL_MS, judge, type Scenario } from "./scenarios.js";
import { firstArrivalAfter, reportTraffic, strip, type TrafficColumns } from "./statistics.js";
import { readAdverts } from "./traffic.js";
import { eventually, pause } from "./wait.js";
import { openWorld, type RouterActor, type SeenChange, type StartDaemon, type World } from "./world.js";

export interface LabPlan {
  readonly settings: LabSettings;
  readonly scenarios: readonly Scenario[];
  /** Ends with the first scenario once more, in a world whose routers advertise every 10 ms. */
  readonly fastFinale: boolean;
  /** Keeps the last world; without it everything is removed at the end. */
  readonly keep: boolean;
}

export interface LabOutcome {
  readonly results: readonly StepResult[];
  /** Every step was carried out and kept its promise. */
  readonly kept: boolean;
  readonly elapsedMs: number;
  /** The last world when it was to be kept. */
  readonly world: World | null;
}

/** Calm traffic shown before the lab acts, and after everything is in place again. */
const LEAD_MS = 250;
const TAIL_MS = 250;
const TICK_MS = 50;
/** Packets younger than this may still be under way. */
const UNDER_WAY_MS = 30;
const STEP_EXTRA_MS = 10_000;

const WORDS: Readonly<Record<LabAction, string>> = {
  "cut-lines": "both lines are cut",
  "restore-lines": "both lines work again",
  "cut-lan": "the LAN line is cut",
  "restore-lan": "the LAN line works again",
  "mute-port": "its switch ports drop everything from now on",
  "restore-port": "its switch ports work again",
  "kill-daemon": "the daemon gets a SIGKILL",
  "stop-daemon": "the daemon gets a SIGTERM",
  "start-daemon": "the daemon is started",
};

/** Actions after which the successor waits for its Active_Down_Interval to pass. */
const SILENT_END: readonly LabAction[] = ["cut-lines", "cut-lan", "mute-port", "kill-daemon"];

interface Scene {
  readonly settings: LabSettings;
  readonly plans: readonly StepPlan[];
}

/** Carries out a plan. Stops after a step that never came to its end. */
export async function runLab(plan: LabPlan, reporter: LabReporter, start?: StartDaemon): Promise<LabOutcome> {
  const begunMs = performance.now();
  const scenes: Scene[] = [{ settings: plan.settings, plans: plan.scenarios.flatMap((one) => one.steps) }];
  if (plan.fastFinale) {
    const settings = { ...plan.settings, intervalMs: FAST_INTERVAL_MS };
    scenes.push({ settings, plans: plan.scenarios[0]!.steps });
  }
  const total = scenes.reduce((sum, scene) => sum + scene.plans.length, 0);
  const results: StepResult[] = [];
  let world: World | null = null;
  try {
    for (const scene of scenes) {
      await world?.close();
      world = await openScene(scene.settings, reporter, start);
      for (const step of scene.plans) {
        const result = await runStep(world, step, results.length + 1, total, reporter);
        results.push(result);
        reporter.stepEnded(result);
        if (result.trouble) return finish(false);
      }
    }
    return finish(results.every((result) => result.kept));
  } finally {
    if (!plan.keep) await world?.close();
  }

  function finish(kept: boolean): LabOutcome {
    const elapsedMs = performance.now() - begunMs;
    reporter.ended(results, elapsedMs);
    return { results, kept, elapsedMs, world: plan.keep ? world : null };
  }
}

async function openScene(settings: LabSettings, reporter: LabReporter, start?: StartDaemon): Promise<World> {
  const begunMs = performance.now();
  reporter.busy("building namespaces and starting two daemons");
  const world = await openWorld(settings, start);
  reporter.busy(null);
  reporter.began(
    settings,
    world.routers.map((router) => router.view()),
    performance.now() - begunMs,
  );
  return world;
}

/** The running step's facts. Times are monotonic microseconds. */
interface StepRun {
  readonly world: World;
  readonly plan: StepPlan;
  readonly number: number;
  readonly total: number;
  readonly fromSequence: number;
  /** When the lab acts, or will. */
  zeroUs: number;
  readonly happenings: Happening[];
}

async function runStep(
  world: World,
  plan: StepPlan,
  number: number,
  total: number,
  reporter: LabReporter,
): Promise<StepResult> {
  const now = loadNative().trafficNowUs;
  const happenings: Happening[] = [];
  const fromSequence = world.traffic.sent();
  const run: StepRun = {
    world,
    plan,
    number,
    total,
    fromSequence,
    zeroUs: now() + LEAD_MS * 1000,
    happenings,
  };
  const ticker = setInterval(() => reporter.tick(viewOf(run, now())), TICK_MS);
  await pause(LEAD_MS);
  run.zeroUs = now();
  const zeroWallMs = Date.now();
  happenings.push({ atMs: 0, who: "r1", kind: "act", text: WORDS[plan.action] });
  const unhear = world.onChange((change) => {
    const atMs = Date.parse(change.at) - zeroWallMs;
    if (atMs > -LEAD_MS) happenings.push(stateHappening(change, atMs));
  });
  let trouble: string | null = null;
  try {
    await world.act(plan.action);
    await rolesOf(run);
    await pause(TAIL_MS);
  } catch (error) {
    if (!(error instanceof FirsthopError)) throw error;
    trouble = error.message;
  } finally {
    clearInterval(ticker);
    unhear();
  }
  return measure(run, trouble);
}

/** What a daemon says about a change, short enough for a line of a terminal. */
function stateHappening(change: SeenChange, atMs: number): Happening {
  const { from, to, reason } = change;
  const name = to.charAt(0).toUpperCase() + to.slice(1);
  const detail = change.detail.replace(/ \((priority [1-9]\d*|Active_Down_Interval|Skew_Time)\)/g, "");
  const text = `is ${name}: ${detail}`;
  return { atMs, who: change.router, kind: "state", text, change: { from, to, reason } };
}

/** Waits until the successor is Active and carries packets, and the other one knows that it isn't. */
async function rolesOf(run: StepRun): Promise<void> {
  const [first, second] = run.world.routers;
  const [successor, other] = run.plan.successor === 1 ? [first, second] : [second, first];
  const carried = successor.carried();
  // With dead switch ports both are Active, each on its own side: that is what this step is about.
  const otherMayStay = run.plan.action === "mute-port";
  await eventually(
    `${successor.place.name} is Active and carries packets`,
    3 * successor.activeDownIntervalMs + STEP_EXTRA_MS,
    () =>
      successor.state() === "active" &&
      (otherMayStay || other.state() !== "active") &&
      successor.carried() > carried,
    () => `${successor.place.name} is ${successor.state()}, ${other.place.name} is ${other.state()}`,
  );
}

function viewOf(run: StepRun, nowUs: number): StepView {
  const { world, plan, number, total } = run;
  return {
    number,
    total,
    plan,
    nowMs: (nowUs - run.zeroUs) / 1000,
    happenings: run.happenings,
    routers: world.routers.map((router) => router.view()),
    strip: stripOf(run, world.traffic.columns(run.fromSequence), nowUs - UNDER_WAY_MS * 1000),
  };
}

const CELL_STEPS_MS = [2, 5, 10, 20, 25, 50, 100, 200, 500, 1000];
const MOST_CELLS = 66;

/** Width of a cell so that a stretch of time fits in a line. */
export function cellMsFor(spanMs: number): number {
  return CELL_STEPS_MS.find((cellMs) => spanMs / cellMs <= MOST_CELLS) ?? Math.ceil(spanMs / MOST_CELLS);
}

function stripOf(run: StepRun, columns: TrafficColumns, endUs: number): StripView {
  const beginUs = run.zeroUs - LEAD_MS * 1000;
  // As wide from the start as it will become, so that a live picture doesn't change its scale.
  const expectedMs = LEAD_MS + run.world.routers[1].activeDownIntervalMs + TAIL_MS;
  const cellMs = cellMsFor(Math.max(expectedMs, (endUs - beginUs) / 1000));
  const cells = strip(columns, beginUs, endUs, cellMs * 1000);
  const routers = run.world.routers.map((router) => columns.senders.indexOf(router.place.upstreamMac));
  return {
    fromMs: -LEAD_MS,
    cellMs,
    cells: cells.map((cell) => ({ ...cell, carried: routers.map((at) => cell.carried[at] ?? 0) })),
  };
}

async function measure(run: StepRun, trouble: string | null): Promise<StepResult> {
  const { world, plan } = run;
  const successor = world.routers[plan.successor - 1]!;
  const toSequence = world.traffic.sent();
  await pause(UNDER_WAY_MS);
  const columns = world.traffic.columns(run.fromSequence, toSequence);
  const report = reportTraffic(columns);
  const { afterDeadlineMs, seen } = takeover(run, columns, successor);
  const measured: Measurement = {
    sent: report.sent,
    lost: report.lost,
    duplicated: report.duplicated,
    longestGapMs: (report.longestGap?.lengthUs ?? 0) / 1000,
    slowestMs: report.slowestUs / 1000,
    stallMs: Math.max(0, report.longestPauseUs / 1000 - 1000 / world.settings.rate),
    activeDownIntervalMs: successor.activeDownIntervalMs,
    afterDeadlineMs,
    trouble: trouble ?? soundness(world),
  };
  return {
    ...measured,
    ...judge(plan, measured),
    number: run.number,
    total: run.total,
    plan,
    intervalMs: world.settings.intervalMs,
    happenings: [...run.happenings, ...seen].sort((a, b) => a.atMs - b.atMs),
    strip: stripOf(run, columns, columns.sentUs.at(-1) ?? run.zeroUs),
    routers: world.routers.map((router) => router.view()),
  };
}

function soundness(world: World): string | null {
  try {
    world.traffic.verify();
    world.adverts.verify();
    return null;
  } catch (error) {
    if (error instanceof FirsthopError) return error.message;
    throw error;
  }
}

/** What the wire tells about a take-over, beside what the daemons say. */
function takeover(
  run: StepRun,
  columns: TrafficColumns,
  successor: RouterActor,
): { readonly afterDeadlineMs: number | null; readonly seen: readonly Happening[] } {
  const ms = (us: number): number => (us - run.zeroUs) / 1000;
  const firstUs = firstArrivalAfter(columns, run.zeroUs, successor.place.upstreamMac);
  if (firstUs === null) return { afterDeadlineMs: null, seen: [] };
  const first: Happening = {
    atMs: ms(firstUs),
    who: successor.place.name,
    kind: "packet",
    text: "carries the host's first packet",
  };
  const last = SILENT_END.includes(run.plan.action)
    ? readAdverts(run.world.adverts.frames()).findLast((advert) => advert.atUs < firstUs)
    : undefined;
  if (!last) return { afterDeadlineMs: null, seen: [first] };
  const heard: Happening = {
    atMs: ms(last.atUs),
    who: "r1",
    kind: "advert",
    text: "its last advertisement reaches r2",
  };
  return {
    afterDeadlineMs: (firstUs - last.atUs) / 1000 - successor.activeDownIntervalMs,
    seen: [heard, first],
  };
}
