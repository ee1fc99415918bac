/** What disturbs: stress-ng inside a namespace of a lab, which removes it whatever happens. */
import { existsSync } from "node:fs";
import { availableParallelism, freemem } from "node:os";
import type { LabNode } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";

const BINARY = "/usr/bin/stress-ng";
const START_BOUND_MS = 30_000;
const STOP_BOUND_MS = 30_000;
const MEMORY_SHARE = 0.5;
const MOST_MEMORY_MB = 8192;

export type LoadKind = "cpu" | "memory";

export const stressInstalled = (): boolean => existsSync(BINARY);
export const WITHOUT_STRESS = "stress-ng is not installed (Debian: apt-get install stress-ng)";

function memoryMb(): number {
  return Math.min(MOST_MEMORY_MB, Math.floor((MEMORY_SHARE * freemem()) / 2 ** 20));
}

/** Two spinning processes for each processor; or one that maps, fills and unmaps half of the free memory for each. */
function stressors(kind: LoadKind): readonly string[] {
  const processors = availableParallelism();
  if (kind === "cpu") return ["--cpu", String(2 * processors), "--cpu-method", "matrixprod"];
  const each = Math.floor(memoryMb() / processors);
  return ["--vm", String(processors), "--vm-bytes", `${each}M`, "--vm-method", "write64"];
}

export function loadTitle(kind: LoadKind): string {
  const processors = availableParallelism();
  return kind === "cpu"
    ? `${2 * processors} processes of stress-ng that compute on ${processors} processors`
    : `${processors} processes of stress-ng that map, fill and unmap ${memoryMb()} MB of memory in all`;
}

/** Starts the load and waits until its processes run. Returns how to end it. */
export async function startLoad(node: LabNode, kind: LoadKind): Promise<() => Promise<void>> {
  const child = node.spawn(`stress-${kind}`, BINARY, [...stressors(kind), "--metrics-brief"]);
  await eventually(
    "stress-ng works",
    START_BOUND_MS,
    () => /dispatching hogs/.test(child.output()),
    child.output,
  );
  return async () => {
    child.kill("SIGTERM");
    await eventually("stress-ng ends", STOP_BOUND_MS, () => !child.running());
  };
}
