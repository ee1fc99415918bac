/**
 * A BFD session: RFC 5880 section 6.8, asynchronous mode (RFC 5881 single hop), one machine for each neighbour.
 *
 * `step` is a function of its arguments and nothing else: no clock, no socket, no randomness, no logging. Times are
 * relative to the moment of the event and jitter is a range, so states hold no time at all and compare equal whenever
 * they behave alike; `engine/automaton/compile.ts` relies on that to evaluate the machine ahead of time.
 *
 * One thing is ours: `failed` is told apart from every other way down. Only a neighbour that fell silent failed; one
 * that says Down or AdminDown lives.
 */

import { headContent, headSpeaks, stepHead, stepTail } from "./multipoint.js";
import { type BfdStateName, type ControlContent, DIAGNOSTIC } from "./packet.js";
import {
  type BfdCounter,
  type BfdEffect,
  type BfdEvent,
  type BfdReason,
  type BfdSettings,
  type BfdState,
  type BfdStep,
  type BfdTimer,
  type HeardPacket,
  INITIAL_BFD_STATE,
  type RemoteState,
} from "./session-state.js";
import { detectionTimeUs, SLOW_INTERVAL_US, transmitIntervalUs, transmitWindow } from "./timing.js";

export * from "./session-state.js";

const count = (counter: BfdCounter): BfdEffect => ({ effect: "count", counter });
const stay = (state: BfdState, effects: readonly BfdEffect[] = []): BfdStep => ({
  state,
  effects,
  reason: null,
});

/** Desired Min TX Interval as it is announced: slow until the session is Up (section 6.8.3). */
function announcedTxUs(settings: BfdSettings, state: BfdState): number {
  return state.name === "up" ? settings.desiredMinTxUs : Math.max(SLOW_INTERVAL_US, settings.desiredMinTxUs);
}

/** The packet to be sent in a state; `final` answers a poll. */
export function contentOf(settings: BfdSettings, state: BfdState, final: boolean): ControlContent {
  if (settings.sessionType === "multipointHead") return headContent(settings, state);
  return {
    diagnostic: state.diagnostic,
    state: state.name,
    flags: { poll: state.polling && !final, final },
    detectMult: settings.detectMult,
    myDiscriminator: settings.localDiscriminator,
    yourDiscriminator: state.remote?.discriminator ?? 0,
    desiredMinTxUs: announcedTxUs(settings, state),
    requiredMinRxUs: settings.requiredMinRxUs,
    requiredMinEchoRxUs: 0,
  };
}

/** Interval of periodic packets in a state, before jitter; null: none are sent. */
export function currentTransmitIntervalUs(settings: BfdSettings, state: BfdState): number | null {
  const { remote } = state;
  if (settings.sessionType === "multipointTail") return null;
  if (settings.sessionType === "multipointHead") return headSpeaks(state) ? state.txUs : null;
  if (remote === null && settings.passive) return null;
  // Demand mode of the neighbour (section 6.6): it asks when it wants to know. A poll of ours goes out all the same.
  if (remote?.demand && state.name === "up" && remote.state === "up" && !state.polling) return null;
  // bfd.RemoteMinRxInterval is 1 until the neighbour was heard (section 6.8.1).
  return transmitIntervalUs(state.txUs, remote?.requiredMinRxUs ?? 1);
}

/** Detection time in a state; null while nothing was heard. */
export function currentDetectionTimeUs(state: BfdState): number | null {
  const { remote } = state;
  return remote && detectionTimeUs(remote.detectMult, state.rxUs, remote.desiredMinTxUs);
}

/** Timers that may be running in a state of a session that was started. */
export function timersOf(settings: BfdSettings, state: BfdState): readonly BfdTimer[] {
  const transmits = currentTransmitIntervalUs(settings, state) !== null;
  return [
    ...(transmits ? (["transmit"] as const) : []),
    ...(state.remote || state.settling ? (["detection"] as const) : []),
  ];
}

/** One step of the machine. */
export function step(settings: BfdSettings, state: BfdState, event: BfdEvent): BfdStep {
  if (settings.sessionType === "multipointHead") return stepHead(settings, state, event);
  if (settings.sessionType === "multipointTail") return stepTail(settings, state, event);
  switch (event.type) {
    case "start":
      return state.name === "adminDown" ? start(settings) : stay(state);
    case "adminDown":
      return goAdminDown(settings, state);
    case "retune":
      return retune(settings, state);
    case "timer":
      return event.timer === "transmit" ? transmit(settings, state) : expire(settings, state);
    case "packet":
      return hear(settings, state, event.packet);
  }
}

function start(settings: BfdSettings): BfdStep {
  const state: BfdState = {
    ...INITIAL_BFD_STATE,
    name: "down",
    txUs: Math.max(SLOW_INTERVAL_US, settings.desiredMinTxUs),
    rxUs: settings.requiredMinRxUs,
  };
  const effects: BfdEffect[] = [{ effect: "forgetSequence" }];
  if (!settings.passive) effects.push(...sendNow(settings, state));
  return { state, effects, reason: "started" };
}

/** Section 6.8.16. The neighbour is told, and told again for as long as the session is kept. */
function goAdminDown(settings: BfdSettings, state: BfdState): BfdStep {
  if (state.name === "adminDown") return stay(state);
  const down = left(settings, state, "adminDown", DIAGNOSTIC.administrativelyDown);
  return {
    state: down,
    effects: [...(state.name === "up" ? [count("sessionDown")] : []), ...sendNow(settings, down)],
    reason: "admin-down",
  };
}

/** Section 6.8.3: what makes detection late takes effect at once, what would make it false only after a poll. */
function retune(settings: BfdSettings, state: BfdState): BfdStep {
  if (state.name === "adminDown") return stay(state);
  if (state.name !== "up") {
    const tuned = {
      ...state,
      txUs: Math.max(SLOW_INTERVAL_US, settings.desiredMinTxUs),
      rxUs: settings.requiredMinRxUs,
    };
    return stay(tuned, sendNow(settings, tuned));
  }
  const tuned: BfdState = {
    ...state,
    txUs: Math.min(state.txUs, settings.desiredMinTxUs),
    rxUs: Math.max(state.rxUs, settings.requiredMinRxUs),
    polling: true,
  };
  return stay(tuned, sendNow(settings, tuned));
}

function transmit(settings: BfdSettings, state: BfdState): BfdStep {
  return stay(state, sendNow(settings, state));
}

/** Sends what the state calls for, and counts the interval to the next packet from here. */
function sendNow(settings: BfdSettings, state: BfdState): BfdEffect[] {
  return currentTransmitIntervalUs(settings, state) === null
    ? [{ effect: "cancel", timer: "transmit" }]
    : [{ effect: "send", final: false }, count("packetsSent"), ...armTransmit(settings, state)];
}

function armTransmit(settings: BfdSettings, state: BfdState): BfdEffect[] {
  const intervalUs = currentTransmitIntervalUs(settings, state);
  if (intervalUs === null) return [{ effect: "cancel", timer: "transmit" }];
  const { latestUs, spreadUs } = transmitWindow(intervalUs, settings.detectMult);
  return [{ effect: "arm", timer: "transmit", afterUs: latestUs, jitterUs: spreadUs }];
}

/** Nothing came for the detection time (sections 6.8.1 and 6.8.4). */
function expire(settings: BfdSettings, state: BfdState): BfdStep {
  if (state.name !== "init" && state.name !== "up") {
    // A further one: the neighbour's discriminator is forgotten.
    const forgotten = { ...state, remote: null };
    return stay(forgotten, [{ effect: "forgetSequence" }, ...armTransmit(settings, forgotten)]);
  }
  const down = left(settings, state, "down", DIAGNOSTIC.detectionTimeExpired);
  return {
    state: down,
    effects: [
      ...(state.name === "up" ? [{ effect: "failed" } as const, count("sessionDown")] : []),
      ...sendNow(settings, down),
      ...armDetection(down),
    ],
    reason: "detection-time-expired",
  };
}

/** The state after the session went down: slow, and without a poll. */
function left(
  settings: BfdSettings,
  state: BfdState,
  name: "down" | "adminDown",
  diagnostic: number,
): BfdState {
  const txUs = Math.max(SLOW_INTERVAL_US, settings.desiredMinTxUs);
  return { ...state, name, diagnostic, polling: false, txUs, rxUs: settings.requiredMinRxUs };
}

function armDetection(state: BfdState): BfdEffect[] {
  const afterUs = currentDetectionTimeUs(state);
  return afterUs === null ? [] : [{ effect: "arm", timer: "detection", afterUs, jitterUs: 0 }];
}

/** Section 6.8.6, from the point on where the packet has found its session and was authenticated. */
function hear(settings: BfdSettings, state: BfdState, packet: HeardPacket): BfdStep {
  const heard: BfdState = { ...state, remote: remoteOf(packet) };
  // A poll of ours ends, and with it what held the old intervals in force.
  const polled =
    state.polling && packet.flags.final
      ? { ...heard, polling: false, txUs: settings.desiredMinTxUs, rxUs: settings.requiredMinRxUs }
      : heard;
  if (state.name === "adminDown") return stay(polled, [count("packetsRcvd"), ...armDetection(polled)]);
  const { name, diagnostic, reason } = transition(state, packet.state);
  const after = reason === null ? polled : entered(settings, polled, name, diagnostic);
  const effects: BfdEffect[] = [count("packetsRcvd")];
  if (reason !== null && state.name === "up") effects.push(count("sessionDown"));
  if (reason !== null && name === "up") effects.push(count("sessionUp"));
  if (packet.flags.poll) effects.push({ effect: "send", final: true }, count("packetsSent"));
  effects.push(...adjustTransmit(settings, state, after, reason !== null), ...armDetection(after));
  return { state: after, effects, reason };
}

function remoteOf(packet: HeardPacket): RemoteState {
  return {
    discriminator: packet.myDiscriminator,
    state: packet.state,
    demand: packet.flags.demand,
    desiredMinTxUs: packet.desiredMinTxUs,
    requiredMinRxUs: packet.requiredMinRxUs,
    detectMult: packet.detectMult,
  };
}

interface Outcome {
  readonly name: BfdStateName;
  readonly diagnostic: number;
  /** Null: the state stays. */
  readonly reason: BfdReason | null;
}

/** The table of section 6.8.6. */
function transition({ name, diagnostic }: BfdState, received: BfdStateName): Outcome {
  const unchanged: Outcome = { name, diagnostic, reason: null };
  const fall = (reason: BfdReason): Outcome => ({
    name: "down",
    diagnostic: DIAGNOSTIC.neighbourSignalledDown,
    reason,
  });
  if (received === "adminDown") return name === "down" ? unchanged : fall("neighbour-admin-down");
  switch (name) {
    case "down":
      if (received === "down") return { name: "init", diagnostic, reason: "neighbour-heard" };
      return received === "init" ? { name: "up", diagnostic: DIAGNOSTIC.none, reason: "up" } : unchanged;
    case "init":
      return received === "down" ? unchanged : { name: "up", diagnostic: DIAGNOSTIC.none, reason: "up" };
    case "up":
      return received === "down" ? fall("neighbour-signalled-down") : unchanged;
    case "adminDown":
      return unchanged;
  }
}

function entered(settings: BfdSettings, state: BfdState, name: BfdStateName, diagnostic: number): BfdState {
  if (name === "down") return left(settings, state, "down", diagnostic);
  if (name !== "up") return { ...state, name, diagnostic };
  // From slow to fast needs no waiting, but the neighbour has to be told with a poll (section 6.8.3).
  const faster = settings.desiredMinTxUs < SLOW_INTERVAL_US;
  return { ...state, name, diagnostic, txUs: settings.desiredMinTxUs, polling: faster };
}

/** What the packet changed in what we send: at once where it says something new, else at another pace. */
function adjustTransmit(
  settings: BfdSettings,
  before: BfdState,
  after: BfdState,
  stateChanged: boolean,
): BfdEffect[] {
  const wakes = settings.passive && before.remote === null;
  if (stateChanged || wakes) return sendNow(settings, after);
  const was = currentTransmitIntervalUs(settings, before);
  const is = currentTransmitIntervalUs(settings, after);
  return was === is ? [] : armTransmit(settings, after);
}
