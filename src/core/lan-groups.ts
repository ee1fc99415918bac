/** What a LAN port has to join to hear the protocols that firsthop speaks. */
import { ipv6MulticastMac, macToBytes, solicitedNodeGroup } from "./address.js";
import { BACKUP_GROUP_ADDRESS, BACKUP_GROUP_MAC, GROUP_ADDRESS, GROUP_MAC } from "./vrrp/advertisement.js";

/**
 * Ethernet memberships (6 octets each) and IP groups. Groups are joined so that snooping switches forward them;
 * solicited-node groups only for addresses that this router answers for by itself, and that of backup advertisements
 * where they are wanted.
 */
export function socketGroups(
  answered: readonly string[],
  options: { readonly backupAdvertisements?: boolean } = {},
): {
  readonly memberships: readonly Uint8Array[];
  readonly groups: readonly string[];
} {
  const solicited = [...new Set(answered.filter((one) => one.includes(":")).map(solicitedNodeGroup))];
  const backup = options.backupAdvertisements === true;
  const macs = [GROUP_MAC, ...(backup ? [BACKUP_GROUP_MAC] : [])].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  const groups = [GROUP_ADDRESS, ...(backup ? [BACKUP_GROUP_ADDRESS] : [])];
  return {
    memberships: [...macs, ...solicited.map(ipv6MulticastMac)].map(macToBytes),
    groups: [...groups.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]), ...solicited],
  };
}
