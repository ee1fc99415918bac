/** Sentences for people: why a virtual router changed its state, with the evidence. */
import type { VrrpEvent, VrrpReason, VrrpSettings, VrrpState } from "../../core/vrrp/machine.js";
import { currentActiveDownIntervalUs, currentSkewTimeUs } from "../../core/vrrp/machine.js";
import { describeDuration } from "../duration.js";
import type { Orders } from "../orders.js";

/** Why the machine may not run. */
export type FaultCause =
  | "interface-missing"
  | "interface-down"
  | "no-carrier"
  | "no-primary-address"
  /** `unicast.source` is not there. */
  | "no-source-address"
  | "kernel-refused"
  | "control-lost"
  | "drained"
  /** Another member of its sync group is in fault. */
  | "sync-group"
  /** A tracker forbids Active. */
  | `tracking:${string}`;

const CAUSE_TEXT: Readonly<Record<string, string>> = {
  "interface-missing": "the interface does not exist",
  "interface-down": "the interface is administratively down",
  "no-carrier": "the interface has no carrier",
  "no-primary-address": "the interface has no address of its own to send from (virtual ones do not count)",
  "no-source-address": "unicast.source is no address of the interface: add it there, or name one that is",
  "kernel-refused": "the kernel refused what the virtual router needs",
  "control-lost": "the control plane was silent for longer than controlTimeout",
  drained: "drained by command",
};

/** What is wrong with the LAN that a virtual router stands on. */
export function lanCauses(
  link: { readonly adminUp: boolean; readonly carrier: boolean } | null,
  primaryAddress: string | null,
  /** Whether the configuration names the source of advertisements. */
  sourceNamed: boolean,
): FaultCause[] {
  if (!link) return ["interface-missing"];
  const missing = sourceNamed ? "no-source-address" : "no-primary-address";
  const address: FaultCause[] = primaryAddress === null ? [missing] : [];
  if (!link.adminUp) return ["interface-down", ...address];
  return link.carrier ? address : ["no-carrier", ...address];
}

/** Everything that keeps the machine from running, what lies deepest first. */
export function faultCauses(of: {
  readonly link: Parameters<typeof lanCauses>[0];
  readonly primaryAddress: string | null;
  readonly sourceNamed: boolean;
  /** The kernel does not do what it should. */
  readonly refused: boolean;
  readonly controlLost: boolean;
  readonly forbidding: readonly { readonly tracker: string }[];
  readonly orders: Orders;
}): Set<FaultCause> {
  const causes = new Set(lanCauses(of.link, of.primaryAddress, of.sourceNamed));
  if (of.refused) causes.add("kernel-refused");
  if (of.controlLost) causes.add("control-lost");
  for (const { tracker } of of.forbidding) causes.add(`tracking:${tracker}`);
  if (of.orders.drained) causes.add("drained");
  if (of.orders.groupFault !== null) causes.add("sync-group");
  return causes;
}

/** What to do about a cause, where the cause itself does not tell. */
const CAUSE_REMEDY: Readonly<Record<string, (router: { name: string; interface: string }) => string>> = {
  "interface-missing": (router) =>
    `\`ip -brief link\` lists what there is: name one of them in the file, or make ${router.interface}`,
  "interface-down": (router) => `\`ip link set ${router.interface} up\``,
  "no-carrier": (router) => `look after the line of ${router.interface}, and what is at its other end`,
  "no-primary-address": (router) =>
    `\`ip address add ADDRESS/LENGTH dev ${router.interface}\`, with an address of its own beside the virtual ones`,
  "kernel-refused": () => "`firsthop events --history --no-follow` tells what the kernel refused",
  drained: (router) => `\`firsthop undrain ${router.name}\` lets it take part again`,
};

/** What would end each of these causes, in sentences. */
export function remedies(
  router: { readonly name: string; readonly interface: string },
  causes: readonly string[],
): string[] {
  const known = causes.flatMap((cause) => CAUSE_REMEDY[cause]?.(router) ?? []);
  const tracked = causes.some((cause) => cause.startsWith("tracking:"));
  return [...known, ...(tracked ? ["`firsthop show tracks` tells what each tracker sees"] : [])];
}

/**
 * A sentence for each cause. `forbidding`: the trackers among them, with their evidence; `groupFault`: what the sync
 * group suffers from.
 */
export function describeCauses(
  causes: Iterable<FaultCause>,
  forbidding: readonly { readonly tracker: string; readonly evidence: string }[] = [],
  groupFault: string | null = null,
): string[] {
  const trackers = forbidding.map(
    ({ tracker, evidence }) => [`tracking:${tracker}`, `tracker ${tracker}: ${evidence}`] as const,
  );
  const text: Readonly<Record<string, string>> = {
    ...CAUSE_TEXT,
    ...(groupFault === null ? {} : { "sync-group": groupFault }),
    ...Object.fromEntries(trackers),
  };
  return [...causes].map((cause) => text[cause] ?? cause);
}

/** Whether all that keeps the machine from running leaves the LAN as it is: then others can hear it hand over. */
export function lanWorks(causes: ReadonlySet<FaultCause>): boolean {
  return [...causes].every(
    (cause) => cause.startsWith("tracking:") || cause === "drained" || cause === "sync-group",
  );
}

/** What a start waits for where nothing is wrong. */
export function waitingFor(ready: boolean, trackers: readonly string[]): string {
  return ready && trackers.length > 0
    ? `waiting for the first result of ${trackers.join(", ")}`
    : "waiting for the kernel";
}

function peer(active: { readonly address: string; readonly priority: number }): string {
  return `${active.address} (priority ${active.priority})`;
}

export const LEFT = "left the virtual router";

/** One sentence for a change of state. */
export function describeChange(
  reason: VrrpReason,
  settings: VrrpSettings,
  before: VrrpState,
  event: VrrpEvent,
  /** Why it was told to move. */
  order: string,
): string {
  const heard =
    event.type === "advertisement" ? peer({ address: event.source, priority: event.priority }) : null;
  switch (reason) {
    case "startup":
      return "started; listening for an Active";
    case "startup-owner":
      return "started as the owner of the addresses (priority 255)";
    case "shutdown":
      return LEFT;
    case "bfd-down":
      return describeBfdDown(before);
    case "active-down":
    case "active-released":
    case "preempted-lower-priority":
      return describeTakeover(reason, settings, before);
    case "higher-priority-heard":
      return `heard ${heard}, above our priority ${settings.priority}`;
    case "gave-way":
      return "was silent for so long that the kernel gave way to a successor's claim";
    case "tie-lost":
      return `heard ${heard}: same priority, and its address is above our ${settings.primaryAddress}`;
    case "handed-over":
      return `${order}: ${heard} took over`;
    case "no-successor":
      return `${order}: nobody took over`;
    case "taken-over":
      return `${order}: took over`;
  }
}

function describeBfdDown(before: VrrpState): string {
  if (before.name !== "backup" || before.active === null)
    return "took over: the BFD session to the Active went down";
  const waited = before.activeFailed ? ", and no Backup of a better rank took over" : "";
  return `BFD heard nothing from ${peer(before.active)} for the detection time${waited}`;
}

function describeTakeover(reason: VrrpReason, settings: VrrpSettings, before: VrrpState): string {
  if (before.name !== "backup") return "took over";
  const downIntervalUs = currentActiveDownIntervalUs(settings, before.activeAdverIntervalUs);
  const waited = `${describeDuration(downIntervalUs)} (Active_Down_Interval)`;
  if (before.active === null) return `nobody advertised for ${waited}`;
  switch (reason) {
    case "active-released": {
      const skew = describeDuration(currentSkewTimeUs(settings, before.activeAdverIntervalUs));
      return `${before.active.address} released the virtual router (priority 0), ${skew} (Skew_Time) ago`;
    }
    case "preempted-lower-priority":
      return `preempts ${peer(before.active)}: our priority is ${settings.priority}`;
    default:
      return `nothing heard from ${peer(before.active)} for ${waited}`;
  }
}
