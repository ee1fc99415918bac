/** The native heartbeat engine behind the driver seam. */
import type { KernelStep } from "../../core/automaton.js";
import { FirsthopError } from "../../errors.js";
import type { NativeHeartbeat, PerformedReport } from "../../native/heartbeat.js";
import { loadNative } from "../../native.js";
import { unlessRoot } from "../../root-advice.js";
import type { Heartbeat, HeartbeatOptions, HeartbeatReport } from "../driver.js";
import type { LinuxLease } from "./ownership.js";

type Failures = PerformedReport["failures"];

/** The engine, and the kernel lane that it shares with the driver's kernel side. */
export interface LinuxHeartbeat extends Heartbeat {
  /** Carries out steps in order with the programs' kernel plans. */
  perform(steps: readonly KernelStep[]): Promise<Failures>;
  /** Whether the open engine keeps the event loop running; it does unless told otherwise. */
  setAlive(alive: boolean): void;
  /** Fires `controlLost` for every session and ends the threads. Safe to repeat. */
  close(): void;
}

/** What becomes of steps that the kernel lane had not reported when the engine was closed. */
const UNREPORTED: Failures = [{ label: "engine closed", errno: "ECANCELED" }];

/** How often within `controlTimeout` JavaScript shows that it lives. */
const RENEWALS_PER_TIMEOUT = 8;

/**
 * Starts the engine's threads.
 * @throws FirsthopError NATIVE_UNAVAILABLE, PERMISSION
 */
export function openLinuxHeartbeat(options: HeartbeatOptions): LinuxHeartbeat {
  const native = loadNative();
  const performing = new Map<number, (failures: Failures) => void>();
  let performed = 0;

  const onReports = (reports: readonly (HeartbeatReport | PerformedReport)[]): void => {
    engine.renew();
    const rest: HeartbeatReport[] = [];
    for (const report of reports) {
      if (report.type !== "performed") {
        rest.push(report);
        continue;
      }
      performing.get(report.number)?.(report.failures);
      performing.delete(report.number);
    }
    if (rest.length > 0) options.onReports(rest);
  };
  const engine: NativeHeartbeat = new native.NativeHeartbeat(onReports, options.controlTimeoutUs);
  const renewal = setInterval(() => engine.renew(), options.controlTimeoutUs / 1000 / RENEWALS_PER_TIMEOUT);
  // process.exit() ends the main thread without the addon's clean-up hooks: an Active would just fall silent.
  const resign = (): void => engine.close();
  process.on("exit", resign);

  return {
    now: () => native.monotonicUs(),
    openPort: (port) =>
      permitted(() =>
        port.kind === "packet"
          ? engine.openLanPort(port.ifindex, port.filter, port.memberships, port.groups, port.udpPorts ?? [])
          : engine.openDatagramPort(port.family === "ipv6", port.ifindex),
      ),
    closePort: (port) => void engine.closePort(port),
    createSession: () => engine.createSession(),
    removeSession: (session) => void engine.removeSession(session),
    load: (session, program, entry, epoch) =>
      engine.load(session, program, entry.posture, entry.operations, entry.baseUs, epoch),
    bindLease(session, lease, { overdueUs, limitUs }) {
      const table = (lease as LinuxLease | null)?.table ?? null;
      engine.bindLease(session, table, lease?.slot ?? 0, overdueUs, limitUs ?? 0);
    },
    look: (session, freeze) => engine.look(session, freeze),
    sequences: (session) => engine.sequences(session),
    setSequences: (session, { sent, heard }) => engine.setSequences(session, sent, heard),
    noteSequence: (session, heard) => engine.noteSequence(session, heard),
    counters: (session) => engine.counters(session),
    portCounters: (port) => engine.portCounters(port),
    timing: () => engine.timing(),
    send: (port, frame) => void engine.send(port, frame),
    perform: (steps) =>
      new Promise((resolve) => {
        performed = (performed + 1) >>> 0;
        performing.set(performed, resolve);
        engine.perform(steps, performed);
      }),
    setAlive(alive) {
      engine.setAlive(alive);
      if (alive) renewal.ref();
      else renewal.unref();
    },
    close() {
      process.off("exit", resign);
      clearInterval(renewal);
      engine.close();
      for (const resolve of performing.values()) resolve(UNREPORTED);
      performing.clear();
    },
  };
}

function permitted<T>(open: () => T): T {
  try {
    return open();
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code !== "EPERM" && code !== "EACCES") throw cause;
    throw new FirsthopError(
      "PERMISSION",
      `packet sockets need CAP_NET_RAW: ${unlessRoot("give it to the process")}`,
      {
        cause,
      },
    );
  }
}
