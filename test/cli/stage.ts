/**
 * The stage of tests of a running daemon: a wired namespace with a configuration and a control socket, made before
 * each test and removed after it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { withDaemon } from "../../src/control/client.js";
import type { RouterStatus } from "../../src/engine/status.js";
import { type LabProcess, spawnIn } from "../../src/lab/namespaces.js";
import { firsthop, MAIN, type Result } from "./command.js";
import { openWiredNamespace, type WiredNamespace } from "./wired-namespace.js";

export const IS_ROOT = process.getuid?.() === 0;
/** What a skipped suite adds to its name. */
export const WHY = IS_ROOT ? "" : " (skipped: needs root for network namespaces)";

export interface Stage {
  /** Its LAN interface is lan0, 192.0.2.2/24; lan1 is the wire's other end. */
  readonly namespace: string;
  readonly directory: string;
  socketPath(): string;
  configPath(): string;
  /** Writes the configuration file. */
  configure(...virtualRouters: object[]): void;
  /** `firsthop …` in the namespace, in the background. */
  start(args: readonly string[]): LabProcess;
  /** `firsthop run` with the files of the stage. */
  startDaemon(...more: string[]): LabProcess;
  /** A daemon that is Active for lan0/10. */
  startActive(): Promise<LabProcess>;
  /** What the daemon says of itself; null while none answers. */
  status(): Promise<RouterStatus | null>;
  /** Waits until a virtual router is in this state. */
  reached(daemon: LabProcess, name: string, state: string): Promise<void>;
  /** `firsthop …` with the socket of the stage, to its end. */
  ask(...args: string[]): Promise<Result>;
}

/** Sets the stage for each test of the file that calls it. */
export function stageEachTest(): Stage {
  let wired: WiredNamespace | null = null;
  let started = 0;

  beforeEach(async () => {
    if (IS_ROOT) wired = await openWiredNamespace();
  });

  afterEach(() => {
    wired?.clear();
    wired = null;
  });

  const stage: Stage = {
    get namespace() {
      return wired!.namespace;
    },
    get directory() {
      return wired!.directory;
    },
    socketPath: () => join(stage.directory, "run", "control.sock"),
    configPath: () => join(stage.directory, "firsthop.yaml"),
    configure: (...virtualRouters) =>
      writeFileSync(stage.configPath(), JSON.stringify({ virtualRouters, log: { format: "json" } })),
    start: (args) => {
      const logFile = join(stage.directory, `${++started}.log`);
      return spawnIn(stage.namespace, process.execPath, [MAIN, ...args], { logFile });
    },
    startDaemon: (...more) => {
      const files = ["-c", stage.configPath(), "--socket", stage.socketPath()];
      return stage.start(["run", ...files, "--state-directory", join(stage.directory, "state"), ...more]);
    },
    startActive: async () => {
      stage.configure(virtualRouter(10));
      const daemon = stage.startDaemon();
      await stage.reached(daemon, "lan0/10", "active");
      return daemon;
    },
    status: () => statusAt(stage.socketPath()).catch(() => null),
    reached: (daemon, name, state) =>
      until(`${name} is ${state}`, daemon, async () => {
        const now = await stage.status();
        return now?.virtualRouters.find((one) => one.name === name)?.state === state;
      }),
    ask: (...args) => firsthop([...args, "--socket", stage.socketPath()]),
  };
  return stage;
}

async function statusAt(path: string): Promise<RouterStatus> {
  return (await withDaemon(path, (client) => client.request("status"))) as RouterStatus;
}

/** An entry of `virtualRouters`: on lan0, at 50 ms, with the address 192.0.2.VRID. */
export function virtualRouter(vrid: number, more: object = {}): object {
  return {
    interface: "lan0",
    vrid,
    addresses: [`192.0.2.${vrid}/24`],
    advertisementInterval: "50ms",
    priority: 200,
    ...more,
  };
}

/** Fails with the daemon's log, so that a failure explains itself. */
export async function until(
  what: string,
  daemon: LabProcess,
  probe: () => boolean | Promise<boolean>,
): Promise<void> {
  await expect
    .poll(async () => ((await probe()) ? "yes" : `${what}: not yet; log: ${daemon.output().slice(-2000)}`), {
      timeout: 15_000,
      interval: 20,
    })
    .toBe("yes");
}

/** Log lines as objects. */
export function logOf(daemon: LabProcess): { level: string; msg: string }[] {
  return daemon
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { level: string; msg: string });
}
