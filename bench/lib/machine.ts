/** What this machine is, and what it was doing meanwhile. */
import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import type { Activity, MachineInfo } from "./model.js";

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

export function machineInfo(): MachineInfo {
  const virtual = /^flags.*\bhypervisor\b/m.test(read("/proc/cpuinfo"));
  const maker = [read("/sys/class/dmi/id/sys_vendor"), read("/sys/class/dmi/id/product_name")]
    .join(" ")
    .trim();
  const runtime = read("/proc/sys/kernel/sched_rt_runtime_us");
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    hypervisor: virtual ? `virtual machine${maker ? ` (${maker})` : ""}` : "none seen",
    clockSource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource") || "unknown",
    node: process.version,
    realtime: runtime
      ? `${runtime} us of every ${read("/proc/sys/kernel/sched_rt_period_us")} us`
      : "no limit that could be read",
  };
}

interface Ticks {
  readonly all: number;
  readonly idle: number;
  readonly steal: number;
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function readTicks(text: string): Ticks {
  const fields = (/^cpu +(.*)$/m.exec(text)?.[1] ?? "").split(" ").map(Number).slice(0, 8);
  const at = (index: number): number => fields[index] ?? 0;
  return { all: fields.reduce((sum, value) => sum + value, 0), idle: at(3) + at(4), steal: at(7) };
}

/** Begins to watch; the function returned says what happened since. */
export function watchActivity(): () => Activity {
  const before = readTicks(read("/proc/stat"));
  const load1Before = loadavg()[0] ?? 0;
  return () => {
    const now = readTicks(read("/proc/stat"));
    const all = Math.max(1, now.all - before.all);
    return {
      load1Before,
      load1After: loadavg()[0] ?? 0,
      busy: 1 - (now.idle - before.idle) / all,
      steal: (now.steal - before.steal) / all,
    };
  };
}
