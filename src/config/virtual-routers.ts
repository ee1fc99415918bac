/** The section virtualRouters: schema, what only shows between several keys, the engine's form. */
import { z } from "zod";
import { canonicalIp, familyOf, isLinkLocal } from "../core/address.js";
import { type IpFamily, PRIORITY_OWNER } from "../core/vrrp/advertisement.js";
import {
  bfdAuthentication,
  bfdInterval,
  bfdMultiplier,
  checkBfdAuthentication,
  normalizeBfdAuthentication,
} from "./bfd.js";
import {
  address,
  addressWithLength,
  duration,
  integer,
  lanInterfaceName,
  oneOf,
  text,
  yesNo,
} from "./fields.js";
import { checkNotify, normalizeNotify, notifySchema } from "./notify.js";
import { isBlock, type Path, type Report, section, valid } from "./section.js";
import { syncGroupName } from "./sync-groups.js";
import { namedTrackers } from "./trackers/index.js";
import { checkTrack, normalizeTrack, trackSchema } from "./trackers/track.js";
import type { TrackerConfig } from "./trackers/tracker.js";
import type { VirtualAddress, VirtualRouterConfig } from "./types.js";
import { formatDuration, parseDuration } from "./units.js";

const password = text("text of 1 to 8 octets", "a text", (value) => {
  const octets = new TextEncoder().encode(value).length;
  return octets >= 1 && octets <= 8 ? null : `a VRRPv2 password has 1 to 8 octets, this one has ${octets}`;
});

const addressList = (what: string) =>
  z
    .array(address, { error: "a list of addresses is expected" })
    .min(1, { error: `at least one ${what} is needed` });

const virtualRouterSchema = z.strictObject(
  {
    interface: lanInterfaceName.meta({ description: "The LAN interface.", examples: ["eth0"] }),
    vrid: integer(1, 255, {
      description: "Virtual router identifier; the same on all routers of the group.",
      examples: [10],
    }),
    version: z
      .union([z.literal(2), z.literal(3)], {
        error: (issue) => `${JSON.stringify(issue.input)} is no VRRP version: 2 or 3`,
      })
      .meta({ description: "VRRP version: 2 (RFC 3768, IPv4 only) or 3 (RFC 9568).", examples: [2] })
      .default(3),
    priority: integer(
      1,
      255,
      {
        description: "The highest is Active: 1 to 254, or 255 when this router owns the addresses.",
        examples: [150],
      },
      " (0 is the release, which is never configured)",
    ).default(100),
    addresses: z
      .array(addressWithLength, { error: "a list of addresses is expected" })
      .min(1, { error: "at least one address is needed" })
      .max(255, { error: "an advertisement holds at most 255 addresses" })
      .meta({
        description:
          "Virtual addresses, all of one family; for IPv6 a link-local one first. Without a prefix length: /32, /128, and /64 for link-local ones.",
        examples: [["192.0.2.1/24"], ["fe80::1", "2001:db8::1/64"]],
      }),
    advertisementInterval: duration({
      description:
        "Time between advertisements. v3: 10ms to 40.95s in steps of 10ms; v2: 1s to 255s in whole seconds.",
      examples: ["100ms"],
    }).default("1s"),
    preempt: yesNo({
      description: "Whether a higher priority takes over from a working Active.",
      examples: [false],
    }).default(true),
    preemptDelay: duration({
      description: "How long a lower-priority Active is tolerated once it was heard.",
      examples: ["30s"],
    }).default("0s"),
    accept: yesNo({
      description:
        "Whether the Active answers on the virtual addresses (ping, SSH). The RFC's default is false; users expect true.",
      examples: [false],
    }).default(true),
    virtualMac: yesNo({
      description: "false: the addresses move on the interface's own MAC.",
      examples: [false],
    }).default(true),
    checksum: oneOf(["auto", "message-only", "pseudo-header"], {
      description:
        "VRRPv3 over IPv4: the checksum that is sent. auto: RFC 9568's, or the peers' where they use the other. Both are always accepted.",
      examples: ["pseudo-header"],
    }).default("auto"),
    authentication: z
      .strictObject({
        type: oneOf(["simple"], {
          description: "A password in clear text (RFC 2338 type 1).",
          examples: ["simple"],
        }),
        password: password.meta({
          description: "The same on all routers of the group.",
          examples: ["secret"],
        }),
      })
      .optional()
      .meta({ description: "VRRPv2 only, and no security: it guards against mistakes." }),
    unicast: z
      .strictObject({
        source: address.optional().meta({
          description: "Source address; default: the interface's primary address.",
          examples: ["192.0.2.2"],
        }),
        peers: addressList("peer").meta({
          description: "The other routers' addresses.",
          examples: [["192.0.2.3"]],
        }),
      })
      .optional()
      .meta({ description: "Advertisements to named peers, where multicast does not pass." }),
    bfd: z
      .strictObject(
        {
          interval: bfdInterval,
          multiplier: bfdMultiplier,
          rank: integer(1, 255, {
            description:
              "Order of the Backups: rank 1 takes over at once, rank n after n-1 times interval x multiplier.",
            examples: [2],
          }).default(1),
          backupAdvertisements: yesNo({
            description:
              "Whether Backups show themselves to each other (VRRP packet type 2 of draft-ietf-rtgwg-vrrp-bfd-p2p), so that their priorities, then their addresses decide who takes over at once, without ranks. VRRPv3 only. Sent to 224.0.0.254 or ff02::114, so that other routers never see them; with unicast, to the peers.",
            examples: [true],
          }).default(false),
          multipoint: yesNo({
            description:
              "Multipoint BFD (RFC 8562): the Active sends one stream to VRRP's group for all Backups, which only listen. Without authentication; it sees one direction of the line.",
            examples: [true],
          }).default(false),
          authentication: bfdAuthentication,
        },
        { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
      )
      .optional()
      .meta({
        description:
          "BFD between the Active and each Backup (RFC 5881): a Backup takes over when the session to the Active falls silent, however rare advertisements are. The same on all routers, but for the rank.",
      }),
    track: trackSchema,
    syncGroup: syncGroupName
      .optional()
      .meta({ description: "The sync group that it moves with.", examples: ["edge"] }),
    notify: notifySchema,
    startupDelay: duration({
      description:
        "How long after the daemon's start it stays out of the election, for what else has to come up first.",
      examples: ["30s"],
    }).default("0s"),
  },
  { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
);

const schema = z
  .array(virtualRouterSchema, { error: "a list of virtual routers is expected" })
  .min(1, { error: "at least one virtual router is needed" })
  .meta({ description: "The virtual routers that this router takes part in." });

type VirtualRouter = z.output<typeof virtualRouterSchema>;

/** What is right in a virtual router as written. Addresses keep their index; a wrong one is null. */
interface Parts extends Partial<Omit<VirtualRouter, "addresses" | "unicast">> {
  readonly addresses: readonly (string | null)[];
  readonly peers: readonly (string | null)[];
  readonly source?: string | undefined;
  /** As JSON; undefined without a `bfd` block. */
  readonly bfdAuthentication?: string | undefined;
  /** Of the first right address. */
  readonly family?: IpFamily | undefined;
}

function partsOf(written: unknown): Parts {
  if (!isBlock(written)) return { addresses: [], peers: [] };
  const shape = virtualRouterSchema.shape;
  const unicast = isBlock(written.unicast) ? written.unicast : {};
  const addresses = hosts(addressWithLength, written.addresses);
  const first = addresses.find((one) => one !== null);
  return {
    interface: valid(shape.interface, written.interface),
    vrid: valid(shape.vrid, written.vrid),
    version: valid(shape.version, written.version),
    priority: valid(shape.priority, written.priority),
    advertisementInterval: valid(shape.advertisementInterval, written.advertisementInterval),
    preempt: valid(shape.preempt, written.preempt),
    preemptDelay: valid(shape.preemptDelay, written.preemptDelay),
    checksum: valid(shape.checksum, written.checksum),
    authentication: valid(shape.authentication, written.authentication),
    addresses,
    source: hosts(address, [unicast.source])[0] ?? undefined,
    peers: hosts(address, unicast.peers),
    bfdAuthentication: isBlock(written.bfd)
      ? JSON.stringify(valid(bfdAuthentication, written.bfd.authentication) ?? null)
      : undefined,
    family: first ? familyOf(first) : undefined,
  } as Parts;
}

/** The canonical addresses of a list, without prefix lengths; null for what is none. */
function hosts(kind: typeof address, written: unknown): (string | null)[] {
  if (!Array.isArray(written)) return [];
  return written.map((one) => {
    const text = valid(kind, one);
    return text === undefined ? null : hostOf(text);
  });
}

function hostOf(text: string): string {
  return canonicalIp(text.split("/")[0] as string) as string;
}

type At = (...path: (string | number)[]) => Path;

/** Octets of a full advertisement beside its addresses: IPv6 header and VRRP header; an Ethernet frame takes 1500. */
const IPV6_ADDRESSES_IN_ETHERNET = Math.floor((1500 - 40 - 8) / 16);

function checkOne(one: Parts, written: Readonly<Record<string, unknown>>, at: At, report: Report): void {
  const { family, version, priority } = one;
  checkAddresses(one, at, report);
  if (family === "ipv6" && version === 2)
    report("error", at("version"), "VRRPv2 knows IPv4 only: use version 3");
  if (written.authentication !== undefined && version === 3) {
    const message = "VRRPv3 has no authentication: leave it out, or use version 2";
    report("error", at("authentication"), message);
  } else if (one.authentication && version === 2) {
    const message = "no security: every host on the LAN can read it; it only guards against mistakes";
    report("warning", at("authentication"), message);
  }
  if (isBlock(written.bfd)) {
    checkBfd(written.bfd, version, at, report);
    checkMultipoint(written, written.bfd, at, report);
  }
  if (version !== undefined && one.advertisementInterval !== undefined)
    checkInterval(version, one.advertisementInterval, at("advertisementInterval"), report);
  checkUnicast(one, at, report);
  checkNotify(written.notify, at("notify"), report);
  if (one.preempt === false && priority === 255)
    report("warning", at("preempt"), "no effect: the owner of the addresses (priority 255) always preempts");
  if (one.preemptDelay !== undefined && parseDuration(one.preemptDelay) !== 0) {
    if (one.preempt === false) report("warning", at("preemptDelay"), "no effect without preempt");
    else if (priority === 255)
      report(
        "warning",
        at("preemptDelay"),
        "no effect: the owner of the addresses (priority 255) never waits",
      );
  }
  if (one.checksum !== undefined && one.checksum !== "auto" && (family === "ipv6" || version === 2)) {
    const reason = version === 2 ? "VRRPv2" : "IPv6";
    report("warning", at("checksum"), `no effect: ${reason} knows one form of checksum only`);
  }
}

function checkBfd(
  written: Readonly<Record<string, unknown>>,
  version: 2 | 3 | undefined,
  at: At,
  report: Report,
): void {
  checkBfdAuthentication(written.authentication, at("bfd", "authentication"), report);
  if (written.backupAdvertisements !== true) return;
  if (version === 2) {
    const message = "VRRPv2 has no backup advertisements: leave it out, or use version 3";
    report("error", at("bfd", "backupAdvertisements"), message);
  }
  if (written.rank !== undefined)
    report("warning", at("bfd", "rank"), "no effect: with backupAdvertisements, priorities decide");
}

function checkMultipoint(
  written: Readonly<Record<string, unknown>>,
  bfd: Readonly<Record<string, unknown>>,
  at: At,
  report: Report,
): void {
  if (bfd.multipoint !== true) return;
  const path = at("bfd", "multipoint");
  if (bfd.authentication !== undefined)
    report("error", path, "multipoint packets are not authenticated: leave out one of the two");
  if (written.unicast !== undefined)
    report(
      "error",
      path,
      "needs multicast, and unicast is for where it does not pass: leave out one of the two",
    );
}

function checkAddresses(one: Parts, at: At, report: Report): void {
  const { addresses, family } = one;
  const seen = new Map<string, number>();
  const first = addresses.find((host) => host !== null);
  addresses.forEach((host, index) => {
    if (host === null) return;
    const path = at("addresses", index);
    const before = seen.get(host);
    if (before !== undefined) report("error", path, `${host} is listed twice`, at("addresses", before));
    else seen.set(host, index);
    if (familyOf(host) !== family)
      report("error", path, `${host} is of another family than ${first}: make two virtual routers`);
  });
  const leader = addresses[0];
  if (typeof leader === "string" && family === "ipv6" && !isLinkLocal(leader)) {
    const found = addresses.find((host) => host !== null && isLinkLocal(host));
    const advice = found ? `: put ${found} first` : ": begin with one like fe80::1";
    const message = `the first IPv6 address must be link-local (RFC 9568 section 5.2.9)${advice}`;
    report("error", at("addresses", 0), message);
  }
  if (family === "ipv6" && addresses.length > IPV6_ADDRESSES_IN_ETHERNET) {
    const most = IPV6_ADDRESSES_IN_ETHERNET;
    const message = `advertisements of more than ${most} IPv6 addresses need a larger MTU than 1500`;
    report("warning", at("addresses"), message);
  }
}

function checkInterval(version: 2 | 3, written: string, path: Path, report: Report): void {
  const [stepUs, most] = version === 3 ? [10_000, 4095] : [1_000_000, 255];
  const us = parseDuration(written) as number;
  const step = formatDuration(stepUs);
  if (us < stepUs || us > stepUs * most) {
    const range = `${step} to ${formatDuration(stepUs * most)}`;
    report("error", path, `${written} is out of range: VRRPv${version} takes ${range}`);
  } else if (us % stepUs !== 0) {
    const below = us - (us % stepUs);
    const neighbours = `${formatDuration(below)} or ${formatDuration(below + stepUs)}`;
    report("error", path, `${written} is not a multiple of ${step}: use ${neighbours}`);
  }
}

function checkUnicast(one: Parts, at: At, report: Report): void {
  const { source, peers, family } = one;
  const foreign = (host: string): boolean => family !== undefined && familyOf(host) !== family;
  if (source !== undefined && foreign(source))
    report("error", at("unicast", "source"), `${source} is of another family than the virtual addresses`);
  else if (source !== undefined && one.priority !== PRIORITY_OWNER && one.addresses.includes(source))
    report("error", at("unicast", "source"), `${source} is a virtual address: name an own one`);
  const seen = new Map<string, number>();
  peers.forEach((peer, index) => {
    if (peer === null) return;
    const path = at("unicast", "peers", index);
    const before = seen.get(peer);
    if (foreign(peer)) report("error", path, `${peer} is of another family than the virtual addresses`);
    else if (peer === source) report("error", path, `${peer} is this router's own source address`);
    else if (before !== undefined)
      report("error", path, `${peer} is listed twice`, at("unicast", "peers", before));
    else if (one.addresses.includes(peer))
      report("error", path, `${peer} is a virtual address: name the peer's own one`);
    seen.set(peer, index);
  });
}

function warnOfWeights(track: unknown, index: number, report: Report): void {
  if (!Array.isArray(track)) return;
  track.forEach((entry: unknown, at) => {
    if (!isBlock(entry) || typeof entry.weight !== "number" || entry.weight === 0) return;
    const message = "no effect: the owner of the addresses keeps its priority of 255";
    report("warning", ["virtualRouters", index, "track", at, "weight"], message);
  });
}

/** Virtual routers of one interface and family share their sessions, so one key fits all. */
function checkBfdAmong(all: readonly Parts[], report: Report): void {
  const first = new Map<string, number>();
  all.forEach((one, index) => {
    if (one.bfdAuthentication === undefined) return;
    const key = `${one.interface}/${one.family}`;
    const other = first.get(key);
    if (other === undefined) first.set(key, index);
    else if (all[other]?.bfdAuthentication !== one.bfdAuthentication) {
      const message = `virtualRouters[${other}] shares its BFD sessions with this one and has another authentication`;
      const path = (at: number): Path => ["virtualRouters", at, "bfd"];
      report("error", path(index), `${message}: make them the same`, path(other));
    }
  });
}

/** One VRID, one owner of an address: across the virtual routers of an interface. */
function checkAmong(all: readonly Parts[], report: Report): void {
  const byVrid = new Map<string, number>();
  const byAddress = new Map<string, number>();
  checkBfdAmong(all, report);
  all.forEach((one, index) => {
    if (one.interface === undefined) return;
    const { vrid, family } = one;
    if (vrid !== undefined && family !== undefined) {
      const key = `${one.interface}/${vrid}/${family}`;
      const other = byVrid.get(key);
      if (other === undefined) byVrid.set(key, index);
      else {
        const used = `VRID ${vrid} is used on ${one.interface} for ${family} already`;
        const path = ["virtualRouters", index, "vrid"];
        report("error", path, `${used}, by virtualRouters[${other}]`, ["virtualRouters", other, "vrid"]);
      }
    }
    one.addresses.forEach((host, position) => {
      if (host === null) return;
      const key = `${one.interface} ${host}`;
      const other = byAddress.get(key);
      if (other === undefined) byAddress.set(key, index);
      else if (other !== index) {
        const there = all[other]?.addresses.indexOf(host) ?? 0;
        const message = `${host} belongs to virtualRouters[${other}] on ${one.interface} already`;
        const path = ["virtualRouters", index, "addresses", position];
        report("error", path, message, ["virtualRouters", other, "addresses", there]);
      }
    });
  });
}

function check(written: unknown, report: Report, document: Readonly<Record<string, unknown>>): void {
  if (!Array.isArray(written)) return;
  const all = written.map(partsOf);
  all.forEach((one, index) => {
    const block: unknown = written[index];
    if (!isBlock(block)) return;
    checkOne(one, block, (...path) => ["virtualRouters", index, ...path], report);
    checkTrack(block.track, ["virtualRouters", index, "track"], report, document.trackers);
    if (one.priority === PRIORITY_OWNER) warnOfWeights(block.track, index, report);
  });
  checkAmong(all, report);
}

function normalize(
  checked: readonly VirtualRouter[],
  document: Readonly<Record<string, unknown>>,
): { readonly virtualRouters: readonly VirtualRouterConfig[] } {
  const trackers = namedTrackers(document);
  const keyOf = (one: VirtualRouter): string => `${one.interface}/${one.vrid}`;
  const overIpv4 = new Set(
    checked.filter((one) => familyOf(one.addresses[0] as string) === "ipv4").map(keyOf),
  );
  return { virtualRouters: checked.map((one) => normalizeOne(one, overIpv4.has(keyOf(one)), trackers)) };
}

function normalizeOne(
  one: VirtualRouter,
  overIpv4: boolean,
  trackers: readonly TrackerConfig[],
): VirtualRouterConfig {
  const family = familyOf(one.addresses[0] as string);
  const { authentication = null, unicast } = one;
  return {
    name: `${one.interface}/${one.vrid}${family === "ipv6" && overIpv4 ? "/ipv6" : ""}`,
    interface: one.interface,
    vrid: one.vrid,
    family,
    version: one.version,
    priority: one.priority,
    addresses: one.addresses.map(toVirtualAddress),
    advertisementIntervalUs: parseDuration(one.advertisementInterval) as number,
    preempt: one.preempt,
    preemptDelayUs: parseDuration(one.preemptDelay) as number,
    accept: one.accept,
    virtualMac: one.virtualMac,
    checksum: one.checksum,
    authentication,
    bfd: one.bfd
      ? {
          intervalUs: parseDuration(one.bfd.interval) as number,
          multiplier: one.bfd.multiplier,
          rank: one.bfd.rank,
          backupAdvertisements: one.bfd.backupAdvertisements,
          multipoint: one.bfd.multipoint,
          authentication: normalizeBfdAuthentication(one.bfd.authentication),
        }
      : null,
    unicast: unicast
      ? {
          source: unicast.source === undefined ? null : hostOf(unicast.source),
          peers: unicast.peers.map(hostOf),
        }
      : null,
    track: normalizeTrack(one.track, trackers),
    syncGroup: one.syncGroup ?? null,
    notify: normalizeNotify(one.notify),
    startupDelayUs: parseDuration(one.startupDelay) as number,
  };
}

/** Link-local addresses need their /64: answers to link-local hosts leave by it. */
function toVirtualAddress(text: string): VirtualAddress {
  const host = hostOf(text);
  const length = text.split("/")[1];
  if (length !== undefined) return { address: host, prefixLength: Number(length) };
  if (isLinkLocal(host)) return { address: host, prefixLength: 64 };
  return { address: host, prefixLength: familyOf(host) === "ipv4" ? 32 : 128 };
}

export const virtualRouters = section({ schema, check, normalize });
