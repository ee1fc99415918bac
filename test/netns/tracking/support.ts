/** Daemons with trackers in a lab, their events, and commands to them. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RouterEvent, TrackStatus } from "../../../src/engine/status.js";
import { type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import { eventually, type Lab, type LabRouter } from "../testbed/index.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

export interface TrackingDaemon extends LabDaemon {
  readonly events: RouterEvent[];
  /** The file that it was started with; SIGHUP reads it again. */
  readonly file: string;
  track(name: string): Promise<TrackStatus>;
  /** Waits until a tracker is in this state. */
  tracks(name: string, state: TrackStatus["state"], boundMs?: number): Promise<TrackStatus>;
  /** Runs a command of this daemon's; its standard output. A failure throws with its standard error. */
  command(...words: string[]): Promise<string>;
}

/** `more`: keys of the top level beside the virtual router, `track` the trackers that it follows. */
export async function startTracking(
  lab: Lab,
  router: LabRouter,
  priority: number,
  more: Readonly<Record<string, unknown>>,
  track: readonly unknown[] = [],
): Promise<TrackingDaemon> {
  const virtualRouter = {
    interface: "lan0",
    vrid: 10,
    priority,
    addresses: ["192.0.2.1/24"],
    advertisementInterval: "100ms",
    track,
  };
  const config = JSON.stringify({ virtualRouters: [virtualRouter], log: { format: "json" }, ...more });
  const daemon = await startDaemon(lab, router, config);
  const events: RouterEvent[] = [];
  void daemon.follow((event) => events.push(event)).catch(() => {});
  const track1 = async (name: string): Promise<TrackStatus> => {
    const found = (await daemon.status()).tracks.find((one) => one.name === name);
    if (!found) throw new Error(`there is no tracker ${name}`);
    return found;
  };
  return {
    ...daemon,
    events,
    file: `${lab.directory}/${router.name}-firsthop.yaml`,
    track: track1,
    async tracks(name, state, boundMs = 5000) {
      let seen = "";
      return eventually(
        `tracker ${name} is ${state}`,
        boundMs,
        async () => {
          const status = await track1(name);
          seen = JSON.stringify(status);
          return status.state === state ? status : null;
        },
        () => seen,
      );
    },
    command: (...words) =>
      new Promise((resolve, reject) => {
        const env = { ...process.env, FIRSTHOP_SOCKET: daemon.socket };
        execFile(process.execPath, [MAIN, ...words], { env }, (error, stdout, stderr) => {
          if (error) reject(new Error(stderr.trim()));
          else resolve(stdout);
        });
      }),
  };
}
