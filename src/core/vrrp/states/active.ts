/**
 * The state Active: RFC 9568 and RFC 3768 section 6.4.3, with the refresh after a contest, the way given by the kernel,
 * and the release that waits for a successor.
 */
import { compareAddresses } from "../../address.js";
import { PRIORITY_RELEASE } from "../advertisement.js";
import { arm, cancel, count, type VrrpEffect, type VrrpTimer } from "../effects.js";
import {
  type ActiveState,
  type AdvertisementEvent,
  ANNOUNCE_REPEATS_US,
  type BackupState,
  handOverLimitUs,
  INITIAL_STATE,
  timersOf,
  type VrrpEvent,
  type VrrpReason,
  type VrrpSettings,
  type VrrpStep,
} from "../state.js";
import { advertise, announceAll, becomeBackup, stay } from "./entering.js";

/** How soon after a contender's claim the hosts' tables are refreshed for the first time. */
const CONTEST_REFRESH_US = 20_000;

export function stepActive(settings: VrrpSettings, state: ActiveState, event: VrrpEvent): VrrpStep {
  switch (event.type) {
    case "shutdown": // Row 9
      return leave(settings, state, event.handOver);
    case "timer":
      return activeTimer(settings, state, event.timer);
    case "advertisement":
      return state.resigning ? hearSuccessor(settings, state, event) : hearAsActive(settings, state, event);
    case "gaveWay":
      return giveWay(settings, state);
    case "resign":
      return resign(settings, state, event.returns ? "returns" : "leaves");
    case "takeOver":
      return state.resigning ? goOn(settings) : stay(state);
    case "priority": // Ours: said at once, because Backups wait for three intervals from then on.
      if (state.resigning) return stay(state);
      return stay(state, [...advertise(settings.priority), arm("adver", settings.intervalUs)]);
    case "bfdDown":
    case "startup":
      return stay(state);
  }
}

function activeTimer(settings: VrrpSettings, state: ActiveState, timer: VrrpTimer): VrrpStep {
  switch (timer) {
    case "adver": // Row 10
      return stay(state, [...advertise(settings.priority), arm("adver", settings.intervalUs)]);
    case "announce": {
      const announced = state.announced + 1;
      const nextGapUs = ANNOUNCE_REPEATS_US[announced];
      return stay({ ...state, announced }, [
        ...announceAll(settings),
        ...(nextGapUs === undefined ? [] : [arm("announce", nextGapUs)]),
      ]);
    }
    case "refresh":
      // A contender was heard. Its claim has moved switches and hosts to it: move them back at once, and
      // again when it has been silent for longer than its interval.
      return state.contest === "fresh"
        ? stay({ ...state, contest: "answered" }, [
            ...announceAll(settings),
            arm("refresh", Math.ceil((state.contenderIntervalUs * 3) / 2)),
          ])
        : stay({ ...state, contest: "none", contenderIntervalUs: 0 }, announceAll(settings));
    case "handOver":
      if (state.resigning === "returns") return goOn(settings);
      return state.resigning ? yieldTo(settings, settings.intervalUs, null, "no-successor") : stay(state);
    default:
      return stay(state);
  }
}

// Not in the RFC: as row 9, but the router stays in the election.
function resign(settings: VrrpSettings, state: ActiveState, resigning: "returns" | "leaves"): VrrpStep {
  if (state.resigning) return stay({ ...state, resigning });
  const announced = ANNOUNCE_REPEATS_US.length;
  return stay({ name: "active", announced, contest: "none", contenderIntervalUs: 0, resigning }, [
    ...cancelActiveTimers(settings, state),
    ...advertise(PRIORITY_RELEASE),
    arm("handOver", handOverLimitUs(settings)),
  ]);
}

function hearSuccessor(settings: VrrpSettings, state: ActiveState, heard: AdvertisementEvent): VrrpStep {
  const received = count("advertisementRcvd");
  if (heard.priority === PRIORITY_RELEASE) return stay(state, [received, count("priorityZeroPktsRcvd")]);
  const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
  const active = { address: heard.source, priority: heard.priority };
  const yielded = yieldTo(settings, activeAdverIntervalUs, active, "handed-over");
  return { ...yielded, effects: [received, cancel("handOver"), ...yielded.effects] };
}

function yieldTo(
  settings: VrrpSettings,
  activeAdverIntervalUs: number,
  active: BackupState["active"],
  reason: VrrpReason,
): VrrpStep {
  const backup = becomeBackup(settings, { activeAdverIntervalUs, active }, reason);
  return { ...backup, effects: [{ effect: "ownership", open: false }, ...backup.effects] };
}

/** Nobody followed, or it is to be Active after all: hosts and Backups are told as if it had just become that. */
function goOn(settings: VrrpSettings): VrrpStep {
  return stay({ name: "active", announced: 0, contest: "none", contenderIntervalUs: 0 }, [
    cancel("handOver"),
    ...advertise(settings.priority),
    ...announceAll(settings),
    arm("adver", settings.intervalUs),
    arm("announce", ANNOUNCE_REPEATS_US[0] as number),
  ]);
}

function hearAsActive(settings: VrrpSettings, state: ActiveState, heard: AdvertisementEvent): VrrpStep {
  const received = count("advertisementRcvd");
  if (heard.priority === PRIORITY_RELEASE) {
    // Row 11
    const contested = contest(settings, state, heard.intervalUs);
    return stay(contested.state, [
      received,
      count("priorityZeroPktsRcvd"),
      ...advertise(settings.priority),
      arm("adver", settings.intervalUs),
      ...contested.effects,
    ]);
  }
  const wins =
    heard.priority > settings.priority ||
    (heard.priority === settings.priority && compareAddresses(heard.source, settings.primaryAddress) > 0);
  if (wins) {
    // Row 12
    const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
    const backup = becomeBackup(
      settings,
      { activeAdverIntervalUs, active: { address: heard.source, priority: heard.priority } },
      heard.priority > settings.priority ? "higher-priority-heard" : "tie-lost",
    );
    return {
      ...backup,
      effects: [
        received,
        ...cancelActiveTimers(settings, state),
        // Ours: often the loser is the first to hear, and the winner would never know that hosts were led away.
        ...(settings.yieldsAloud ? advertise(settings.priority) : []),
        { effect: "ownership", open: false },
        ...backup.effects,
      ],
    };
  }
  // Row 13. v3 (new in RFC 9568) asserts itself at once, which also turns learning bridges back; v2 discards.
  const contested = contest(settings, state, heard.intervalUs);
  return stay(contested.state, [
    received,
    ...(settings.version === 3 ? advertise(settings.priority) : []),
    ...contested.effects,
  ]);
}

/** Another speaker claims what is ours: arrange for the hosts' tables to be refreshed (see `activeTimer`). */
function contest(
  settings: VrrpSettings,
  state: ActiveState,
  heardIntervalUs: number,
): { state: ActiveState; effects: VrrpEffect[] } {
  const contenderIntervalUs = settings.version === 3 ? heardIntervalUs : settings.intervalUs;
  if (state.contest === "fresh") return { state: { ...state, contenderIntervalUs }, effects: [] };
  // A contender that speaks again has led hosts away again since; no more often than it advertises.
  const afterUs =
    state.contest === "none" ? CONTEST_REFRESH_US : Math.max(CONTEST_REFRESH_US, contenderIntervalUs);
  return { state: { ...state, contest: "fresh", contenderIntervalUs }, effects: [arm("refresh", afterUs)] };
}

function cancelActiveTimers(settings: VrrpSettings, state: ActiveState): VrrpEffect[] {
  return timersOf(settings, state).map(cancel);
}

/** Not in the RFC: there is a successor, whose advertisements tell more. Until then it is waited for as at the start. */
function giveWay(settings: VrrpSettings, state: ActiveState): VrrpStep {
  const backup = becomeBackup(
    settings,
    { activeAdverIntervalUs: settings.intervalUs, active: null },
    "gave-way",
  );
  return {
    ...backup,
    effects: [
      ...cancelActiveTimers(settings, state),
      { effect: "ownership", open: false },
      ...backup.effects,
    ],
  };
}

function leave(settings: VrrpSettings, state: ActiveState, handOver: boolean): VrrpStep {
  if (!handOver) {
    // The line is gone or the addresses are: nobody would hear a release (section 6.4.3 sends one all the same).
    return {
      state: INITIAL_STATE,
      effects: [
        ...cancelActiveTimers(settings, state),
        ...advertise(PRIORITY_RELEASE),
        { effect: "ownership", open: false },
      ],
      reason: "shutdown",
    };
  }
  return {
    state: { name: "initialize", handingOver: true },
    effects: [
      ...cancelActiveTimers(settings, state),
      ...advertise(PRIORITY_RELEASE),
      arm("handOver", handOverLimitUs(settings)),
    ],
    reason: "shutdown",
  };
}
