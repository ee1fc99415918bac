/**
 * The verdict of one tracker: results of its checks in, `up` or `down` out. Results are counted (`fall`, `rise`), a
 * change may have to last (`upDelayUs`, `downDelayUs`), and what went down too often has to prove itself (`damping`).
 *
 * The first result decides at once, whatever `fall`, `rise` and the delays are: a router that starts knows as soon as
 * anything is known, and does not change its mind right afterwards (keepalived: "one success is enough").
 */

export type Verdict = "unknown" | "up" | "down";

/** What one check found. */
export interface TrackResult {
  readonly up: boolean;
  /** In a few words, with the facts: "wan0 has no carrier", "203.0.113.1:443 refused the connection". */
  readonly evidence: string;
  /** Trackers that measure a number (file content) and not only a state. */
  readonly value?: number;
}

/** A check that could not be made: what this machine lacks says nothing about what was to be checked. */
export interface Untried {
  /** What is lacking, in a few words. */
  readonly untried: string;
}

/** After `flaps` falls within `withinUs`, `up` is believed only after it lasted for `holdUs`. */
export interface Damping {
  readonly flaps: number;
  readonly withinUs: number;
  readonly holdUs: number;
}

export interface VerdictSettings {
  /** Results in a row that turn `up` into `down`, and `down` into `up`. */
  readonly fall: number;
  readonly rise: number;
  readonly upDelayUs: number;
  readonly downDelayUs: number;
  readonly damping: Damping | null;
}

export interface TrackerState {
  readonly verdict: Verdict;
  /** What the verdict rests on: the last result that agreed with it. */
  readonly evidence: string;
  readonly value: number | null;
  /** The last results in a row that contradict the verdict. */
  readonly against: number;
  /** Enough results contradict the verdict, and the change waits for its delay since then. */
  readonly pendingSinceUs: number | null;
  /** The evidence that the pending change rests on, and the number that came with it. */
  readonly pendingEvidence: string;
  readonly pendingValue: number | null;
  /** When it went down, as far as damping still counts it. */
  readonly fallsUs: readonly number[];
  readonly damped: boolean;
}

export const UNKNOWN_TRACKER: TrackerState = {
  verdict: "unknown",
  evidence: "not checked yet",
  value: null,
  against: 0,
  pendingSinceUs: null,
  pendingEvidence: "",
  pendingValue: null,
  fallsUs: [],
  damped: false,
};

const NOTHING_PENDING = {
  against: 0,
  pendingSinceUs: null,
  pendingEvidence: "",
  pendingValue: null,
} as const;

export interface TrackerStep {
  readonly state: TrackerState;
  /** The verdict or, with the same verdict, the value changed. */
  readonly changed: boolean;
  /** When `elapse` is to be asked, monotonic microseconds; null: not before the next result. */
  readonly wakeAtUs: number | null;
}

/** A check ended. `atUs`: when, monotonic microseconds. */
export function judge(
  settings: VerdictSettings,
  state: TrackerState,
  result: TrackResult,
  atUs: number,
): TrackerStep {
  const value = result.value ?? null;
  if (state.verdict === "unknown")
    return turn(settings, { ...state, value }, result.up, result.evidence, atUs);
  if (result.up === (state.verdict === "up")) {
    const { evidence } = result;
    return {
      state: { ...state, ...NOTHING_PENDING, value, evidence },
      changed: value !== state.value,
      wakeAtUs: null,
    };
  }
  const against = state.against + 1;
  const counted = { ...state, against };
  if (against < (result.up ? settings.rise : settings.fall)) {
    return { state: counted, changed: false, wakeAtUs: null };
  }
  const pendingSinceUs = state.pendingSinceUs ?? atUs;
  return elapse(
    settings,
    { ...counted, pendingSinceUs, pendingEvidence: result.evidence, pendingValue: value },
    atUs,
  );
}

/** Time passed without a result. */
export function elapse(settings: VerdictSettings, state: TrackerState, atUs: number): TrackerStep {
  if (state.pendingSinceUs === null) return { state, changed: false, wakeAtUs: null };
  const dueUs = state.pendingSinceUs + delayUs(settings, state);
  if (atUs < dueUs) return { state, changed: false, wakeAtUs: dueUs };
  const { pendingEvidence, pendingValue: value } = state;
  return turn(settings, { ...state, value }, state.verdict === "down", pendingEvidence, atUs);
}

/** How long the opposite of the verdict has to last. */
function delayUs(settings: VerdictSettings, state: TrackerState): number {
  if (state.verdict === "up") return settings.downDelayUs;
  return state.damped ? Math.max(settings.upDelayUs, settings.damping?.holdUs ?? 0) : settings.upDelayUs;
}

function turn(
  settings: VerdictSettings,
  state: TrackerState,
  up: boolean,
  evidence: string,
  atUs: number,
): TrackerStep {
  const settled = { ...state, ...NOTHING_PENDING };
  const turned: TrackerState = up
    ? { ...settled, verdict: "up", evidence, fallsUs: state.damped ? [] : state.fallsUs, damped: false }
    : { ...settled, verdict: "down", evidence, ...countFall(settings.damping, state, atUs) };
  return { state: turned, changed: true, wakeAtUs: null };
}

/** A tracker that begins as `down` did not fall. */
function countFall(
  damping: Damping | null,
  state: TrackerState,
  atUs: number,
): Pick<TrackerState, "fallsUs" | "damped"> {
  if (!damping || state.verdict === "unknown") return { fallsUs: [], damped: false };
  const fallsUs = [...state.fallsUs, atUs].filter((fellUs) => atUs - fellUs < damping.withinUs);
  return { fallsUs, damped: fallsUs.length >= damping.flaps };
}
