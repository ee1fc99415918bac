/** The part of the addon's surface in native/heartbeat_addon.cc. */

// biome-ignore lint/suspicious/noEmptyInterface: grows with native/heartbeat_addon.cc
export interface NativeHeartbeatApi {}
