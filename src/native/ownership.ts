/**
 * The part of the addon's surface in native/ownership_addon.cc: who forwards, enforced by BPF programs
 * (native/bpf) at the interfaces. All calls work in the network namespace of the process and may wait for the
 * kernel for some tens of milliseconds (`attach`, `detach`, `close`, `clearOwnership`).
 * Wrong arguments throw a TypeError; what the kernel refuses throws an Error with `code` ("EPERM", "EBUSY", …).
 * Times are CLOCK_MONOTONIC in microseconds.
 */

/**
 * How frames come in: native XDP (EOPNOTSUPP: not with this driver), generic XDP, tc ("tc" is tcx, or clsact
 * where the kernel has no tcx; "tc-clsact" always clsact). EBUSY: another XDP program is there.
 */
export type OwnershipHook = "xdp" | "xdp-generic" | "tc" | "tc-clsact";

export type OwnershipPlace =
  | "xdp"
  | "xdp-generic"
  | "tcx-ingress"
  | "tcx-egress"
  | "clsact-ingress"
  | "clsact-egress";

export type OwnershipProgram =
  | "xdp"
  | "ingress"
  | "egress"
  | "bare-xdp-pass"
  | "bare-xdp-drop"
  | "bare-tc-pass"
  | "bare-tc-drop"
  /** Ends the way along the programs of its place, and lets the frame through. */
  | "bare-tc-end";

/** One MAC address that hosts send to, where they send to it. */
export interface OwnershipGroupKey {
  readonly ifindex: number;
  /** VLAN identifiers of the tags, the outer one first; at most two. Default: untagged. */
  readonly vlans?: readonly number[];
  readonly mac: string;
}

export interface OwnershipGroup extends OwnershipGroupKey {
  /** ARP requests and neighbour solicitations for these are for the owner only. */
  readonly addresses: readonly string[];
  /** From this long after the last renewal on, a successor's claim is believed. */
  readonly overdueUs: number;
  /** This long after the last renewal forwarding ends; 0: never. A clock tick (1 to 10 ms) later at most. */
  readonly limitUs: number;
}

export interface OwnershipLease {
  /** 0: closed, else the number of this opening. */
  readonly claim: number;
  readonly renewedUs: number;
  readonly overdueUs: number;
  readonly limitUs: number;
  /** The opening that was given up for a successor, by the programs; 0: none. */
  readonly yielded: number;
  readonly yieldedUs: number;
  /** What follows from these: whether frames are let through now. */
  readonly owner: boolean;
}

/** Frames, since the group was set. */
export interface OwnershipCounters {
  readonly owned: number;
  readonly notOwned: number;
  /** ARP requests and neighbour solicitations that were left to the owner. */
  readonly unanswered: number;
  /** Frames in the group's name that did not leave. */
  readonly keptIn: number;
}

export interface OwnershipAttachment {
  readonly ifindex: number;
  readonly place: OwnershipPlace;
  readonly programId: number;
}

/** What some process attached to the interfaces asked about; also what one left that is dead. */
export interface FoundOwnership {
  /** The kernel's number of the lease table: tells one found from another. */
  readonly tableId: number;
  /** Layout of the tables; with another one than this addon's there are no groups to read. */
  readonly abi: number;
  readonly token: number;
  readonly yields: number;
  readonly groups: readonly (Required<OwnershipGroupKey> & {
    readonly slot: number;
    readonly lease: OwnershipLease;
  })[];
  readonly attached: readonly OwnershipAttachment[];
}

export interface OwnershipTestResult {
  /** XDP: 1 drop, 2 pass. tc: 2 drop, -1 next. */
  readonly verdict: number;
  readonly frame: Uint8Array;
  /** Of one run, on average over `repeat`. */
  readonly ns: number;
}

export interface NativeOwnership {
  /**
   * Attaches the guard of what goes out, then the filter of what comes in; when one fails, none stays. Both stay
   * when the process ends. @returns the hook in use. EEXIST: attached already.
   */
  attach(ifindex: number, hook: OwnershipHook): OwnershipHook;
  /** For comparisons: a program that only answers. Goes with `detach`. */
  attachBare(ifindex: number, place: OwnershipPlace, program: OwnershipProgram): void;
  detach(ifindex: number): void;
  attached(): OwnershipAttachment[];
  /** Puts back what somebody else took off this interface. @returns what was missing. EBUSY: there is no place left. */
  mend(ifindex: number): OwnershipAttachment[];
  /**
   * From the first call on, frames to this MAC are dropped until the lease is opened. A second call changes what
   * differs and leaves the lease alone, unless interface, tags or MAC differ. Slots are 1 to 8191. EEXIST: the MAC
   * or an address is another slot's there.
   */
  setGroup(slot: number, group: OwnershipGroup): void;
  removeGroup(slot: number): void;
  groups(): (Required<OwnershipGroup> & { readonly slot: number })[];
  /** Opens or closes a lease, renewed now or at `renewedUs`. The heartbeat engine does this by itself. */
  setLease(slot: number, open: boolean, renewedUs?: number): void;
  lease(slot: number): OwnershipLease;
  counters(slot: number): OwnershipCounters;
  /** How many leases were given up for a successor. */
  yields(): number;
  /**
   * Runs a program over a frame without sending anything (BPF_PROG_TEST_RUN). `vlanTci`: a tag beside the frame,
   * tc only. `ifindex`: where it seems to come in; for XDP an interface that has an XDP program.
   */
  testRun(
    program: OwnershipProgram,
    frame: Uint8Array,
    options?: { readonly repeat?: number; readonly ifindex?: number; readonly vlanTci?: number },
  ): OwnershipTestResult;
  /** Detaches everything. Without it, what is attached stays when the process ends, and goes on filtering. */
  close(): void;
}

export interface NativeOwnershipApi {
  /** Creates tables and loads programs; attaches nothing. EPERM: needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN. */
  openOwnership(options: { readonly token: number }): NativeOwnership;
  /**
   * Goes on with what was found: its groups, leases, counters, attachments and programs. ENOTSUP: another layout.
   */
  adoptOwnership(found: FoundOwnership, options: { readonly token: number }): NativeOwnership;
  /** Interfaces that don't exist (any more) have nothing. */
  findOwnership(ifindexes: readonly number[]): FoundOwnership[];
  /**
   * All BPF programs at the places of these interfaces, whoever put them there; null of one that can't be looked at. It
   * is looked outside the JavaScript thread.
   */
  listPrograms(ifindexes: readonly number[]): Promise<(OwnershipAttachment[] | null)[]>;
  /** Detaches it, whoever attached it. */
  clearOwnership(found: FoundOwnership): void;
  /**
   * For measuring: puts copies of a frame onto an interface as fast as it goes, on one processor (XDP live frames,
   * Linux 5.18; the other end of a veth must have an XDP program or GRO). @returns nanoseconds of processor time in
   * all; the receiver's work is in it, but for what the kernel left to ksoftirqd.
   */
  floodFrames(ifindex: number, frame: Uint8Array, count: number): number;
}
