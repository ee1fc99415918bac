/** Finding the processes of a peer that runs as several: by a file name that only their command lines carry. */
import { readdirSync, readFileSync } from "node:fs";

/** Process ids whose command line contains `mark`. */
export function familyProcesses(mark: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && commandLine(pid).includes(mark));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return ""; // It ended in the meantime.
  }
}

/** Sends a signal to a process that may have ended in the meantime. */
export function killQuietly(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It did.
  }
}
