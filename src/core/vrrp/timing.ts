/** Derived timers of VRRP, in integer microseconds. RFC 9568 section 6.1, RFC 3768 section 6.1. */
import type { VrrpVersion } from "./advertisement.js";

/** num / den, rounded half up; both non-negative integers. */
function divideRounded(numerator: number, denominator: number): number {
  return Math.floor((2 * numerator + denominator) / (2 * denominator));
}

/**
 * Skew_Time. v3: (256 - Priority) * Active_Adver_Interval / 256; v2: (256 - Priority) / 256 seconds, whatever
 * the interval. Never rounded to the interval's own resolution: at 10 ms a skew of whole centiseconds would
 * be 0 for most priorities, and all Backups would take over together.
 */
export function skewTimeUs(version: VrrpVersion, priority: number, activeAdverIntervalUs: number): number {
  const unitUs = version === 2 ? 1_000_000 : activeAdverIntervalUs;
  return divideRounded((256 - priority) * unitUs, 256);
}

/** Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time. */
export function activeDownIntervalUs(
  version: VrrpVersion,
  priority: number,
  activeAdverIntervalUs: number,
): number {
  return 3 * activeAdverIntervalUs + skewTimeUs(version, priority, activeAdverIntervalUs);
}
