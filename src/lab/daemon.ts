/** Real firsthop daemons in the routers of a lab, and what they say over their control sockets. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectControl, withDaemon } from "../control/client.js";
import type { Hello, Method } from "../control/protocol.js";
import type { RouterEvent, RouterStatus, VirtualRouterStatus } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import type { LabProcess, ProcessEnd } from "./namespaces.js";
import { LAB_ADDRESSES, type Lab, type LabFamily, type LabRouter } from "./topology.js";
import { eventually } from "./wait.js";

/** From src/lab as from dist/lab. */
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const START_BOUND_MS = 30_000;
const STOP_BOUND_MS = 10_000;
const LOG_TAIL_LINES = 6;

/** One virtual router, as the lab configures it. */
export interface DaemonSettings {
  readonly vrid: number;
  readonly family: LabFamily;
  readonly version: 2 | 3;
  readonly priority: number;
  readonly intervalMs: number;
  /** With prefix lengths; default: the lab's gateway addresses. */
  readonly addresses?: readonly string[];
  /** More keys of the virtual router, as they stand in the file: `{ preempt: false }`. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** More keys of the file's top level: `{ ownership: "off" }`. */
  readonly top?: Readonly<Record<string, unknown>>;
}

/** The configuration file of a router with one virtual router on its LAN leg. JSON is YAML. */
export function daemonConfig(settings: DaemonSettings): string {
  const virtualRouter = {
    interface: "lan0",
    vrid: settings.vrid,
    version: settings.version,
    priority: settings.priority,
    addresses: settings.addresses ?? LAB_ADDRESSES[settings.family].virtual,
    advertisementInterval: `${settings.intervalMs}ms`,
    ...settings.more,
  };
  const file = { virtualRouters: [virtualRouter], log: { format: "json" }, ...settings.top };
  return `${JSON.stringify(file, null, 2)}\n`;
}

export interface LabDaemon {
  readonly process: LabProcess;
  readonly socket: string;
  /** Of the process that answers on the control socket; null while none does. */
  pid(): Promise<number | null>;
  status(): Promise<RouterStatus>;
  /** The only or first virtual router's status; null while the daemon does not answer. */
  virtualRouter(): Promise<VirtualRouterStatus | null>;
  /** Waits until the first virtual router is in this state. */
  reach(state: VirtualRouterStatus["state"], boundMs: number): Promise<void>;
  /** Hears of every event from the daemon's start on, until it ends. */
  follow(onEvent: (event: RouterEvent) => void): Promise<void>;
  /** Ends it in good order (SIGTERM) and waits until it has ended. */
  stop(): Promise<ProcessEnd>;
  /** kill -9, and waits until it has ended. */
  crash(): Promise<ProcessEnd>;
}

/**
 * Starts a daemon and waits until its control socket answers. `name` tells files of several daemons apart; `main` is
 * the command to run, where it is not this package's; `more` are further arguments of it.
 */
export async function startDaemon(
  lab: Lab,
  router: LabRouter,
  config: string,
  name = `${router.name}-firsthop`,
  main = MAIN,
  more: readonly string[] = [],
): Promise<LabDaemon> {
  if (!existsSync(main)) {
    throw new FirsthopError("LAB_FAILED", `${main} is missing: run \`npm run build\` first`);
  }
  const file = join(lab.directory, `${name}.yaml`);
  const socket = join(lab.directory, `${name}.sock`);
  writeFileSync(file, config);
  const child = router.spawn(name, process.execPath, [
    ...[main, "run", "-c", file, "--socket", socket],
    ...["--state-directory", join(lab.directory, "state")],
    ...more,
  ]);
  const daemon = daemonOf(child, socket);
  await eventually(
    `the daemon of ${router.name} answers`,
    START_BOUND_MS,
    async () => {
      if (!child.running()) {
        throw new FirsthopError("LAB_FAILED", `the daemon of ${router.name} ended: ${logTail(child)}`);
      }
      // With --handover the one that still runs answers, too.
      return (await daemon.pid()) === child.pid && (await daemon.virtualRouter()) !== null;
    },
    () => logTail(child),
  );
  return daemon;
}

function logTail(child: LabProcess): string {
  return child.output().trimEnd().split("\n").slice(-LOG_TAIL_LINES).join(" | ") || "it printed nothing";
}

/** Null while no daemon answers. */
async function whileReachable<Answer>(answer: Promise<Answer>): Promise<Answer | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FirsthopError && error.code === "DAEMON_UNREACHABLE") return null;
    throw error;
  }
}

function daemonOf(child: LabProcess, socket: string): LabDaemon {
  const ask = <Answer>(method: Method): Promise<Answer> =>
    withDaemon(socket, (client) => client.request(method)) as Promise<Answer>;
  const status = (): Promise<RouterStatus> => ask("status");
  const virtualRouter = async (): Promise<VirtualRouterStatus | null> =>
    (await whileReachable(status()))?.virtualRouters[0] ?? null;
  const end = async (signal: NodeJS.Signals): Promise<ProcessEnd> => {
    child.kill(signal);
    await eventually(`process ${child.pid} ends`, STOP_BOUND_MS, () => !child.running());
    return child.ended;
  };
  return {
    process: child,
    socket,
    pid: async () => (await whileReachable(ask<Hello>("hello")))?.pid ?? null,
    status,
    virtualRouter,
    reach: async (state, boundMs) => {
      let seen = "nothing";
      await eventually(
        `a router is ${state}`,
        boundMs,
        async () => {
          seen = (await virtualRouter())?.state ?? "no answer";
          return seen === state;
        },
        () => `it is ${seen}; ${logTail(child)}`,
      );
    },
    follow: async (onEvent) => {
      const client = await connectControl(socket);
      const each = (event: unknown): void => onEvent(event as RouterEvent);
      client
        .request("events", { history: true, follow: true }, { onEvent: each, timeoutMs: null })
        .catch(() => {}) // The daemon ended, and its socket with it.
        .finally(() => client.close());
    },
    stop: () => end("SIGTERM"),
    crash: () => end("SIGKILL"),
  };
}
