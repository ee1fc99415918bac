/**
 * Who owns the path of a control socket. A path is taken in one atomic step (`link`), so that of two daemons
 * that start together one wins, and the socket that a dead daemon left is replaced without a moment for a
 * third.
 */
import { chmodSync, linkSync, lstatSync, renameSync, type Stats, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { basename, dirname, join } from "node:path";
import { FirsthopError } from "../errors.js";
import { makeDirectory } from "../make-directory.js";
import { unlessRoot } from "../root-advice.js";
import type { Hello } from "./protocol.js";

/** sun_path without its terminating zero; unix(7). */
const PATH_MAX_BYTES = 107;
const PROBE_TIMEOUT_MS = 1000;
const ATTEMPTS_MAX = 20;

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

function lookAt(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Makes the socket's directory, for its owner alone; one that exists is left as it is. */
export function prepareDirectory(path: string): void {
  if (path === "" || path.endsWith("/"))
    throw new FirsthopError("USAGE", `'${path}' names no socket: give a path like /run/firsthop/edge.sock`);
  const directory = dirname(path);
  if (Math.max(Buffer.byteLength(path), Buffer.byteLength(temporaryPath(path))) > PATH_MAX_BYTES) {
    throw new FirsthopError(
      "USAGE",
      `the socket path ${path} is too long: sockets have at most ${PATH_MAX_BYTES} octets`,
    );
  }
  try {
    makeDirectory(directory, 0o700);
  } catch (error) {
    throw unusable(`make the directory ${directory}`, error, "USAGE");
  }
}

/** @param otherwise the code where no right is missing */
export function unusable(what: string, error: unknown, otherwise: "USAGE" | "SOCKET_IN_USE"): FirsthopError {
  const code = errnoOf(error);
  const denied = code === "EACCES" || code === "EPERM";
  const another = "give another path with --socket";
  return new FirsthopError(
    denied || code === "EROFS" ? "PERMISSION" : otherwise,
    `cannot ${what} (${code}): ${denied ? unlessRoot(another) : another}`,
    { cause: error },
  );
}

let temporaryCount = 0;

/**
 * Where a daemon listens before it owns `path`: a new name in the same directory, because links stay in one
 * file system.
 */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${process.pid}.${temporaryCount++}`);
}

type Probe =
  | { readonly kind: "stale" }
  | { readonly kind: "alive"; readonly hello: Hello | null }
  | { readonly kind: "denied" };

/** Asks who listens on a socket. A daemon that is stopped accepts, but does not answer: it is alive. */
export function probe(path: string): Promise<Probe> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let received = "";
    const end = (result: Probe): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end({ kind: "alive", hello: null }), PROBE_TIMEOUT_MS);
    socket.on("connect", () => socket.write('{"id":1,"method":"hello"}\n'));
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("utf8");
      if (!received.includes("\n") && received.length < 4096) return;
      try {
        end({ kind: "alive", hello: (JSON.parse(received) as { result?: Hello }).result ?? null });
      } catch {
        end({ kind: "alive", hello: null });
      }
    });
    socket.on("close", () => end({ kind: "alive", hello: null }));
    socket.on("error", (error) => {
      const code = errnoOf(error);
      if (code === "ECONNREFUSED" || code === "ENOENT") end({ kind: "stale" });
      else if (code === "EACCES" || code === "EPERM") end({ kind: "denied" });
      else end({ kind: "alive", hello: null });
    });
  });
}

function inUse(path: string, hello: Hello | null): FirsthopError {
  const who = hello === null ? "another daemon" : `a firsthop daemon (pid ${hello.pid})`;
  return new FirsthopError(
    "SOCKET_IN_USE",
    `${who} already runs on ${path}: stop it first, or give this one another path with --socket`,
  );
}

/** Throws unless `path` is free, or holds what a dead daemon of ours left. */
export async function refuseIfTaken(path: string): Promise<void> {
  const found = lookAt(path);
  if (found === null) return;
  if (!found.isSocket()) {
    throw new FirsthopError(
      "SOCKET_IN_USE",
      `${path} exists and is no socket: remove it, or give another --socket`,
    );
  }
  const result = await probe(path);
  if (result.kind === "alive") throw inUse(path, result.hello);
  const user = process.geteuid?.() ?? found.uid;
  if (result.kind === "denied" || (found.uid !== user && user !== 0)) {
    throw new FirsthopError(
      "SOCKET_IN_USE",
      `${path} belongs to user id ${found.uid}: give this daemon another path with --socket`,
    );
  }
}

/** Takes the stale socket away, unless it is no longer the one that was looked at. */
function removeStale(path: string, seen: Stats): void {
  const aside = temporaryPath(path);
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  const moved = lstatSync(aside);
  if (moved.ino !== seen.ino || moved.dev !== seen.dev) {
    // Somebody was faster and listens here already: give it back, unless a third one came meanwhile.
    try {
      linkSync(aside, path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }
  unlinkSync(aside);
}

export interface SocketClaim {
  /** Removes the path, if it is still ours. */
  release(): void;
}

/**
 * Gives the socket that listens at `temporary` its real name.
 * @throws FirsthopError SOCKET_IN_USE, with the pid of the daemon that has it.
 */
export async function claimSocketPath(path: string, temporary: string): Promise<SocketClaim> {
  try {
    chmodSync(temporary, 0o600);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        linkSync(temporary, path);
        return claimOf(path);
      } catch (error) {
        if (errnoOf(error) !== "EEXIST") throw error;
      }
      const seen = lookAt(path);
      await refuseIfTaken(path);
      if (seen !== null) removeStale(path, seen);
    }
    throw new FirsthopError(
      "SOCKET_IN_USE",
      `several daemons fight for ${basename(path)}: start one at a time`,
    );
  } finally {
    unlinkSync(temporary);
  }
}

/** The same in the place of a daemon that has agreed to leave: nobody finds the path empty in between. */
export function replaceSocketPath(path: string, temporary: string): SocketClaim {
  try {
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
    return claimOf(path);
  } catch (error) {
    throw unusable(`listen on ${path}`, error, "SOCKET_IN_USE");
  }
}

function claimOf(path: string): SocketClaim {
  const { ino, dev } = lstatSync(path);
  return {
    release() {
      const found = lookAt(path);
      if (found !== null && found.ino === ino && found.dev === dev) unlinkSync(path);
    },
  };
}
