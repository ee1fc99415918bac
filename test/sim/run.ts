/** One seed, one story: faults, healing, convergence. Gives back what was violated. */
import type { Happening } from "../../src/driver/simulated/index.js";
import { Faults } from "./faults.js";
import { Invariants, REACTION_US, READY_US } from "./invariants.js";
import { Lan } from "./lan.js";
import { replay } from "./replay.js";
import { describeScenario, makeScenario, type Scenario } from "./scenario.js";

export interface RunOptions {
  /** Replaces the scenario that the seed would make. */
  readonly scenario?: Scenario;
  /** Is told what matters of all that happens; for looking at a failing seed. */
  readonly log?: (line: string) => void;
  /** The same, unabridged. */
  readonly observe?: (happening: Happening) => void;
}

export interface RunResult {
  readonly violations: readonly string[];
  readonly description: string;
}

const WATCH_EVERY_US = 5_000;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const lan = new Lan(seed, (random) => options.scenario ?? makeScenario(random));
  const faults = new Faults(lan);
  const invariants = new Invariants(lan, faults);
  if (options.observe) lan.world.observe(options.observe);
  if (options.log) follow(lan, options.log);
  const { world, scenario } = lan;
  const watch = (): void => {
    invariants.checkOverdue();
    world.schedule(WATCH_EVERY_US, watch);
  };
  watch();
  const starts = world.random.fork("starts");
  for (const router of lan.routers)
    world.schedule(starts.integer(0, 500_000), () => startNow(lan, () => router.start()));
  for (const { host } of lan.hosts) world.schedule(starts.integer(0, 500_000), () => host.start());
  faults.schedule();
  await world.runUntil(scenario.faultyForUs);
  faults.heal();
  const healedUs = world.nowUs;
  await world.runFor(READY_US);
  for (const router of lan.routers) if (!router.machine.running) startNow(lan, () => router.start());
  await world.runFor(convergenceUs(lan));
  invariants.checkConverged();
  const convergedUs = world.nowUs;
  await world.runFor(Math.max(300_000, ...scenario.groups.map((group) => 2 * lan.longestIntervalUs(group))));
  invariants.checkConverged();
  invariants.checkStable(convergedUs);
  invariants.checkHosts(healedUs);
  for (const router of lan.routers) for (const what of replay(router)) lan.fail(`(i) ${what}`);
  return { violations: lan.violations, description: describeScenario(scenario) };
}

/** A router that closed gracefully may only be started when it is gone. */
function startNow(lan: Lan, start: () => void): void {
  lan.world.enterJavaScript();
  start();
}

/** Twice 3 x interval + skew (detection, then row 8's preemption), the preempt delay, and a hand-over. */
function convergenceUs(lan: Lan): number {
  const each = lan.routers.flatMap((router) =>
    router.plan.members.map((member) => {
      const skewUs = member.group.version === 2 ? 1_000_000 : lan.longestIntervalUs(member.group);
      const downUs = 3 * lan.longestIntervalUs(member.group) + skewUs;
      return 2 * downUs + member.preemptDelayMs * 1000;
    }),
  );
  return Math.max(...each) + 2 * REACTION_US;
}

function follow(lan: Lan, log: (line: string) => void): void {
  const at = (): string => (lan.world.nowUs / 1000).toFixed(3).padStart(12);
  lan.world.observe((happening) => {
    if (happening.type === "fault") log(`${at()}  ${happening.what}`);
    if (happening.type === "forwarding") {
      log(`${at()}  ${happening.machine} ${happening.open ? "opens" : "closes"} ${happening.owner}`);
    }
    if (happening.type === "kernelStep" && happening.errno) {
      log(`${at()}  ${happening.machine} ${happening.label}: ${happening.errno}`);
    }
  });
  const before = lan.onEvent;
  lan.onEvent = (router, event) => {
    before(router, event);
    if (event.type === "stateChange") {
      log(`${at()}  ${router.plan.name} ${event.name} ${event.from} -> ${event.to}: ${event.detail}`);
    } else if (event.type === "track" || event.type === "groupChange") {
      log(
        `${at()}  ${router.plan.name} ${event.type} ${event.name} ${event.from} -> ${event.to}: ${event.detail}`,
      );
    } else if (event.type !== "reload") {
      log(`${at()}  ${router.plan.name} ${event.name ?? ""} ${event.code}: ${event.detail}`);
    }
  };
}
