/**
 * What must be known after a crash: one small file for each running daemon, written before the kernel is changed.
 * It says what the daemon may have put into the kernel and which settings of parents it changed from which value.
 *
 * Files live in `<state directory>/net-<inode of the network namespace>/`, because namespaces share the file system.
 * Whether the writer still lives is not read from a file: it holds a name in its network namespace for as long as it
 * does (see native/netlink_presence.h), also where processes don't see each other.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FirsthopError } from "../../errors.js";
import { makeDirectory } from "../../make-directory.js";
import type { NativeNetlinkApi } from "../../native/netlink.js";
import { refusal } from "./refusal.js";
import type { SysctlClaim } from "./sysctl.js";

export interface StateContents {
  /** Macvlans, also those about to be created. */
  readonly links: readonly { readonly name: string; readonly mac: string }[];
  /** Addresses that are put on and off interfaces which are not ours. */
  readonly addresses: readonly {
    readonly ifindex: number;
    readonly address: string;
    readonly prefixLength: number;
  }[];
  /** Blackhole routes. */
  readonly routes: readonly { readonly address: string; readonly table: number }[];
  readonly sysctls: readonly SysctlClaim[];
}

export interface StateRecord extends StateContents {
  readonly version: 1;
  readonly token: string;
  readonly pid: number;
  readonly bootId: string;
  readonly namespaceCookie: string;
}

export interface OtherDaemon {
  readonly record: StateRecord;
  readonly alive: boolean;
}

export interface StateFiles {
  /** Names this daemon in tags of links and in its file. */
  readonly token: string;
  /** What is on record of this daemon. */
  own(): StateContents;
  /** For the process that is to go on with these files. */
  inheritance(): StateInheritance;
  /** Whether the daemon with this token runs in this network namespace. */
  isAlive(token: string): boolean;
  /** Replaces this daemon's record as a whole; empty contents remove it. @throws FirsthopError */
  write(contents: StateContents): void;
  /** What daemons that live have in the kernel, this one included. */
  living(): readonly StateContents[];
  /** Records of other daemons of this network namespace since the machine was started. */
  others(): OtherDaemon[];
  forget(token: string): void;
  /** Keeps other daemons out while `body` reads and changes records. @throws FirsthopError */
  locked<Result>(body: () => Result): Promise<Result>;
  close(): void;
}

const LOCK_PATIENCE_MS = 5_000;
const LOCK_RETRY_MS = 5;

/** Whose files another process goes on with. JSON. */
export interface StateInheritance {
  readonly token: string;
  /** Which of its two names the predecessor holds. */
  readonly name: 0 | 1;
  readonly namespaceCookie: string;
  /** Whether there is a record, which the heir has to find. */
  readonly recorded: boolean;
}

/** @throws FirsthopError USAGE when what is inherited is not within reach of this process */
export function openStateFiles(
  native: NativeNetlinkApi,
  stateDirectory: string,
  inherited: StateInheritance | null = null,
): StateFiles {
  const token = inherited?.token ?? randomBytes(4).toString("hex");
  // While one process follows another both live: who follows takes the other name.
  const name = inherited?.name === 0 ? 1 : 0;
  const directory = join(stateDirectory, `net-${statSync("/proc/self/ns/net").ino}`);
  const origin = {
    version: 1 as const,
    token,
    pid: process.pid,
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    namespaceCookie: native.namespaceCookie(),
  };
  const fileOf = (one: string): string => join(directory, `kernel-${one}.json`);
  const isAlive = (one: string): boolean =>
    one === token || native.isNamespaceNameHeld(nameOf(one, 0)) || native.isNamespaceNameHeld(nameOf(one, 1));

  const forget = (one: string): void => {
    try {
      unlinkSync(fileOf(one));
      rmdirSync(directory);
    } catch {
      // The file was not there, or the directory has other uses.
    }
  };

  const record = inherited && readRecords(directory).find((one) => one.token === token);
  if (inherited) requireReach(inherited, origin.namespaceCookie, record !== undefined, stateDirectory);
  let own: StateContents = record ?? { links: [], addresses: [], routes: [], sysctls: [] };
  const letGo = native.holdNamespaceName(nameOf(token, name));

  return {
    token,
    own: () => own,
    inheritance: () => ({
      token,
      name,
      namespaceCookie: origin.namespaceCookie,
      recorded: isAnything(own),
    }),
    isAlive,
    forget,
    living() {
      return [own, ...this.others().flatMap((one) => (one.alive ? [one.record] : []))];
    },
    write(contents) {
      if (!isAnything(contents)) {
        forget(token);
      } else {
        const { links, addresses, routes, sysctls } = contents;
        const record: StateRecord = { ...origin, links, addresses, routes, sysctls };
        replaceFile(directory, fileOf(token), `${JSON.stringify(record)}\n`);
      }
      own = contents;
    },
    others() {
      removeUnfinished(directory, isAlive);
      const found: OtherDaemon[] = [];
      for (const record of readRecords(directory)) {
        if (record.token === token) continue;
        if (record.bootId === origin.bootId && record.namespaceCookie === origin.namespaceCookie) {
          found.push({ record, alive: isAlive(record.token) });
        } else {
          // Of an earlier boot, or of a namespace whose number came into use again: what it says is gone.
          forget(record.token);
        }
      }
      return found;
    },
    async locked(body) {
      // The lock is on the directory above, which nobody removes.
      makeStateDirectory(stateDirectory);
      for (const deadline = Date.now() + LOCK_PATIENCE_MS; ; ) {
        const unlock = lockOf(native, stateDirectory);
        if (unlock) {
          try {
            return body();
          } finally {
            unlock();
          }
        }
        if (Date.now() > deadline) {
          throw new FirsthopError(
            "KERNEL_REFUSED",
            `another firsthop has kept ${stateDirectory} locked for ${LOCK_PATIENCE_MS / 1000} s: is it stopped?`,
          );
        }
        await delay(LOCK_RETRY_MS);
      }
    },
    close: letGo,
  };
}

function isAnything({ links, addresses, routes, sysctls }: StateContents): boolean {
  return links.length + addresses.length + routes.length + sysctls.length > 0;
}

/** Whoever can't undo what the predecessor did must not go on with it. */
function requireReach(
  { namespaceCookie, recorded }: StateInheritance,
  ownCookie: string,
  found: boolean,
  stateDirectory: string,
): void {
  if (namespaceCookie !== ownCookie) {
    const message = "the running daemon works in another network namespace: start this one there";
    throw new FirsthopError("USAGE", message);
  }
  if (recorded && !found) {
    const message = `the running daemon keeps its records elsewhere than in ${stateDirectory}`;
    throw new FirsthopError("USAGE", `${message}: give the same --state-directory`);
  }
}

/** The names of which a living daemon holds one in its network namespace. */
function nameOf(token: string, name: 0 | 1): string {
  return `firsthop-kernel-${token}${name === 0 ? "" : "-heir"}`;
}

function makeStateDirectory(directory: string): void {
  if (directory === "") throw new FirsthopError("USAGE", "--state-directory names no directory");
  try {
    makeDirectory(directory, 0o755);
  } catch (error) {
    const { code, message } = refusal(`make ${directory} for what must survive a crash`, error);
    throw new FirsthopError(code, `${message}; or give another --state-directory`);
  }
}

function lockOf(native: NativeNetlinkApi, directory: string): (() => void) | null {
  try {
    return native.tryLock(directory);
  } catch (error) {
    throw refusal(`lock ${directory}`, error);
  }
}

/** All or nothing, and known to be on the disk afterwards. */
function replaceFile(directory: string, file: string, text: string): void {
  const fresh = `${file}.new`;
  try {
    makeDirectory(directory, 0o755);
    const fd = openSync(fresh, "w", 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
  } catch (error) {
    try {
      unlinkSync(fresh);
    } catch {
      // It was never made.
    }
    throw refusal(`record in ${file} what must be undone after a crash`, error);
  }
}

/** A record that was being written when its daemon was killed. */
const UNFINISHED = /^kernel-([0-9a-f]{8})\.json\.new$/;

/** Removes what daemons that are gone did not finish to write; the records themselves are still whole. */
function removeUnfinished(directory: string, isAlive: (token: string) => boolean): void {
  for (const name of namesIn(directory)) {
    const token = UNFINISHED.exec(name)?.[1];
    if (token === undefined || isAlive(token)) continue;
    rmSync(join(directory, name), { force: true });
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readRecords(directory: string): StateRecord[] {
  const records: StateRecord[] = [];
  for (const name of namesIn(directory)) {
    const match = /^kernel-([0-9a-f]{8})\.json$/.exec(name);
    if (!match) continue;
    try {
      const record = JSON.parse(readFileSync(join(directory, name), "utf8")) as StateRecord;
      if (record.version === 1 && record.token === match[1]) records.push(record);
    } catch {
      // Written by another version, or gone meanwhile: nothing that could be undone from it.
    }
  }
  return records;
}
