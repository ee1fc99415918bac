/**
 * What a command started and what then left its process group, by setsid(2) or as daemons do. The mark that it
 * inherited in its environment tells whose it is. Whoever clears its environment as well is not found.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

const NAME = "FIRSTHOP_RUN";
/** A process that starts others faster than they are found is given up. */
const PASSES_MAX = 8;

export interface Mark {
  readonly environment: Readonly<Record<string, string>>;
  readonly text: string;
}

export function newMark(): Mark {
  const value = `${process.pid}-${randomBytes(8).toString("hex")}`;
  return { environment: { [NAME]: value }, text: `${NAME}=${value}\0` };
}

/** Kills everybody with this mark who started after process `since`. */
export function endMarked({ text }: Mark, since: number): void {
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    let found = false;
    for (const pid of processesSince(since)) {
      if (!environment(pid).includes(text)) continue;
      found = end(pid) || found;
    }
    if (!found) return;
  }
}

function processesSince(since: number): number[] {
  const all = readdirSync("/proc").map(Number).filter(Number.isInteger);
  // Numbers are given out in order, and begin again after the greatest one.
  const last = Number(readFileSync("/proc/loadavg", "latin1").trim().split(" ").at(-1));
  return last < since ? all : all.filter((pid) => pid > since);
}

/** Each variable ends with an octet of 0. Empty where it can't be read, and for who is ending. */
function environment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

function end(pid: number): boolean {
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}
