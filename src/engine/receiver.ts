/** How advertisements for one virtual router are judged: its configuration as `core/vrrp/validate` wants it. */
import type { VirtualRouterConfig } from "../config/index.js";
import type { VrrpSettings } from "../core/vrrp/machine.js";
import type { VrrpReceiver } from "../core/vrrp/validate.js";

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

/** 8 octets: the password of RFC 2338 type 1, or zeros. */
export function authenticationData({ authentication }: VirtualRouterConfig): Uint8Array {
  const octets = new Uint8Array(8);
  if (authentication) octets.set(new TextEncoder().encode(authentication.password).subarray(0, 8));
  return octets;
}
