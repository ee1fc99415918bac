/** Directories with all that is above them. */
import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes a directory and those above it that are missing; one that exists is left as it is.
 * Step by step, because `mkdirSync` with `recursive` tries for ever where the kernel answers ENOENT for the last
 * step (below /proc), and no signal ends it.
 * @throws what `mkdirSync` throws; ENOTDIR when something else stands there.
 */
export function makeDirectory(path: string, mode: number): void {
  const missing: string[] = [];
  for (let at = resolve(path); ; at = dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found?.isDirectory()) break;
    if (found)
      throw Object.assign(new Error(`ENOTDIR: ${at} is no directory`), { code: "ENOTDIR", errno: -20 });
    missing.push(at);
  }
  for (const directory of missing.reverse()) {
    try {
      mkdirSync(directory, { mode });
    } catch (error) {
      // Somebody else was faster.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
