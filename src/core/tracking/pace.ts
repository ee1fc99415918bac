/**
 * When the checks of a tracker begin and end: on a grid of moments at which they are due, so that a late one pushes none
 * after it, and what is known within interval x fall + timeout is known by then. Monotonic microseconds.
 */

/** What is late by no more than this, of a span, is in time. */
export function toleratedUs(spanUs: number): number {
  return Math.floor(spanUs / 8);
}

/** When the check after one that was due at `dueUs` and ended at `nowUs` is due. One that took too long has a new grid begin. */
export function nextCheckUs(dueUs: number, intervalUs: number, nowUs: number): number {
  const nextUs = dueUs + intervalUs;
  return nowUs - nextUs <= toleratedUs(intervalUs) ? nextUs : nowUs;
}

/**
 * When a check without an answer has failed: its time counts from when it was due. One that begins late at `nowUs` keeps
 * most of its time: an answer that had no time to come is no failure.
 */
export function checkDeadlineUs(dueUs: number, timeoutUs: number, nowUs: number): number {
  return Math.max(dueUs + timeoutUs, nowUs + timeoutUs - toleratedUs(timeoutUs));
}

/**
 * How much longer to listen for an answer that is missing so long after its deadline; 0: it has failed. Who was away can't
 * judge how long others were silent.
 */
export function sparedUs(lateUs: number, timeoutUs: number): number {
  return lateUs > toleratedUs(timeoutUs) ? Math.min(lateUs, timeoutUs) : 0;
}
