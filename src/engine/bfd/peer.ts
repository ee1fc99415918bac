/**
 * Between whom a BFD session runs, what is asked of it, and the settings that follow (RFC 5880 section 6.8.1; RFC 8562
 * for sessions with a group at one end).
 */
import type { BfdAuthenticationConfig } from "../../config/index.js";
import type { BfdSettings } from "../../core/bfd/machine.js";
import { GROUP_ADDRESS } from "../../core/vrrp/advertisement.js";

/** Between whom a session runs. Addresses in canonical text; VRRP's group at one end makes it multipoint. */
export interface BfdPeer {
  readonly interface: string;
  readonly local: string;
  readonly remote: string;
}

/** What a watcher wants: the same interval for sending and receiving. */
export interface BfdTerms {
  readonly intervalUs: number;
  readonly multiplier: number;
  readonly authentication: BfdAuthenticationConfig | null;
}

/** Multipoint sessions have VRRP's group at one end: a head at the far one, a tail at its own. */
const GROUPS: ReadonlySet<string> = new Set(Object.values(GROUP_ADDRESS));
const isHead = ({ remote }: BfdPeer): boolean => GROUPS.has(remote);
export const isTail = ({ local }: BfdPeer): boolean => GROUPS.has(local);
/** No head is believed to be faster. */
const FASTEST_US = 1_000;

/** Of the session on this end. */
export function settingsFor(
  localDiscriminator: number,
  peer: BfdPeer,
  terms: BfdTerms,
  passive: boolean,
): BfdSettings {
  const { intervalUs, multiplier } = terms;
  const settings = { localDiscriminator, desiredMinTxUs: intervalUs, detectMult: multiplier };
  if (isHead(peer)) return { ...settings, requiredMinRxUs: 0, passive: false, sessionType: "multipointHead" };
  // RFC 8562 section 5.11: the head's word alone sets the pace, as far as this end can follow it.
  if (isTail(peer))
    return { ...settings, requiredMinRxUs: FASTEST_US, passive: true, sessionType: "multipointTail" };
  return { ...settings, requiredMinRxUs: intervalUs, passive };
}

export function keyOf({ interface: name, local, remote }: BfdPeer): string {
  return `${name} ${local} ${remote}`;
}
