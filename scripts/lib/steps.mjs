/**
 * Steps of a script: quiet while they work, one line with the time each took, their whole output when they
 * fail.
 */
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** A failure that was explained to the user already, or explains itself. */
export class StepFailed extends Error {}

function sayDone(title, startedMs) {
  console.error(`✓ ${title.padEnd(20)} ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
}

/**
 * Runs a command as a step.
 * @throws StepFailed with the command's output printed before, and `hint` telling what to do.
 */
export async function step(title, [command, ...args], { hint = "", env = process.env, cwd = ROOT } = {}) {
  const started = performance.now();
  const output = [];
  const code = await new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => {
      output.push(Buffer.from(`${error.message}\n`));
      resolve(127);
    });
    child.on("close", (status, signal) => resolve(status ?? `signal ${signal}`));
  });
  const text = Buffer.concat(output).toString("utf8");
  if (code !== 0) {
    process.stderr.write(text);
    throw new StepFailed(`${title}: ${command} ended with ${code}${hint === "" ? "" : `; ${hint}`}`);
  }
  sayDone(title, started);
  return text;
}

/** All files below `path` (or `path` itself), without what builds and git put there. */
export function filesBelow(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (!stat.isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => (name === "node_modules" ? [] : filesBelow(join(path, name))));
}

/** Milliseconds of the newest change below any of the paths; 0 where nothing is. */
export function newest(paths) {
  return Math.max(0, ...paths.flatMap(filesBelow).map((path) => statSync(path).mtimeMs));
}

export function isExecutableInPath(name) {
  return (process.env.PATH ?? "").split(":").some((folder) => {
    const stat = statSync(join(folder || ".", name), { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  });
}
