/**
 * Multipoint BFD (RFC 8562): one head says that it is there, any number of tails listen and never answer. The rules in
 * which its sessions differ from those of `machine.ts`; states hold no time here either.
 *
 * A head that is `settling` goes on at its pace for as long as tails may count on it: before it becomes slower, so that
 * they have heard so; and before it falls silent, so that they have heard that this is on purpose.
 */
import { type ControlContent, DIAGNOSTIC } from "./packet.js";
import type { BfdEffect, BfdEvent, BfdSettings, BfdState, BfdStep, HeardPacket } from "./session-state.js";
import { detectionTimeUs, transmitWindow } from "./timing.js";

const stay = (state: BfdState, effects: readonly BfdEffect[] = []): BfdStep => ({
  state,
  effects,
  reason: null,
});

/** Section 5.12.1: nobody is named, nothing is wanted back. */
export function headContent(settings: BfdSettings, state: BfdState): ControlContent {
  return {
    diagnostic: state.diagnostic,
    state: state.name,
    flags: { demand: true, multipoint: true },
    detectMult: settings.detectMult,
    myDiscriminator: settings.localDiscriminator,
    yourDiscriminator: 0,
    desiredMinTxUs: settings.desiredMinTxUs,
    requiredMinRxUs: 0,
    requiredMinEchoRxUs: 0,
  };
}

/** Whether a head has anything to say. */
export function headSpeaks({ name, settling }: BfdState): boolean {
  return name === "up" || settling === true;
}

export function stepHead(settings: BfdSettings, state: BfdState, event: BfdEvent): BfdStep {
  switch (event.type) {
    case "start": {
      if (state.name === "up") return stay(state);
      const up = { ...settled(state, settings), name: "up", diagnostic: DIAGNOSTIC.none } as const;
      return {
        state: up,
        effects: [{ effect: "cancel", timer: "detection" }, ...say(settings, up)],
        reason: "started",
      };
    }
    case "adminDown": {
      if (state.name === "adminDown") return stay(state);
      const diagnostic = DIAGNOSTIC.administrativelyDown;
      const down = { ...state, name: "adminDown", diagnostic, settling: true } as const;
      return {
        state: down,
        effects: [...say(settings, down), ...settle(settings, down)],
        reason: "admin-down",
      };
    }
    case "retune": {
      if (state.name !== "up") return stay(state);
      if (settings.desiredMinTxUs > state.txUs) {
        const slower = { ...state, settling: true } as const;
        return stay(slower, [...say(settings, slower), ...settle(settings, slower)]);
      }
      const faster = settled(state, settings);
      return stay(faster, [{ effect: "cancel", timer: "detection" }, ...say(settings, faster)]);
    }
    case "timer":
      if (event.timer === "transmit")
        return headSpeaks(state) ? stay(state, say(settings, state)) : stay(state);
      return stay(
        settled(state, settings),
        state.name === "up" ? [] : [{ effect: "cancel", timer: "transmit" }],
      );
    case "packet": // Heads hear nobody (section 5.13.1).
      return stay(state);
  }
}

function settled({ settling: _, ...state }: BfdState, settings: BfdSettings): BfdState {
  return { ...state, txUs: settings.desiredMinTxUs };
}

/** One packet now, the next one after the interval in force. */
function say(settings: BfdSettings, { txUs }: BfdState): BfdEffect[] {
  const { latestUs, spreadUs } = transmitWindow(txUs, settings.detectMult);
  return [
    { effect: "send", final: false },
    { effect: "count", counter: "packetsSent" },
    { effect: "arm", timer: "transmit", afterUs: latestUs, jitterUs: spreadUs },
  ];
}

function settle(settings: BfdSettings, { txUs }: BfdState): BfdEffect[] {
  return [{ effect: "arm", timer: "detection", afterUs: settings.detectMult * txUs, jitterUs: 0 }];
}

export function stepTail(settings: BfdSettings, state: BfdState, event: BfdEvent): BfdStep {
  switch (event.type) {
    case "start": {
      if (state.name !== "adminDown") return stay(state);
      const rxUs = settings.requiredMinRxUs;
      return { state: { ...state, name: "down", remote: null, rxUs }, effects: [], reason: "started" };
    }
    case "adminDown": {
      if (state.name === "adminDown") return stay(state);
      const counted: BfdEffect[] = state.name === "up" ? [{ effect: "count", counter: "sessionDown" }] : [];
      const down = { ...state, name: "adminDown", remote: null } as const;
      return {
        state: down,
        effects: [...counted, { effect: "cancel", timer: "detection" }],
        reason: "admin-down",
      };
    }
    case "retune":
      return stay({ ...state, rxUs: settings.requiredMinRxUs });
    case "timer":
      return event.timer === "detection" ? missHead(state) : stay(state);
    case "packet":
      return hearHead(state, event.packet);
  }
}

/** Nothing came for the detection time. The next head may have any discriminator. */
function missHead(state: BfdState): BfdStep {
  if (state.name !== "up") return stay({ ...state, remote: null });
  const down = { ...state, name: "down", diagnostic: DIAGNOSTIC.detectionTimeExpired, remote: null } as const;
  return {
    state: down,
    effects: [{ effect: "failed" }, { effect: "count", counter: "sessionDown" }],
    reason: "detection-time-expired",
  };
}

/** Whether a packet of the head's address may be of the session that a tail follows. */
export function isOfHead(state: BfdState, myDiscriminator: number): boolean {
  return state.name !== "up" || state.remote?.discriminator === myDiscriminator;
}

function hearHead(state: BfdState, packet: HeardPacket): BfdStep {
  if (state.name === "adminDown" || !isOfHead(state, packet.myDiscriminator)) return stay(state);
  if (packet.state === "init") return stay(state); // Heads have no such state.
  const { myDiscriminator: discriminator, flags, detectMult, desiredMinTxUs, requiredMinRxUs } = packet;
  const remote = {
    discriminator,
    state: packet.state,
    demand: flags.demand,
    detectMult,
    desiredMinTxUs,
    requiredMinRxUs,
  };
  const afterUs = detectionTimeUs(detectMult, state.rxUs, desiredMinTxUs);
  const effects: BfdEffect[] = [
    { effect: "count", counter: "packetsRcvd" },
    { effect: "arm", timer: "detection", afterUs, jitterUs: 0 },
  ];
  const heard = { ...state, remote };
  if (packet.state === "up") {
    if (state.name === "up") return stay(heard, effects);
    const up = { ...heard, name: "up", diagnostic: DIAGNOSTIC.none } as const;
    return { state: up, effects: [...effects, { effect: "count", counter: "sessionUp" }], reason: "up" };
  }
  if (state.name === "down") return stay(heard, effects);
  return {
    state: { ...heard, name: "down", diagnostic: DIAGNOSTIC.neighbourSignalledDown },
    effects: [...effects, { effect: "count", counter: "sessionDown" }],
    reason: packet.state === "adminDown" ? "neighbour-admin-down" : "neighbour-signalled-down",
  };
}
