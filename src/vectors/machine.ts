/**
 * Event scripts for the state machine. Scripts know the RFC's timers only, and say themselves when those
 * pass; the machine's own timers (repeated announcements, hand-over, …) run in between, and what they do is
 * not compared.
 */
import { canonicalIp } from "../core/address.js";
import {
  ANNOUNCE_REPEATS_US,
  currentActiveDownIntervalUs,
  currentSkewTimeUs,
  INITIAL_STATE,
  step,
  VRRP_TIMERS,
  type VrrpEffect,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
  type VrrpTimer,
} from "../core/vrrp/machine.js";
import {
  addressesAt,
  difference,
  differences,
  isObject,
  type Json,
  numberAt,
  objectAt,
  optionalNumber,
  stringAt,
  VectorError,
} from "./format.js";

/** Values are rounded, each for itself. */
const TOLERANCE_US = 1;

const SCRIPTED_TIMERS: Readonly<Record<string, VrrpTimer>> = {
  activeDownTimer: "activeDown",
  adverTimer: "adver",
};
const OWN_TIMERS = VRRP_TIMERS.filter((timer) => !Object.values(SCRIPTED_TIMERS).includes(timer));

interface Run {
  readonly settings: VrrpSettings;
  state: VrrpState;
  readonly deadlines: Map<VrrpTimer, number>;
  /** Every timer is known: the script did not begin in the middle. */
  readonly fromTheStart: boolean;
}

/** What is not as the script has it, a line each. @throws VectorError */
export function checkMachine(vector: Json): string[] {
  const router = objectAt(vector, "router");
  const settings = settingsOf(router);
  const state = initialState(router, settings);
  const run: Run = { settings, state, deadlines: new Map(), fromTheStart: state.name === "initialize" };
  if (!Array.isArray(vector.steps)) throw new VectorError('the vector has no list "steps"');
  return vector.steps.flatMap((one: unknown, index) => {
    if (!isObject(one)) throw new VectorError(`step ${index + 1} is no object`);
    const atUs = numberAt(one, "atUs");
    return playStep(run, one, atUs).map((problem) => `step ${index + 1} at ${atUs} us: ${problem}`);
  });
}

function settingsOf(router: Json): VrrpSettings {
  const version = numberAt(router, "version");
  if (version !== 2 && version !== 3) throw new VectorError(`the router's version is ${version}`);
  return {
    version,
    family: router.family === "ipv6" ? "ipv6" : "ipv4",
    priority: numberAt(router, "priority"),
    addresses: addressesAt(router, "addresses"),
    primaryAddress: stringAt(router, "primaryAddress"),
    intervalUs: intervalUs(router, "advertisementInterval"),
    preempt: router.preempt !== false,
    preemptDelayUs: optionalNumber(router, "preemptDelayUs") ?? 0,
  };
}

/** An interval in centiseconds or seconds, by the ending of its key. */
function intervalUs(parent: Json, name: string): number {
  const seconds = optionalNumber(parent, `${name}S`) ?? optionalNumber(parent, `${name}Seconds`);
  return seconds === undefined ? numberAt(parent, `${name}Cs`) * 10_000 : seconds * 1_000_000;
}

function initialState(router: Json, settings: VrrpSettings): VrrpState {
  switch (router.state ?? "initialize") {
    case "initialize":
      return INITIAL_STATE;
    case "backup": {
      const learnedCs = optionalNumber(router, "activeAdverIntervalCs");
      const activeAdverIntervalUs = learnedCs === undefined ? settings.intervalUs : learnedCs * 10_000;
      return { name: "backup", activeAdverIntervalUs, active: null, preemptHold: "none" };
    }
    case "active": {
      const announced = ANNOUNCE_REPEATS_US.length;
      return { name: "active", announced, contest: "none", contenderIntervalUs: 0 };
    }
    default:
      throw new VectorError(`the router's state is ${JSON.stringify(router.state)}`);
  }
}

function playStep(run: Run, scripted: Json, atUs: number): string[] {
  passOwnTimers(run, atUs);
  const { event, problems } = eventOf(run, scripted.event, atUs);
  const effects = event ? apply(run, event, atUs) : [];
  return [...problems, ...checkStep(run, objectAt(scripted, "expect"), effects)];
}

function apply(run: Run, event: VrrpEvent, atUs: number): readonly VrrpEffect[] {
  const { state, effects } = step(run.settings, run.state, event);
  run.state = state;
  for (const effect of effects) {
    if (effect.effect === "arm") run.deadlines.set(effect.timer, atUs + effect.afterUs);
    if (effect.effect === "cancel") run.deadlines.delete(effect.timer);
  }
  return effects;
}

function passOwnTimers(run: Run, untilUs: number): void {
  for (;;) {
    const due = OWN_TIMERS.map((timer) => ({
      timer,
      atUs: run.deadlines.get(timer) ?? Number.POSITIVE_INFINITY,
    }))
      .filter((one) => one.atUs <= untilUs)
      .sort((a, b) => a.atUs - b.atUs)[0];
    if (!due) return;
    run.deadlines.delete(due.timer);
    apply(run, { type: "timer", timer: due.timer }, due.atUs);
  }
}

/** The machine's event; null for an advertisement that does not pass the checks of section 7.1. */
function eventOf(run: Run, scripted: unknown, atUs: number): { event: VrrpEvent | null; problems: string[] } {
  if (scripted === "startup") return { event: { type: "startup" }, problems: [] };
  if (scripted === "shutdown") return { event: { type: "shutdown", handOver: true }, problems: [] };
  const timer = typeof scripted === "string" ? SCRIPTED_TIMERS[scripted] : undefined;
  if (timer) return { event: { type: "timer", timer }, problems: takeDeadline(run, timer, atUs) };
  if (isObject(scripted) && isObject(scripted.receive)) {
    return { event: advertisementOf(run.settings, scripted.receive), problems: [] };
  }
  throw new VectorError(`event ${JSON.stringify(scripted)} is not known here`);
}

function takeDeadline(run: Run, timer: VrrpTimer, atUs: number): string[] {
  const deadline = run.deadlines.get(timer);
  run.deadlines.delete(timer);
  if (deadline === undefined) return run.fromTheStart ? [`${timer} does not run`] : [];
  return Math.abs(deadline - atUs) <= TOLERANCE_US ? [] : [`${timer} passes at ${deadline} us`];
}

function advertisementOf(settings: VrrpSettings, heard: Json): VrrpEvent | null {
  const source = canonicalIp(stringAt(heard, "source"));
  if (source === null) throw new VectorError(`${JSON.stringify(heard.source)} is no address`);
  const priority = numberAt(heard, "priority");
  const names = ["maxAdverInterval", "adverInterval", "advertisementInterval"];
  const name = names.find((one) => ["Cs", "S", "Seconds"].some((unit) => heard[one + unit] !== undefined));
  const heardUs = name === undefined ? settings.intervalUs : intervalUs(heard, name);
  const flawed = settings.version === 2 ? heardUs !== settings.intervalUs : heardUs === 0;
  if (flawed || source === canonicalIp(settings.primaryAddress)) return null;
  return { type: "advertisement", source, priority, intervalUs: heardUs };
}

function checkStep(run: Run, expect: Json, effects: readonly VrrpEffect[]): string[] {
  return Object.entries(expect).flatMap(([key, value]) => {
    switch (key) {
      case "state":
        return differences(value, run.state.name, key);
      case "actions":
        return differences(expectedActions(value, effects), actionsOf(run.settings, effects), key);
      case "timerUnchanged":
        return differences(
          value,
          !Object.values(SCRIPTED_TIMERS).some((timer) => touches(effects, timer)),
          key,
        );
      case "activeDownTimerUs":
        return checkTimer(value, "activeDown", run, effects);
      case "adverTimerUs":
        return checkTimer(value, "adver", run, effects);
      default:
        return checkLearned(key, value, run);
    }
  });
}

/** What a Backup knows of its Active, and derives from it. */
function checkLearned(key: string, value: unknown, { state, settings }: Run): string[] {
  const learnedUs = state.name === "backup" ? state.activeAdverIntervalUs : null;
  switch (key) {
    case "activeAdverIntervalCs":
      return differences(value, learnedUs === null ? null : learnedUs / 10_000, key);
    case "skewTimeUs":
      return differences(value, learnedUs === null ? null : currentSkewTimeUs(settings, learnedUs), key);
    case "activeDownIntervalUs":
      return differences(
        value,
        learnedUs === null ? null : currentActiveDownIntervalUs(settings, learnedUs),
        key,
      );
    default:
      throw new VectorError(`expectation "${key}" is not known here`);
  }
}

function touches(effects: readonly VrrpEffect[], timer: VrrpTimer): boolean {
  return effects.some((one) => (one.effect === "arm" || one.effect === "cancel") && one.timer === timer);
}

/** A number: set to it in this step. Null: not running. */
function checkTimer(expected: unknown, timer: VrrpTimer, run: Run, effects: readonly VrrpEffect[]): string[] {
  if (expected === null) return run.deadlines.has(timer) ? [`${timer}: runs, expected not to`] : [];
  const set = effects.findLast((one) => one.effect === "arm" && one.timer === timer);
  const afterUs = set?.effect === "arm" ? set.afterUs : undefined;
  const near =
    typeof expected === "number" && afterUs !== undefined && Math.abs(afterUs - expected) <= TOLERANCE_US;
  return near ? [] : [difference(`${timer}Us`, afterUs, expected)];
}

function actionsOf(settings: VrrpSettings, effects: readonly VrrpEffect[]): string[] {
  return effects.flatMap((one) => {
    if (one.effect === "sendAdvertisement") return [`sendAdvertisement(${one.priority})`];
    if (one.effect !== "announce") return [];
    return [`${settings.family === "ipv4" ? "gratuitousArp" : "unsolicitedNa"}(${one.address})`];
  });
}

/** In our words. Joining solicited-node groups is part of opening: it is not told apart. */
function expectedActions(value: unknown, effects: readonly VrrpEffect[]): string[] {
  if (!Array.isArray(value)) throw new VectorError('"actions" is no list');
  const opens = effects.some((one) => one.effect === "ownership" && one.open);
  return value
    .map((one) => String(one).replace(/^(unsolicited\w*|neighbou?rAdvertisement)\(/i, "unsolicitedNa("))
    .filter((one) => !(opens && /^join/i.test(one)));
}
