/** The bare loops of bench/native/floor.cc: compiled once when they are needed, gone with this process. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LabNode } from "../../src/lab/topology.js";
import type { Crowd } from "../testbed/crowd.js";
import { OWN_DIRECTORY } from "./leftovers.js";
import { inOneLine } from "./words.js";

const SOURCE = fileURLToPath(new URL("../native/floor.cc", import.meta.url));

export type CompiledFloor = { readonly path: string } | { readonly absent: string };
let compiled: CompiledFloor | null = null;

/** Compiles it at the first call. @returns its path, or why there is none. */
export function compileFloor(): CompiledFloor {
  compiled ??= compile();
  return compiled;
}

function compile(): CompiledFloor {
  try {
    const directory = mkdtempSync(join(tmpdir(), OWN_DIRECTORY));
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
    const path = join(directory, "floor");
    const flags = ["-std=c++17", "-O2", "-pthread", "-o", path, SOURCE];
    execFileSync(process.env.CXX ?? "c++", flags, { stdio: "pipe" });
    return { path };
  } catch (error) {
    return { absent: `bench/native/floor.cc could not be compiled: ${inOneLine(error)}` };
  }
}

/** The same, as one of the real-time class at this priority. */
export interface FloorOptions {
  readonly realtimePriority?: number;
}

export function startFloor(
  node: LabNode,
  path: string,
  args: readonly string[],
  { realtimePriority }: FloorOptions = {},
): Crowd {
  const words = realtimePriority ? ["chrt", "-f", String(realtimePriority), path] : [path];
  const child = node.spawn(`${node.name}-floor`, words[0]!, [...words.slice(1), ...args]);
  return {
    running: child.running,
    processes: () => (child.running() ? [child.pid] : []),
    crash: async () => {
      child.kill("SIGKILL");
      await child.ended;
    },
    log: child.output,
    standingBy: () => null,
  };
}
