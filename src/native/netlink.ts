/** The part of the addon's surface in native/netlink_addon.cc. */

// biome-ignore lint/suspicious/noEmptyInterface: grows with native/netlink_addon.cc
export interface NativeNetlinkApi {}
