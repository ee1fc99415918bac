/** udp: up is a right answer. */
import type { SpecOf } from "../kind.js";
import { asking } from "./polled.js";

export const udpKind = asking<SpecOf<"udp">>(({ address, port, sendHex, expectHex }, path) => ({
  probe: "udp",
  address,
  port,
  send: octets(sendHex),
  expect: octets(expectHex),
  ...path,
}));

function octets(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
