/** The part of the addon's surface in native/traffic_addon.cc. */

// biome-ignore lint/suspicious/noEmptyInterface: grows with native/traffic_addon.cc
export interface NativeTrafficApi {}
