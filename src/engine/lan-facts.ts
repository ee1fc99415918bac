/** What a configuration says about each interface, collected once: thousands of virtual routers ask. */
import type { Config, VirtualRouterConfig } from "../config/index.js";

export interface LanFacts {
  /** Virtual addresses that this machine does not own. */
  readonly borrowed: ReadonlySet<string>;
  /** Without accept mode the kernel has no address to answer for, so this router answers ARP and ND itself. */
  readonly answered: readonly string[];
  readonly bfd: boolean;
  readonly backupAdvertisements: boolean;
}

const NOTHING: LanFacts = { borrowed: new Set(), answered: [], bfd: false, backupAdvertisements: false };

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
  const addresses = (one: VirtualRouterConfig): string[] => one.addresses.map(({ address }) => address);
  return {
    borrowed: new Set(routers.filter((one) => one.priority !== 255).flatMap(addresses)),
    answered: routers.filter((one) => !one.accept).flatMap(addresses),
    bfd: routers.some((one) => one.bfd !== null),
    backupAdvertisements: routers.some((one) => one.bfd?.backupAdvertisements === true),
  };
}
