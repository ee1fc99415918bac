/**
 * Network namespaces by iproute2: commands in them, processes in them, and their removal, also after a crash.
 * A namespace's name carries the process that made it ("fh4711-1-lan"), so that what a dead process left behind
 * can be told from what another one is using.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FirsthopError } from "../errors.js";

const NETNS_DIRECTORY = "/run/netns";
/** Exactly the names that this file and the topology make up; the process id is captured. */
const OWN_NAMESPACE = /^fh(\d+)-\d+-(?:lan|up|[rh]\d+)$/;
const OWN_DIRECTORY = /^firsthop-lab-(\d+)-\d+-\w{6}$/;

/** Path by which native threads and `setns` enter a namespace. */
export function namespacePath(name: string): string {
  return join(NETNS_DIRECTORY, name);
}

/** Throws a FirsthopError that says what is missing. */
export function requireNamespaces(): void {
  if (process.platform !== "linux") {
    throw new FirsthopError("NATIVE_UNAVAILABLE", `the lab needs Linux, this is ${process.platform}`);
  }
  if (process.getuid?.() !== 0) {
    throw new FirsthopError("PERMISSION", "the lab builds network namespaces: run it as root (sudo)");
  }
  const tried = spawnSync("ip", ["-V"], { stdio: "ignore" });
  if (tried.error) {
    throw new FirsthopError("LAB_FAILED", "the lab needs the `ip` command: install the package iproute2");
  }
}

function failed(command: string, detail: string): FirsthopError {
  const line = detail.trim().split("\n").slice(0, 3).join("; ");
  return new FirsthopError("LAB_FAILED", `${command} failed: ${line || "no message"}`);
}

/** Commands under way: one that outlived this process could make what was just removed. */
const commands = new Set<ChildProcess>();

/** Runs a command to its end; its standard output. `input` goes to its standard input. */
export function runCommand(command: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 64 << 20, timeout: 60_000 };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      commands.delete(child);
      if (error) reject(failed([command, ...args].join(" "), stderr || error.message));
      else resolve(stdout);
    });
    commands.add(child);
    child.stdin?.on("error", () => {}); // it ended without reading: its exit code tells
    child.stdin?.end(input);
  });
}

/** Runs lines of `ip -batch`, in a namespace if one is given. */
export async function ipBatch(lines: readonly string[], namespace?: string): Promise<void> {
  if (lines.length === 0) return;
  const place = namespace ? ["-n", namespace] : [];
  await runCommand("ip", [...place, "-batch", "-"], `${lines.join("\n")}\n`);
}

/** Runs a command inside a namespace to its end; its standard output. */
export function runIn(namespace: string, command: string, ...args: string[]): Promise<string> {
  return runCommand("ip", ["netns", "exec", namespace, command, ...args]);
}

/** Writes sysctls ("net/ipv4/ip_forward") inside a namespace; names that the kernel doesn't have are left out. */
export async function writeSysctls(
  namespace: string,
  values: Readonly<Record<string, number>>,
): Promise<void> {
  const script = Object.entries(values)
    .map(([key, value]) => `[ ! -e /proc/sys/${key} ] || echo ${value} > /proc/sys/${key}`)
    .join("\n");
  await runIn(namespace, "sh", "-ec", script);
}

/** How a process ended: one of the two is null. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that runs in a namespace, with its output in a file. */
export interface LabProcess {
  readonly pid: number;
  readonly logFile: string;
  readonly ended: Promise<ProcessEnd>;
  running(): boolean;
  /** Everything that it printed so far. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
}

export interface SpawnOptions {
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts a process in a namespace. Its output goes straight to a file: a slow reader can't hold it up. */
export function spawnIn(
  namespace: string,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): LabProcess {
  const log = openSync(options.logFile, "a");
  const begin = fstatSync(log).size; // an earlier process of the same name wrote what is there
  let child: ChildProcess;
  try {
    child = spawn("ip", ["netns", "exec", namespace, command, ...args], {
      stdio: ["ignore", log, log],
      detached: true, // Ctrl-C on the terminal is for us alone: we end our processes ourselves
      env: { ...process.env, ...options.env },
      cwd: options.cwd ?? "/",
    });
  } finally {
    closeSync(log);
  }
  const pid = child.pid;
  if (pid === undefined) throw failed(command, "it could not be started");
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
  return {
    pid,
    logFile: options.logFile,
    ended,
    running: () => child.exitCode === null && child.signalCode === null,
    output: () => (existsSync(options.logFile) ? readFileSync(options.logFile).toString("utf8", begin) : ""),
    kill: (signal) => void child.kill(signal),
  };
}

/** What must be gone when this process ends, however it ends. */
interface Estate {
  readonly namespaces: readonly string[];
  readonly directory: string;
}

const estates = new Set<Estate>();
let labsMade = 0;
let watching = false;

/** A name for a new group of namespaces ("fh4711-1") and a private directory for its files. */
export function newEstateName(): { readonly name: string; readonly directory: string } {
  const number = `${process.pid}-${++labsMade}`;
  return { name: `fh${number}`, directory: mkdtempSync(join(tmpdir(), `firsthop-lab-${number}-`)) };
}

/**
 * Makes sure that namespaces and a directory vanish with this process: on exit, SIGINT, SIGTERM and SIGHUP.
 * Returns the function that does it now.
 */
export function bequeath(namespaces: readonly string[], directory: string): () => void {
  const estate: Estate = { namespaces, directory };
  estates.add(estate);
  watchForEnd();
  return () => {
    if (estates.delete(estate)) clear(estate);
  };
}

function clear(estate: Estate): void {
  removeNamespaces(estate.namespaces);
  rmSync(estate.directory, { recursive: true, force: true });
}

const COMMAND_END_MS = 1000;

/** Kills the commands under way and waits until they act no more. Synchronous, so that it can run at exit. */
function endCommands(): void {
  const pids = [...commands].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  for (const pid of pids) killQuietly(pid);
  const giveUpAt = performance.now() + COMMAND_END_MS;
  while (pids.some(acts) && performance.now() < giveUpAt);
  commands.clear();
}

/** Whether a process is there and not a zombie: "PID (NAME) STATE …". */
function acts(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

function clearAll(): void {
  endCommands();
  for (const estate of estates) clear(estate);
  estates.clear();
}

function watchForEnd(): void {
  if (watching) return;
  watching = true;
  process.on("exit", clearAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const onSignal = (): void => {
      clearAll();
      process.off(signal, onSignal);
      // Ends as if nobody had listened, unless somebody else listens too.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    process.on(signal, onSignal);
  }
}

/** Kills what runs in the namespaces and removes them. Synchronous, so that it can run at exit. */
function removeNamespaces(names: readonly string[]): void {
  const present = names.filter((name) => existsSync(namespacePath(name)));
  for (const name of present) {
    const listed = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
    for (const pid of (listed.stdout ?? "").split("\n").map(Number)) {
      if (pid > 0 && pid !== process.pid) killQuietly(pid);
    }
  }
  const input = present.map((name) => `netns del ${name}\n`).join("");
  if (input) spawnSync("ip", ["-force", "-batch", "-"], { input, stdio: ["pipe", "ignore", "ignore"] });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself in the meantime.
  }
}

/** Removes namespaces and directories whose makers are dead. Returns the namespaces' names. */
export function removeLeftovers(): readonly string[] {
  const isLeftover = (name: string, pattern: RegExp): boolean => {
    const pid = pattern.exec(name)?.[1];
    return pid !== undefined && Number(pid) !== process.pid && !existsSync(`/proc/${pid}`);
  };
  const list = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);
  const namespaces = list(NETNS_DIRECTORY).filter((name) => isLeftover(name, OWN_NAMESPACE));
  removeNamespaces(namespaces);
  for (const name of list(tmpdir()).filter((entry) => isLeftover(entry, OWN_DIRECTORY))) {
    const path = join(tmpdir(), name);
    const found = lstatSync(path);
    if (found.isDirectory() && found.uid === process.getuid?.())
      rmSync(path, { recursive: true, force: true });
  }
  return namespaces;
}
