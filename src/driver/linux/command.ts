/**
 * Running a command of the administrator's: a tracker's script, a notification. Nobody else's file is run, no shell
 * sees it, it gets a bounded time and a bounded ear, and what it started ends with it. Runs on the JavaScript thread.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname, isAbsolute } from "node:path";
import { isShortage } from "../../shortage-advice.js";
import { type CommandRequest, type CommandResult, type CommandRun, DONE } from "../command.js";
import { endMarked, type Mark, newMark } from "./remnants.js";

export type { CommandRequest, CommandResult, CommandRun } from "../command.js";

const OUTPUT_KEPT_BYTES = 4096;
/** Who prints more than this gets SIGPIPE: nobody has to read a flood. */
const OUTPUT_READ_MAX_BYTES = 1024 * 1024;
/** After the end of the process its pipes close, but for those of a descendant that left its group. */
const PIPES_CLOSE_MS = 100;

const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};

const NOT_RUN: CommandResult = { ...DONE, code: null };

/**
 * Why a file must not be run, in words; null when it may. Whoever could replace what is run would get this process's
 * rights: so the file, and every directory on the way to it, belongs to root or to this user and nobody else may
 * write to it (a sticky directory like /tmp is good enough for a file that is ours).
 */
export function commandFlaw(path: string): string | null {
  if (!isAbsolute(path)) return `${path} is no absolute path`;
  let real: string;
  let file: Stats;
  try {
    real = realpathSync(path);
    file = statSync(real);
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "ENOENT" ? `${path} does not exist` : `${path} can't be looked at (${code ?? error})`;
  }
  if (!file.isFile()) return `${path} is no regular file`;
  const flaw = writableByOthers(file);
  if (flaw !== null) return `${path} ${flaw}`;
  for (let directory = dirname(real); ; directory = dirname(directory)) {
    const found = statSync(directory);
    const others = writableByOthers(found);
    if (others !== null && (found.mode & 0o1000) === 0)
      return `${path}: its directory ${directory} ${others}`;
    if (directory === dirname(directory)) break;
  }
  try {
    accessSync(real, constants.X_OK);
  } catch {
    return `${path} is not executable`;
  }
  // libuv's execvp would give it to a shell.
  return isProgram(real) ? null : `${path} is no program, and has no #! line`;
}

function isProgram(path: string): boolean {
  const start = Buffer.alloc(4);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, start);
    } finally {
      closeSync(file);
    }
  } catch {
    return true; // It may be executed, yet not read: then it is no script.
  }
  return start.toString("latin1", 0, 2) === "#!" || start.toString("latin1") === "\x7fELF";
}

function writableByOthers({ mode, uid, gid }: Stats): string | null {
  if (uid !== 0 && uid !== process.geteuid?.()) return `belongs to user ${uid}`;
  if ((mode & 0o002) !== 0) return "may be written by everybody";
  if ((mode & 0o020) !== 0) return `may be written by group ${gid}`;
  return null;
}

/** Starts a command in a process group of its own. */
export function runCommand(request: CommandRequest): CommandRun {
  const flaw = commandFlaw(request.path);
  if (flaw !== null) return refuse(flaw);
  const mark = request.leavesNothing ? newMark() : null;
  let child: ChildProcess;
  try {
    child = spawn(request.path, request.arguments, {
      cwd: "/",
      detached: true,
      env: { ...ENVIRONMENT, ...mark?.environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (error) {
    return refuse(startFailure(request.path, error), cannotStart(error));
  }
  return follow(child, request, mark);
}

function refuse(why: string, shortage = false): CommandRun {
  return { result: Promise.resolve({ ...NOT_RUN, refused: why, shortage }), cancel: () => undefined };
}

/** fork(2) has an error of its own for it. */
function cannotStart(error: unknown): boolean {
  return isShortage(error) || (error as { code?: unknown }).code === "EAGAIN";
}

function startFailure(path: string, error: unknown): string {
  const { code } = error as { code?: string };
  const known: Readonly<Record<string, string>> = {
    EACCES: "may not be executed",
    ENOENT: "names an interpreter that does not exist",
    E2BIG: "got too many arguments",
  };
  return `${path} ${known[code ?? ""] ?? `can't be started (${code ?? String(error)})`}`;
}

function follow(child: ChildProcess, request: CommandRequest, mark: Mark | null): CommandRun {
  const heard = listen(child);
  let timedOut = false;
  const endAll = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nobody of the group is left.
    }
    if (mark !== null) endMarked(mark, child.pid);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    endAll();
  }, request.timeoutUs / 1000);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(request.input ?? "");
  const result = new Promise<CommandResult>((resolve) => {
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ ...NOT_RUN, refused: startFailure(request.path, error), shortage: cannotStart(error) });
    });
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      // What it left in the background would outlive its bound.
      endAll();
      const hung = setTimeout(() => heard.stop(), PIPES_CLOSE_MS);
      child.on("close", () => {
        clearTimeout(hung);
        resolve({ code, signal, timedOut, refused: null, shortage: false, ...heard.said() });
      });
    });
  });
  return { result, cancel: endAll };
}

/** Reads both outputs, keeps their beginning. */
function listen(child: ChildProcess): {
  said(): Pick<CommandResult, "output" | "truncated">;
  stop(): void;
} {
  const kept: Buffer[] = [];
  let keptBytes = 0;
  let readBytes = 0;
  const outputs = [child.stdout, child.stderr];
  const stop = (): void => {
    for (const output of outputs) output?.destroy();
    child.stdin?.destroy();
  };
  for (const output of outputs) {
    output?.on("error", () => undefined);
    output?.on("data", (chunk: Buffer) => {
      readBytes += chunk.length;
      const piece = chunk.subarray(0, OUTPUT_KEPT_BYTES - keptBytes);
      if (piece.length > 0) kept.push(piece);
      keptBytes += piece.length;
      if (readBytes > OUTPUT_READ_MAX_BYTES) stop();
    });
  }
  return {
    said: () => ({
      output: Buffer.concat(kept)
        .toString("utf8")
        .replace(/[^\P{Cc}\n]/gu, " ")
        .trim(),
      truncated: readBytes > keptBytes,
    }),
    stop,
  };
}
