/**
 * The mask table: IP prefixes and MAC addresses that checks leave out. Pure. Of several entries that fit, the one
 * that says most is named: a MAC address, else the longest prefix.
 */
import { formatIp, formatMac, parseIp, parseMac } from "../address.js";

export type MaskEntry =
  | { readonly kind: "prefix"; readonly text: string; readonly address: string; readonly length: number }
  | { readonly kind: "mac"; readonly text: string };

/**
 * Reads "192.0.2.128/25", "2001:db8::1" (a host) or "02:00:00:00:00:17". The text of the entry is canonical: bits
 * behind the prefix are 0, and a host has no length. Null: it is neither.
 */
export function parseMaskEntry(text: string): MaskEntry | null {
  const mac = parseMac(text);
  if (mac) return { kind: "mac", text: formatMac(mac) };
  const [host = "", lengthText, ...rest] = text.split("/");
  const bytes = parseIp(host);
  if (!bytes || rest.length > 0) return null;
  const most = bytes.length * 8;
  if (lengthText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(lengthText)) return null;
  const length = lengthText === undefined ? most : Number(lengthText);
  if (length > most) return null;
  const address = formatIp(network(bytes, length));
  return { kind: "prefix", text: length === most ? address : `${address}/${length}`, address, length };
}

/** An address without the bits behind the prefix. */
function network(address: Uint8Array, length: number): Uint8Array {
  return address.map((octet, index) => octet & netmaskOctet(length - 8 * index));
}

/** The first `bits` bits of an octet. */
function netmaskOctet(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

/** The entry that keeps checks from a neighbour; null: none does. What is not known of it is null. */
export type MaskLookup = (address: string | null, mac: string | null) => MaskEntry | null;

type Prefix = Extract<MaskEntry, { kind: "prefix" }>;

/** Hundreds of neighbours are looked up in thousands of entries: as many steps as there are lengths of prefixes. */
export function maskLookup(table: readonly MaskEntry[]): MaskLookup {
  const macs = new Map<string, MaskEntry>();
  /** By length, then by the octets of the network; those of the other family have another number of octets. */
  const byLength = new Map<number, Map<string, Prefix>>();
  for (const entry of table) {
    if (entry.kind === "mac") {
      macs.set(entry.text, entry);
      continue;
    }
    const there = byLength.get(entry.length) ?? new Map<string, Prefix>();
    byLength.set(entry.length, there.set(String(parseIp(entry.address)), entry));
  }
  const longestFirst = [...byLength].sort(([a], [b]) => b - a);
  return (address, mac) => {
    const byMac = mac === null ? undefined : macs.get(mac);
    if (byMac) return byMac;
    const octets = address === null ? null : parseIp(address);
    if (!octets) return null;
    for (const [length, those] of longestFirst) {
      const found = those.get(String(network(octets, length)));
      if (found) return found;
    }
    return null;
  };
}
