/**
 * The mask table: IP prefixes and MAC addresses that checks leave out. Pure. Of several entries that fit, the one
 * that says most is named: a MAC address, else the longest prefix.
 */
import { formatIp, formatMac, parseIp, parseMac, prefixContains } from "../address.js";

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
  const address = formatIp(bytes.map((octet, index) => octet & netmaskOctet(length - 8 * index)));
  return { kind: "prefix", text: length === most ? address : `${address}/${length}`, address, length };
}

/** The first `bits` bits of an octet. */
function netmaskOctet(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

/** The entry that keeps checks from a neighbour; null: none does. What is not known of it is null. */
export function maskedBy(
  table: readonly MaskEntry[],
  address: string | null,
  mac: string | null,
): MaskEntry | null {
  let best: Extract<MaskEntry, { kind: "prefix" }> | null = null;
  for (const entry of table) {
    if (entry.kind === "mac") {
      if (entry.text === mac) return entry;
    } else if (address !== null && (best === null || entry.length > best.length)) {
      if (prefixContains(entry.address, entry.length, address)) best = entry;
    }
  }
  return best;
}
