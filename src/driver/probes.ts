/** Probes of trackers: what a machine may be asked to try once, and what came of it. Part of the seam in driver.ts. */
import type { TrackResult, Untried } from "../core/tracking/verdict.js";

/** Where a probe leaves. */
export interface ProbePath {
  /** Name of the interface it must leave by; null for the routing table's choice. */
  readonly interface: string | null;
  /** Its source address; null for the kernel's choice. */
  readonly source: string | null;
}

export type ProbeRequest =
  | (ProbePath & { readonly probe: "tcp"; readonly address: string; readonly port: number })
  | (ProbePath & {
      readonly probe: "udp";
      readonly address: string;
      readonly port: number;
      readonly send: Uint8Array;
      /** The answer must begin with these octets; empty: any answer will do. */
      readonly expect: Uint8Array;
    })
  | (ProbePath & {
      readonly probe: "http";
      readonly secure: boolean;
      readonly address: string;
      readonly port: number;
      /** Path and query. */
      readonly path: string;
      /** Host header and, when secure, the name that the certificate is for; null: the address. */
      readonly host: string | null;
      readonly method: "GET" | "HEAD";
      /** Status codes that are right, in closed ranges. */
      readonly status: readonly (readonly [number, number])[];
      /** Whether the certificate has to be valid. */
      readonly verify: boolean;
    })
  /** Exit code 0 is up. No shell. */
  | { readonly probe: "script"; readonly path: string; readonly arguments: readonly string[] }
  /** Running processes of this name, or the process whose number a file holds. */
  | { readonly probe: "process"; readonly name: string; readonly minimum: number }
  | { readonly probe: "pidFile"; readonly path: string }
  /** The number in a file. */
  | { readonly probe: "file"; readonly path: string };

/** A probe under way. */
export interface ProbeRun {
  /** Never rejects: what can't be tried is down, and the evidence says why; unless the machine lacks something. */
  readonly result: Promise<TrackResult | Untried>;
  /** Ends it at once; nothing of it stays. The result is of no interest any more. */
  cancel(): void;
}

/** How long a probe may take. */
export interface ProbeTime {
  /** As it is configured. */
  readonly timeoutUs: number;
  /** When that is over, on the heartbeat's clock: it counts from when the probe was due. */
  readonly deadlineUs: number;
}

export interface Probes {
  start(request: ProbeRequest, time: ProbeTime): ProbeRun;
}
