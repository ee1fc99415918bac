/** This machine: the native heartbeat engine and the Linux kernel behind the driver seam. */
import { loadNative } from "../../native.js";
import type { Driver } from "../driver.js";
import { openLinuxAlarms } from "./alarms.js";
import { runCommand } from "./command.js";
import { type LinuxHeartbeat, openLinuxHeartbeat } from "./heartbeat.js";
import { openLinuxKernel } from "./kernel.js";
import { openLinuxProber } from "./prober.js";
import { openLinuxProbes } from "./probes/index.js";
import { openStateStore } from "./state-store.js";

export interface LinuxDriverOptions {
  /** Where what must survive a restart is kept. */
  readonly stateDirectory: string;
}

/** @throws FirsthopError NATIVE_UNAVAILABLE */
export function openLinuxDriver({ stateDirectory }: LinuxDriverOptions): Driver {
  const alarms = openLinuxAlarms(loadNative);
  const closers: (() => Promise<void> | void)[] = [() => alarms.close()];
  let engine: LinuxHeartbeat | null = null;
  return {
    openHeartbeat(heartbeatOptions) {
      const heartbeat = openLinuxHeartbeat(heartbeatOptions);
      engine = heartbeat;
      closers.push(() => heartbeat.close());
      return heartbeat;
    },
    openKernel(kernelOptions) {
      const kernel = openLinuxKernel(kernelOptions, engine?.perform);
      closers.push(() => kernel.close());
      return kernel;
    },
    runCommand,
    openProbes() {
      // What probes need is there from the start, also when this machine has run out of it later.
      alarms.open();
      const probes = openLinuxProbes(alarms);
      closers.push(() => probes.close());
      return probes;
    },
    openProber() {
      const prober = openLinuxProber(loadNative);
      closers.push(() => prober.close());
      return prober;
    },
    store: openStateStore(stateDirectory),
    wallClockMs: () => Date.now(),
    setTimer(afterUs, run) {
      const timer = setTimeout(run, Math.ceil(afterUs / 1000));
      return () => clearTimeout(timer);
    },
    setAlarm: (atUs, run) => alarms.set(atUs, run),
    async close() {
      for (const close of closers.splice(0)) await close();
    },
  };
}
