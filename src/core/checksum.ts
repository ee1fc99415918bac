/** The Internet checksum (RFC 1071) and the pseudo-headers it is taken over. */

/** One's complement sum of 16-bit words, folded; an odd last octet counts as the high one. */
export function onesComplementSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  const even = bytes.length & ~1;
  for (let index = 0; index < even; index += 2) {
    sum += ((bytes[index] as number) << 8) | (bytes[index + 1] as number);
  }
  if (even < bytes.length) sum += (bytes[even] as number) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** Checksum over octets whose checksum field is zero. */
export function internetChecksum(bytes: Uint8Array, start = 0): number {
  return ~onesComplementSum(bytes, start) & 0xffff;
}

/**
 * Sum of the pseudo-header. IPv4 (RFC 793): source, destination, protocol, 16-bit length. IPv6 (RFC 8200
 * section 8.1): source, destination, 32-bit length, next header. The sums differ only by the addresses.
 */
export function pseudoHeaderSum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  return onesComplementSum(
    source,
    onesComplementSum(destination, protocol + (length & 0xffff) + (length >>> 16)),
  );
}
