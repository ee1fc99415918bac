/** Commands of the administrator's that a machine runs: scripts of trackers, notifications. Part of the seam in driver.ts. */

export interface CommandRequest {
  /** Absolute path of an executable file. */
  readonly path: string;
  readonly arguments: readonly string[];
  /** What it reads on standard input; default nothing. */
  readonly input?: string;
  readonly timeoutUs: number;
  /** Also what left its process group ends with it. A notification may start what is to stay; a check may not. */
  readonly leavesNothing?: boolean;
}

export interface CommandResult {
  /** Exit code; null when it did not come to one. */
  readonly code: number | null;
  /** What ended it, where that was a signal: "SIGKILL". */
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** Why it was not started, in a sentence; null when it was. */
  readonly refused: string | null;
  /** It was refused because the machine has no descriptors, processes or memory left. */
  readonly shortage: boolean;
  /** The beginning of what it printed on both outputs; control characters are spaces. */
  readonly output: string;
  /** It printed more. */
  readonly truncated: boolean;
}

export interface CommandRun {
  /** Never rejects. */
  readonly result: Promise<CommandResult>;
  /** Ends it and all that it started, at once. */
  cancel(): void;
}

/** It ended well and printed nothing. */
export const DONE: CommandResult = {
  code: 0,
  signal: null,
  timedOut: false,
  refused: null,
  shortage: false,
  output: "",
  truncated: false,
};
