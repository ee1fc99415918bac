/**
 * Probes that hosts answer by themselves (ICMP echo, ARP, neighbour solicitation), and who is a neighbour at all. Part
 * of the seam in driver.ts. Probes are sent, matched and counted below it; only changes come up.
 */
import type { Verdict } from "../core/tracking/verdict.js";

export interface ProbedTarget {
  readonly kind: "icmp" | "arp" | "nd";
  /** Name of the interface that probes leave by and answers come in by; null (ICMP only): the routing table's choice. */
  readonly interface: string | null;
  readonly address: string;
  /** Null: without an interface the kernel's choice; with one, there is none, and each probe an EADDRNOTAVAIL. */
  readonly source: string | null;
  readonly intervalUs: number;
  /** At most the interval. */
  readonly timeoutUs: number;
  /** Failures in a row that turn `up` into `down`, successes that turn it back. */
  readonly fall: number;
  readonly rise: number;
  /** What is known already; default unknown: then the first result decides at once. */
  readonly verdict?: Verdict;
}

/** The last probe ended otherwise than the one before, or the verdict changed. */
export interface ProbeNews {
  /** Unknown only while nothing but `untried` was told. */
  readonly verdict: Verdict;
  /**
   * `error`: the probe could not be sent. `untried`: for want of something on this machine; that counts for nothing, and
   * is told each time.
   */
  readonly outcome: "answered" | "timeout" | "error" | "untried";
  /** Why it could not be sent: "ENODEV", "ENETDOWN", "ENETUNREACH" …; untried: "EMFILE", "ENOBUFS" … */
  readonly errno: string | null;
  /** Probes in a row that ended like this. */
  readonly streak: number;
  readonly atUs: number;
  /** Of the last answer. */
  readonly roundTripUs: number;
}

/** Cumulative; null: never so far. */
export interface ProbeCounts {
  readonly sent: number;
  readonly answered: number;
  readonly timeouts: number;
  readonly errors: number;
  readonly answeredAtUs: number | null;
  readonly roundTripUs: number | null;
  /** Who answered last (ARP and ND). */
  readonly mac: string | null;
}

export interface Probing {
  changeSource(source: string | null): void;
  counts(): ProbeCounts;
  /** Ends it; nothing more is told. */
  end(): void;
}

/** Somebody showed on a link: the kernel resolved the address, or its owner asked or answered ARP or ND. */
export interface Sighting {
  readonly address: string;
  readonly mac: string;
}

export interface Prober {
  probe(target: ProbedTarget, onNews: (news: ProbeNews) => void): Probing;
  /**
   * Tells who shows on an interface until the function returned is called: each neighbour when it is seen first, when
   * its MAC address is another one, and again now and then while it shows. Bounded.
   */
  followNeighbours(interfaceName: string, onSighting: (seen: Sighting) => void): () => void;
  /** Links changed. */
  refresh(): void;
}
