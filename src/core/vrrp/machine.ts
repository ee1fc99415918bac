/**
 * The VRRP state machine: RFC 9568 section 6.4 and RFC 3768 section 6.4, one machine for each (interface,
 * VRID, address family). What it is made of is in `state.ts`; each state has a file in `states`.
 *
 * `step` is a function of its arguments and nothing else: no clock, no socket, no randomness, no logging. All
 * times are relative to the moment of the event, so states hold no time at all and compare equal whenever they
 * behave alike; `engine/automaton/compile.ts` relies on that to evaluate the machine ahead of time.
 *
 * Beyond the RFC's tables there are eight things, each marked where it is done:
 * - the preempt delay (ietf-vrrp `hold-time`);
 * - the hand-over: an Active that leaves goes on forwarding until its successor is heard;
 * - the repetition of gratuitous ARP / unsolicited NA;
 * - the refresh after a contest: an Active that heard another speaker claim its virtual router announces its addresses
 *   again once it is alone; where its advertisements alone can't lead the hosts back, who yields makes itself heard
 *   before;
 * - the way given by the kernel: this router was silent for so long that the kernel's filter let a successor have the
 *   virtual router;
 * - another priority, which an Active says at once;
 * - BFD: an Active may be seen to fail before its advertisements are missed, and Backups may show themselves to each
 *   other for that (backup advertisements);
 * - orders: `resign` hands over like a leaving Active but stays in the election, `takeOver` is an Active_Down_Timer that
 *   fires now, and a router that `waits` (for the others of its sync group) takes note of that timer instead of
 *   following it.
 */
import type { VrrpEvent, VrrpSettings, VrrpState, VrrpStep } from "./state.js";
import { stepActive } from "./states/active.js";
import { stepBackup } from "./states/backup.js";
import { stepInitialize } from "./states/initialize.js";

export * from "./effects.js";
export * from "./state.js";

/** One step of the machine. */
export function step(settings: VrrpSettings, state: VrrpState, event: VrrpEvent): VrrpStep {
  switch (state.name) {
    case "initialize":
      return stepInitialize(settings, state, event);
    case "backup":
      return stepBackup(settings, state, event);
    case "active":
      return stepActive(settings, state, event);
  }
}
