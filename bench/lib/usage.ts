/** What processes used: processor time to the nanosecond, and memory, as the kernel accounts for them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // It ended in the meantime.
  }
}

const tasksOf = (pid: number): string[] => {
  const folder = `/proc/${pid}/task`;
  return existsSync(folder) ? readdirSync(folder) : [];
};

/** Seconds on a processor of all threads of the processes: the first number of /proc/PID/task/TID/schedstat. */
export function cpuSeconds(pids: readonly number[]): number {
  const nanoseconds = pids
    .flatMap((pid) => tasksOf(pid).map((task) => text(`/proc/${pid}/task/${task}/schedstat`)))
    .reduce((sum, line) => sum + Number(line.split(" ")[0] ?? 0), 0);
  return nanoseconds / 1e9;
}

/** Why processor time can't be read; null: it can. */
export function whyNoCpuTimes(): string | null {
  return existsSync("/proc/self/schedstat") ? null : "this kernel keeps no /proc/PID/schedstat";
}

/** Resident memory of all processes together, in megabytes (10^6). Shared pages count in each. */
export function residentMb(pids: readonly number[]): number {
  const kilobytes = pids
    .map((pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0))
    .reduce((sum, value) => sum + value, 0);
  return (kilobytes * 1024) / 1e6;
}
