/** The part of the addon's surface in native/route_addon.cc. */

/** A route that may carry packets, from a dump. */
export interface RouteEntry {
  /** "0.0.0.0/0". */
  readonly prefix: string;
  readonly table: number;
  readonly protocol: number;
  /** Next hops whose device and line work. */
  readonly nextHops: readonly { readonly via: string | null; readonly ifindex: number }[];
}

/**
 * Follows routes to some prefixes. `changed` is called when routes to one of them, or the next hops of any route, may
 * have changed; only a dump tells what is.
 */
export interface RouteWatch {
  /** Canonical prefixes to follow from now on. */
  setPrefixes(prefixes: readonly string[]): void;
  /** The routes to those prefixes. Rejects when the kernel was too busy for a picture that fits together. */
  dump(): Promise<RouteEntry[]>;
  close(): void;
}

export interface NativeRoutesApi {
  readonly RouteWatch: new (changed: () => void) => RouteWatch;
}
