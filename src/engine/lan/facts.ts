/**
 * What a configuration says about interfaces and addresses, collected once: thousands of virtual routers and trackers
 * ask.
 */
import type { Config, VirtualRouterConfig } from "../../config/index.js";

export interface LanFacts {
  /** Virtual addresses that this machine does not own. */
  readonly borrowed: ReadonlySet<string>;
  /** Without accept mode the kernel has no address to answer for, so this router answers ARP and ND itself. */
  readonly answered: readonly string[];
  readonly bfd: boolean;
  readonly backupAdvertisements: boolean;
}

const NOTHING: LanFacts = { borrowed: new Set(), answered: [], bfd: false, backupAdvertisements: false };

/** Virtual addresses, wherever they are. */
export interface VirtualAddresses {
  readonly all: ReadonlySet<string>;
  /** Those that come and go; an owner's are his own. */
  readonly borrowed: ReadonlySet<string>;
}

export function virtualAddressesOf({ virtualRouters }: Config): VirtualAddresses {
  const borrowed = virtualRouters.filter((one) => one.priority !== 255);
  return {
    all: new Set(virtualRouters.flatMap(addressesOf)),
    borrowed: new Set(borrowed.flatMap(addressesOf)),
  };
}

const addressesOf = (one: VirtualRouterConfig): string[] => one.addresses.map(({ address }) => address);

/** By name of the interface. */
export function lanFactsOf(config: Config): (name: string) => LanFacts {
  const routers = new Map<string, VirtualRouterConfig[]>();
  for (const one of config.virtualRouters) {
    const there = routers.get(one.interface);
    if (there) there.push(one);
    else routers.set(one.interface, [one]);
  }
  const facts = new Map([...routers].map(([name, there]) => [name, factsOf(there)]));
  return (name) => facts.get(name) ?? NOTHING;
}

function factsOf(routers: readonly VirtualRouterConfig[]): LanFacts {
  return {
    borrowed: new Set(routers.filter((one) => one.priority !== 255).flatMap(addressesOf)),
    answered: routers.filter((one) => !one.accept).flatMap(addressesOf),
    bfd: routers.some((one) => one.bfd !== null),
    backupAdvertisements: routers.some((one) => one.bfd?.backupAdvertisements === true),
  };
}
