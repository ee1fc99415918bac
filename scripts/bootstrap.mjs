/**
 * What `npm start`, `npm test`, `npm run build`, `npm run vectors`, `npm run bench` and `npm pack` run:
 * brings a clone to the point where the task can run, doing only what is missing, then runs it. Plain Node
 * without dependencies, because it runs before anything is installed.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildAddon, buildTypeScript, installModules } from "./lib/build.mjs";
import { ROOT, StepFailed, step } from "./lib/steps.mjs";

const BIN = join(ROOT, "node_modules/.bin");

const TASKS = {
  build: { needs: [buildAddon, buildTypeScript] },
  dist: { needs: [buildTypeScript] },
  lab: { needs: [buildAddon, buildTypeScript], command: [process.execPath, "dist/cli/main.js", "lab"] },
  vectors: { needs: [buildTypeScript], command: [process.execPath, "dist/vectors/run.js"] },
  bench: { needs: [buildAddon, buildTypeScript], command: [process.execPath, "bench/run.mjs"] },
  test: {
    needs: [buildAddon, buildTypeScript, checkTypes, checkStyle],
    command: [join(BIN, "vitest"), "run"],
  },
};

async function checkTypes() {
  await step("check types", [join(BIN, "tsc"), "--noEmit"]);
}

async function checkStyle() {
  await step("check style", [join(BIN, "biome"), "check", "."]);
}

/** Runs the task itself, with the terminal handed over; its exit code becomes ours. */
function handOver([command, ...args]) {
  return new Promise((resolve, reject) => {
    // A quick benchmark's ten minutes begin with the command, not after its build.
    const env = { ...process.env, FIRSTHOP_COMMAND_BEGAN_MS: String(Math.round(performance.timeOrigin)) };
    const child = spawn(command, args, { cwd: ROOT, stdio: "inherit", env });
    // The terminal sends Ctrl-C to both: the task tidies up, and ends us by ending.
    const forward = (signal) => child.kill(signal);
    process.on("SIGINT", () => {});
    process.on("SIGTERM", forward);
    process.on("SIGHUP", forward);
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 143)));
  });
}

async function main([name, ...args]) {
  const task = Object.hasOwn(TASKS, name ?? "") ? TASKS[name] : undefined;
  if (task === undefined) {
    console.error(`usage: node scripts/bootstrap.mjs ${Object.keys(TASKS).join("|")} [ARGUMENTS…]`);
    return 2;
  }
  await installModules();
  for (const need of task.needs) await need();
  if (task.command === undefined) return 0;
  if (task.command[0] === process.execPath && !existsSync(join(ROOT, task.command[1]))) {
    throw new StepFailed(`${task.command[1]} is missing: is this clone complete?`);
  }
  return handOver([...task.command, ...args]);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StepFailed)) throw error;
  console.error(`✗ ${error.message}`);
  process.exitCode = 1;
}
