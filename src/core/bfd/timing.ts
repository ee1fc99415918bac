/** Timing of BFD: RFC 5880 sections 6.8.2 to 6.8.4 and 6.8.7. Microseconds. */

/** While a session is not Up, Desired Min TX Interval is at least this (section 6.8.3). */
export const SLOW_INTERVAL_US = 1_000_000;

/** Interval between periodic packets before jitter; null: the neighbour wants none. */
export function transmitIntervalUs(desiredMinTxUs: number, remoteRequiredMinRxUs: number): number | null {
  return remoteRequiredMinRxUs === 0 ? null : Math.max(desiredMinTxUs, remoteRequiredMinRxUs);
}

/**
 * Each packet leaves earlier than the interval by up to a quarter; with a Detect Mult of 1 by a tenth at least
 * (section 6.8.7). The interval is drawn anew each time from `latestUs - spreadUs` to `latestUs`.
 */
export function transmitWindow(
  intervalUs: number,
  detectMult: number,
): { readonly latestUs: number; readonly spreadUs: number } {
  const earliestUs = Math.ceil((intervalUs * 3) / 4);
  const latestUs = detectMult === 1 ? Math.floor((intervalUs * 9) / 10) : intervalUs;
  return { latestUs, spreadUs: Math.max(0, latestUs - earliestUs) };
}

/** Detection time of asynchronous mode (section 6.8.4): the neighbour's multiplier, the slower of both intervals. */
export function detectionTimeUs(
  remoteDetectMult: number,
  requiredMinRxUs: number,
  remoteDesiredMinTxUs: number,
): number {
  return remoteDetectMult * Math.max(requiredMinRxUs, remoteDesiredMinTxUs);
}
