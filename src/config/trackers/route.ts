/** route: a prefix in a routing table, followed by the kernel's news: an upstream routing daemon's verdict. */
import { z } from "zod";
import { canonicalIp, familyOf, ipToBytes } from "../../core/address.js";
import { address, text } from "../fields.js";
import { isBlock } from "../section.js";
import { leaving, trackerKind } from "./kind.js";

export interface RouteSpec {
  readonly kind: "route";
  /** Canonical, with length: "0.0.0.0/0". */
  readonly prefix: string;
  /** Next hop that it has to go by. */
  readonly via: string | null;
  readonly interface: string | null;
  /** Null: any table. */
  readonly table: number | null;
  /** rtm_protocol: who made it. Null: anybody. */
  readonly protocol: number | null;
}

/** Names of `ip route` for who made a route (rtm_protocol; /etc/iproute2/rt_protos). */
export const ROUTE_PROTOCOLS: Readonly<Record<string, number>> = {
  redirect: 1,
  kernel: 2,
  boot: 3,
  static: 4,
  gated: 8,
  ra: 9,
  mrt: 10,
  zebra: 11,
  bird: 12,
  dnrouted: 13,
  xorp: 14,
  ntk: 15,
  dhcp: 16,
  keepalived: 18,
  babel: 42,
  openr: 99,
  bgp: 186,
  isis: 187,
  ospf: 188,
  rip: 189,
  eigrp: 192,
};

/** Up to here: made by the kernel or by people. */
const ROUTE_PROTOCOLS_STATIC_MAX = 4;

const ROUTE_TABLES: Readonly<Record<string, number>> = { default: 253, main: 254, local: 255 };

/** The canonical prefix, or null. Bits behind the length must be zero: `ip route` would not take it either. */
export function canonicalPrefix(value: string): string | null {
  const [host = "", length, ...rest] = value.split("/");
  const network = canonicalIp(host);
  if (network === null || rest.length > 0) return null;
  const most = familyOf(network) === "ipv4" ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const bits = length === undefined ? most : Number(length);
  if (bits > most) return null;
  const octets = ipToBytes(network);
  const clean = octets.every(
    (octet, at) => (octet & (0xff >> Math.min(Math.max(bits - at * 8, 0), 8))) === 0,
  );
  return clean ? `${network}/${bits}` : null;
}

const prefix = text("prefix", "a prefix like 0.0.0.0/0", (value) =>
  value === "default"
    ? "write 0.0.0.0/0 or ::/0"
    : canonicalPrefix(value) === null
      ? `'${value}' is no prefix like 203.0.113.0/24 (bits behind its length are 0)`
      : null,
);

const known = (names: Readonly<Record<string, number>>, kind: string, most: number) => {
  const error = `${kind} is a number up to ${most}, or one of ${Object.keys(names).join(", ")}`;
  const name = z.string().refine((one) => Object.hasOwn(names, one), { error });
  return z.union([z.int().min(0, { error }).max(most, { error }), name], { error });
};

const numberOf = (
  names: Readonly<Record<string, number>>,
  value: string | number | undefined,
): number | null =>
  value === undefined ? null : typeof value === "number" ? value : (names[value] as number);

export const routeKind = trackerKind({
  keys: {
    route: prefix.optional().meta({
      description: "Kind: this prefix is in a routing table, with a next hop that works.",
      examples: ["0.0.0.0/0"],
    }),
    via: address
      .optional()
      .meta({ description: "route: the next hop it has to go by.", examples: ["203.0.113.1"] }),
    interface: leaving.interface,
    table: known(ROUTE_TABLES, "a routing table", 0xffff_ffff)
      .optional()
      .meta({
        title: "name or number",
        description: "route: only in this table; default: any.",
        examples: ["main"],
      }),
    protocol: known(ROUTE_PROTOCOLS, "a routing protocol", 255)
      .optional()
      .meta({
        title: "name or number",
        description: "route: only from this origin, as `ip route` names it.",
        examples: ["bgp"],
      }),
  },
  polling: null,
  check(written, at, report) {
    const { route, via } = written;
    if (!isBlock(written) || typeof route !== "string" || typeof via !== "string") return;
    const [network, hop] = [canonicalPrefix(route), canonicalIp(via)];
    // A next hop of IPv6 under an IPv4 route is possible (RFC 8950), the reverse is not.
    if (network && hop && familyOf(network.split("/")[0] as string) === "ipv6" && familyOf(hop) === "ipv4")
      report("error", at("via"), `${hop} can't be the next hop of an IPv6 route`);
  },
  // Only a routing daemon takes a route away when the network behind it fails.
  covers: ({ protocol }: RouteSpec) => [
    "router-software",
    "upstream-interface",
    ...(protocol !== null && protocol > ROUTE_PROTOCOLS_STATIC_MAX ? (["upstream-network"] as const) : []),
  ],
  normalize: (checked): RouteSpec => ({
    kind: "route",
    prefix: canonicalPrefix(checked.route as string) as string,
    via: checked.via === undefined ? null : canonicalIp(checked.via),
    interface: checked.interface ?? null,
    table: numberOf(ROUTE_TABLES, checked.table),
    protocol: numberOf(ROUTE_PROTOCOLS, checked.protocol),
  }),
  target: (spec) => spec.prefix,
});
