/**
 * The process that is to follow this one: the same command line from the files that are installed now, with --handover. It is a
 * child of this one, so that it stays in the same service (systemd) and writes to the same log.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { withDaemon } from "../control/client.js";
import type { Hello } from "../control/protocol.js";

/** Who has just taken over listens soon. */
const LISTENS_WITHIN_MS = 2000;
const LISTENS_RETRY_MS = 10;

export interface SuccessorOptions {
  /** Words after `firsthop`. */
  readonly command: readonly string[];
  /** It ended, or did not even start, and this process is still here. */
  readonly onFailure: (why: string) => void;
}

export interface Successor {
  /** @returns whether one is at work now; false while the one before is. */
  start(): boolean;
  /** Ends who is about to follow: this process is to end, and nobody is to follow it. */
  end(): void;
  /**
   * Ends who has followed, where it was started here.
   * @returns whether it was told
   */
  endAtWork(socket: string): Promise<boolean>;
}

export function makeSuccessor({ command, onFailure }: SuccessorOptions): Successor {
  let child: ChildProcess | null = null;
  const args = command.includes("--handover") ? command : [...command, "--handover"];
  // Its own process id is not known beforehand, and the watchdog is the service's.
  const { WATCHDOG_PID: _, ...env } = process.env;
  return {
    start() {
      if (child) return false;
      const one = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? "", ...args], {
        stdio: "inherit",
        env,
      });
      const fail = (why: string): void => {
        if (child === one) onFailure(why);
        child = null;
      };
      child = one;
      one.on("error", (error) => fail(`it can't be started: ${error.message}`));
      one.on("exit", (code, signal) =>
        fail(signal === null ? `it ended with code ${code}` : `it ended by ${signal}`),
      );
      return true;
    },
    end: () => void child?.kill("SIGTERM"),
    // Not by a signal: who told a whole group of processes has told that one, and a second signal would cut it short.
    async endAtWork(socket) {
      for (
        const deadline = Date.now() + LISTENS_WITHIN_MS;
        child && Date.now() < deadline;
        await delay(LISTENS_RETRY_MS)
      ) {
        const { pid } = child;
        const told = await withDaemon(socket, async (client) => {
          if (((await client.request("hello")) as Hello).pid !== pid) return false;
          await client.request("stop");
          return true;
        }).catch(() => false);
        if (told) return true;
      }
      return false;
    },
  };
}
