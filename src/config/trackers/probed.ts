/** icmp, arp, nd: a host that answers. */
import { canonicalIp, familyOf } from "../../core/address.js";
import { address } from "../fields.js";
import type { Report } from "../section.js";
import { type At, checkLeaving, leaving, leavingOf, trackerKind } from "./kind.js";

export interface ProbedSpec<Kind extends "icmp" | "arp" | "nd"> {
  readonly kind: Kind;
  readonly address: string;
  /** Null for icmp only: the routing table's choice. */
  readonly interface: string | null;
  /** Null: the interface's own address. */
  readonly source: string | null;
}

const polling = { interval: "1s", fall: 3, rise: 2 };

type Written = Readonly<Record<string, unknown>>;

const addressIn = (written: Written, key: string): string | null =>
  typeof written[key] === "string" ? canonicalIp(written[key]) : null;

function checkNeighbour(kind: "arp" | "nd", written: Written, at: At, report: Report): void {
  const target = addressIn(written, kind);
  if (written.interface === undefined) report("error", at(), "interface is missing: whose neighbour is it?");
  if (!target) return;
  const wanted = kind === "arp" ? "ipv4" : "ipv6";
  if (familyOf(target) !== wanted) {
    const other = kind === "arp" ? "nd" : "arp";
    report("error", at(kind), `${target} has no ${kind.toUpperCase()}: use ${other}`);
  } else if (written.interface !== undefined) {
    checkLeaving(target, written, at, report);
  }
}

function specOf<Kind extends "icmp" | "arp" | "nd">(
  kind: Kind,
  checked: { readonly [key in Kind]?: string | undefined } & Parameters<typeof leavingOf>[0],
): ProbedSpec<Kind> {
  return { kind, address: canonicalIp(checked[kind] as string) as string, ...leavingOf(checked) };
}

export const icmpKind = trackerKind({
  keys: {
    icmp: address.optional().meta({
      description: "Kind: this address answers ICMP or ICMPv6 echo requests.",
      examples: ["203.0.113.1"],
    }),
    ...leaving,
  },
  polling,
  check(written, at, report) {
    const target = addressIn(written, "icmp");
    if (target) checkLeaving(target, written, at, report);
  },
  normalize: (checked): ProbedSpec<"icmp"> => specOf("icmp", checked),
  target: (spec) => spec.address,
});

export const arpKind = trackerKind({
  keys: {
    arp: address.optional().meta({
      description: "Kind: this IPv4 neighbour on `interface` answers ARP requests.",
      examples: ["192.0.2.254"],
    }),
    ...leaving,
  },
  polling,
  check: (written, at, report) => checkNeighbour("arp", written, at, report),
  normalize: (checked): ProbedSpec<"arp"> => specOf("arp", checked),
  target: (spec) => `${spec.address}%${spec.interface}`,
});

export const ndKind = trackerKind({
  keys: {
    nd: address.optional().meta({
      description: "Kind: this IPv6 neighbour on `interface` answers neighbour solicitations.",
      examples: ["2001:db8::fe"],
    }),
    ...leaving,
  },
  polling,
  check: (written, at, report) => checkNeighbour("nd", written, at, report),
  normalize: (checked): ProbedSpec<"nd"> => specOf("nd", checked),
  target: (spec) => `${spec.address}%${spec.interface}`,
});
