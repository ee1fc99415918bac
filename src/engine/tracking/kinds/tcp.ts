/** tcp: up is a connection that was made. */
import type { SpecOf } from "../kind.js";
import { asking } from "./polled.js";

export const tcpKind = asking<SpecOf<"tcp">>(({ address, port }, path) => ({
  probe: "tcp",
  address,
  port,
  ...path,
}));
