/** How late this machine wakes a thread that does nothing else: the floor under every deadline of the same minutes. */
import { spawn } from "node:child_process";
import { compileFloor } from "./floor.js";
import type { Noise } from "./model.js";
import { summarise } from "./summary.js";

export const NOISE_PERIOD_MS = 10;

/** One wake of a bare sleeper. */
export interface Wake {
  readonly processor: number;
  /** Monotonic microseconds. */
  readonly dueUs: number;
  readonly lateMs: number;
}

export interface Watched {
  readonly noise: Noise;
  /** All of them, by processor and in order of time. */
  readonly wakes: readonly Wake[];
}

/** Wakes up, and tells. */
export type EndOfWatch = () => Promise<Watched>;

const readWake = (line: string): Wake[] => {
  const [lateNs, dueNs, processor] = line.split(" ").map(Number);
  if (processor === undefined || !Number.isFinite(lateNs)) return [];
  return [{ processor, dueUs: dueNs! / 1000, lateMs: lateNs! / 1e6 }];
};

/**
 * Begins to sleep on every processor, 10 ms at a time.
 * @param phaseUs By how much more than a multiple of the period each wake is due; without it, as it happens.
 */
export function watchNoise(phaseUs?: number): EndOfWatch {
  const floor = compileFloor();
  if ("absent" in floor) return async () => ({ noise: { absent: floor.absent }, wakes: [] });
  const phase = phaseUs === undefined ? [] : [String(Math.round(phaseUs))];
  const child = spawn(floor.path, ["sleep", String(1000 * NOISE_PERIOD_MS), ...phase], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // Ctrl-C on the terminal is not for it
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  let output = "";
  let complaint = "";
  child.stdout.on("data", (text: Buffer) => {
    output += text.toString();
  });
  child.stderr.on("data", (text: Buffer) => {
    complaint += text.toString();
  });
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  return async () => {
    child.kill("SIGTERM");
    await closed;
    process.off("exit", kill);
    const wakes = output.split("\n").flatMap(readWake);
    const absent = complaint.trim() || "the sleeper ended without a word";
    return { noise: summarise(wakes.map(({ lateMs }) => lateMs)) ?? { absent }, wakes };
  };
}
