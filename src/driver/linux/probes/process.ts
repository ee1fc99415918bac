/** Running processes, by name or by pid file. Zombies are none. */
import { readdir, readFile } from "node:fs/promises";
import type { TrackResult } from "../../../core/tracking/verdict.js";
import { isShortage } from "../../../shortage-advice.js";

/** Names are kept by the kernel up to this length (TASK_COMM_LEN without its NUL). */
const COMM_MAX = 15;
/** Where processes of a name were found last: mostly they are still there, and nobody else has to be asked. */
const remembered = new Map<string, readonly number[]>();

export async function countProcesses(name: string, minimum: number): Promise<TrackResult> {
  let found = await thoseNamed(name, remembered.get(name) ?? []);
  if (found.length < minimum) {
    const all = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
    found = await thoseNamed(name, all);
  }
  remembered.set(name, found);
  if (found.length >= minimum) {
    const list = found.length > 3 ? `${found.length} processes` : `process ${found.join(", ")}`;
    return { up: true, evidence: `${name} runs (${list})` };
  }
  const evidence =
    minimum === 1 ? `no process ${name} runs` : `${found.length} processes ${name} run, ${minimum} have to`;
  return { up: false, evidence };
}

export async function processOfPidFile(path: string): Promise<TrackResult> {
  let text: string;
  try {
    text = await readFile(path, "latin1");
  } catch (error) {
    if (isShortage(error)) throw error;
    return { up: false, evidence: `${path} can't be read: ${(error as { code?: string }).code ?? error}` };
  }
  const pid = Number(/^\s*(\d+)/.exec(text)?.[1] ?? 0);
  if (pid === 0) return { up: false, evidence: `${path} holds no process number` };
  const name = await nameOf(pid);
  return name === null
    ? { up: false, evidence: `process ${pid} of ${path} does not run` }
    : { up: true, evidence: `${name} runs (process ${pid})` };
}

async function thoseNamed(name: string, pids: readonly number[]): Promise<number[]> {
  const comm = name.slice(0, COMM_MAX);
  const found: number[] = [];
  for (const pid of pids) if ((await nameOf(pid)) === comm) found.push(pid);
  return found;
}

/** The name of a process that runs; null when it is gone or only waits to be buried. */
async function nameOf(pid: number): Promise<string | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (isShortage(error)) throw error;
    return null;
  }
  // The name is in parentheses and may hold some itself.
  const from = stat.indexOf("(");
  const to = stat.lastIndexOf(")");
  const state = stat.slice(to + 2, to + 3);
  return from < 0 || state === "Z" || state === "X" ? null : stat.slice(from + 1, to);
}
