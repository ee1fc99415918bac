/** What disturbs: stress-ng inside a namespace of a lab, which removes it whatever happens. */
import { existsSync } from "node:fs";
import { availableParallelism, freemem } from "node:os";
import type { LabNode } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";

const BINARY = "/usr/bin/stress-ng";
const START_BOUND_MS = 30_000;
const STOP_BOUND_MS = 30_000;
const MEMORY_SHARE = 0.5;
/** Far more than any cache holds. */
const MOST_MEMORY_MB = 2048;
/** Of what it is to fill: the rest may be anybody's. */
const FILLED_SHARE = 0.9;

export type LoadKind = "cpu" | "memory";

export const stressInstalled = (): boolean => existsSync(BINARY);
export const WITHOUT_STRESS = "stress-ng is not installed (Debian: apt-get install stress-ng)";

function memoryMb(): number {
  return Math.min(MOST_MEMORY_MB, Math.floor((MEMORY_SHARE * freemem()) / 2 ** 20));
}

/**
 * Two spinning processes for each processor; or one for each that writes through its memory again and again. It keeps
 * that memory: a virtual machine's host may take back what is free and find it anew when it is wanted again, for which
 * it stops whole processors, and those who wait then are all alike.
 */
function stressors(kind: LoadKind): readonly string[] {
  const processors = availableParallelism();
  if (kind === "cpu") return ["--cpu", String(2 * processors), "--cpu-method", "matrixprod"];
  return ["--vm", String(processors), "--vm-bytes", `${memoryMb()}M`, "--vm-keep", "--vm-method", "write64"];
}

export function loadTitle(kind: LoadKind): string {
  const processors = availableParallelism();
  return kind === "cpu"
    ? `${2 * processors} processes of stress-ng that compute on ${processors} processors`
    : `${processors} processes of stress-ng that write through ${memoryMb()} MB of memory in all, again and again`;
}

/** Starts the load and waits until its processes run, and have their memory. Returns how to end it. */
export async function startLoad(node: LabNode, kind: LoadKind): Promise<() => Promise<void>> {
  const [freeBefore, wantedMb] = [freemem(), memoryMb()];
  const child = node.spawn(`stress-${kind}`, BINARY, [...stressors(kind), "--metrics-brief"]);
  await eventually(
    "stress-ng works",
    START_BOUND_MS,
    () => /dispatching hogs/.test(child.output()),
    child.output,
  );
  const filledMb = (): number => (freeBefore - freemem()) / 2 ** 20;
  if (kind === "memory") {
    await eventually(
      "stress-ng fills its memory",
      START_BOUND_MS,
      () => filledMb() >= FILLED_SHARE * wantedMb,
      () => `${Math.round(filledMb())} of ${wantedMb} MB`,
    );
  }
  return async () => {
    child.kill("SIGTERM");
    await eventually("stress-ng ends", STOP_BOUND_MS, () => !child.running());
  };
}
