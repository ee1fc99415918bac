/** Our own daemon as a speaker. */
import { daemonConfig, startDaemon } from "../../src/lab/daemon.js";
import type { Lab, LabRouter } from "../../src/lab/topology.js";
import { type Speaker, type SpeakerOptions, type StartSpeaker, withDefaults } from "./speaker.js";

/** Starts this clone's built daemon (dist) in a router and waits until it answers. */
export const startFirsthop: StartSpeaker = (lab, router, given) =>
  startDaemonOf(undefined, lab, router, given);

/** The same of another clone: `main` is its dist/cli/main.js. */
export const startFirsthopOf =
  (main: string): StartSpeaker =>
  (lab, router, given) =>
    startDaemonOf(main, lab, router, given);

async function startDaemonOf(
  main: string | undefined,
  lab: Lab,
  router: LabRouter,
  given: SpeakerOptions,
): Promise<Speaker> {
  const options = withDefaults(given);
  const config = daemonConfig({
    vrid: options.vrid,
    family: options.family,
    version: options.version,
    priority: options.priority,
    intervalMs: options.intervalMs,
    addresses: options.addresses,
    top: options.top,
    more: {
      ...(options.preempt ? {} : { preempt: false }),
      ...(options.virtualMac ? {} : { virtualMac: false }),
      ...(options.password ? { authentication: { type: "simple", password: options.password } } : {}),
      ...(options.unicastPeers
        ? { unicast: { source: router.addresses[options.family], peers: options.unicastPeers } }
        : {}),
      ...options.more,
    },
  });
  const daemon = await startDaemon(lab, router, config, undefined, main);
  return {
    kind: "firsthop",
    router,
    options,
    state: async () => {
      const state = (await daemon.virtualRouter())?.state;
      return state === "active" || state === "backup" ? state : "other";
    },
    stop: async () => void (await daemon.stop()),
    crash: async () => void (await daemon.crash()),
    processes: () => (daemon.process.running() ? [daemon.process.pid] : []),
    log: () => daemon.process.output(),
  };
}
