/**
 * `firsthop vrrpd`: the command line of the classic vrrpd, with its meaning and defaults. VRRP version 2, one
 * virtual router, in the foreground; no control socket unless one is asked for, because many may run beside
 * each other.
 */
import { linkSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { type Config, defineConfig } from "../config/index.js";
import { DEFAULT_STATE_DIRECTORY } from "../engine/defaults.js";
import { FirsthopError } from "../errors.js";
import { createLogger } from "./log.js";
import { runService } from "./service.js";

export interface VrrpdOptions {
  readonly i: string;
  readonly v: string;
  readonly s?: true;
  readonly a?: string;
  readonly p: string;
  readonly n?: true;
  readonly f: string;
  readonly d: string;
  readonly socket?: string;
  readonly stateDirectory: string;
}

export function vrrpdCommand(): Command {
  return new Command("vrrpd")
    .description(
      "Runs one virtual router of VRRP version 2 in the foreground, with the command line of the classic vrrpd.",
    )
    .argument("<ipaddr...>", "addresses of the virtual router, as ADDRESS or ADDRESS/LENGTH")
    .requiredOption("-i <ifname>", "interface to run on")
    .requiredOption("-v <vrid>", "id of the virtual router, 1 to 255")
    .option("-s", "switch the preemption mode (on without -s, off with it)")
    .option("-a <auth>", "authentication: none, or pw/PASSWORD of up to 8 characters, or pw/0xHEX", "none")
    .option("-p <prio>", "priority of this router, 1 to 254; 255 owns the addresses", "100")
    .option("-n", "do not handle the virtual MAC address: addresses move on the interface's own")
    .option("-f <piddir>", "directory of the pid file vrrpd_IFNAME_VRID.pid", "/var/run")
    .option("-d <delay>", "advertisement interval in seconds, 1 to 255", "1")
    .option("--socket <path>", "also listen for `firsthop show`, `events` and `explain` here")
    .option(
      "--state-directory <directory>",
      "what must survive a restart is kept here",
      DEFAULT_STATE_DIRECTORY,
    )
    .addHelpText("after", "\nExample:\n  sudo firsthop vrrpd -i eth0 -v 50 -d 1 10.0.0.1\n")
    .action(async (addresses: readonly string[], options: VrrpdOptions) => {
      const config = checked(vrrpdConfig(addresses, options));
      requireInterface(options.i);
      const releasePidFile = writePidFile(join(options.f, `vrrpd_${options.i}_${Number(options.v)}.pid`));
      process.on("exit", releasePidFile);
      await runService({
        loaded: { config, warnings: [] },
        reread: null,
        configFile: null,
        socket: options.socket ?? null,
        stateDirectory: options.stateDirectory,
        log: createLogger("info", "pretty"),
      });
      process.exit(0);
    });
}

/** The classic does not wait for an interface that is not there. @throws FirsthopError INTERFACE_MISSING */
function requireInterface(name: string): void {
  const lines = readFileSync("/proc/net/dev", "utf8").split("\n");
  const names = lines.slice(2).flatMap((line) => /^\s*(.+):/.exec(line)?.[1] ?? []);
  if (names.includes(name)) return;
  const others =
    names
      .filter((one) => one !== "lo")
      .sort()
      .join(", ") || "none but lo";
  throw new FirsthopError("INTERFACE_MISSING", `-i ${name}: there is no such interface; there is ${others}`);
}

/** Its problems are of the command line, which has no `virtualRouters[0].addresses[0]`. @throws FirsthopError USAGE */
function checked(input: ReturnType<typeof vrrpdConfig>): Config {
  try {
    return defineConfig(input);
  } catch (error) {
    if (!(error instanceof FirsthopError)) throw error;
    throw new FirsthopError("USAGE", error.message.replace(/virtualRouters\[0\][^ ]*: /g, ""), {
      cause: error,
    });
  }
}

/** The same set-up as a configuration. @throws FirsthopError USAGE */
export function vrrpdConfig(addresses: readonly string[], options: VrrpdOptions) {
  const auth = authentication(options.a ?? "none");
  return {
    virtualRouters: [
      {
        interface: options.i,
        vrid: number(options.v, "-v", 1, 255),
        version: 2 as const,
        priority: number(options.p, "-p", 1, 255),
        addresses: [...addresses],
        advertisementInterval: `${number(options.d, "-d", 1, 255)}s`,
        preempt: options.s !== true,
        virtualMac: options.n !== true,
        ...(auth === null ? {} : { authentication: { type: "simple" as const, password: auth } }),
      },
    ],
  };
}

function number(text: string, option: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new FirsthopError("USAGE", `${option} ${text}: give a whole number from ${min} to ${max}`);
}

/**
 * `none` or `pw/…`. Of the two spellings of a password that classic versions had, plain text is the later
 * one; hex is told apart by its 0x. @returns the password, or null for none.
 */
function authentication(text: string): string | null {
  if (text === "none") return null;
  if (text.startsWith("ah/")) {
    throw new FirsthopError(
      "USAGE",
      "-a ah/…: the authentication header left VRRP with RFC 3768; use none or pw/PASSWORD",
    );
  }
  const password = text.startsWith("pw/") ? text.slice(3) : "";
  if (password === "") throw new FirsthopError("USAGE", `-a ${text}: give none, pw/PASSWORD or pw/0xHEX`);
  const digits = /^0x((?:[0-9a-f]{2}){1,8})$/i.exec(password)?.[1];
  const octets = digits === undefined ? Buffer.from(password, "utf8") : Buffer.from(digits, "hex");
  // On the wire the password is filled up with zeros, so those at its end are no part of it.
  const plain = octets.subarray(0, octets.findLastIndex((octet) => octet !== 0) + 1);
  if (plain.length === 0 || plain.length > 8 || plain.some((octet) => octet < 0x20 || octet > 0x7e)) {
    throw new FirsthopError("USAGE", "-a pw/…: a password has 1 to 8 printable ASCII characters");
  }
  return plain.toString("latin1");
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Writes the pid file, replacing that of a process that is gone.
 * @returns removes it again.
 * @throws FirsthopError SOCKET_IN_USE when its process runs, USAGE when it can't be written.
 */
export function writePidFile(path: string): () => void {
  for (;;) {
    try {
      createWhole(path, `${process.pid}\n`);
      return () => removePidFile(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EEXIST") {
        throw new FirsthopError("USAGE", `cannot write ${path} (${code}): give a directory for it with -f`);
      }
      const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
      if (pid > 0 && pid !== process.pid && isRunning(pid)) {
        throw new FirsthopError(
          "SOCKET_IN_USE",
          `a vrrpd for this interface and vrid already runs (pid ${pid}, ${path}): stop it first`,
        );
      }
      unlinkSync(path);
    }
  }
}

/** Nobody finds it half written. Fails with EEXIST where there is one. */
function createWhole(path: string, text: string): void {
  const fresh = `${path}.${process.pid}`;
  try {
    writeFileSync(fresh, text, { mode: 0o644 });
    linkSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
}

function removePidFile(path: string): void {
  try {
    if (Number.parseInt(readFileSync(path, "utf8"), 10) === process.pid) unlinkSync(path);
  } catch {
    // Somebody tidied up already.
  }
}
