/** What a LAN port has to join to hear the protocols that firsthop speaks. */
import { ipv6MulticastMac, macToBytes, solicitedNodeGroup } from "./address.js";
import { GROUP_ADDRESS, GROUP_MAC } from "./vrrp/advertisement.js";

/**
 * Ethernet memberships (6 octets each) and IP groups. Groups are joined so that snooping switches forward them;
 * solicited-node groups only for addresses that this router answers for by itself.
 */
export function socketGroups(answered: readonly string[]): {
  readonly memberships: readonly Uint8Array[];
  readonly groups: readonly string[];
} {
  const solicited = [...new Set(answered.filter((one) => one.includes(":")).map(solicitedNodeGroup))];
  return {
    memberships: [GROUP_MAC.ipv4, GROUP_MAC.ipv6, ...solicited.map(ipv6MulticastMac)].map(macToBytes),
    groups: [GROUP_ADDRESS.ipv4, GROUP_ADDRESS.ipv6, ...solicited],
  };
}
