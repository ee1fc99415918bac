/**
 * The kernel takes network namespaces away in its own time, after the command that removed them: thousands of devices
 * for seconds, with the lock that every change of a device or an address wants. What is measured meanwhile is that.
 */
import { readdirSync, readFileSync } from "node:fs";
import { pause } from "../../src/lab/wait.js";

/** Longer than its own labs need; somebody else on this machine may remove namespaces all the time. */
const BOUND_MS = 15_000;
const LOOK_MS = 60;

/** A worker thread of the kernel has the name of what it works at behind a plus sign. */
const REMOVES = /^kworker\/.*\+netns$/;

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
  } catch {
    return ""; // It ended in the meantime.
  }
}

const removesNamespaces = (): boolean =>
  readdirSync("/proc").some((pid) => /^\d+$/.test(pid) && REMOVES.test(nameOf(pid)));

/** Waits until no namespace is being removed. @param looks As often in a row must that be so. */
export async function namespacesRemoved(looks = 1): Promise<void> {
  const giveUpAt = performance.now() + BOUND_MS;
  for (let quiet = 0; performance.now() < giveUpAt; ) {
    quiet = removesNamespaces() ? 0 : quiet + 1;
    if (quiet >= looks) return;
    await pause(LOOK_MS);
  }
}
