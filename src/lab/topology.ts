/**
 * A small world in private network namespaces:
 *
 *     host(s) -- [ LAN bridge ] == router 1, router 2, … == [ upstream bridge, which is also the destination ]
 *
 * Each router has a leg in both segments (lan0, wan0). Both families are always there. Names and MAC addresses are
 * fixed, so that frames tell who sent them. Nothing outside the namespaces is touched.
 */
import { join } from "node:path";
import { FirsthopError } from "../errors.js";
import { loadNative } from "../native.js";
import {
  bequeath,
  ipBatch,
  type LabProcess,
  namespacePath,
  newEstateName,
  removeLeftovers,
  requireNamespaces,
  runCommand,
  runIn,
  spawnIn,
  writeSysctls,
} from "./namespaces.js";
import { eventually } from "./wait.js";

export type LabFamily = "ipv4" | "ipv6";

/** Addresses of the lab, by family. `virtual` is what hosts use as their gateway (IPv6: a link-local first). */
export const LAB_ADDRESSES = {
  ipv4: { virtual: ["192.0.2.1/24"], gateway: "192.0.2.1", upstream: "203.0.113.1" },
  ipv6: { virtual: ["fe80::1/64", "2001:db8:1::1/64"], gateway: "fe80::1", upstream: "2001:db8:2::1" },
} as const;

/** The interface of the upstream namespace where packets arrive. */
export const UPSTREAM_INTERFACE = "br0";
export const MAX_ROUTERS = 32;

/** A namespace of the lab. */
export interface LabNode {
  readonly name: string;
  readonly namespace: string;
  /** "/run/netns/…", for instruments. */
  readonly path: string;
  /** Runs a command inside to its end; its standard output. */
  run(command: string, ...args: string[]): Promise<string>;
  /** Starts a process inside; its output goes to `LOG.log` in the lab's directory. */
  spawn(log: string, command: string, args: readonly string[], env?: Record<string, string>): LabProcess;
}

export interface LabRouter extends LabNode {
  /** 1, 2, … */
  readonly index: number;
  readonly lanInterface: "lan0";
  readonly upstreamInterface: "wan0";
  /** Of the LAN leg, without prefix length. */
  readonly addresses: Readonly<Record<LabFamily, string>>;
  /** Of the LAN leg, EUI-64 of its MAC. */
  readonly linkLocal: string;
  readonly lanMac: string;
  /** The source MAC of what it forwards to the upstream. */
  readonly upstreamMac: string;
}

/** Which of a router's lines. */
export type Legs = "both" | "lan" | "upstream";
/**
 * `line`: the router loses its carrier, and the switch forgets what it learned on the port. `silent`: the port stops
 * forwarding, the carrier stays, and the switch goes on sending into the dead port what it learned there.
 */
export type CutKind = "line" | "silent";

export interface Lab {
  readonly name: string;
  /** Private directory for configurations, sockets and logs; removed at the end. */
  readonly directory: string;
  /** The LAN's switch: ports `r1`, `r2`, …, `h1`, … of the bridge `br0`. */
  readonly lan: LabNode;
  readonly upstream: LabNode;
  readonly routers: readonly LabRouter[];
  readonly hosts: readonly LabNode[];
  /** Interface indices of the LAN switch's ports, by port name. */
  readonly lanPorts: ReadonlyMap<string, number>;
  /** Cuts a router off. Resolves with the moments between which it happened (monotonic microseconds). */
  cut(router: LabRouter, legs: Legs, kind?: CutKind): Promise<Moment>;
  /** Resolves when the switch ports forward again: the upstream's first, then the LAN's. */
  restore(router: LabRouter, legs: Legs, kind?: CutKind): Promise<Moment>;
  /** Kills what still runs inside and removes everything. */
  close(): void;
}

/** Something was done between two instants, monotonic microseconds. */
export interface Moment {
  readonly beginUs: number;
  readonly endUs: number;
}

export interface LabOptions {
  /** 1..32, default 2. */
  readonly routers?: number;
  /** Default 1. */
  readonly hosts?: number;
}

const hex2 = (value: number): string => value.toString(16).padStart(2, "0");
const lanMac = (router: number): string => `02:00:00:01:00:${hex2(router)}`;
const upstreamMac = (router: number): string => `02:00:00:02:00:${hex2(router)}`;
const hostMac = (host: number): string => `02:00:00:01:01:${hex2(host)}`;

/** No delay before an address may be used, and nothing on the wire that a test did not ask for. */
const QUIET: Readonly<Record<string, number>> = {
  "net/ipv6/conf/all/disable_ipv6": 0,
  "net/ipv6/conf/default/disable_ipv6": 0,
  "net/ipv6/conf/all/accept_dad": 0,
  "net/ipv6/conf/default/accept_dad": 0,
  "net/ipv6/conf/default/dad_transmits": 0,
  "net/ipv6/conf/default/accept_ra": 0,
  "net/ipv6/conf/default/router_solicitations": 0,
  "net/ipv4/conf/all/rp_filter": 0,
  "net/ipv4/conf/default/rp_filter": 0,
};

/** A bridge must not hand frames to the IP firewall of its namespace. */
const SWITCH: Readonly<Record<string, number>> = {
  ...QUIET,
  "net/bridge/bridge-nf-call-iptables": 0,
  "net/bridge/bridge-nf-call-ip6tables": 0,
  "net/bridge/bridge-nf-call-arptables": 0,
};

/** What a namespace that routes is set to before it has links. */
export const ROUTER_SYSCTLS: Readonly<Record<string, number>> = {
  ...QUIET,
  "net/ipv4/ip_forward": 1,
  "net/ipv6/conf/all/forwarding": 1,
  "net/ipv6/conf/default/forwarding": 1,
};

const BRIDGE = "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0";

interface Layout {
  readonly lan: string;
  readonly upstream: string;
  readonly routers: readonly string[];
  readonly hosts: readonly string[];
}

function layOut(name: string, options: LabOptions): Layout {
  const count = (value: number, what: string, most: number): number => {
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw new FirsthopError("USAGE", `a lab has 1 to ${most} ${what}, not ${value}`);
  };
  const numbered = (letter: string, number: number): string[] =>
    Array.from({ length: number }, (_, index) => `${name}-${letter}${index + 1}`);
  return {
    lan: `${name}-lan`,
    upstream: `${name}-up`,
    routers: numbered("r", count(options.routers ?? 2, "routers", MAX_ROUTERS)),
    hosts: numbered("h", count(options.hosts ?? 1, "hosts", 100)),
  };
}

/**
 * The ends of a cable get different indices: where they are alike, the kernel takes a veth for a real card and tells
 * of its carrier up to a second late.
 */
const PORT_INDEX = 100;

/** A cable from a switch port to an interface with a given MAC address. `iproute2` sets the index of the first end. */
const cable = (
  port: string,
  index: number,
  segment: string,
  end: string,
  mac: string,
  node: string,
): string =>
  `link add name ${port} index ${PORT_INDEX + index} netns ${segment} type veth ` +
  `peer name ${end} address ${mac} netns ${node}`;

function cables(layout: Layout): string[] {
  const afterRouters = layout.routers.length;
  return [
    ...layout.routers.flatMap((node, at) => [
      cable(`r${at + 1}`, at, layout.lan, "lan0", lanMac(at + 1), node),
      cable(`r${at + 1}`, at, layout.upstream, "wan0", upstreamMac(at + 1), node),
    ]),
    ...layout.hosts.map((node, at) =>
      cable(`h${at + 1}`, afterRouters + at, layout.lan, "eth0", hostMac(at + 1), node),
    ),
  ];
}

function switchLines(ports: readonly string[]): string[] {
  return ["link set br0 up", ...ports.flatMap((port) => [`link set ${port} master br0 up`])];
}

const UPSTREAM_MAC = "02:00:00:02:01:01";

/**
 * A router knows its next hop for good: else packets that it gets while its upstream line is cut would leave an
 * unanswered ARP or ND entry behind, on which packets wait for up to a second after the line works again.
 */
function routerLines(router: number): string[] {
  return [
    "link set lo up",
    "link set lan0 up",
    "link set wan0 up",
    `addr add 192.0.2.${router + 1}/24 dev lan0`,
    `addr add 203.0.113.${router + 1}/24 dev wan0`,
    `addr add 2001:db8:1::${(router + 1).toString(16)}/64 dev lan0 nodad`,
    `addr add 2001:db8:2::${(router + 1).toString(16)}/64 dev wan0 nodad`,
    `neigh add ${LAB_ADDRESSES.ipv4.upstream} lladdr ${UPSTREAM_MAC} dev wan0 nud permanent`,
    `neigh add ${LAB_ADDRESSES.ipv6.upstream} lladdr ${UPSTREAM_MAC} dev wan0 nud permanent`,
  ];
}

function hostLines(host: number): string[] {
  return [
    "link set lo up",
    "link set eth0 up",
    `addr add 192.0.2.${99 + host}/24 dev eth0`,
    `addr add 2001:db8:1::${99 + host}/64 dev eth0 nodad`,
    `route add default via ${LAB_ADDRESSES.ipv4.gateway} dev eth0`,
    `route add ::/0 via ${LAB_ADDRESSES.ipv6.gateway} dev eth0`,
  ];
}

function upstreamLines(layout: Layout): string[] {
  return [
    "link set lo up",
    ...switchLines(layout.routers.map((_, at) => `r${at + 1}`)),
    `addr add ${LAB_ADDRESSES.ipv4.upstream}/24 dev br0`,
    `addr add ${LAB_ADDRESSES.ipv6.upstream}/64 dev br0 nodad`,
    "route add 192.0.2.0/24 via 203.0.113.2",
    "route add 2001:db8:1::/64 via 2001:db8:2::2",
  ];
}

async function build(layout: Layout): Promise<void> {
  const all = [layout.lan, layout.upstream, ...layout.routers, ...layout.hosts];
  await ipBatch(all.map((name) => `netns add ${name}`));
  // Before any link is there: links inherit what is set for "default".
  await Promise.all([
    ...[layout.lan, layout.upstream].map((name) => writeSysctls(name, SWITCH)),
    ...layout.routers.map((name) => writeSysctls(name, ROUTER_SYSCTLS)),
    ...layout.hosts.map((name) => writeSysctls(name, QUIET)),
  ]);
  await ipBatch(cables(layout));
  await ipBatch([BRIDGE], layout.lan);
  await ipBatch([BRIDGE.replace("br0", `br0 address ${UPSTREAM_MAC}`)], layout.upstream);
  const ports = [
    ...layout.routers.map((_, at) => `r${at + 1}`),
    ...layout.hosts.map((_, at) => `h${at + 1}`),
  ];
  await ipBatch(["link set lo up", ...switchLines(ports)], layout.lan);
  await Promise.all([
    ipBatch(upstreamLines(layout), layout.upstream),
    ...layout.routers.map((name, at) => ipBatch(routerLines(at + 1), name)),
    ...layout.hosts.map((name, at) => ipBatch(hostLines(at + 1), name)),
  ]);
}

/** Changes the switch port of a router in a segment. */
type CutWay = (segment: string, port: string) => Promise<unknown>;

const CUT: Readonly<Record<CutKind, CutWay>> = {
  line: (segment, port) => runCommand("ip", ["-n", segment, "link", "set", port, "down"]),
  silent: (segment, port) => runCommand("bridge", ["-n", segment, "link", "set", "dev", port, "state", "0"]),
};

const RESTORE: Readonly<Record<CutKind, CutWay>> = {
  line: (segment, port) => runCommand("ip", ["-n", segment, "link", "set", port, "up"]),
  silent: (segment, port) => runCommand("bridge", ["-n", segment, "link", "set", "dev", port, "state", "3"]),
};

const PORT_BOUND_MS = 5000;

/** Waits until a switch port forwards: it does only when the switch has heard that the line works. */
async function portForwards(segment: string, port: string): Promise<void> {
  await eventually(`port ${port} of ${segment} forwards`, PORT_BOUND_MS, async () => {
    const text = await runCommand("bridge", ["-n", segment, "-json", "link", "show", "dev", port]);
    const [link] = JSON.parse(text) as { readonly state?: string }[];
    return link?.state === "forwarding";
  });
}

async function portIndices(lan: string): Promise<ReadonlyMap<string, number>> {
  const links = JSON.parse(await runIn(lan, "ip", "-json", "link", "show")) as {
    readonly ifname: string;
    readonly ifindex: number;
  }[];
  return new Map(links.map((link) => [link.ifname, link.ifindex]));
}

/** A namespace that is there already, as a node. Logs of what it spawns go to `directory`. */
export function nodeOf(name: string, namespace: string, directory: string): LabNode {
  return {
    name,
    namespace,
    path: namespacePath(namespace),
    run: (command, ...args) => runIn(namespace, command, ...args),
    spawn: (log, command, args, env) =>
      spawnIn(namespace, command, args, {
        logFile: join(directory, `${log}.log`),
        ...(env ? { env } : {}),
      }),
  };
}

function routerOf(index: number, namespace: string, directory: string): LabRouter {
  return {
    ...nodeOf(`r${index}`, namespace, directory),
    index,
    lanInterface: "lan0",
    upstreamInterface: "wan0",
    addresses: { ipv4: `192.0.2.${index + 1}`, ipv6: `2001:db8:1::${(index + 1).toString(16)}` },
    linkLocal: `fe80::ff:fe01:${index.toString(16)}`,
    lanMac: lanMac(index),
    upstreamMac: upstreamMac(index),
  };
}

/** Builds a lab. Throws a FirsthopError when rights or `ip` are missing; leaves nothing behind then. */
export async function openLab(options: LabOptions = {}): Promise<Lab> {
  requireNamespaces();
  removeLeftovers();
  const now = loadNative().trafficNowUs;
  const { name, directory } = newEstateName();
  const layout = layOut(name, options);
  const close = bequeath([layout.lan, layout.upstream, ...layout.routers, ...layout.hosts], directory);
  try {
    await build(layout);
    const spacesOf = (legs: Legs): readonly string[] => [
      ...(legs === "lan" ? [] : [layout.upstream]),
      ...(legs === "upstream" ? [] : [layout.lan]),
    ];
    const timed = async (work: Promise<unknown>): Promise<Moment> => {
      const beginUs = now();
      await work;
      return { beginUs, endUs: now() };
    };
    const cutInTurn = async (router: LabRouter, legs: Legs, kind: CutKind): Promise<void> => {
      // The LAN first: advertisements and packets end in the same moment.
      for (const space of [...spacesOf(legs)].reverse()) await CUT[kind](space, `r${router.index}`);
    };
    const restoreInTurn = async (router: LabRouter, legs: Legs, kind: CutKind): Promise<void> => {
      // The upstream first: a router that the LAN can reach before it has a way out would lose packets.
      for (const space of spacesOf(legs)) {
        await RESTORE[kind](space, `r${router.index}`);
        await portForwards(space, `r${router.index}`);
      }
    };
    return {
      name,
      directory,
      lan: nodeOf("lan", layout.lan, directory),
      upstream: nodeOf("upstream", layout.upstream, directory),
      routers: layout.routers.map((namespace, at) => routerOf(at + 1, namespace, directory)),
      hosts: layout.hosts.map((namespace, at) => nodeOf(`h${at + 1}`, namespace, directory)),
      lanPorts: await portIndices(layout.lan),
      cut: (router, legs, kind = "line") => timed(cutInTurn(router, legs, kind)),
      restore: (router, legs, kind = "line") => timed(restoreInTurn(router, legs, kind)),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
