/** What trackers try on this machine. Everything that is under way is known here, and ended by `close`. */
import { sparedUs } from "../../../core/tracking/pace.js";
import type { TrackResult, Untried } from "../../../core/tracking/verdict.js";
import { isShortage } from "../../../shortage-advice.js";
import type { ProbeRequest, ProbeRun, Probes, ProbeTime } from "../../driver.js";
import type { Alarms } from "../alarms.js";
import { readNumberFile } from "./file.js";
import { probeHttp } from "./http.js";
import { countProcesses, processOfPidFile } from "./process.js";
import { Scripts } from "./script.js";
import { probeTcp } from "./tcp.js";
import { probeUdp } from "./udp.js";

const LOOK_UP_US = 10_000_000;

export interface LinuxProbes extends Probes {
  /** Ends all probes; resolves when no process of them is left. */
  close(): Promise<void>;
}

export function openLinuxProbes(alarms: Alarms): LinuxProbes {
  const scripts = new Scripts();
  const running = new Set<ProbeRun>();
  return {
    start(request, time) {
      const run = begin(request, time, { alarms, scripts });
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

interface Means {
  readonly alarms: Alarms;
  readonly scripts: Scripts;
}

function begin(request: ProbeRequest, time: ProbeTime, { alarms, scripts }: Means): ProbeRun {
  switch (request.probe) {
    case "tcp":
      return limited(alarms, time, (signal) => probeTcp(request, signal));
    case "udp":
      return limited(alarms, time, (signal) => probeUdp(request, signal));
    case "http":
      return limited(alarms, time, (signal) => probeHttp(request, signal));
    case "script":
      return scripts.run(request, time.timeoutUs / 1000);
    case "process":
      return lookedUp(alarms, () => countProcesses(request.name, request.minimum));
    case "pidFile":
      return lookedUp(alarms, () => processOfPidFile(request.path));
    case "file":
      return lookedUp(alarms, () => readNumberFile(request.path));
  }
}

/**
 * What this machine looks up by itself. That it is slow to do so, as one is whose processors are busy, says nothing
 * about what is looked for; a file system that hangs is told of, and what was known stays.
 */
function lookedUp(alarms: Alarms, look: () => Promise<TrackResult>): ProbeRun {
  const time = { timeoutUs: LOOK_UP_US, deadlineUs: alarms.now() + LOOK_UP_US };
  return limited(alarms, time, look, { untried: `took longer than ${LOOK_UP_US / 1e6} s to look up` });
}

/** A probe that an aborted signal ends. What it throws is a failure like any other. */
function limited(
  alarms: Alarms,
  { timeoutUs, deadlineUs }: ProbeTime,
  probe: (signal: AbortSignal) => Promise<TrackResult>,
  tooLate: TrackResult | Untried = { up: false, evidence: `no answer within ${timeoutUs / 1000} ms` },
): ProbeRun {
  const abort = new AbortController();
  const late = new Promise<TrackResult | Untried>((resolve) => {
    const fail = (): void => resolve(tooLate);
    const judge = (): void => {
      const nowUs = alarms.now();
      const moreUs = sparedUs(nowUs - deadlineUs, timeoutUs);
      if (moreUs === 0) fail();
      else cancel = alarms.set(nowUs + moreUs, fail);
    };
    let cancel = alarms.set(deadlineUs, judge);
    abort.signal.addEventListener("abort", () => {
      cancel();
      resolve({ up: false, evidence: "not finished" });
    });
  });
  const found = probe(abort.signal).catch((error: unknown): TrackResult | Untried => {
    const why = error instanceof Error ? error.message : String(error);
    return isShortage(error) ? { untried: why } : { up: false, evidence: why };
  });
  const result = Promise.race([found, late]);
  // First what follows from it: to take a request down costs as much as to make one.
  void result.then(() => setImmediate(() => abort.abort()));
  return { result, cancel: () => abort.abort() };
}
