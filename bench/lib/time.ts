/** The time of a quick run: shared out among its suites, and when it ends whatever happens. Pure. */

/** Of what a suite declares, the share that is kept for it while those before it are late. */
const KEPT_SHARE = 0.5;
/** A quick run ends within ten minutes, the build of a fresh clone included: no measurement begins after this. */
const WHOLE_RUN_MS = 555_000;
/** What was begun before is waited for so long, at most. */
export const PATIENCE_MS = 25_000;
/** And may say within this what it has. */
export const LAST_WORDS_MS = 8000;

/** Milliseconds on the clock of `performance.now()`. */
export interface TimeFrame {
  /** No repetition that might end later begins. */
  readonly softEndMs: number;
  /** Nothing at all begins after it: what is missing then is left out, with that as its reason. */
  readonly hardEndMs: number;
}

export const UNBOUNDED: TimeFrame = {
  softEndMs: Number.POSITIVE_INFINITY,
  hardEndMs: Number.POSITIVE_INFINITY,
};

export interface RunClock {
  /** When the first suite began. */
  readonly beganMs: number;
  /** When the command began, a build that it had to do first included. */
  readonly commandBeganMs: number;
}

/** When a quick run must have begun what it measures. */
export const hardEnd = ({ commandBeganMs }: RunClock): number => commandBeganMs + WHOLE_RUN_MS;

/**
 * The time frame of suite number `at`. What earlier ones did not use it may use; what they used too much it makes good
 * by fewer repetitions.
 */
export function timeFrame(declared: readonly number[], at: number, clock: RunClock): TimeFrame {
  const later = 1000 * sum(declared.slice(at + 1));
  return {
    softEndMs: clock.beganMs + 1000 * sum(declared) - later,
    hardEndMs: hardEnd(clock) - KEPT_SHARE * later,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((all, one) => all + one, 0);
}
