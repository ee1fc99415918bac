/** Feeds a flight recorder's events to the bare state machine again. */
import {
  INITIAL_STATE,
  step,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
} from "../../src/core/vrrp/machine.js";
import type { LanRouter } from "./lan.js";

interface Recorded {
  readonly name: string;
  readonly event: VrrpEvent;
}

/** More events than this may have pushed the first ones out. */
const COMPLETE_BELOW = 4096;

/** What differs; empty when the recording leads to where the router is. */
export function replay(router: LanRouter): string[] {
  const recorded = (router.router?.flightRecorder() ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Recorded);
  // Another priority in between is no event of the machine, and changes what it decides.
  const reloaded = router.events.some(
    ({ event, generation }) => event.type === "reload" && generation === router.generation,
  );
  if (recorded.length >= COMPLETE_BELOW || reloaded) return [];
  return router.plan.members.flatMap((member) => {
    const status = router.status(member.group);
    if (!status || status.primaryAddress === null) return [];
    const settings: VrrpSettings = {
      version: member.group.version,
      family: member.group.family,
      priority: member.priority,
      addresses: member.group.addresses,
      primaryAddress: status.primaryAddress,
      intervalUs: member.intervalMs * 1000,
      preempt: member.preempt,
      preemptDelayUs: member.preemptDelayMs * 1000,
      yieldsAloud: !member.group.virtualMac || member.group.unicast,
    };
    let state: VrrpState = INITIAL_STATE;
    for (const { name, event } of recorded)
      if (name === status.name) state = step(settings, state, event).state;
    const shown = status.state === "fault" ? "initialize" : status.state;
    return state.name === shown
      ? []
      : [`${router.plan.name} ${status.name} is ${shown}, its recording leads to ${state.name}`];
  });
}
