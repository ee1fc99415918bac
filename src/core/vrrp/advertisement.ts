/** What a VRRP advertisement says, apart from how it is laid out. RFC 9568 section 5, RFC 3768 section 5. */

export type IpFamily = "ipv4" | "ipv6";
export type VrrpVersion = 2 | 3;

/**
 * How the checksum of VRRPv3 over IPv4 is computed. RFC 9568 section 5.2.8 sums the message only; the common
 * reading of RFC 5798 adds the IPv4 pseudo-header. VRRPv2 is always message-only, IPv6 always with the
 * pseudo-header.
 */
export type ChecksumForm = "message-only" | "pseudo-header";

export interface Advertisement {
  readonly version: VrrpVersion;
  readonly family: IpFamily;
  /** 1..255 */
  readonly vrid: number;
  /** 0 (release) .. 255 (address owner) */
  readonly priority: number;
  /** Virtual addresses in canonical text form, in the order of the message. */
  readonly addresses: readonly string[];
  /** v3: Max Advertise Interval (multiples of 10,000 us); v2: Advertisement Interval (whole seconds). In us. */
  readonly intervalUs: number;
  /** v2 only: 0 none, 1 simple text password (RFC 2338). 0 in v3. */
  readonly authType: number;
  /** v2 only: 8 octets; empty in v3. */
  readonly authData: Uint8Array;
}

export const VRRP_PROTOCOL = 112;
export const PRIORITY_RELEASE = 0;
export const PRIORITY_OWNER = 255;
/** RFC 9568 section 5.2.4. */
export const PRIORITY_DEFAULT = 100;
export const GROUP_ADDRESS: Readonly<Record<IpFamily, string>> = { ipv4: "224.0.0.18", ipv6: "ff02::12" };
export const GROUP_MAC: Readonly<Record<IpFamily, string>> = {
  ipv4: "01:00:5e:00:00:12",
  ipv6: "33:33:00:00:00:12",
};
/**
 * Where backup advertisements go: the groups for experiments (RFC 4727 sections 2.4 and 3.4). The type is not assigned,
 * and keepalived writes a line into its log for each packet of it that comes to VRRP's own group.
 */
export const BACKUP_GROUP_ADDRESS: Readonly<Record<IpFamily, string>> = {
  ipv4: "224.0.0.254",
  ipv6: "ff02::114",
};
export const BACKUP_GROUP_MAC: Readonly<Record<IpFamily, string>> = {
  ipv4: "01:00:5e:00:00:fe",
  ipv6: "33:33:00:00:01:14",
};

/** 00-00-5E-00-01-{VRID} for IPv4, 00-00-5E-00-02-{VRID} for IPv6. RFC 9568 section 7.3. */
export function virtualMac(family: IpFamily, vrid: number): string {
  return `00:00:5e:00:0${family === "ipv4" ? 1 : 2}:${vrid.toString(16).padStart(2, "0")}`;
}
