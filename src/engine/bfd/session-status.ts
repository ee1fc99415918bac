/** What is told and shown of a BFD session. */
import type { BfdAuthenticationConfig } from "../../config/index.js";
import { diagnosticText, stateText } from "../../core/bfd/fields.js";
import {
  type BfdSettings,
  type BfdState,
  type BfdStep,
  currentDetectionTimeUs,
  currentTransmitIntervalUs,
  INITIAL_BFD_STATE,
} from "../../core/bfd/machine.js";
import { describeDuration } from "../duration.js";
import type { BfdSessionStatus } from "../status.js";
import type { BfdPeer } from "./peer.js";
import type { BfdSession } from "./session.js";

export interface ShownSession {
  readonly peer: BfdPeer;
  readonly session: BfdSession;
  readonly authentication: BfdAuthenticationConfig | null;
  /** Virtual routers and trackers. */
  readonly users: readonly string[];
  /** Since when it is in its state. */
  readonly forUs: number;
  /** Why it is down; null before it was ever up. */
  readonly lastDown: string | null;
}

export function statusOf({ peer, session, ...shown }: ShownSession): BfdSessionStatus {
  const { state, settings } = session;
  const detectionUs = currentDetectionTimeUs(state);
  const transmitUs = state === INITIAL_BFD_STATE ? null : currentTransmitIntervalUs(settings, state);
  return {
    interface: peer.interface,
    localAddress: peer.local,
    remoteAddress: peer.remote,
    state: state.name,
    diagnostic: diagnosticText(state.diagnostic),
    remoteState: state.remote?.state ?? null,
    role: roleOf(settings),
    usedBy: shown.users,
    localDiscriminator: settings.localDiscriminator,
    remoteDiscriminator: state.remote?.discriminator ?? null,
    transmitIntervalMs: transmitUs === null ? null : transmitUs / 1000,
    detectionTimeMs: detectionUs === null ? null : detectionUs / 1000,
    multiplier: settings.detectMult,
    authentication: shown.authentication?.type ?? null,
    forMs: Math.max(0, shown.forUs / 1000),
    lastDown: shown.lastDown,
    statistics: session.counters(),
  };
}

function roleOf({ sessionType, passive }: BfdSettings): BfdSessionStatus["role"] {
  if (sessionType) return sessionType === "multipointHead" ? "head" : "tail";
  return passive ? "passive" : "active";
}

/** Why a session that was up is down, in words. */
export function describeDown(before: BfdState, made: BfdStep): string {
  switch (made.reason) {
    case "detection-time-expired":
      return `nothing was heard for the detection time of ${describeDuration(currentDetectionTimeUs(before) ?? 0)}`;
    case "neighbour-signalled-down":
      return `the neighbour says ${stateText("down")}: it does not hear us, or was started anew`;
    case "neighbour-admin-down":
      return "the neighbour took it down on purpose";
    default:
      return "taken down on purpose";
  }
}
