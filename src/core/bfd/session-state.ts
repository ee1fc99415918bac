/**
 * What a BFD session is made of, whichever machine runs it (`machine.ts`, `multipoint.ts`): settings, state, events,
 * effects. States hold no time.
 */
import { type BfdStateName, type ControlPacket, DIAGNOSTIC } from "./packet.js";
import { SLOW_INTERVAL_US } from "./timing.js";

/** What this end wants. */
export interface BfdSettings {
  /** Not 0. */
  readonly localDiscriminator: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  /** 1..255 */
  readonly detectMult: number;
  /** Passive role (section 6.1): silent until the neighbour is heard. */
  readonly passive: boolean;
  /** bfd.SessionType of RFC 8562; default: PointToPoint. */
  readonly sessionType?: "multipointHead" | "multipointTail";
}

/** What the neighbour said last. */
export interface RemoteState {
  readonly discriminator: number;
  readonly state: BfdStateName;
  readonly demand: boolean;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly detectMult: number;
}

export interface BfdState {
  readonly name: BfdStateName;
  readonly diagnostic: number;
  /** Null: nothing was heard, or nothing for a detection time after the session went down (bfd.RemoteDiscr is 0). */
  readonly remote: RemoteState | null;
  /** A poll sequence of ours runs (section 6.5). */
  readonly polling: boolean;
  /**
   * Intervals in force. They differ from the settings while a slower transmission, or a faster reception, waits for
   * the end of a poll sequence (section 6.8.3).
   */
  readonly txUs: number;
  readonly rxUs: number;
  /** Of a head: see multipoint.ts. */
  readonly settling?: true;
}

export const BFD_TIMERS = ["transmit", "detection"] as const;
export type BfdTimer = (typeof BFD_TIMERS)[number];

export const BFD_COUNTERS = ["packetsRcvd", "packetsSent", "sessionUp", "sessionDown"] as const;
export type BfdCounter = (typeof BFD_COUNTERS)[number];

export type BfdEvent =
  /** The session is to run, or to run again after `adminDown`. */
  | { readonly type: "start" }
  | { readonly type: "adminDown" }
  /** Other settings are in force from now on. */
  | { readonly type: "retune" }
  | { readonly type: "timer"; readonly timer: BfdTimer }
  /** A packet that passed every check of section 6.8.6. */
  | { readonly type: "packet"; readonly packet: HeardPacket };

/** What a step needs of a packet. */
export type HeardPacket = Pick<
  ControlPacket,
  | "state"
  | "flags"
  | "detectMult"
  | "myDiscriminator"
  | "yourDiscriminator"
  | "desiredMinTxUs"
  | "requiredMinRxUs"
>;

export type BfdEffect =
  /** The packet that the state after the step calls for (`contentOf`). */
  | { readonly effect: "send"; readonly final: boolean }
  /** After `afterUs`, or up to `jitterUs` earlier: drawn anew each time. Counts from the event. */
  | { readonly effect: "arm"; readonly timer: BfdTimer; readonly afterUs: number; readonly jitterUs: number }
  | { readonly effect: "cancel"; readonly timer: BfdTimer }
  | { readonly effect: "count"; readonly counter: BfdCounter }
  /** Any sequence number is right in the next packet (section 6.8.1, bfd.AuthSeqKnown). */
  | { readonly effect: "forgetSequence" }
  /** The session was Up, and nothing came for the detection time. */
  | { readonly effect: "failed" };

/** Why the state changed. */
export type BfdReason =
  | "started"
  | "neighbour-heard"
  | "up"
  | "detection-time-expired"
  | "neighbour-signalled-down"
  | "neighbour-admin-down"
  | "admin-down";

export interface BfdStep {
  readonly state: BfdState;
  readonly effects: readonly BfdEffect[];
  /** Set when the session's state changed. */
  readonly reason: BfdReason | null;
}

/** A session that has not been started. */
export const INITIAL_BFD_STATE: BfdState = {
  name: "adminDown",
  diagnostic: DIAGNOSTIC.none,
  remote: null,
  polling: false,
  txUs: SLOW_INTERVAL_US,
  rxUs: SLOW_INTERVAL_US,
};
