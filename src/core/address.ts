/**
 * Addresses as text and octets. Text is the interchange form everywhere (canonical: RFC 5952 for IPv6,
 * lower-case hex with colons for MACs); octets exist only where frames are read and written.
 */

/** 4 octets, or null when the text is no IPv4 address in dotted-quad form without leading zeros. */
export function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return null;
    const value = Number(part);
    if (value > 255) return null;
    bytes[index] = value;
  }
  return bytes;
}

/** 16 octets, or null. Accepts `::` and an embedded IPv4 tail; no zone. RFC 4291 section 2.2. */
export function parseIpv6(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F:.]+$/.test(text)) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (!head || !tail) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (const [index, group] of groups.entries()) {
    bytes[2 * index] = group >> 8;
    bytes[2 * index + 1] = group & 0xff;
  }
  return bytes;
}

/** Groups of one side of `::`; an IPv4 address may only stand at the end of the whole. */
function groupsOf(text: string, atEnd: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const v4 = atEnd && index === parts.length - 1 ? parseIpv4(part) : null;
      if (!v4) return null;
      groups.push(((v4[0] as number) << 8) | (v4[1] as number), ((v4[2] as number) << 8) | (v4[3] as number));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** 4 or 16 octets, or null. */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Like parseIp, for text that is known to be an address. */
export function ipToBytes(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (!bytes) throw new RangeError(`not an IP address: ${text}`);
  return bytes;
}

/** Canonical text of 4 or 16 octets. RFC 5952: the longest run of zero groups (two or more) becomes `::`. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) {
    groups.push(((bytes[index] as number) << 8) | (bytes[index + 1] as number));
  }
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  if (bestStart < 0) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

/** Canonical text of an address, or null. */
export function canonicalIp(text: string): string | null {
  const bytes = parseIp(text);
  return bytes && formatIp(bytes);
}

export function familyOf(address: string): "ipv4" | "ipv6" {
  return address.includes(":") ? "ipv6" : "ipv4";
}

/** Order of two addresses of one family as unsigned big-endian integers: negative, 0 or positive. */
export function compareAddresses(a: string, b: string): number {
  return compareBytes(ipToBytes(a), ipToBytes(b));
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < a.length && index < b.length; index++) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether a datagram may come from there: RFC 1122 section 3.2.1.3, RFC 4291 section 2.7. */
export function namesOneHost(source: Uint8Array): boolean {
  const first = source[0] as number;
  if (source.length === 4) return first !== 0 && first !== 127 && first < 224;
  return first !== 0xff && source.some((octet, index) => octet !== 0 && (index < 15 || octet !== 1));
}

/** fe80::/10 */
export function isLinkLocal(address: string): boolean {
  const bytes = parseIpv6(address);
  return bytes !== null && bytes[0] === 0xfe && ((bytes[1] as number) & 0xc0) === 0x80;
}

/** Whether `address` lies in the subnet of `network`/`prefixLength`; false across families. */
export function prefixContains(network: string, prefixLength: number, address: string): boolean {
  const a = parseIp(network);
  const b = parseIp(address);
  if (!a || !b || a.length !== b.length) return false;
  for (let bit = 0; bit < prefixLength; bit++) {
    const mask = 0x80 >> (bit & 7);
    if ((((a[bit >> 3] as number) ^ (b[bit >> 3] as number)) & mask) !== 0) return false;
  }
  return true;
}

/** ff02::1:ffXX:XXXX. RFC 4291 section 2.7.1. */
export function solicitedNodeGroup(address: string): string {
  const bytes = ipToBytes(address);
  const group = ipToBytes("ff02::1:ff00:0");
  group.set(bytes.subarray(13), 13);
  return formatIp(group);
}

/** 33:33 and the last four octets of the group. RFC 2464 section 7. */
export function ipv6MulticastMac(group: string): string {
  return formatMac(Uint8Array.of(0x33, 0x33, ...ipToBytes(group).subarray(12)));
}

/** 6 octets, or null. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return null;
  return Uint8Array.from(text.split(":"), (octet) => Number.parseInt(octet, 16));
}

export function macToBytes(text: string): Uint8Array {
  const bytes = parseMac(text);
  if (!bytes) throw new RangeError(`not a MAC address: ${text}`);
  return bytes;
}

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => HEX[octet]).join(":");
}
