/** What an Active router tells the hosts: one frame for each virtual address. RFC 9568 section 6.4.2. */
import { familyOf } from "../address.js";
import { gratuitousArp } from "../arp.js";
import { unsolicitedAdvertisement } from "../nd.js";

/** Gratuitous ARP for IPv4, unsolicited neighbour advertisement for IPv6; sent from, and telling, `mac`. */
export function announcementFrame(address: string, mac: string): Uint8Array {
  return familyOf(address) === "ipv4" ? gratuitousArp(address, mac) : unsolicitedAdvertisement(address, mac);
}
