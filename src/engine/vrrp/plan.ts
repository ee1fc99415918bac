/**
 * VRRP for the heartbeat engine: what may happen in each state without JavaScript, and how the machine's effects
 * become frames and kernel steps. The rules stay in `core/vrrp/machine.ts`; this file only translates.
 */
import type { FramePattern, KernelStep, Operation, PortId } from "../../core/automaton.js";
import type { ChecksumForm, IpFamily, VrrpVersion } from "../../core/vrrp/advertisement.js";
import {
  BACKUP_GROUP_ADDRESS,
  BACKUP_GROUP_MAC,
  GROUP_ADDRESS,
  GROUP_MAC,
} from "../../core/vrrp/advertisement.js";
import { announcementFrame } from "../../core/vrrp/frames.js";
import {
  step,
  timersOf,
  VRRP_COUNTERS,
  VRRP_TIMERS,
  type VrrpEffect,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
  type VrrpStep,
} from "../../core/vrrp/machine.js";
import {
  comparisonMask,
  encodeAdvertisementDatagram,
  encodeAdvertisementFrame,
  MESSAGE_TYPE,
  type MessageType,
  withPriority,
} from "../../core/vrrp/packet.js";
import {
  type Compiled,
  compile,
  type Foreseeable,
  type Foreseen,
  ProgramBuilder,
} from "../automaton/compile.js";
import { armOperation, Claims, cancelOperation } from "./claims.js";

/** All that a virtual router's frames and plans are made of. A change makes a new plan necessary. */
export interface VrrpPlanInput {
  readonly settings: VrrpSettings;
  readonly vrid: number;
  /** MAC that frames leave from and that hosts are told: the virtual MAC, or the interface's own. */
  readonly mac: string;
  /** The interface's own: what a Backup sends must not lead switches to it. */
  readonly interfaceMac: string;
  readonly checksumForms: readonly ChecksumForm[];
  /** v2: authentication type and data of our own advertisements. */
  readonly authType: number;
  readonly authData: Uint8Array;
  readonly lanPort: PortId;
  /** Unicast: where copies go instead of to the group. */
  readonly unicast: { readonly port: PortId; readonly peers: readonly string[] } | null;
  /**
   * The kernel's filter keeps out what is not owned, so the interface may stand open: opening is a store, and frames
   * leave without waiting for the kernel lane.
   */
  readonly leased: boolean;
  /** What the BFD session to an Active signals when that fails; null without one. */
  readonly bfd: BfdBond | null;
  readonly open: readonly KernelStep[];
  readonly settle: readonly KernelStep[];
  readonly close: readonly KernelStep[];
}

/** A BFD session that a Backup listens to. */
export interface BfdBond {
  /** The Active's. */
  readonly address: string;
  /** Number of the signal that its failure sets off. */
  readonly signal: number;
  /** How long Backups of a better rank are given. */
  readonly waitUs: number;
}

/** A frame of a peer that was validated in full; an equal one need not be validated again. */
export interface KnownFrame {
  readonly frame: Uint8Array;
  readonly source: string;
  readonly priority: number;
  readonly intervalUs: number;
}

export type VrrpCompiled = Compiled<VrrpState, VrrpEvent, VrrpStep>;

/** Builds frames once and lowers effects; lives as long as its input does not change. */
export class VrrpPlan {
  readonly #input: VrrpPlanInput;
  readonly #advertisements = new Map<string, readonly { port: PortId; frame: Uint8Array }[]>();
  readonly #announcements = new Map<string, Uint8Array>();

  constructor(input: VrrpPlanInput) {
    this.#input = input;
  }

  /** The automaton from the state that `entry` leads to, and the operations that lead there. */
  compile(
    from: VrrpState,
    entry: VrrpStep,
    known: readonly KnownFrame[],
  ): { compiled: VrrpCompiled; operations: readonly Operation[] } {
    const builder = new ProgramBuilder();
    const operations = this.#lower(entry.effects, from, entry.state, builder);
    const foreseenFrames = foreseeFrames(known, this.#input.lanPort);
    const claims = new Claims(this.#input, known);
    const machine: Foreseeable<VrrpState, VrrpEvent, VrrpStep> = {
      step: (state, event) => step(this.#input.settings, state, event),
      key: (state) => JSON.stringify(state),
      foresee: (state) => [
        ...timersOf(this.#input.settings, state).map(
          (timer): Foreseen<VrrpEvent> => ({
            event: { type: "timer", timer },
            trigger: { on: "timer", timer: VRRP_TIMERS.indexOf(timer) },
          }),
        ),
        ...(state.name === "initialize" && !state.handingOver ? [] : foreseenFrames),
        ...claims.foresee(state),
        { event: { type: "shutdown", handOver: true }, trigger: { on: "controlLost" } },
        ...(this.#input.leased && forwards(state)
          ? [{ event: { type: "gaveWay" }, trigger: { on: "gaveWay" } } as const]
          : []),
        ...this.#foreseeBfd(state),
      ],
      lower: (state, outcome, into) =>
        answersClaim(outcome) ? null : this.#lower(outcome.effects, state, outcome.state, into),
    };
    return { compiled: compile(machine, entry.state, builder), operations };
  }

  #foreseeBfd(state: VrrpState): readonly Foreseen<VrrpEvent>[] {
    const { bfd } = this.#input;
    if (!bfd || state.name !== "backup" || state.active?.address !== bfd.address) return [];
    const { address, signal, waitUs } = bfd;
    return [{ event: { type: "bfdDown", address, waitUs }, trigger: { on: "signal", signal } }];
  }

  #lower(
    effects: readonly VrrpEffect[],
    from: VrrpState,
    to: VrrpState,
    builder: ProgramBuilder,
  ): Operation[] {
    const operations: Operation[] = [];
    // Once the kernel is asked to open, frames wait for it: they would point hosts to a closed door.
    let opening: KernelStep[] | null = null;
    let settling: readonly KernelStep[] = [];
    for (const effect of effects) {
      switch (effect.effect) {
        case "ownership":
          if (this.#input.leased) operations.push({ op: "lease", open: effect.open });
          if (effect.open) settling = this.#input.settle;
          if (!effect.open) operations.push(builder.kernel("close", this.#input.close));
          else if (!this.#input.leased) opening = [...this.#input.open];
          break;
        case "sendAdvertisement":
          for (const { port, frame } of this.#advertisement(effect.priority, MESSAGE_TYPE.advertisement)) {
            if (opening) opening.push({ step: "send", port, frame });
            else operations.push(builder.send(port, frame));
          }
          break;
        case "sendBackupAdvertisement":
          for (const { port, frame } of this.#advertisement(
            effect.priority,
            MESSAGE_TYPE.backupAdvertisement,
          ))
            operations.push(builder.send(port, frame));
          break;
        case "announce": {
          const frame = this.#announcement(effect.address);
          const port = this.#input.lanPort;
          if (opening) opening.push({ step: "send", port, frame });
          else operations.push(builder.send(port, frame));
          break;
        }
        case "arm":
          operations.push(armOperation(effect));
          break;
        case "cancel":
          operations.push(cancelOperation(effect));
          break;
        case "count":
          operations.push({ op: "count", counter: VRRP_COUNTERS.indexOf(effect.counter) });
          break;
      }
    }
    // The plan of an opening depends on nothing but the priority that is advertised, which the input fixes.
    const steps = [...(opening ?? []), ...settling];
    if (steps.length > 0) operations.push(builder.kernel(`open:${from.name}:${to.name}`, steps));
    return operations;
  }

  #advertisement(priority: number, type: MessageType): readonly { port: PortId; frame: Uint8Array }[] {
    const key = `${type}/${priority}`;
    const cached = this.#advertisements.get(key);
    if (cached) return cached;
    const { settings, vrid, authType, authData, unicast, lanPort } = this.#input;
    const fromActive = type === MESSAGE_TYPE.advertisement;
    const sourceMac = fromActive ? this.#input.mac : this.#input.interfaceMac;
    const [group, groupMac] = fromActive
      ? [GROUP_ADDRESS, GROUP_MAC]
      : [BACKUP_GROUP_ADDRESS, BACKUP_GROUP_MAC];
    const advertisement = {
      version: settings.version,
      family: settings.family,
      vrid,
      priority,
      addresses: settings.addresses,
      intervalUs: settings.intervalUs,
      authType,
      authData,
    };
    const source = settings.primaryAddress;
    const built = this.#forms(settings.version, settings.family).flatMap((checksumForm) =>
      unicast
        ? unicast.peers.map((destination) => ({
            port: unicast.port,
            frame: encodeAdvertisementDatagram({ advertisement, source, destination, checksumForm, type }),
          }))
        : [
            {
              port: lanPort,
              frame: encodeAdvertisementFrame({
                advertisement,
                sourceMac,
                destinationMac: groupMac[settings.family],
                source,
                destination: group[settings.family],
                checksumForm,
                type,
              }),
            },
          ],
    );
    this.#advertisements.set(key, built);
    return built;
  }

  /** Only VRRPv3 over IPv4 leaves a choice. */
  #forms(version: VrrpVersion, family: IpFamily): readonly ChecksumForm[] {
    if (version === 3 && family === "ipv4") return this.#input.checksumForms;
    return [family === "ipv6" ? "pseudo-header" : "message-only"];
  }

  #announcement(address: string): Uint8Array {
    let frame = this.#announcements.get(address);
    if (!frame) {
      frame = announcementFrame(address, this.#input.mac);
      this.#announcements.set(address, frame);
    }
    return frame;
  }
}

/** Whether packets are let in for a router in this state. */
function forwards(state: VrrpState): boolean {
  return state.name === "active" || (state.name === "initialize" && state.handingOver);
}

/**
 * An Active that answers a lower claim with an advertisement of its own (RFC 9568 section 6.4.3) leaves that to
 * JavaScript: carried out natively it would answer a flood at line rate.
 */
function answersClaim(outcome: VrrpStep): boolean {
  return (
    outcome.reason === null &&
    outcome.effects.some((effect) => effect.effect === "count" && effect.counter === "advertisementRcvd") &&
    outcome.effects.some(
      (effect) =>
        effect.effect === "sendAdvertisement" || (effect.effect === "arm" && effect.timer === "refresh"),
    )
  );
}

function foreseeFrames(known: readonly KnownFrame[], port: PortId): Foreseen<VrrpEvent>[] {
  return known.flatMap((frame) =>
    knownPatterns(frame, port).map(
      ({ pattern, priority, intervalUs }): Foreseen<VrrpEvent> => ({
        event: { type: "advertisement", source: frame.source, priority, intervalUs },
        trigger: { on: "pattern", pattern },
      }),
    ),
  );
}

/** A known frame again, and the release that its sender would send: the same with priority 0. */
export function knownPatterns(
  { frame, priority, intervalUs }: KnownFrame,
  port: PortId,
): { readonly pattern: FramePattern; readonly priority: number; readonly intervalUs: number }[] {
  const mask = comparisonMask(frame);
  const again = { pattern: { port, bytes: frame, mask }, priority, intervalUs };
  const release = priority === 0 ? null : withPriority(frame, 0);
  return release === null
    ? [again]
    : [again, { pattern: { port, bytes: release, mask }, priority: 0, intervalUs }];
}
