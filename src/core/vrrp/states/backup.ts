/**
 * The state Backup: RFC 9568 and RFC 3768 section 6.4.2, with the preempt delay (ietf-vrrp `hold-time`), the failure
 * seen by BFD and the turns of several Backups after it (draft-ietf-rtgwg-vrrp-bfd-p2p).
 */
import { PRIORITY_OWNER, PRIORITY_RELEASE } from "../advertisement.js";
import { arm, cancel, count, type VrrpEffect } from "../effects.js";
import {
  type AdvertisementEvent,
  type BackupState,
  currentActiveDownIntervalUs,
  currentSkewTimeUs,
  INITIAL_STATE,
  type VrrpEvent,
  type VrrpReason,
  type VrrpSettings,
  type VrrpStep,
} from "../state.js";
import { advertiseAsBackup, becomeActive, stay } from "./entering.js";

export function stepBackup(settings: VrrpSettings, state: BackupState, event: VrrpEvent): VrrpStep {
  switch (event.type) {
    case "shutdown": // Row 4
      return {
        state: INITIAL_STATE,
        effects: [
          cancel("activeDown"),
          ...cancelHold(state),
          // As an Active's release: whoever comes next is the first of the Backups from now on.
          ...advertiseAsBackup(settings, PRIORITY_RELEASE),
        ],
        reason: "shutdown",
      };
    case "timer":
      if (event.timer === "activeDown") {
        if (settings.waits) return stay({ ...state, wants: true });
        return becomeActive(settings, activeDownReason(settings, state), cancelHold(state));
      }
      if (event.timer === "rank" && state.activeFailed) return followFailed(settings, trusted(state));
      if (event.timer === "preemptDelay") return stay({ ...state, preemptHold: "over" });
      if (event.timer === "adver") return stay(state, advertiseAsBackup(settings));
      return stay(state);
    case "advertisement":
      return withoutRank(state, hearAsBackup(settings, trusted(state), event));
    case "bfdDown":
      return missByBfd(settings, state, event);
    case "takeOver":
      return becomeActive(settings, "taken-over", [cancel("activeDown"), ...cancelHold(state)]);
    case "gaveWay":
    case "startup":
    case "resign":
      return stay(state);
    case "priority": // It counts from the next advertisement on, which re-arms the timer with its Skew_Time.
      return stay(state, advertiseAsBackup(settings));
  }
}

/** Not in the RFC (draft-ietf-rtgwg-vrrp-bfd-p2p): as when Active_Down_Timer passes; others of our rank or below wait. */
function missByBfd(
  settings: VrrpSettings,
  state: BackupState,
  missed: Extract<VrrpEvent, { type: "bfdDown" }>,
): VrrpStep {
  // An Active that released the virtual router is awaited no longer than Skew_Time already.
  if (state.active?.address !== missed.address || state.active.priority === PRIORITY_RELEASE)
    return stay(state);
  if (missed.waitUs === 0 && settings.waits) return stay({ ...state, wants: true }, [cancel("activeDown")]);
  // A timer of its own: an advertisement that came in before this was known still calls the turn off.
  return missed.waitUs === 0
    ? followFailed(settings, state)
    : stay({ ...state, activeFailed: true }, [arm("rank", missed.waitUs)]);
}

function followFailed(settings: VrrpSettings, state: BackupState): VrrpStep {
  if (settings.waits) return stay({ ...state, wants: true }, [cancel("activeDown")]);
  return becomeActive(settings, "bfd-down", [cancel("activeDown"), ...cancelHold(state)]);
}

function withoutRank(before: BackupState, made: VrrpStep): VrrpStep {
  return before.activeFailed ? { ...made, effects: [cancel("rank"), ...made.effects] } : made;
}

/** An advertisement, whoever sent it, outweighs what BFD said before. */
function trusted({ activeFailed: _, ...state }: BackupState): BackupState {
  return state;
}

function cancelHold(state: BackupState): VrrpEffect[] {
  return [
    ...(state.preemptHold === "running" ? [cancel("preemptDelay")] : []),
    ...(state.activeFailed ? [cancel("rank")] : []),
  ];
}

function activeDownReason(settings: VrrpSettings, state: BackupState): VrrpReason {
  if (state.active === null) return "active-down";
  if (state.activeFailed) return "bfd-down";
  if (state.active.priority === PRIORITY_RELEASE) return "active-released";
  return mayPreempt(settings) && state.active.priority < settings.priority
    ? "preempted-lower-priority"
    : "active-down";
}

/** Preempt_Mode; the address owner preempts whatever it says (section 6.1). */
function mayPreempt(settings: VrrpSettings): boolean {
  return settings.preempt || settings.priority === PRIORITY_OWNER;
}

function hearAsBackup(settings: VrrpSettings, state: BackupState, heard: AdvertisementEvent): VrrpStep {
  const active = { address: heard.source, priority: heard.priority };
  if (heard.priority === PRIORITY_RELEASE) {
    // Row 6: wait for Skew_Time with the interval known already; a release teaches no interval.
    return stay({ ...waiting(state), active }, [
      count("advertisementRcvd"),
      count("priorityZeroPktsRcvd"),
      arm("activeDown", currentSkewTimeUs(settings, state.activeAdverIntervalUs)),
    ]);
  }
  const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
  const rearm = arm("activeDown", currentActiveDownIntervalUs(settings, activeAdverIntervalUs));
  if (!mayPreempt(settings) || heard.priority >= settings.priority) {
    // Row 7: somebody better, or nobody whom we may push aside, is Active. v3 learns its interval.
    return stay({ ...waiting(state), active, activeAdverIntervalUs, preemptHold: "none" }, [
      count("advertisementRcvd"),
      ...cancelHold(state),
      rearm,
    ]);
  }
  // Row 8: a lower priority is discarded, so that Active_Down_Timer runs out and we take over ...
  if (settings.preemptDelayUs === 0 || state.preemptHold === "over") {
    return stay({ ...state, active }, [count("advertisementRcvd")]);
  }
  // ... but within the preempt delay (hold-time, not in the RFC's table) it is followed like any other.
  return stay({ ...waiting(state), active, activeAdverIntervalUs, preemptHold: "running" }, [
    count("advertisementRcvd"),
    rearm,
    ...(state.preemptHold === "none" ? [arm("preemptDelay", settings.preemptDelayUs)] : []),
  ]);
}

/** The Active_Down_Timer is armed again: there is nothing to want any more. */
function waiting({ wants: _, ...state }: BackupState): BackupState {
  return state;
}
