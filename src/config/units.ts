/** Durations as people write them: `10ms`, `1s`, `1.5s`, `2m`; whole microseconds inside. */

const UNIT_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
};

/** Microseconds, or what is wrong with the text. */
export function parseDuration(value: unknown): number | { readonly error: string } {
  if (typeof value === "number") {
    return Number.isFinite(value)
      ? { error: `${value} has no unit: write ${value}ms or ${value}s` }
      : { error: `${value} is no duration: write it like 10ms, 1s, 1.5s or 2m` };
  }
  if (typeof value !== "string") return { error: "a duration is written like 10ms, 1s, 1.5s or 2m" };
  const match = /^(\d+(?:\.\d+)?)(us|ms|s|m|h)$/.exec(value);
  if (!match) return { error: `'${value}' is no duration: write it like 10ms, 1s, 1.5s or 2m` };
  const us = Math.round(Number(match[1]) * (UNIT_US[match[2] as string] as number) * 1000) / 1000;
  if (!Number.isInteger(us)) return { error: `'${value}' is not a whole number of microseconds` };
  return Number.isSafeInteger(us) ? us : { error: `'${value}' is too long` };
}

/** The shortest way to write a duration. */
export function formatDuration(us: number): string {
  for (const unit of ["h", "m", "s", "ms"] as const) {
    const size = UNIT_US[unit] as number;
    if (us >= size && us % (size > 1_000_000 ? size : size / 1000) === 0) return `${us / size}${unit}`;
  }
  return `${us}us`;
}
