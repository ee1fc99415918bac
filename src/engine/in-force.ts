/**
 * What is in force for one virtual router: what its configuration, orders, trackers and the network come to, as the
 * machine (`core/vrrp/machine`), the checks of what is heard (`core/vrrp/validate`) and the frames (`vrrp-plan.ts`)
 * want it.
 */
import type { VirtualRouterConfig } from "../config/index.js";
import type { PortId } from "../core/automaton.js";
import type { VrrpSettings } from "../core/vrrp/machine.js";
import type { VrrpReceiver } from "../core/vrrp/validate.js";
import type { VirtualInterface } from "../driver/driver.js";
import type { Orders } from "./orders.js";
import { VrrpPlan, type VrrpPlanInput } from "./vrrp-plan.js";

/** `priority`: the effective one. */
export function settingsInForce(
  config: VirtualRouterConfig,
  now: {
    readonly priority: number;
    readonly primaryAddress: string | null;
    readonly orders: Orders;
  },
): VrrpSettings {
  return {
    version: config.version,
    family: config.family,
    priority: now.priority,
    addresses: config.addresses.map((one) => one.address),
    primaryAddress: now.primaryAddress ?? (config.family === "ipv4" ? "0.0.0.0" : "::"),
    intervalUs: config.advertisementIntervalUs,
    preempt: config.preempt && !now.orders.holdsBack,
    preemptDelayUs: config.preemptDelayUs,
    yieldsAloud: !config.virtualMac || config.unicast !== null,
    waits: now.orders.waits,
    backupAdvertisements: config.bfd?.backupAdvertisements === true,
  };
}

/** How advertisements for it are judged. */
export function receiverOf(config: VirtualRouterConfig, settings: VrrpSettings): VrrpReceiver {
  const { authentication, unicast, vrid } = config;
  return {
    version: settings.version,
    family: settings.family,
    vrid,
    priority: settings.priority,
    primaryAddress: settings.primaryAddress,
    addresses: settings.addresses,
    intervalUs: settings.intervalUs,
    authType: authentication ? 1 : 0,
    authData: authenticationData(config),
    // A MAY of both RFCs. v2 would drop the peer over it, and two Actives are worse than two lists.
    checkAddressList: settings.version === 3,
    ipv4Checksum: "either",
    ownerReceive: "process",
    backupAdvertisements: settings.backupAdvertisements === true,
    ...(unicast ? { minimumTtl: 1 } : {}),
  };
}

/** Its frames, and what they need in the kernel. `peerPort`: where unicast copies leave. */
export function planInForce(
  config: VirtualRouterConfig,
  settings: VrrpSettings,
  { lease, open, settle, close }: VirtualInterface,
  now: Pick<VrrpPlanInput, "mac" | "interfaceMac" | "checksumForms" | "lanPort" | "bfd"> & {
    readonly peerPort: PortId;
  },
): VrrpPlan {
  const { vrid, authentication, unicast } = config;
  const { peerPort, ...parts } = now;
  return new VrrpPlan({
    ...parts,
    settings,
    vrid,
    authType: authentication ? 1 : 0,
    authData: authenticationData(config),
    unicast: unicast ? { port: peerPort, peers: unicast.peers } : null,
    leased: lease !== null,
    open,
    settle,
    close,
  });
}

/** 8 octets: the password of RFC 2338 type 1, or zeros. */
function authenticationData({ authentication }: VirtualRouterConfig): Uint8Array {
  const octets = new Uint8Array(8);
  if (authentication) octets.set(new TextEncoder().encode(authentication.password).subarray(0, 8));
  return octets;
}
