/**
 * The seam between the engine (which decides) and the machine (which has sockets, clocks and a kernel).
 * Two implementations: `linux` over the native addon, and `simulated` on a virtual clock. Nothing above this
 * file may know which of the two it runs on; nothing below it may know a protocol.
 */
import type { HeartbeatProgram, KernelStep, PortId, ProgramEntry } from "../core/automaton.js";
import type { IpFamily } from "../core/vrrp/advertisement.js";
import type { Prober } from "./prober.js";

export type { ProbeCounts, ProbedTarget, ProbeNews, Prober, Probing, Sighting } from "./prober.js";

import type { CommandRequest, CommandRun } from "./command.js";
import type { Probes } from "./probes.js";

export type { CommandRequest, CommandResult, CommandRun } from "./command.js";
export type { ProbePath, ProbeRequest, ProbeRun, Probes, ProbeTime } from "./probes.js";

/** A virtual router (later: a BFD session, a gateway member) as the heartbeat engine sees it. */
export type SessionId = number;

/** What a port lets in and out. */
export interface PortOptions {
  readonly kind: "packet";
  readonly ifindex: number;
  /** Classic BPF program, 8 octets an instruction (struct sock_filter, host order); decides what is received. */
  readonly filter: Uint8Array;
  /** Ethernet multicast addresses that the interface must let in (6 octets each). */
  readonly memberships: readonly Uint8Array[];
  /** IP groups to join, so that snooping switches forward them: "224.0.0.18", "ff02::12". */
  readonly groups: readonly string[];
  /** UDP ports that frames of this port are addressed to: the kernel is kept from answering that nobody listens. */
  readonly udpPorts?: readonly number[];
}

/** A port that sends whole IP datagrams by the kernel's routing (unicast peers); it receives nothing. */
export interface DatagramPortOptions {
  readonly kind: "datagram";
  readonly family: IpFamily;
  /** Interface that datagrams must leave by; 0 for the routing table's choice. */
  readonly ifindex: number;
}

/** What the heartbeat engine tells JavaScript, in the order in which it happened. */
export type HeartbeatReport =
  /** A transition with `report` was carried out. */
  | {
      readonly type: "transition";
      readonly session: SessionId;
      /** Number of reported transitions of this session so far, this one included. */
      readonly epoch: number;
      readonly from: number;
      readonly to: number;
      readonly transition: number;
      /** The deadline or receive stamp that triggered it (monotonic microseconds). */
      readonly atUs: number;
      /** When the engine carried it out. */
      readonly carriedOutUs: number;
    }
  /** A frame that no pattern of a current posture knew. */
  | { readonly type: "frame"; readonly port: PortId; readonly frame: Uint8Array; readonly atUs: number }
  /** A kernel plan ended; `failures` is empty when every step went through. */
  | {
      readonly type: "kernel";
      readonly session: SessionId;
      readonly epoch: number;
      readonly atUs: number;
      readonly failures: readonly { readonly label: string; readonly errno: string }[];
    }
  /**
   * A port's interface went down (ENETDOWN, ENXIO: it works again by itself once the interface is up), or away
   * for good (ENODEV: the port is dead; close it).
   */
  | { readonly type: "portError"; readonly port: PortId; readonly errno: string; readonly atUs: number }
  /** JavaScript was silent for longer than `controlTimeout`, and is back. Follows the transitions it caused. */
  | { readonly type: "controlRestored"; readonly silentForUs: number; readonly atUs: number };

/** Frames that never reached JavaScript, by why. Cumulative. */
export interface PortCounters {
  readonly received: number;
  readonly matched: number;
  readonly delivered: number;
  /** Left out because one sender or the whole port was over its rate. */
  readonly droppedUnread: number;
  /** Dropped by the kernel because the socket's buffer was full. */
  readonly droppedByKernel: number;
  readonly sent: number;
  readonly sendErrors: number;
}

/** How punctual the engine is. Cumulative; microseconds. */
export interface EngineTiming {
  readonly wakeups: number;
  readonly latenessMaxUs: number;
  /** Upper bounds in microseconds of the histogram's buckets, and the counts (one more: above the last). */
  readonly latenessBoundsUs: readonly number[];
  readonly latenessCounts: readonly number[];
  /** Periods left out because the thread came more than one period late. */
  readonly skippedPeriods: number;
  /** Turns that a second thread took because the first one was kept from running. */
  readonly standIns: number;
  readonly realtime: boolean;
  readonly memoryLocked: boolean;
}

/** The heartbeat engine. All calls are synchronous and short; reports come later, in batches. */
export interface Heartbeat {
  /** Monotonic time, microseconds. */
  now(): number;
  openPort(options: PortOptions | DatagramPortOptions): PortId;
  closePort(port: PortId): void;
  createSession(): SessionId;
  removeSession(session: SessionId): void;
  /**
   * Replaces a session's program. Refused (false) when `epoch` is not the session's: a transition happened
   * that JavaScript has not read yet; its report is already queued and must be handled first. Null keeps the
   * program that the session has, and only enters it elsewhere.
   */
  load(session: SessionId, program: HeartbeatProgram | null, entry: ProgramEntry, epoch: number): boolean;
  /**
   * Where the session's `lease` operations take effect, and how long the filter believes in them. Null ends what was
   * bound before.
   */
  bindLease(session: SessionId, lease: Lease | null, terms: LeaseTerms): void;
  /**
   * Where a session is now, for another process to go on from; null without a program. `freeze`: in this one it does
   * nothing any more until a program is loaded; its lease is left as it is.
   */
  look(session: SessionId, freeze: boolean): SessionView | null;
  /** Numbers of sealed frames: the last that left, and the last that was believed (null: any is, next). */
  sequences(session: SessionId): Sequences;
  /** Goes on with the numbers of another process. */
  setSequences(session: SessionId, sequences: Sequences): void;
  /** JavaScript believed a sealed frame that no pattern knew. */
  noteSequence(session: SessionId, heard: number): void;
  /** The session's counters since it was created (MAX_COUNTERS numbers). */
  counters(session: SessionId): Float64Array;
  portCounters(port: PortId): PortCounters;
  timing(): EngineTiming;
  /** Sends frames outside any program (ARP answers); not for heartbeats. */
  send(port: PortId, frame: Uint8Array): void;
}

export interface Sequences {
  readonly sent: number;
  readonly heard: number | null;
}

/** A place in the table that the kernel's filter consults for each packet. Made by `Kernel.prepare`; opaque. */
export interface Lease {
  readonly slot: number;
}

/** A session between two processes. JSON. */
export interface SessionView {
  readonly posture: number;
  /** By timer, monotonic microseconds; null for one that does not run. */
  readonly deadlinesUs: readonly (number | null)[];
  readonly counters: readonly number[];
}

export interface LeaseTerms {
  /** From this long after the last renewal on, a successor's claim is believed. */
  readonly overdueUs: number;
  /** How long after the last renewal packets are let in if no successor is heard; null: for ever. */
  readonly limitUs: number | null;
}

export interface HeartbeatOptions {
  readonly onReports: (reports: readonly HeartbeatReport[]) => void;
  /** Microseconds without a sign of life from JavaScript until `controlLost` fires. */
  readonly controlTimeoutUs: number;
}

/** A network interface of the kernel. */
export interface LinkInfo {
  readonly ifindex: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** IFF_UP. */
  readonly adminUp: boolean;
  /** IFF_LOWER_UP / operational state: the line works. */
  readonly carrier: boolean;
  readonly kind: string | null;
  readonly parentIfindex: number | null;
  readonly masterIfindex: number | null;
  readonly alias: string | null;
  /** Null for what is no macvlan. */
  readonly macvlanMode: MacvlanMode | null;
}

export type MacvlanMode = "private" | "vepa" | "bridge" | "passthru" | "source";

export interface AddressInfo {
  readonly ifindex: number;
  /** "192.0.2.2" or "fe80::1", without length. */
  readonly address: string;
  readonly prefixLength: number;
  readonly family: IpFamily;
  readonly tentative: boolean;
  readonly secondary: boolean;
}

export type KernelNews =
  | { readonly type: "link"; readonly link: LinkInfo }
  | { readonly type: "linkGone"; readonly ifindex: number; readonly name: string }
  | { readonly type: "address"; readonly address: AddressInfo }
  | { readonly type: "addressGone"; readonly address: AddressInfo };

/** A route of a kernel's tables that may carry packets (unicast, not blackhole and the like). */
export interface RouteInfo {
  /** Canonical: "0.0.0.0/0". */
  readonly prefix: string;
  readonly table: number;
  /** rtm_protocol: who made it. */
  readonly protocol: number;
  /** Its ways that work; those whose line or device is dead are left out. */
  readonly nextHops: readonly { readonly via: string | null; readonly ifindex: number }[];
}

/** Where one virtual router's addresses live. */
export interface VirtualInterfaceRequest {
  /** "eth0/10/ipv4": tags what is created, so that it is recognised after a crash. */
  readonly owner: string;
  readonly parentIfindex: number;
  readonly family: IpFamily;
  readonly vrid: number;
  /** The virtual MAC; null when addresses go on the parent itself (`virtualMac: false`). */
  readonly mac: string | null;
  /** "192.0.2.1/24" … with prefix length as configured. */
  readonly addresses: readonly string[];
  /** Whether the addresses are put on the interface while Active (accept mode). */
  readonly accept: boolean;
}

/** A prepared place for a virtual router: a parked macvlan, or the parent itself. */
export interface VirtualInterface {
  readonly ifindex: number;
  readonly name: string;
  readonly mac: string;
  /** Steps that let packets in. Hosts may be pointed here as soon as they are done. */
  readonly open: readonly KernelStep[];
  /** What completes the opening but need not keep the hosts waiting: addresses that this router answers on. */
  readonly settle: readonly KernelStep[];
  /** The reverse of both. No link goes down in any of them. */
  readonly close: readonly KernelStep[];
  /** What the filter asks before it lets packets in; null where there is no filter, and the device itself is closed. */
  readonly lease: Lease | null;
}

/** Where an interface's packets are judged by ownership. */
export type OwnershipHook = "xdp" | "xdp-generic" | "tc";

/** What keeps packets out that this router does not own. */
export interface OwnershipStatus {
  readonly hook: OwnershipHook | "off";
  /** Why there is no filter although one was wanted, or why it is not the one that was. */
  readonly detail: string | null;
}

/** The kernel's configuration: links, addresses, sysctls. */
export interface Kernel {
  /** Links and addresses as they are now; afterwards `onNews` reports each change. */
  snapshot(): Promise<{ readonly links: readonly LinkInfo[]; readonly addresses: readonly AddressInfo[] }>;
  /** Creates or adopts what a virtual router needs, silent (parked). Throws a FirsthopError with the reason. */
  prepare(request: VirtualInterfaceRequest): Promise<VirtualInterface>;
  /** How the packets of a parent interface are judged; null where nothing was prepared on it. */
  ownership(parentIfindex: number): OwnershipStatus | null;
  /** The setting that keeps packets which come in by an interface from being forwarded; null: nothing does. */
  forwardingOff(interfaceName: string, family: IpFamily): string | null;
  /**
   * What this machine holds, as JSON, for the process that is to go on with it (`KernelOptions.inheritance`). Nothing
   * is prepared or released from here on.
   */
  bequeath(): Promise<unknown>;
  /** The heir did not come: this process goes on. */
  keep(): void;
  /** Undoes `prepare`. Links are removed together, because each removal alone costs a grace period. */
  release(owners: readonly string[]): Promise<void>;
  /** Finds and removes what a dead predecessor left (links, addresses, sysctls); says what it was. */
  recover(): Promise<readonly string[]>;
  /** Carries out steps in order through the same lane as the programs' kernel plans. */
  perform(
    steps: readonly KernelStep[],
  ): Promise<readonly { readonly label: string; readonly errno: string }[]>;
  /**
   * Follows the routes to exactly this prefix, in all tables: tells them soon, and all of them again whenever they may
   * have changed. Returns how to end it.
   */
  watchRoutes(prefix: string, onRoutes: (routes: readonly RouteInfo[]) => void): () => void;
}

export interface KernelOptions {
  readonly onNews: (news: KernelNews) => void;
  /** Somebody else took the ownership filter off this interface; what came of it. */
  readonly onFilterLost?: (interfaceName: string, outcome: string) => void;
  /** Which hook judges packets by ownership; "auto" finds one. */
  readonly ownership: OwnershipHook | "auto" | "off";
  /** What a predecessor bequeathed: prepared places are found there, and are this process' own from now on. */
  readonly inheritance?: unknown;
  /** Directory for what must survive a crash: old sysctl values, learned checksum forms. */
  readonly stateDirectory: string;
}

/** One machine: a heartbeat engine and a kernel. */
export interface Driver {
  openHeartbeat(options: HeartbeatOptions): Heartbeat;
  openKernel(options: KernelOptions): Kernel;
  /** What trackers try; ended by `close`, which leaves nothing of a probe behind. */
  openProbes(): Probes;
  /** Probes that hosts answer by themselves, and who is a neighbour. */
  openProber(): Prober;
  /** Runs a command in a process group of its own, without a shell. */
  runCommand(request: CommandRequest): CommandRun;
  /** A small file store that survives restarts (learned checksum forms); keys are plain names. */
  readonly store: { read(key: string): string | null; write(key: string, value: string): void };
  /** Wall clock for time stamps in logs and events, milliseconds since 1970. */
  wallClockMs(): number;
  /** A timer on the JavaScript loop, for what needs no precision. Returns how to cancel it. */
  setTimer(afterUs: number, run: () => void): () => void;
  /**
   * A punctual one, for a moment of the heartbeat's clock: it goes off within a turn of the JavaScript loop, after what
   * came in before that moment; where the moment is over, as soon as the loop turns. Returns how to cancel it.
   */
  setAlarm(atUs: number, run: () => void): () => void;
  /** Ends the engine thread and closes every descriptor. What the kernel holds is not undone (see release). */
  close(): Promise<void>;
}
