/**
 * BFD for the heartbeat engine: what may happen in each state without JavaScript, and how the machine's effects become
 * packets, timers and signals. The rules stay in `core/bfd/machine.ts`; this file only translates.
 */
import type { FramePattern, Operation, PortId } from "../../core/automaton.js";
import { type BfdAuthentication, sealOf, sequenceWindow } from "../../core/bfd/authentication.js";
import {
  BFD_COUNTERS,
  BFD_TIMERS,
  type BfdEffect,
  type BfdEvent,
  type BfdSettings,
  type BfdState,
  type BfdStep,
  contentOf,
  type HeardPacket,
  step,
  timersOf,
} from "../../core/bfd/machine.js";
import {
  type BfdEndpoints,
  type ControlVariation,
  DIAGNOSTIC,
  readBfdFrame,
  withVariation,
} from "../../core/bfd/packet.js";
import { comparisonMask } from "../../core/vrrp/packet.js";
import type { SessionId } from "../../driver/driver.js";
import { type Compiled, compile, type Foreseen, ProgramBuilder } from "../automaton/compile.js";
import { datagramFor } from "./authentication.js";

/** Whom the failure of a session is told, in the engine. */
export interface BfdSubscriber {
  readonly session: SessionId;
  readonly signal: number;
}

/** All that a session's packets and transitions are made of. */
export interface BfdPlanInput {
  readonly settings: BfdSettings;
  readonly endpoints: BfdEndpoints;
  readonly authentication: BfdAuthentication | null;
  /** Where packets come in. */
  readonly lanPort: PortId;
  /** Sends whole datagrams: the kernel knows the neighbour's MAC address. */
  readonly sendPort: PortId;
  readonly subscribers: readonly BfdSubscriber[];
}

type Packets = Map<string, ReturnType<typeof datagramFor>>;

export type BfdCompiled = Compiled<BfdState, BfdEvent, BfdStep>;

const UDP_HEADER_LENGTH = 8;

/** What a neighbour that is Up sends without having said so before. */
const VARIATIONS: readonly ControlVariation[] = [
  { state: "up", diagnostic: 0 },
  { state: "up", diagnostic: 0, poll: true },
  { state: "up", diagnostic: 0, final: true },
];

/** What a head says when it ends: tails must not take it for silence, however slow JavaScript is. */
const FAREWELLS: readonly ControlVariation[] = [
  { state: "adminDown", diagnostic: DIAGNOSTIC.administrativelyDown },
];

/** The automaton from the state that `entry` leads to, and the operations that lead there. */
export function compileBfd(
  input: BfdPlanInput,
  entry: BfdStep,
  known: readonly Uint8Array[],
): { readonly compiled: BfdCompiled; readonly operations: readonly Operation[] } {
  const builder = new ProgramBuilder();
  builder.seal = input.authentication && sealOf(input.authentication);
  const packets: Packets = new Map();
  const lower = (step: BfdStep): Operation[] =>
    step.effects.flatMap((effect) => lowerEffect(input, step.state, effect, builder, packets));
  const operations = lower(entry);
  const heard = foreseePackets(known, input);
  const compiled = compile<BfdState, BfdEvent, BfdStep>(
    {
      step: (state, event) => step(input.settings, state, event),
      key: (state) => JSON.stringify(state),
      foresee: (state) => [
        ...timersOf(input.settings, state).map(
          (timer): Foreseen<BfdEvent> => ({
            event: { type: "timer", timer },
            trigger: { on: "timer", timer: BFD_TIMERS.indexOf(timer) },
          }),
        ),
        ...heard,
        // Who stands still or ends says so: the neighbour is not to take it for a failure of the line.
        { event: { type: "adminDown" }, trigger: { on: "controlLost" } },
      ],
      lower: (_, outcome) => lower(outcome),
    },
    entry.state,
    builder,
  );
  return { compiled, operations };
}

function lowerEffect(
  input: BfdPlanInput,
  state: BfdState,
  effect: BfdEffect,
  builder: ProgramBuilder,
  packets: Packets,
): Operation[] {
  switch (effect.effect) {
    case "send": {
      const content = contentOf(input.settings, state, effect.final);
      // Frames are interned by identity.
      const key = JSON.stringify(content);
      const made = packets.get(key) ?? datagramFor(content, input.endpoints, input.authentication);
      packets.set(key, made);
      return [builder.send(input.sendPort, made.packet, made.sealAt)];
    }
    case "arm": {
      const { afterUs, jitterUs } = effect;
      return [{ op: "arm", timer: BFD_TIMERS.indexOf(effect.timer), afterUs, jitterUs }];
    }
    case "cancel":
      return [{ op: "cancel", timer: BFD_TIMERS.indexOf(effect.timer) }];
    case "count":
      return [{ op: "count", counter: BFD_COUNTERS.indexOf(effect.counter) }];
    case "forgetSequence":
      return input.authentication ? [{ op: "forgetSequence" }] : [];
    case "failed":
      return input.subscribers.map(({ session, signal }) => ({ op: "signal", session, signal }));
  }
}

/** Each known frame again; and what its sender says with it when a poll begins or ends. */
function foreseePackets(
  known: readonly Uint8Array[],
  { lanPort, authentication }: BfdPlanInput,
): Foreseen<BfdEvent>[] {
  const byContent = new Map<string, Foreseen<BfdEvent>>();
  for (const frame of known) {
    const control = readBfdFrame(frame)?.control;
    const variations = control?.flags.multipoint ? FAREWELLS : VARIATIONS;
    const more = control?.state === "up" ? variations.map((one) => withVariation(frame, one)) : [];
    for (const bytes of [frame, ...more]) {
      const packet = bytes && readBfdFrame(bytes)?.control;
      if (!bytes || !packet) continue;
      const pattern = patternOf(bytes, lanPort, authentication);
      const key = bytes.map((octet, index) => octet & (pattern.mask[index] as number)).join();
      byContent.set(key, {
        event: { type: "packet", packet: heardPacket(packet) },
        trigger: { on: "pattern", pattern },
      });
    }
  }
  return [...byContent.values()];
}

/** What a neighbour's frame has in common with those that say the same. */
export function patternOf(
  bytes: Uint8Array,
  port: PortId,
  authentication: BfdAuthentication | null,
): FramePattern {
  const mask = comparisonMask(bytes);
  const seal = authentication && sealOf(authentication);
  const read = seal && readBfdFrame(bytes);
  if (!seal || !read?.control) return { port, bytes, mask };
  const sealAt = read.ip.payloadOffset + UDP_HEADER_LENGTH;
  mask.fill(0, sealAt - 2, sealAt);
  mask.fill(0, sealAt + seal.sequenceAt, sealAt + seal.digestAt + seal.key.length);
  return { port, bytes, mask, sealAt, sealWindow: sequenceWindow(read.control.detectMult) };
}

/** Only what a step needs: equal packets make equal events. */
export function heardPacket(packet: HeardPacket): HeardPacket {
  const { state, flags, detectMult, myDiscriminator, yourDiscriminator, desiredMinTxUs, requiredMinRxUs } =
    packet;
  return { state, flags, detectMult, myDiscriminator, yourDiscriminator, desiredMinTxUs, requiredMinRxUs };
}
