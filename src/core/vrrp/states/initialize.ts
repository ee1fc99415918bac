/**
 * The state Initialize: RFC 9568 and RFC 3768 section 6.4.1, and what is left to do for a router that has handed over.
 */
import { PRIORITY_OWNER, PRIORITY_RELEASE } from "../advertisement.js";
import { cancel, type VrrpEffect } from "../effects.js";
import {
  INITIAL_STATE,
  type InitializeState,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpStep,
} from "../state.js";
import { becomeActive, becomeBackup, stay } from "./entering.js";

export function stepInitialize(settings: VrrpSettings, state: InitializeState, event: VrrpEvent): VrrpStep {
  const ceaseForwarding: VrrpEffect[] = state.handingOver
    ? [cancel("handOver"), { effect: "ownership", open: false }]
    : [];
  switch (event.type) {
    case "startup":
      // Row 1: the owner of the addresses starts as Active. Row 2: anyone else listens first.
      if (settings.priority === PRIORITY_OWNER) {
        return becomeActive(settings, "startup-owner", state.handingOver ? [cancel("handOver")] : []);
      }
      return startAsBackup(settings, ceaseForwarding);
    case "advertisement":
      // Row 3: ignored by the RFC. While handing over (ours): the successor is there, so stop forwarding.
      return state.handingOver && event.priority !== PRIORITY_RELEASE
        ? stay(INITIAL_STATE, ceaseForwarding)
        : stay(state);
    case "timer":
      return event.timer === "handOver" && state.handingOver
        ? stay(INITIAL_STATE, ceaseForwarding)
        : stay(state);
    case "bfdDown":
      return stay(state);
    case "gaveWay":
      return state.handingOver ? stay(INITIAL_STATE, ceaseForwarding) : stay(state);
    case "shutdown":
      return event.handOver ? stay(state) : stay(INITIAL_STATE, ceaseForwarding);
    case "priority":
    case "resign":
    case "takeOver":
      return stay(state);
  }
}

function startAsBackup(settings: VrrpSettings, before: readonly VrrpEffect[]): VrrpStep {
  const backup = becomeBackup(
    settings,
    { activeAdverIntervalUs: settings.intervalUs, active: null },
    "startup",
  );
  return { ...backup, effects: [...before, ...backup.effects] };
}
