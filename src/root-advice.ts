/** What to do where a right is missing. */

/** "run as root, or …"; without the first half where that is so already. */
export function unlessRoot(otherwise: string): string {
  return process.geteuid?.() === 0 ? otherwise : `run as root, or ${otherwise}`;
}
