/** How many neighbours have to answer, and whether they do. Pure. */

/** `count`: at least so many; `percent`: at least so many of a hundred of those that are asked. */
export interface NeighbourThreshold {
  readonly kind: "count" | "percent";
  readonly value: number;
}

/** Reads 3 or "50%". Null: it is neither a whole number from 1 on nor a percentage from 1% to 100%. */
export function parseNeighbourThreshold(written: unknown): NeighbourThreshold | null {
  if (typeof written === "number")
    return Number.isInteger(written) && written >= 1 ? { kind: "count", value: written } : null;
  const match = typeof written === "string" ? /^([1-9]\d{0,2})%$/.exec(written) : null;
  const value = Number(match?.[1]);
  return value <= 100 ? { kind: "percent", value } : null;
}

/**
 * Whether enough of those that are asked answer. Where nobody is asked, a percentage of them is reached: a LAN without
 * hosts says nothing against its router. `spared`: so many are known and not asked; then a number is no more than those
 * that are asked: what is not looked at neither fails nor hides what does.
 */
export function enoughAnswer(
  threshold: NeighbourThreshold,
  answering: number,
  asked: number,
  spared = 0,
): boolean {
  if (threshold.kind === "percent") return answering * 100 >= threshold.value * asked;
  return answering >= (spared > 0 ? Math.min(threshold.value, asked) : threshold.value);
}

/** Addresses of VRRP virtual routers are nobody's: 00-00-5E-00-01-XX and 00-00-5E-00-02-XX (RFC 9568 section 7.3). */
export function isVirtualRouterMac(mac: string): boolean {
  return mac.startsWith("00:00:5e:00:01:") || mac.startsWith("00:00:5e:00:02:");
}
