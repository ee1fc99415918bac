/** The part of the addon's surface in native/netlink_encode_addon.cc, _socket_, _monitor_ and _presence_addon.cc. */

export type MacvlanMode = "private" | "source";

/** IPv4 settings of a device that rtnetlink can set; named as under /proc/sys/net/ipv4/conf. */
export type Ipv4DeviceSetting =
  | "accept_local"
  | "accept_redirects"
  | "arp_accept"
  | "arp_announce"
  | "arp_filter"
  | "arp_ignore"
  | "arp_notify"
  | "promote_secondaries"
  | "rp_filter"
  | "send_redirects";

/** What to change about a link that is named by its index or its name. */
export type LinkChange = ({ readonly ifindex: number } | { readonly name: string }) & {
  readonly up?: boolean;
  readonly macvlanMode?: MacvlanMode;
  /** How IPv6 makes link-local addresses: 0 from the MAC, 1 not at all. */
  readonly addrGenMode?: number;
  readonly alias?: string;
  readonly group?: number;
  readonly masterIfindex?: number;
  readonly mac?: string;
  readonly ipv4?: { readonly [name in Ipv4DeviceSetting]?: number };
};

export interface AddressChange {
  readonly ifindex: number;
  readonly address: string;
  readonly prefixLength: number;
  /** Valid on this host only: never chosen as a source. */
  readonly hostScope?: boolean;
  /** Metric of the connected route that comes with the address. */
  readonly routeMetric?: number;
}

/** A link as dumps and news have it; more than LinkInfo. */
export interface LinkRow {
  readonly ifindex: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly adminUp: boolean;
  readonly carrier: boolean;
  readonly kind: string | null;
  /** What kind of port of its master it is: "bridge", "bond", "vrf" … */
  readonly slaveKind: string | null;
  readonly parentIfindex: number | null;
  readonly masterIfindex: number | null;
  readonly alias: string | null;
  readonly group: number;
  /** MACVLAN_MODE_…: 1 private, 16 source; 0 for other kinds. */
  readonly macvlanMode: number;
  /** Routing table of a VRF device. */
  readonly vrfTable: number | null;
}

export interface AddressRow {
  readonly ifindex: number;
  readonly address: string;
  readonly prefixLength: number;
  readonly family: "ipv4" | "ipv6";
  readonly tentative: boolean;
  readonly secondary: boolean;
  /** IFA_PROTO; 0 where the kernel (before 5.18) has none. Ours have 112. */
  readonly origin: number;
}

/** A blackhole route of ours. */
export interface RouteRow {
  readonly family: "ipv4" | "ipv6";
  readonly destination: string;
  readonly prefixLength: number;
  readonly table: number;
}

export type NetlinkNews =
  | { readonly gone: boolean; readonly link: LinkRow }
  | { readonly gone: boolean; readonly address: AddressRow };

/** A complete rtnetlink request, or a value to write to a file. */
export type NetlinkStep =
  | { readonly message: Uint8Array }
  | { readonly path: string; readonly value: string };

export interface NetlinkFailure {
  /** Index of the step. */
  readonly index: number;
  /** Positive error number. */
  readonly errno: number;
  /** The kernel's own words; often empty. */
  readonly text: string;
}

/** Carries out requests outside the JavaScript thread, one after the other, in the order given. */
export interface NetlinkSocket {
  /** All steps in order; a failed one does not stop those behind it. Resolves with those that failed. */
  run(steps: readonly NetlinkStep[]): Promise<NetlinkFailure[]>;
  dump(kind: "links"): Promise<LinkRow[]>;
  dump(kind: "addresses"): Promise<AddressRow[]>;
  dump(kind: "routes"): Promise<RouteRow[]>;
  /** Closes the descriptor once everything that was asked for is done. */
  close(): void;
}

/** Follows links and addresses from its creation on. */
export interface NetlinkMonitor {
  close(): void;
}

export interface NativeNetlinkApi {
  encodeCreateMacvlan(options: {
    readonly parentIfindex: number;
    readonly name: string;
    readonly mac: string;
    readonly mode: MacvlanMode;
  }): Uint8Array;
  encodeChangeLink(change: LinkChange): Uint8Array;
  encodeDeleteLink(options: { readonly ifindex: number }): Uint8Array;
  /** Removes all links of a group at once. */
  encodeDeleteGroup(options: { readonly group: number }): Uint8Array;
  encodeAddAddress(change: AddressChange): Uint8Array;
  encodeDeleteAddress(change: AddressChange): Uint8Array;
  /** `table` is the main one unless given. */
  encodeAddBlackhole(options: { readonly address: string; readonly table?: number }): Uint8Array;
  encodeDeleteBlackhole(options: { readonly address: string; readonly table?: number }): Uint8Array;

  readonly NetlinkSocket: new () => NetlinkSocket;
  /** `complete` is false when news were lost: only a dump tells what is now. */
  readonly NetlinkMonitor: new (
    listener: (news: readonly NetlinkNews[], complete: boolean) => void,
  ) => NetlinkMonitor;

  /**
   * Takes a name that processes of this network namespace can ask for, until the function returned is called or
   * the process ends.
   */
  holdNamespaceName(name: string): () => void;
  isNamespaceNameHeld(name: string): boolean;
  /** Locks a file or directory; null when another holder has it. The function returned unlocks. */
  tryLock(path: string): (() => void) | null;
  /** Identity of the network namespace, decimal; never used twice while the machine is up. "0": unknown. */
  namespaceCookie(): string;
}
