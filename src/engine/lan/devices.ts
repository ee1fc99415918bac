/**
 * The devices that were made for virtual routers, watched: one that vanished or was changed by somebody else is made
 * anew.
 */
import type { LinkInfo } from "../../driver/driver.js";
import type { VirtualRouter } from "../vrrp/virtual-router.js";

/** News of our own steps may come before the report of the transition that they belong to. */
const INSPECTED_AFTER_US = 250_000;

export interface DevicesHost {
  link(ifindex: number): LinkInfo | null;
  addressesOf(ifindex: number): readonly string[];
  /** Virtual routers that use an interface themselves or by a device on it. */
  usersOf(ifindex: number): Iterable<VirtualRouter>;
  setTimer(afterUs: number, run: () => void): () => void;
}

export class Devices {
  readonly #host: DevicesHost;
  /** By index of the device that was made for it. */
  readonly #owners = new Map<number, VirtualRouter>();
  readonly #inspections = new Map<VirtualRouter, () => void>();

  constructor(host: DevicesHost) {
    this.#host = host;
  }

  made(ifindex: number, owner: VirtualRouter): void {
    this.#owners.set(ifindex, owner);
  }

  /** These virtual routers are no more. */
  forget(routers: readonly VirtualRouter[]): void {
    for (const one of routers) {
      this.#inspections.get(one)?.();
      this.#inspections.delete(one);
    }
    const leaving = new Set(routers);
    for (const [ifindex, one] of this.#owners) if (leaving.has(one)) this.#owners.delete(ifindex);
  }

  /** A link or its addresses changed. */
  changed(ifindex: number): void {
    for (const one of this.#of(ifindex)) this.#inspectSoon(one);
  }

  gone(ifindex: number): void {
    for (const one of this.#of(ifindex)) one.virtualInterfaceLost("was removed");
    this.#owners.delete(ifindex);
  }

  /** Whose device an interface is; without virtual MAC, all that use it. */
  #of(ifindex: number): VirtualRouter[] {
    const owner = this.#owners.get(ifindex);
    const users = [...(owner ? [owner] : []), ...this.#host.usersOf(ifindex)];
    return users.filter((one) => one.virtualInterface?.ifindex === ifindex);
  }

  /** Somebody else may have changed the device; what it looks like while our own steps take effect says nothing. */
  #inspectSoon(one: VirtualRouter): void {
    if (!one.config.virtualMac || this.#inspections.has(one)) return;
    const { lastChange } = one;
    const inspect = (): void => {
      this.#inspections.delete(one);
      const ifindex = one.virtualInterface?.ifindex;
      if (ifindex === undefined) return;
      if (one.lastChange !== lastChange) {
        this.#inspectSoon(one);
        return;
      }
      const link = this.#host.link(ifindex);
      const wrong = link && tamperingWith(one, link, this.#host.addressesOf(ifindex));
      if (wrong) one.virtualInterfaceLost(wrong);
    };
    this.#inspections.set(one, this.#host.setTimer(INSPECTED_AFTER_US, inspect));
  }
}

/**
 * Words that follow the device's name, or null. An Active whose device is down or without its addresses would go on
 * advertising a gateway that answers nobody.
 */
function tamperingWith(
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
