/** BFD without sockets and clocks: packets, their checks, authentication, the session's state machine. */
export * from "./authentication.js";
export * from "./fields.js";
export * from "./machine.js";
export * from "./multipoint.js";
export * from "./packet.js";
export * from "./timing.js";
export * from "./validate.js";
