/** What is said when packets are not forwarded, or not filtered by ownership. */
import type { IpFamily } from "../../core/vrrp/advertisement.js";

/** No filter at all: what is missing then. */
export function unfilteredText(interfaceName: string, why: string): string {
  return (
    `${interfaceName}: ${why}; packets are not filtered by ownership: a killed or stopped daemon goes on ` +
    "forwarding beside its successor"
  );
}

export function lostText(interfaceName: string, outcome: string): string {
  return `${interfaceName}: somebody took the ownership filter off: ${outcome}`;
}

const FORWARDING = { ipv4: "net.ipv4.ip_forward", ipv6: "net.ipv6.conf.all.forwarding" } as const;

/** Right where hosts want this machine itself, and a gateway that leads nowhere otherwise. */
export function forwardingOffText(interfaceName: string, family: IpFamily, setting: string): string {
  return (
    `${interfaceName}: ${setting} is 0: this machine answers on virtual addresses and forwards nothing; for a gateway, ` +
    `\`sysctl -w ${FORWARDING[family]}=1\``
  );
}
