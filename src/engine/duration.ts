/** Durations for people. */

/** 3.609375 s, 36.1 ms: as precise as a reader can use. */
export function describeDuration(us: number): string {
  if (us >= 1_000_000) return `${trim((us / 1_000_000).toFixed(3))} s`;
  return `${trim((us / 1000).toFixed(us < 10_000 ? 2 : 1))} ms`;
}

function trim(number: string): string {
  return number.replace(/\.?0+$/, "");
}
