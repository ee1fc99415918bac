/** Waiting for outcomes: each has to become what it should be, however long that takes here, and to stay so. */
import { pause } from "../../../src/lab/wait.js";

export interface Sighting {
  /** Milliseconds since the waiting began. */
  readonly atMs: number;
  readonly outcome: string;
}

/** One outcome that is waited for. */
export interface Expectation {
  readonly wanted: string;
  /** How long it has to stay; longer than any of its routers takes to decide. */
  readonly stillMs: number;
}

export interface Course {
  readonly settled: boolean;
  /** How it changed, oldest first. */
  readonly seen: readonly Sighting[];
}

/** Every outcome is what it should be long before that, except on a machine that is very busy, or wrong. */
export const BOUND_MS = 60_000;
const LOOK_EVERY_MS = 200;

interface Cell extends Expectation {
  settled: boolean;
  readonly seen: Sighting[];
}

/**
 * Looks until each outcome has stayed what is wanted of it, and is so now; or until the bound. Null: nothing is
 * expected of it.
 */
export async function settle(
  look: () => Promise<readonly string[]>,
  expected: readonly (Expectation | null)[],
): Promise<(Course | null)[]> {
  const cells = expected.map((one): Cell | null => one && { ...one, settled: false, seen: [] });
  const begin = performance.now();
  for (;;) {
    const outcomes = await look();
    const atMs = performance.now() - begin;
    const right = cells.map((cell, at) => !cell || watch(cell, outcomes[at] ?? "", atMs));
    if (right.every(Boolean) || atMs > BOUND_MS) {
      return cells.map((cell, at) => cell && { settled: right[at] === true, seen: cell.seen });
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** Whether it is right now, and was so for long enough at some time. */
function watch(cell: Cell, outcome: string, atMs: number): boolean {
  if (cell.seen.at(-1)?.outcome !== outcome) cell.seen.push({ atMs, outcome });
  if (outcome !== cell.wanted) return false;
  cell.settled ||= atMs - cell.seen.at(-1)!.atMs >= cell.stillMs;
  return cell.settled;
}
