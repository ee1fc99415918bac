/**
 * One virtual router's place in the kernel: what its macvlan is called, how it is made (parked), and the steps that
 * open and close it. Pure, but for reading settings of parents; kernel.ts carries things out.
 *
 * Parked means: up, in macvlan mode "source" with an empty list of sources, IPv6 switched off, no virtual address.
 * Such a device takes in nothing at all and says nothing, and one request (mode "private") makes it the router that
 * receives; link up and down, which wait for the whole machine, are never part of a take-over or release.
 */
import { isLinkLocal } from "../../core/address.js";
import type { KernelStep } from "../../core/automaton.js";
import { FirsthopError } from "../../errors.js";
import type { AddressRow, LinkRow, NativeNetlinkApi } from "../../native/netlink.js";
import type { VirtualInterfaceRequest } from "../driver.js";
import { reversePathFilter, sysctlPath } from "./sysctl.js";

/** Connected routes of virtual addresses lose against everybody else's: traffic to the LAN leaves by the parent. */
export const ROUTE_METRIC = 50_000;
/** IFA_PROTO of addresses that are ours. */
export const ORIGIN = 112;
const LONGEST_NAME = 15;
const MAIN_TABLE = 254;

export interface ParsedAddress {
  readonly address: string;
  readonly prefixLength: number;
}

export function parseAddress(text: string): ParsedAddress {
  const [address = "", length] = text.split("/");
  return { address, prefixLength: Number(length ?? (address.includes(":") ? 128 : 32)) };
}

/**
 * "fh10-eth0" (IPv4), "fh10v6-eth0" (IPv6). Where the parent's name does not fit, its index stands for it:
 * "fh10_i7". The two forms never meet.
 */
export function deviceName(
  request: Pick<VirtualInterfaceRequest, "family" | "vrid">,
  parent: Pick<LinkRow, "name" | "ifindex">,
): string {
  const stem = `fh${request.vrid}${request.family === "ipv6" ? "v6" : ""}`;
  const plain = `${stem}-${parent.name}`;
  if (plain.length <= LONGEST_NAME) return plain;
  const decimal = `${stem}_i${parent.ifindex}`;
  return decimal.length <= LONGEST_NAME ? decimal : `${stem}_x${parent.ifindex.toString(36)}`;
}

// ---- tags ---------------------------------------------------------------------------------------------------

export interface Tag {
  readonly token: string;
  readonly owner: string;
}

/** The alias of our links: who made them, for whom. */
export function formatTag(tag: Tag): string {
  return `firsthop:${tag.token}:${tag.owner}`.slice(0, 255);
}

export function parseTag(alias: string | null): Tag | null {
  const match = /^firsthop:([0-9a-f]{8}):(.*)$/.exec(alias ?? "");
  return match ? { token: match[1] as string, owner: match[2] as string } : null;
}

// ---- what is there already ----------------------------------------------------------------------------------

/** The links that stand where a virtual router's device is to be. */
export interface Site {
  readonly parent: LinkRow;
  readonly name: string;
  /** A device of ours to go on with. */
  readonly adopt: LinkRow | null;
  /** Devices of dead daemons that are in the way. */
  readonly remove: readonly LinkRow[];
}

/**
 * Looks at what is there: adopts what is ours, refuses what is not.
 * @throws FirsthopError INTERFACE_MISSING, INTERFACE_CONFLICT
 */
export function survey(
  request: VirtualInterfaceRequest & { readonly mac: string },
  links: readonly LinkRow[],
  own: { readonly token: string; readonly isAlive: (token: string) => boolean },
): Site {
  const parent = findParent(request.parentIfindex, links);
  refuseParent(parent, request.mac, links);
  const name = deviceName(request, parent);
  let adopt: LinkRow | null = null;
  const remove: LinkRow[] = [];
  for (const link of links) {
    const onParent = link.kind === "macvlan" && link.parentIfindex === parent.ifindex;
    const sameMac = onParent && link.mac === request.mac;
    if (link.name !== name && !sameMac) continue;
    if (link.ifindex === parent.ifindex) continue;
    const tag = parseTag(link.alias);
    if (tag === null) throw conflict(link, parent, request, "which firsthop did not make");
    if (tag.token !== own.token && own.isAlive(tag.token)) {
      throw conflict(link, parent, request, `which another running firsthop uses for ${tag.owner}`);
    }
    if (tag.token === own.token && tag.owner !== request.owner) {
      throw conflict(link, parent, request, `which this firsthop uses for ${tag.owner}`);
    }
    if (link.name === name && onParent) adopt = link;
    else remove.push(link);
  }
  return { parent, name, adopt, remove };
}

export function findParent(ifindex: number, links: readonly LinkRow[]): LinkRow {
  const parent = links.find((link) => link.ifindex === ifindex);
  if (parent) return parent;
  throw new FirsthopError("INTERFACE_MISSING", `the interface with index ${ifindex} is gone`);
}

function refuseParent(parent: LinkRow, mac: string, links: readonly LinkRow[]): void {
  const master = links.find((link) => link.ifindex === parent.masterIfindex);
  if (parent.masterIfindex !== null && parent.slaveKind !== "vrf") {
    throw new FirsthopError(
      "INTERFACE_CONFLICT",
      `${parent.name} is a port of ${master?.name ?? "another device"}: ` +
        `run the virtual router on ${master?.name ?? "that device"}, or set virtualMac: false`,
    );
  }
  // The kernel would put a macvlan on it beside it, on the device below: neither what hosts send to the virtual MAC nor what
  // the other routers send from it would ever pass the parent.
  if (parent.kind === "macvlan" || parent.kind === "macvtap") {
    throw new FirsthopError(
      "INTERFACE_CONFLICT",
      `${parent.name} is a ${parent.kind}, which can't carry a virtual MAC: set virtualMac: false`,
    );
  }
  if (parent.mac === mac) {
    throw new FirsthopError(
      "INTERFACE_CONFLICT",
      `${parent.name} itself has the virtual MAC address ${mac}: give it another one, or use another VRID`,
    );
  }
}

function conflict(
  link: LinkRow,
  parent: LinkRow,
  request: VirtualInterfaceRequest & { readonly mac: string },
  whose: string,
): FirsthopError {
  const has = link.mac === request.mac ? ` with the virtual MAC address ${request.mac}` : "";
  return new FirsthopError(
    "INTERFACE_CONFLICT",
    `VRID ${request.vrid} on ${parent.name}: ${link.name} is there${has}, ${whose}; ` +
      `stop the daemon that uses it, remove it (ip link delete ${link.name}), or use another VRID`,
  );
}

/** The routing table that packets of a parent are looked up in. */
export function tableOf(parent: LinkRow, links: readonly LinkRow[]): number {
  const master = links.find((link) => link.ifindex === parent.masterIfindex);
  return master?.vrfTable ?? MAIN_TABLE;
}

// ---- steps --------------------------------------------------------------------------------------------------

export interface Steps {
  /** What lets the device stand open for good; only where the filter closes it. */
  readonly unpark: readonly KernelStep[];
  readonly open: readonly KernelStep[];
  readonly settle: readonly KernelStep[];
  readonly close: readonly KernelStep[];
}

/** Addresses and blackhole routes that the steps put somewhere which outlives the device. */
export interface Leftovers {
  readonly addresses: readonly {
    readonly ifindex: number;
    readonly address: string;
    readonly prefixLength: number;
  }[];
  readonly routes: readonly { readonly address: string; readonly table: number }[];
}

/** Pairs of steps: what opens, and what undoes it. */
interface Pair {
  readonly open: KernelStep;
  readonly close: KernelStep | null;
}

/** @param filtered the filter keeps out what is not owned, so that the device need not be closed itself */
export function macvlanSteps(
  native: NativeNetlinkApi,
  request: VirtualInterfaceRequest,
  device: { readonly ifindex: number; readonly name: string },
  parent: LinkRow,
  table: number,
  filtered: boolean,
): Steps & Leftovers {
  const mode = (macvlanMode: "private" | "source", label: string): KernelStep => ({
    step: "netlink",
    message: native.encodeChangeLink({ ifindex: device.ifindex, macvlanMode }),
    label: `${label} ${device.name}`,
  });
  const routes = routesFor(request, table);
  const address = (one: ParsedAddress): Pair =>
    addressPair(native, device, one, { routeMetric: ROUTE_METRIC });
  const inner: Pair[] = [
    ...(request.accept ? request.addresses.map(parseAddress).map(address) : []),
    ...routes.map((route) => blackholePair(native, route)),
  ];
  const path = sysctlPath("ipv6", device.name, "disable_ipv6");
  if (filtered) {
    const unpark: KernelStep[] =
      request.family === "ipv6"
        ? [{ step: "write", path, value: "0" }]
        : [anchorPair(native, request, device, parent)?.open ?? null].filter((step) => step !== null);
    return {
      unpark: [...unpark, mode("private", "open")],
      open: [],
      settle: inner.map((pair) => pair.open),
      close: closing(inner),
      addresses: [],
      routes,
    };
  }
  if (request.family === "ipv6") {
    const off: KernelStep = { step: "write", path, value: "1" };
    const on: KernelStep = { step: "write", path, value: "0" };
    // Switching IPv6 off takes the addresses along, and unlike taking them off one by one it sends nothing: a frame
    // from the virtual MAC would pull the switch's table back here while the successor is at work. It comes before
    // the change of mode, because a change of any kind makes a device that has IPv6 report its groups again.
    const undone = request.accept ? [] : closing(inner);
    return {
      unpark: [],
      open: [mode("private", "open"), on],
      settle: inner.map((pair) => pair.open),
      close: [off, mode("source", "park"), ...undone],
      addresses: [],
      routes,
    };
  }
  const anchor = request.accept ? null : anchorPair(native, request, device, parent);
  const added = inner.map((pair) => pair.open);
  // The reverse path filter drops what comes in by a device without an address: then addresses can't wait.
  const addressed = request.accept && reversePathFilter(parent.name) !== 0;
  return {
    unpark: [],
    open: [...(anchor ? [anchor.open] : []), mode("private", "open"), ...(addressed ? added : [])],
    settle: addressed ? [] : added,
    close: [mode("source", "park"), ...closing(anchor ? [anchor, ...inner] : inner)],
    addresses: [],
    routes,
  };
}

/** Addresses on the parent itself. Those that are there already are not ours, and are left out. */
export function parentSteps(
  native: NativeNetlinkApi,
  request: VirtualInterfaceRequest,
  parent: LinkRow,
  table: number,
  present: readonly AddressRow[],
): Steps & Leftovers {
  const free = request.addresses
    .map(parseAddress)
    .filter((one) => !present.some((row) => row.ifindex === parent.ifindex && row.address === one.address));
  const routes = routesFor(request, table).filter((route) =>
    free.some((one) => one.address === route.address),
  );
  const pairs = request.accept
    ? free.map((one) => addressPair(native, parent, one, {}))
    : routes.map((route) => blackholePair(native, route));
  return {
    unpark: [],
    open: pairs.map((pair) => pair.open),
    settle: [],
    close: closing(pairs),
    addresses: request.accept ? free.map((one) => ({ ifindex: parent.ifindex, ...one })) : [],
    routes,
  };
}

/** In reverse, so that the first address of a subnet goes last. */
function closing(pairs: readonly Pair[]): KernelStep[] {
  return pairs.flatMap((pair) => (pair.close ? [pair.close] : [])).reverse();
}

function addressPair(
  native: NativeNetlinkApi,
  device: { readonly ifindex: number; readonly name: string },
  one: ParsedAddress,
  extra: { readonly routeMetric?: number; readonly hostScope?: boolean },
): Pair {
  const change = { ifindex: device.ifindex, ...one, ...extra };
  return {
    open: {
      step: "netlink",
      message: native.encodeAddAddress(change),
      label: `add ${one.address} to ${device.name}`,
    },
    close: {
      step: "netlink",
      message: native.encodeDeleteAddress(change),
      label: `remove ${one.address} from ${device.name}`,
    },
  };
}

/**
 * Without accept mode no virtual address is on the device, and a device without any address fails even the loose
 * reverse path filter. An address of the loopback net that is valid on this host only meets it: it is never a source
 * and never answered for.
 */
function anchorPair(
  native: NativeNetlinkApi,
  request: VirtualInterfaceRequest,
  device: { readonly ifindex: number; readonly name: string },
  parent: LinkRow,
): Pair | null {
  if (reversePathFilter(parent.name) === 0) return null;
  const anchor = { address: `127.112.0.${request.vrid}`, prefixLength: 32 };
  return addressPair(native, device, anchor, { hostScope: true });
}

/** Without accept mode, packets to a virtual address go nowhere instead of round in circles on the LAN. */
export function routesFor(request: VirtualInterfaceRequest, table: number): Leftovers["routes"] {
  if (request.accept) return [];
  return request.addresses
    .map((text) => parseAddress(text).address)
    .filter((address) => !isLinkLocal(address))
    .map((address) => ({ address, table }));
}

function blackholePair(
  native: NativeNetlinkApi,
  route: { readonly address: string; readonly table: number },
): Pair {
  return {
    open: {
      step: "netlink",
      message: native.encodeAddBlackhole(route),
      label: `add blackhole route for ${route.address}`,
    },
    close: {
      step: "netlink",
      message: native.encodeDeleteBlackhole(route),
      label: `remove blackhole route for ${route.address}`,
    },
  };
}
