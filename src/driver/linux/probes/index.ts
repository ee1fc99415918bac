/** What trackers try on this machine. Everything that is under way is known here, and ended by `close`. */
import type { TrackResult, Untried } from "../../../core/tracking/verdict.js";
import type { ProbeRequest, ProbeRun, Probes } from "../../driver.js";
import { isShortage } from "../refusal.js";
import { readNumberFile } from "./file.js";
import { probeHttp } from "./http.js";
import { countProcesses, processOfPidFile } from "./process.js";
import { Scripts } from "./script.js";
import { probeTcp } from "./tcp.js";
import { probeUdp } from "./udp.js";

const LOOK_UP_MS = 10_000;

export interface LinuxProbes extends Probes {
  /** Ends all probes; resolves when no process of them is left. */
  close(): Promise<void>;
}

export function openLinuxProbes(): LinuxProbes {
  const scripts = new Scripts();
  const running = new Set<ProbeRun>();
  return {
    start(request, timeoutUs) {
      const run = begin(request, timeoutUs / 1000, scripts);
      running.add(run);
      void run.result.then(() => running.delete(run));
      return run;
    },
    close() {
      for (const run of running) run.cancel();
      running.clear();
      return scripts.close();
    },
  };
}

function begin(request: ProbeRequest, timeoutMs: number, scripts: Scripts): ProbeRun {
  switch (request.probe) {
    case "tcp":
      return limited(timeoutMs, (signal) => probeTcp(request, signal));
    case "udp":
      return limited(timeoutMs, (signal) => probeUdp(request, signal));
    case "http":
      return limited(timeoutMs, (signal) => probeHttp(request, signal));
    case "script":
      return scripts.run(request, timeoutMs);
    case "process":
      return lookedUp(() => countProcesses(request.name, request.minimum));
    case "pidFile":
      return lookedUp(() => processOfPidFile(request.path));
    case "file":
      return lookedUp(() => readNumberFile(request.path));
  }
}

/**
 * What this machine looks up by itself. That it is slow to do so, as one is whose processors are busy, says nothing
 * about what is looked for; a file system that hangs is told of, and what was known stays.
 */
function lookedUp(look: () => Promise<TrackResult>): ProbeRun {
  return limited(LOOK_UP_MS, look, { untried: `took longer than ${LOOK_UP_MS / 1000} s to look up` });
}

/** A probe that an aborted signal ends. What it throws is a failure like any other. */
function limited(
  timeoutMs: number,
  probe: (signal: AbortSignal) => Promise<TrackResult>,
  tooLate: TrackResult | Untried = { up: false, evidence: `no answer within ${timeoutMs} ms` },
): ProbeRun {
  const abort = new AbortController();
  const late = new Promise<TrackResult | Untried>((resolve) => {
    const timer = setTimeout(() => {
      resolve(tooLate);
      abort.abort();
    }, timeoutMs);
    abort.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve({ up: false, evidence: "not finished" });
    });
  });
  const found = probe(abort.signal).catch((error: unknown): TrackResult | Untried => {
    const why = error instanceof Error ? error.message : String(error);
    return isShortage(error) ? { untried: why } : { up: false, evidence: why };
  });
  return {
    result: Promise.race([found, late]).finally(() => abort.abort()),
    cancel: () => abort.abort(),
  };
}
