/** VRRPv2 authentication type 2 (RFC 2338): what judging one takes beyond the pure core, a digest. */
import { createHmac } from "node:crypto";
import { compareBytes } from "../core/address.js";
import type { IpPacket } from "../core/ethernet.js";

/**
 * RFC 2338 authentication type 2 as it is found in the field: HMAC-MD5-96 with the key padded to 8 octets, over
 * the datagram with TOS, header checksum and the value itself zeroed, and the TTL left as it is.
 */
export function verifyAuthenticationHeader(ip: IpPacket, key: string): boolean {
  const header = ip.authenticationHeader;
  if (header?.length !== 24) return false;
  const padded = new Uint8Array(8);
  padded.set(new TextEncoder().encode(key).subarray(0, 8));
  const input = ip.datagram.slice();
  input[1] = 0;
  input.fill(0, 10, 12);
  input.fill(0, ip.headerLength + 12, ip.headerLength + 24);
  const digest = createHmac("md5", padded).update(input).digest().subarray(0, 12);
  return compareBytes(digest, header.subarray(12)) === 0;
}
