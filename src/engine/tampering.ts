/** What somebody else did to a virtual router's device. */
import type { LinkInfo } from "../driver/driver.js";
import type { VirtualRouter } from "./virtual-router.js";

/**
 * Words that follow the device's name, or null. An Active whose device is down or without its addresses would go on
 * advertising a gateway that answers nobody.
 */
export function tamperingWith(
  router: Pick<VirtualRouter, "config" | "mac" | "state">,
  link: LinkInfo,
  addresses: readonly string[],
): string | null {
  if (!link.adminUp) return "was set down";
  if (link.mac !== router.mac) return `got another MAC address (${link.mac})`;
  if (router.state.name !== "active") return null;
  if (link.macvlanMode !== "private") return `was put into macvlan mode ${link.macvlanMode ?? "none"}`;
  if (!router.config.accept) return null;
  const missing = router.config.addresses.find((one) => !addresses.includes(one.address));
  return missing ? `lost the address ${missing.address}` : null;
}
