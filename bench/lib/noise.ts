/** How late this machine wakes a thread that does nothing else: the floor under every deadline of the same minutes. */
import { spawn } from "node:child_process";
import { compileFloor } from "./floor.js";
import type { Noise } from "./model.js";
import { summarise } from "./summary.js";

export const NOISE_PERIOD_MS = 10;

/** Begins to sleep on every processor; the function returned wakes up and tells. */
export function watchNoise(): () => Promise<Noise> {
  const floor = compileFloor();
  if ("absent" in floor) return async () => ({ absent: floor.absent });
  const child = spawn(floor.path, ["sleep", String(1000 * NOISE_PERIOD_MS)], {
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
    const latenessMs = output.split("\n").flatMap((line) => (line === "" ? [] : [Number(line) / 1e6]));
    const summary = summarise(latenessMs);
    return summary ?? { absent: complaint.trim() || "the sleeper ended without a word" };
  };
}
