/** The part of the addon's surface in native/prober_addon.cc. */

export type ProbeKind = "icmp" | "arp" | "nd";

export interface ProbeTargetOptions {
  readonly kind: ProbeKind;
  /**
   * By its name: probes leave by it and answers come in by it, whether or not it is there now. ICMP alone can do
   * without: the routing table's choice.
   */
  readonly interface?: string | null;
  readonly address: string;
  /** Without an interface null is the kernel's choice; with one, each probe without a source is an EADDRNOTAVAIL. */
  readonly source: string | null;
  /** 1,000 to 86,400,000,000. */
  readonly intervalUs: number;
  /** 1,000 to intervalUs. */
  readonly timeoutUs: number;
  /** Failures in a row that turn `up` into `down`; successes that turn it back. */
  readonly fall: number;
  readonly rise: number;
  /** What is known already; default unknown: then the first result decides at once. */
  readonly verdict?: "unknown" | "up" | "down";
}

/**
 * The outcome of a target's last probe differs from that of the one before, or its verdict changed. Several such
 * changes between two turns of the event loop come as one: the last, with `crossings` counted on.
 */
export interface ProbeReport {
  readonly target: number;
  /**
   * `error`: it could not be sent. `untried`: this machine lacks what it takes (descriptors, memory), which says nothing
   * about the target: it counts for nothing, is told each time, and never in place of something else.
   */
  readonly outcome: "answered" | "timeout" | "error" | "untried";
  /** Of an `error`: "ENODEV" without the interface, "ENETDOWN", "ENETUNREACH", "EADDRNOTAVAIL" …; what is lacking. */
  readonly errno: string | null;
  /** Unknown only while nothing but `untried` was told. */
  readonly verdict: "up" | "down" | "unknown";
  /** How often the verdict changed so far; the first counts. */
  readonly crossings: number;
  /** Successes or failures in a row. */
  readonly streak: number;
  /** When the answer came in, the time was over, or the probe was refused; monotonic. */
  readonly atUs: number;
  /** Of the last answer. */
  readonly roundTripUs: number;
}

/** Cumulative. */
export interface ProbeCounters {
  readonly sent: number;
  readonly answered: number;
  readonly timeouts: number;
  readonly errors: number;
  /** Answers that came too late, or twice. */
  readonly late: number;
  /** Periods left out because the thread came too late, or the machine lacked something. */
  readonly skipped: number;
  readonly answeredAtUs: number | null;
  /** Of the last answer. */
  readonly roundTripUs: number | null;
  /** Who answered last (ARP and ND). */
  readonly mac: string | null;
}

/** Somebody showed on a link. */
export interface NeighbourSighting {
  /** What `follow` gave. */
  readonly follower: number;
  readonly address: string;
  readonly mac: string;
}

export interface NativeProber {
  /** @returns a number that is never used again. The first probe leaves within 100 ms. */
  add(target: ProbeTargetOptions): number;
  /** Nothing more is reported about it. False: there is none. */
  remove(target: number): boolean;
  changeSource(target: number, source: string | null): boolean;
  /**
   * Tells who shows on an interface (neighbour table, ARP, ND), within some 100 ms: each neighbour when it is seen first,
   * when its MAC address changes, and every 10 s while it shows. The number ends it.
   */
  follow(interfaceName: string): number;
  unfollow(follower: number): boolean;
  /** Interfaces changed. Without this it shows within a second. */
  refresh(): void;
  /** Null: there is no such target. */
  counters(target: number): ProbeCounters | null;
  /** `foreign`: what came in and answers nothing that was asked. `cpuUs`: of the thread. */
  statistics(): { readonly wakeups: number; readonly foreign: number; readonly cpuUs: number };
  close(): void;
}

export interface NativeProberApi {
  /** `namespace`: the file of a network namespace; default: the caller's. */
  NativeProber: new (
    onReports: (reports: readonly ProbeReport[]) => void,
    onSightings: (sightings: readonly NeighbourSighting[]) => void,
    namespace?: string,
  ) => NativeProber;
}
