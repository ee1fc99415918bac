/** What the daemon may do on this machine, said in one clear line when it is not enough. */
import { readFileSync } from "node:fs";
import { FirsthopError } from "../errors.js";
import { unlessRoot } from "../root-advice.js";

/** Bits of capability sets: capabilities(7). */
const CAPABILITY_BITS = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n } as const;

/** The capabilities that are needed and not there, by the `CapEff` line of /proc/self/status. */
export function missingCapabilities(procStatus: string): string[] {
  const effective = /^CapEff:\s*([0-9a-f]+)$/im.exec(procStatus)?.[1];
  if (effective === undefined) return [];
  const set = BigInt(`0x${effective}`);
  return Object.entries(CAPABILITY_BITS)
    .filter(([, bit]) => ((set >> bit) & 1n) === 0n)
    .map(([name]) => name);
}

/** @throws FirsthopError PERMISSION that names the missing capabilities. */
export function requireCapabilities(): void {
  if (process.platform !== "linux") return;
  const missing = missingCapabilities(readFileSync("/proc/self/status", "utf8"));
  if (missing.length === 0) return;
  throw new FirsthopError(
    "PERMISSION",
    `${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing: ` +
      unlessRoot(
        "give the process CAP_NET_ADMIN and CAP_NET_RAW (and CAP_SYS_NICE for real-time scheduling)",
      ),
  );
}

/** What to tell when the heartbeat thread got no real-time class, or no locked memory; null when it got both. */
export function realtimeWarning(timing: {
  readonly realtime: boolean;
  readonly memoryLocked: boolean;
}): string | null {
  const missing = [
    ...(timing.realtime
      ? []
      : [{ what: "no real-time scheduling", give: "CAP_SYS_NICE or a real-time limit (LimitRTPRIO=)" }]),
    ...(timing.memoryLocked
      ? []
      : [{ what: "memory is not locked", give: "CAP_IPC_LOCK or a limit of locked memory (LimitMEMLOCK=)" }]),
  ];
  if (missing.length === 0) return null;
  return (
    `${missing.map(({ what }) => what).join(", and ")}: deadlines may be late on a busy machine; ` +
    `give ${missing.map(({ give }) => give).join(", and ")} to the daemon`
  );
}
