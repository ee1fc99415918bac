/** What the kernel's links and addresses mean to virtual routers: a small cache fed by a snapshot and news. */
import type { VirtualRouterConfig } from "../../config/index.js";
import { compareAddresses, isLinkLocal, prefixContains } from "../../core/address.js";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import type { AddressInfo, KernelNews, LinkInfo } from "../../driver/driver.js";

export class NetworkCache {
  readonly #links = new Map<number, LinkInfo>();
  readonly #byName = new Map<string, LinkInfo>();
  /** By index of the interface, then by what tells them apart. */
  readonly #addresses = new Map<number, Map<string, AddressInfo>>();

  load(snapshot: { readonly links: readonly LinkInfo[]; readonly addresses: readonly AddressInfo[] }): void {
    for (const link of snapshot.links) this.#setLink(link);
    for (const address of snapshot.addresses) this.#setAddress(address);
  }

  /** Takes in one piece of news; the index of the interface that it is about. */
  apply(news: KernelNews): number {
    switch (news.type) {
      case "link":
        this.#setLink(news.link);
        return news.link.ifindex;
      case "linkGone":
        this.#dropLink(news.ifindex);
        this.#addresses.delete(news.ifindex);
        return news.ifindex;
      case "address":
        this.#setAddress(news.address);
        return news.address.ifindex;
      case "addressGone":
        this.#addresses.get(news.address.ifindex)?.delete(addressKey(news.address));
        return news.address.ifindex;
    }
  }

  #setLink(link: LinkInfo): void {
    this.#dropLink(link.ifindex);
    this.#links.set(link.ifindex, link);
    this.#byName.set(link.name, link);
  }

  #dropLink(ifindex: number): void {
    const before = this.#links.get(ifindex);
    this.#links.delete(ifindex);
    // Another interface may have the name already.
    if (before && this.#byName.get(before.name) === before) this.#byName.delete(before.name);
  }

  #setAddress(address: AddressInfo): void {
    const there = this.#addresses.get(address.ifindex) ?? new Map<string, AddressInfo>();
    this.#addresses.set(address.ifindex, there.set(addressKey(address), address));
  }

  linkByName(name: string): LinkInfo | null {
    return this.#byName.get(name) ?? null;
  }

  linkByIndex(ifindex: number): LinkInfo | null {
    return this.#links.get(ifindex) ?? null;
  }

  /** Whether an address is on this machine. */
  has(address: string): boolean {
    for (const those of this.#addresses.values())
      for (const one of those.values()) if (one.address === address) return true;
    return false;
  }

  addressesOf(ifindex: number): readonly string[] {
    return this.#on(ifindex).map((one) => one.address);
  }

  /** Whether an address is a neighbour's by one of the interface's prefixes. */
  isOnLink(ifindex: number, address: string): boolean {
    if (isLinkLocal(address)) return true;
    return this.#on(ifindex).some((one) => prefixContains(one.address, one.prefixLength, address));
  }

  /** The interface whose network an address is on; null for none, or where it can't be told (link-local). */
  interfaceTowards(address: string): string | null {
    const own = [...this.#addresses.keys()]
      .flatMap((ifindex) => this.#on(ifindex))
      .filter((one) => prefixContains(one.address, one.prefixLength, address));
    const [nearest] = own.sort((a, b) => b.prefixLength - a.prefixLength);
    if (!nearest || isLinkLocal(address)) return null;
    return this.#links.get(nearest.ifindex)?.name ?? null;
  }

  /** Where a virtual router's advertisements leave from; null while the interface has no such address. */
  sourceOf(config: VirtualRouterConfig, ifindex: number, borrowed: ReadonlySet<string>): string | null {
    const { family, unicast, addresses } = config;
    const named = unicast?.source ?? null;
    if (named !== null) return this.addressesOf(ifindex).includes(named) ? named : null;
    return this.primaryAddress(
      ifindex,
      family,
      addresses.map(({ address }) => address),
      borrowed,
    );
  }

  /**
   * The source of advertisements where none is configured. IPv4: the interface's primary address, preferably in the subnet of the virtual
   * addresses; IPv6: its link-local address. What virtual routers put there is none (`borrowed`): it comes and goes,
   * and the next Active would take our advertisements for its own. The owner's own address is the last choice: who was
   * Active in its place has it too, and a kernel lets nothing in that comes from an address of its own.
   */
  primaryAddress(
    ifindex: number,
    family: IpFamily,
    virtual: readonly string[],
    borrowed: ReadonlySet<string>,
  ): string | null {
    const usable = (one: AddressInfo): boolean =>
      family === "ipv6" ? isLinkLocal(one.address) : !one.address.startsWith("127.");
    return this.#choose(ifindex, family, virtual, borrowed, usable);
  }

  /** Where probes to `targets` leave from: as above, but for IPv6 of the target's scope. */
  ownAddress(
    ifindex: number,
    family: IpFamily,
    targets: readonly string[],
    borrowed: ReadonlySet<string>,
  ): string | null {
    const local = targets.some((target) => family === "ipv6" && isLinkLocal(target));
    return this.#choose(ifindex, family, targets, borrowed, (one) => isLinkLocal(one.address) === local);
  }

  #choose(
    ifindex: number,
    family: IpFamily,
    covered: readonly string[],
    borrowed: ReadonlySet<string>,
    usable: (one: AddressInfo) => boolean,
  ): string | null {
    const candidates = this.#on(ifindex)
      .filter((one) => one.family === family && !one.tentative)
      .filter((one) => usable(one) && !borrowed.has(one.address));
    const rank = (one: AddressInfo): number => {
      const covers = covered.some((address) => prefixContains(one.address, one.prefixLength, address));
      return (covered.includes(one.address) ? 4 : 0) + (covers ? 0 : 2) + (one.secondary ? 1 : 0);
    };
    candidates.sort((a, b) => rank(a) - rank(b) || compareAddresses(a.address, b.address));
    return candidates[0]?.address ?? null;
  }

  #on(ifindex: number): AddressInfo[] {
    return [...(this.#addresses.get(ifindex)?.values() ?? [])];
  }
}

function addressKey(address: AddressInfo): string {
  return `${address.address}/${address.prefixLength}`;
}
