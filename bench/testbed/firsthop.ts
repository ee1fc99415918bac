/** Our own daemon as a speaker. */
import { daemonConfig, startDaemon } from "../../src/lab/daemon.js";
import { type Speaker, type StartSpeaker, withDefaults } from "./speaker.js";

/** Starts the built daemon (dist) in a router and waits until it answers. */
export const startFirsthop: StartSpeaker = async (lab, router, given): Promise<Speaker> => {
  const options = withDefaults(given);
  const config = daemonConfig({
    vrid: options.vrid,
    family: options.family,
    version: options.version,
    priority: options.priority,
    intervalMs: options.intervalMs,
    addresses: options.addresses,
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
  const daemon = await startDaemon(lab, router, config);
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
    log: () => daemon.process.output(),
  };
};
