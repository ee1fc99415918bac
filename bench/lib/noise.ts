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

/** Sleepers that are due at a chosen time of each period. */
export interface Sleepers {
  /** From soon on they are due at another time: `phaseUs` more than a multiple of the period. */
  rephase(phaseUs: number): void;
  readonly end: EndOfWatch;
}

/** Begins to sleep on every processor, 10 ms at a time. */
export const watchNoise = (): EndOfWatch => startSleepers([]).end;

/** The same, each wake due `phaseUs` after a multiple of the period on the monotonic clock. */
export const sleepInPhase = (phaseUs: number): Sleepers => startSleepers([String(Math.round(phaseUs))]);

function startSleepers(phase: readonly string[]): Sleepers {
  const floor = compileFloor();
  if ("absent" in floor) {
    const absent = { noise: { absent: floor.absent }, wakes: [] };
    return { rephase: () => undefined, end: async () => absent };
  }
  const child = spawn(floor.path, ["sleep", String(1000 * NOISE_PERIOD_MS), ...phase], {
    stdio: ["pipe", "pipe", "pipe"],
    detached: true, // Ctrl-C on the terminal is not for it
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  child.stdin.on("error", () => {}); // it ended: `end` tells
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
  return {
    rephase: (phaseUs) => void child.stdin.write(`${Math.round(phaseUs)}\n`),
    end: async () => {
      child.kill("SIGTERM");
      await closed;
      process.off("exit", kill);
      const wakes = output.split("\n").flatMap(readWake);
      const absent = complaint.trim() || "the sleeper ended without a word";
      return { noise: summarise(wakes.map(({ lateMs }) => lateMs)) ?? { absent }, wakes };
    },
  };
}
