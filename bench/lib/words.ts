/** Words for people. Pure. */

/** An error's message on one line, not too long. */
export function inOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}
