/**
 * The kernel settings that a virtual router needs, each with its reason, and how parents' values are borrowed:
 * the old value is on record before it changes and comes back when the last user is gone. `all` and `default` are
 * never touched; docs/kernel.md has the table for readers.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import { FirsthopError } from "../../errors.js";
import type { Ipv4DeviceSetting } from "../../native/netlink.js";
import { sysctlRefusal } from "./refusal.js";

/** A setting of a parent that somebody needs changed. */
export interface SysctlClaim {
  readonly ifindex: number;
  readonly family: IpFamily;
  readonly setting: string;
  /** The value before any of us changed it. */
  readonly original: string;
  readonly written: string;
}

/** What a parent must have at least, counting `all`. */
export interface ParentNeed {
  readonly family: IpFamily;
  readonly setting: string;
  readonly atLeast: number;
}

export function sysctlPath(family: IpFamily, device: string, setting: string): string {
  return `/proc/sys/net/${family}/conf/${device}/${setting}`;
}

/** The value, or null when the kernel has no such setting or device. */
export function readSysctl(family: IpFamily, device: string, setting: string): string | null {
  try {
    return readFileSync(sysctlPath(family, device, setting), "utf8").trim();
  } catch {
    return null;
  }
}

function numberOf(family: IpFamily, device: string, setting: string): number {
  return Number(readSysctl(family, device, setting) ?? 0);
}

/** @throws FirsthopError PERMISSION, KERNEL_REFUSED */
export function writeSysctl(family: IpFamily, device: string, setting: string, value: string): void {
  const path = sysctlPath(family, device, setting);
  try {
    writeFileSync(path, value);
  } catch (error) {
    throw sysctlRefusal(`write ${value} to ${path}`, error);
  }
}

/** The setting that keeps packets which come in by a device from being forwarded; null: nothing does. */
export function forwardingOff(device: string, family: IpFamily): string | null {
  // IPv6 asks the machine as a whole; what it has for each device is about advertisements of routers.
  const asked = family === "ipv4" ? device : "all";
  return readSysctl(family, asked, "forwarding") === "0" ? `net.${family}.conf.${asked}.forwarding` : null;
}

/** Whether the kernel has IPv6 at all (it can be started without). */
export function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6/conf");
}

/** An interface has no IPv6 while its MTU is below 1280, and neither has a macvlan on it, which takes that over. */
export function carriesIpv6(interfaceName: string): boolean {
  return existsSync(`/proc/sys/net/ipv6/conf/${interfaceName}`);
}

/** What the parent of a virtual MAC, or the bearer of plain virtual addresses, must have. */
export function parentNeeds(family: IpFamily, virtualMac: boolean): readonly ParentNeed[] {
  if (family === "ipv6") return [];
  // Without a MAC of its own, a virtual address may be the first of its subnet: when it goes, the others must stay.
  if (!virtualMac) return [{ family, setting: "promote_secondaries", atLeast: 1 }];
  return [
    // Else the parent answers ARP for the virtual address as well, with its own MAC.
    { family, setting: "arp_ignore", atLeast: 1 },
    // Else the parent's own ARP requests name the virtual address as sender, and hosts learn the wrong MAC.
    { family, setting: "arp_announce", atLeast: 2 },
  ];
}

/** The needs that the parent does not meet as it is, as claims. `claimed` are those of other daemons. */
export function claimsFor(
  parent: { readonly ifindex: number; readonly name: string },
  needs: readonly ParentNeed[],
  claimed: readonly SysctlClaim[],
): SysctlClaim[] {
  const claims: SysctlClaim[] = [];
  for (const { family, setting, atLeast } of needs) {
    const shared = claimed.find((one) => sameSetting(one, { ifindex: parent.ifindex, family, setting }));
    if (shared) {
      claims.push(shared);
      continue;
    }
    const own = readSysctl(family, parent.name, setting);
    if (own === null) continue;
    if (Math.max(Number(own), numberOf(family, "all", setting)) >= atLeast) continue;
    claims.push({ ifindex: parent.ifindex, family, setting, original: own, written: String(atLeast) });
  }
  return claims;
}

export function sameSetting(
  a: Pick<SysctlClaim, "ifindex" | "family" | "setting">,
  b: Pick<SysctlClaim, "ifindex" | "family" | "setting">,
): boolean {
  return a.ifindex === b.ifindex && a.family === b.family && a.setting === b.setting;
}

/** Gives a parent's setting its old value back, unless somebody else set it meanwhile. True: it was restored. */
export function restoreSysctl(claim: SysctlClaim, parentName: string): boolean {
  if (readSysctl(claim.family, parentName, claim.setting) !== claim.written) return false;
  writeSysctl(claim.family, parentName, claim.setting, claim.original);
  return true;
}

/** IPv4 settings of the virtual device, which travel in the request that configures it. */
export function ipv4DeviceSettings(
  family: IpFamily,
  parentName: string,
): { readonly [name in Ipv4DeviceSetting]?: number } {
  return {
    // The device of the IPv4 MAC answers for its own addresses only, that of the IPv6 MAC never.
    arp_ignore: family === "ipv4" ? 1 : 8,
    arp_announce: 2,
    arp_filter: 0,
    arp_notify: 0,
    arp_accept: 0,
    accept_local: 0,
    accept_redirects: 0,
    send_redirects: 0,
    promote_secondaries: 1,
    rp_filter: reversePathFilter(parentName),
  };
}

/**
 * Hosts' packets come in by the virtual device while the route back leaves by the parent, so the strict filter would
 * drop them all. The kernel takes the larger of `all` and the device, and loose (2) is larger than strict (1): where
 * the administrator wants a filter, the device has the loose one; where not, none.
 */
export function reversePathFilter(parentName: string): 0 | 2 {
  const wanted = Math.max(numberOf("ipv4", "all", "rp_filter"), numberOf("ipv4", parentName, "rp_filter"));
  return wanted === 0 ? 0 : 2;
}

/** Files to write for a virtual device before it goes up: those that rtnetlink does not carry. */
export function deviceFiles(
  family: IpFamily,
  device: string,
  parentName: string,
): { readonly path: string; readonly value: string }[] {
  const files: { path: string; value: string }[] = [];
  const set = (of: IpFamily, setting: string, value: string | null): void => {
    if (value !== null) files.push({ path: sysctlPath(of, device, setting), value });
  };
  // First, so that nothing below can make the device speak.
  if (carriesIpv6(parentName)) set("ipv6", "disable_ipv6", "1");
  if (family === "ipv4") {
    set("ipv4", "forwarding", readSysctl("ipv4", parentName, "forwarding"));
    return files;
  }
  set("ipv6", "accept_dad", "0");
  set("ipv6", "dad_transmits", "0");
  set("ipv6", "accept_ra", "0");
  set("ipv6", "accept_redirects", "0");
  set("ipv6", "autoconf", "0");
  set("ipv6", "ndisc_notify", "0");
  set("ipv6", "keep_addr_on_down", "0");
  set("ipv6", "forwarding", readSysctl("ipv6", parentName, "forwarding"));
  return files;
}

/**
 * `all` beats the device in settings that silence ARP; with these a virtual address would be dead without a word.
 * @throws FirsthopError KERNEL_REFUSED
 */
export function refuseMuteArp(): void {
  const filter = numberOf("ipv4", "all", "arp_filter");
  const ignore = numberOf("ipv4", "all", "arp_ignore");
  const culprit = filter !== 0 ? "arp_filter" : ignore === 8 ? "arp_ignore" : null;
  if (culprit === null) return;
  const value = culprit === "arp_filter" ? filter : ignore;
  throw new FirsthopError(
    "KERNEL_REFUSED",
    `net.ipv4.conf.all.${culprit} is ${value}, so the kernel would answer no ARP for virtual addresses: ` +
      `set it to 0 (and on single interfaces as needed)`,
  );
}
