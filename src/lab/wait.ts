/** Waiting for something to become true, with a bound. */
import { FirsthopError } from "../errors.js";

const STEP_MS = 5;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Nothing = undefined | null | false;

/**
 * Asks `probe` until it gives something; that is the result.
 * @throws FirsthopError LAB_FAILED after `boundMs`, with `detail` (what was seen instead) if given.
 */
export async function eventually<T>(
  what: string,
  boundMs: number,
  probe: () => T | Nothing | Promise<T | Nothing>,
  detail?: () => string,
): Promise<T> {
  const giveUpAt = performance.now() + boundMs;
  for (;;) {
    const result = await probe();
    if (result !== undefined && result !== null && result !== false) return result;
    if (performance.now() > giveUpAt) {
      const seen = detail ? `: ${detail()}` : "";
      throw new FirsthopError("LAB_FAILED", `waited ${boundMs} ms in vain until ${what}${seen}`);
    }
    await pause(STEP_MS);
  }
}
