/**
 * The process that is to follow this one: the same command line from the files that are installed now, with --handover. It is a
 * child of this one, so that it stays in the same service (systemd) and writes to the same log.
 */
import { spawn } from "node:child_process";

export interface SuccessorOptions {
  /** Words after `firsthop`. */
  readonly command: readonly string[];
  /** It ended, or did not even start, and this process is still here. */
  readonly onFailure: (why: string) => void;
}

/** @returns whether one is at work now; false while the one before is. */
export function successorStarter({ command, onFailure }: SuccessorOptions): () => boolean {
  let busy = false;
  const args = command.includes("--handover") ? command : [...command, "--handover"];
  // Its own process id is not known beforehand, and the watchdog is the service's.
  const { WATCHDOG_PID: _, ...env } = process.env;
  return () => {
    if (busy) return false;
    busy = true;
    const fail = (why: string): void => {
      if (busy) onFailure(why);
      busy = false;
    };
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? "", ...args], {
      stdio: "inherit",
      env,
    });
    child.on("error", (error) => fail(`it can't be started: ${error.message}`));
    child.on("exit", (code, signal) =>
      fail(signal === null ? `it ended with code ${code}` : `it ended by ${signal}`),
    );
    return true;
  };
}
