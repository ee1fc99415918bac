/** VRRP without a network: messages, checks, timers and the state machine. Pure; runs on any system. */
export * from "./advertisement.js";
export * from "./checksum-policy.js";
export * from "./fields.js";
export * from "./machine.js";
export * from "./packet.js";
export * from "./timing.js";
export * from "./validate.js";
