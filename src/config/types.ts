/** A virtual router as the engine uses it (every default filled in, integer microseconds), and problems. */
import type { BfdAuthenticationType } from "../core/bfd/authentication.js";
import type { Tracked } from "../core/tracking/priority.js";
import type { IpFamily, VrrpVersion } from "../core/vrrp/advertisement.js";
import type { ChecksumMode } from "../core/vrrp/checksum-policy.js";

export interface VirtualAddress {
  readonly address: string;
  readonly prefixLength: number;
}

/** A command for each change of state. */
export interface NotifyConfig {
  readonly command: string;
  readonly args: readonly string[];
  readonly timeoutUs: number;
}

export interface SyncGroupConfig {
  readonly name: string;
  readonly mode: "all" | "any";
  readonly notify: NotifyConfig | null;
}

/** Authentication of BFD packets (RFC 5880 section 6.7). */
export interface BfdAuthenticationConfig {
  readonly type: BfdAuthenticationType;
  /** 0..255 */
  readonly keyId: number;
  readonly key: string;
}

/** A BFD session between the Active and each Backup. */
export interface BfdConfig {
  readonly intervalUs: number;
  readonly multiplier: number;
  /** Which Backup takes over first: 1, 2, … */
  readonly rank: number;
  /** The Backups find out by themselves who takes over first. */
  readonly backupAdvertisements: boolean;
  /** One stream from the Active for all Backups (RFC 8562). */
  readonly multipoint: boolean;
  readonly authentication: BfdAuthenticationConfig | null;
}

export interface VirtualRouterConfig {
  /** IFNAME/VRID, with /ipv6 where both families use it. */
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly family: IpFamily;
  readonly version: VrrpVersion;
  readonly priority: number;
  readonly addresses: readonly VirtualAddress[];
  readonly advertisementIntervalUs: number;
  readonly preempt: boolean;
  readonly preemptDelayUs: number;
  readonly accept: boolean;
  readonly virtualMac: boolean;
  readonly checksum: ChecksumMode;
  readonly authentication: { readonly type: "simple"; readonly password: string } | null;
  readonly unicast: { readonly source: string | null; readonly peers: readonly string[] } | null;
  readonly bfd: BfdConfig | null;
  readonly track: readonly Tracked[];
  readonly syncGroup: string | null;
  readonly notify: NotifyConfig | null;
  /** After the daemon's start. */
  readonly startupDelayUs: number;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";
export type LogFormat = "pretty" | "json";

/** Something about a configuration that its author should know. */
export interface ConfigProblem {
  readonly severity: "error" | "warning";
  /** Keys and indices from the top: ["virtualRouters", 0, "vrid"]. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Counted from 1; null for a configuration that did not come from a text. */
  readonly line: number | null;
  readonly column: number | null;
}
