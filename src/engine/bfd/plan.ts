/**
 * BFD for the heartbeat engine: what may happen in each state without JavaScript, and how the machine's effects become
 * packets, timers and signals. The rules stay in `core/bfd/machine.ts`; this file only translates.
 */
import type { Operation, PortId } from "../../core/automaton.js";
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
  encodeControlDatagram,
  readBfdFrame,
  withVariation,
} from "../../core/bfd/packet.js";
import { comparisonMask } from "../../core/vrrp/packet.js";
import type { SessionId } from "../../driver/driver.js";
import { type Compiled, compile, type Foreseen, ProgramBuilder } from "../compile.js";

/** Whom the failure of a session is told, in the engine. */
export interface BfdSubscriber {
  readonly session: SessionId;
  readonly signal: number;
}

/** All that a session's packets and transitions are made of. */
export interface BfdPlanInput {
  readonly settings: BfdSettings;
  readonly endpoints: BfdEndpoints;
  /** Where packets come in. */
  readonly lanPort: PortId;
  /** Sends whole datagrams: the kernel knows the neighbour's MAC address. */
  readonly sendPort: PortId;
  readonly subscribers: readonly BfdSubscriber[];
}

export type BfdCompiled = Compiled<BfdState, BfdEvent, BfdStep>;

/** What a neighbour that is Up sends without having said so before. */
const VARIATIONS: readonly ControlVariation[] = [
  { state: "up", diagnostic: 0 },
  { state: "up", diagnostic: 0, poll: true },
  { state: "up", diagnostic: 0, final: true },
];

/** The automaton from the state that `entry` leads to, and the operations that lead there. */
export function compileBfd(
  input: BfdPlanInput,
  entry: BfdStep,
  known: readonly Uint8Array[],
): { readonly compiled: BfdCompiled; readonly operations: readonly Operation[] } {
  const builder = new ProgramBuilder();
  const packets = new Map<string, Uint8Array>();
  const lower = (step: BfdStep): Operation[] =>
    step.effects.flatMap((effect) => lowerEffect(input, step.state, effect, builder, packets));
  const operations = lower(entry);
  const heard = foreseePackets(known, input.lanPort);
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
  packets: Map<string, Uint8Array>,
): Operation[] {
  switch (effect.effect) {
    case "send": {
      const content = contentOf(input.settings, state, effect.final);
      // Frames are interned by identity.
      const key = JSON.stringify(content);
      const packet = packets.get(key) ?? encodeControlDatagram(content, input.endpoints);
      packets.set(key, packet);
      return [builder.send(input.sendPort, packet)];
    }
    case "arm": {
      const { afterUs, jitterUs } = effect;
      return [{ op: "arm", timer: BFD_TIMERS.indexOf(effect.timer), afterUs, jitterUs }];
    }
    case "cancel":
      return [{ op: "cancel", timer: BFD_TIMERS.indexOf(effect.timer) }];
    case "count":
      return [{ op: "count", counter: BFD_COUNTERS.indexOf(effect.counter) }];
    case "failed":
      return input.subscribers.map(({ session, signal }) => ({ op: "signal", session, signal }));
  }
}

/** Each known frame again; and what its sender says with it when a poll begins or ends. */
function foreseePackets(known: readonly Uint8Array[], port: PortId): Foreseen<BfdEvent>[] {
  const byContent = new Map<string, Foreseen<BfdEvent>>();
  for (const frame of known) {
    const isUp = readBfdFrame(frame)?.control?.state === "up";
    for (const bytes of [frame, ...(isUp ? VARIATIONS.map((one) => withVariation(frame, one)) : [])]) {
      const packet = bytes && readBfdFrame(bytes)?.control;
      if (!bytes || !packet) continue;
      const mask = comparisonMask(bytes);
      const key = bytes.map((octet, index) => octet & (mask[index] as number)).join();
      byContent.set(key, {
        event: { type: "packet", packet: heardPacket(packet) },
        trigger: { on: "pattern", pattern: { port, bytes, mask } },
      });
    }
  }
  return [...byContent.values()];
}

/** Only what a step needs: equal packets make equal events. */
export function heardPacket(packet: HeardPacket): HeardPacket {
  const { state, flags, detectMult, myDiscriminator, yourDiscriminator, desiredMinTxUs, requiredMinRxUs } =
    packet;
  return { state, flags, detectMult, myDiscriminator, yourDiscriminator, desiredMinTxUs, requiredMinRxUs };
}
