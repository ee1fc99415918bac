/** Authentication of BFD sessions (RFC 5880 section 6.7): what it takes beyond the pure core, a digest. */
import { createHash } from "node:crypto";
import type { BfdAuthenticationConfig } from "../../config/index.js";
import {
  authenticationSection,
  type BfdAuthentication,
  blankSection,
  sealOf,
  sign,
} from "../../core/bfd/authentication.js";
import {
  type BfdEndpoints,
  type ControlContent,
  encodeControl,
  encodeControlDatagram,
} from "../../core/bfd/packet.js";

export function authenticationOf(config: BfdAuthenticationConfig | null): BfdAuthentication | null {
  return (
    config && {
      type: config.type,
      keyId: config.keyId,
      key: new TextEncoder().encode(config.key),
      digest: (algorithm, octets) => createHash(algorithm).update(octets).digest(),
    }
  );
}

/** A datagram for the heartbeat engine, and where what it seals begins; undefined where nothing is sealed. */
export function datagramFor(
  content: ControlContent,
  endpoints: BfdEndpoints,
  authentication: BfdAuthentication | null,
): { readonly packet: Uint8Array; readonly sealAt: number | undefined } {
  if (!authentication) return { packet: encodeControlDatagram(content, endpoints), sealAt: undefined };
  const control = encodeControl({ ...content, authentication: blankSection(authentication) });
  const packet = encodeControlDatagram(content, endpoints, control);
  return { packet, sealAt: sealOf(authentication) ? packet.length - control.length : undefined };
}

/** A datagram that is sent outside any program. */
export function signedDatagram(
  content: ControlContent,
  endpoints: BfdEndpoints,
  authentication: BfdAuthentication | null,
  sequence: number,
): Uint8Array {
  if (!authentication) return encodeControlDatagram(content, endpoints);
  const section = authenticationSection(authentication, sequence >>> 0);
  const control = sign(encodeControl({ ...content, authentication: section }), authentication);
  return encodeControlDatagram(content, endpoints, control);
}
