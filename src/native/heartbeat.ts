/** The part of the addon's surface in native/heartbeat_addon.cc: the heartbeat engine as it is, unwrapped. */
import type { HeartbeatProgram, KernelStep, Operation } from "../core/automaton.js";
import type {
  EngineTiming,
  HeartbeatReport,
  PortCounters,
  Sequences,
  SessionView,
} from "../driver/driver.js";
import type { NativeOwnership } from "./ownership.js";

/** Also reported: a list of steps given to `perform` is done. */
export interface PerformedReport {
  readonly type: "performed";
  readonly number: number;
  readonly failures: readonly { readonly label: string; readonly errno: string }[];
  readonly atUs: number;
}

/**
 * One engine: a heartbeat thread and a kernel lane. Wrong arguments throw TypeError, refused system calls an Error
 * whose `code` is the errno's name.
 */
export interface NativeHeartbeat {
  /**
   * AF_PACKET socket on an interface; the filter is a classic BPF program, 8 octets an instruction. UDP ports are held
   * there, so that the kernel does not answer with ICMP errors; one that somebody else has is left to them.
   */
  openLanPort(
    ifindex: number,
    filter: Uint8Array,
    memberships: readonly Uint8Array[],
    groups: readonly string[],
    udpPorts?: readonly number[],
  ): number;
  /** Raw socket that sends whole IP datagrams; ifindex 0 leaves the way to the routing table. */
  openDatagramPort(ipv6: boolean, ifindex: number): number;
  /** False when there is no such port. */
  closePort(port: number): boolean;
  createSession(): number;
  removeSession(session: number): boolean;
  /** False when `epoch` is not the session's. Null keeps the session's program. */
  load(
    session: number,
    program: HeartbeatProgram | null,
    posture: number,
    operations: readonly Operation[],
    baseUs: number,
    epoch: number,
  ): boolean;
  /** `table` is what `openOwnership` returned, null to unbind; limitUs 0: for ever. */
  bindLease(
    session: number,
    table: NativeOwnership | null,
    slot: number,
    overdueUs: number,
    limitUs: number,
  ): void;
  /** Null without a program. */
  look(session: number, freeze: boolean): SessionView | null;
  sequences(session: number): Sequences;
  /** `heard` null: any number is right next. */
  setSequences(session: number, sent: number, heard: number | null): void;
  noteSequence(session: number, heard: number): void;
  counters(session: number): Float64Array;
  portCounters(port: number): PortCounters;
  timing(): EngineTiming;
  send(port: number, frame: Uint8Array): boolean;
  /** Steps for the kernel lane; a PerformedReport with `number` follows. */
  perform(steps: readonly KernelStep[], number: number): void;
  /** JavaScript is alive: postpones `controlLost`, or ends it. */
  renew(): void;
  /** Whether the open engine keeps the event loop running. */
  setAlive(alive: boolean): void;
  /** Fires `controlLost`, gives the kernel lane 200 ms, ends the threads. Later calls throw. */
  close(): void;
}

export interface NativeHeartbeatApi {
  readonly NativeHeartbeat: new (
    onReports: (reports: readonly (HeartbeatReport | PerformedReport)[]) => void,
    controlTimeoutUs: number,
  ) => NativeHeartbeat;
  /** CLOCK_MONOTONIC in whole microseconds. */
  monotonicUs(): number;
}
