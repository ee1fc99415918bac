/** The bare sendmmsg/recvmmsg loop, compiled when it is needed. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LabNode } from "../../src/lab/topology.js";
import type { Crowd } from "../testbed/crowd.js";
import { inOneLine } from "./suite.js";

export const FLOOR = "floor";
const SOURCE = fileURLToPath(new URL("../native/floor.cc", import.meta.url));

/** Compiles it into `directory`. @returns its path, or why there is none. */
export function compileFloor(directory: string): { readonly path: string } | { readonly absent: string } {
  const path = join(directory, "floor");
  try {
    execFileSync(process.env.CXX ?? "c++", ["-std=c++17", "-O2", "-o", path, SOURCE], { stdio: "pipe" });
    return { path };
  } catch (error) {
    return { absent: `it could not be compiled: ${inOneLine(error)}` };
  }
}

export function startFloor(node: LabNode, path: string, args: readonly string[]): Crowd {
  const child = node.spawn(`${node.name}-floor`, path, args);
  return {
    processes: () => (child.running() ? [child.pid] : []),
    crash: async () => {
      child.kill("SIGKILL");
      await child.ended;
    },
    log: child.output,
  };
}
