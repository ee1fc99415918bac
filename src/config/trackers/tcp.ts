/** tcp: a connection can be made. */
import { text } from "../fields.js";
import { checkLeaving, type Leaving, leaving, leavingOf, parseEndpoint, trackerKind } from "./kind.js";

export interface TcpSpec extends Leaving {
  readonly kind: "tcp";
  readonly address: string;
  readonly port: number;
}

export const endpoint = text("address:port", "an address and a port like 203.0.113.1:443", (value) =>
  parseEndpoint(value) === null
    ? `'${value}' is no address with a port: write 203.0.113.1:443 or "[2001:db8::1]:443"`
    : null,
);

export const tcpKind = trackerKind({
  keys: {
    tcp: endpoint.optional().meta({
      description: "Kind: a TCP connection to this address and port can be made.",
      examples: ["203.0.113.1:443"],
    }),
    ...leaving,
  },
  polling: { interval: "1s", fall: 3, rise: 2 },
  check(written, at, report) {
    const to = typeof written.tcp === "string" ? parseEndpoint(written.tcp) : null;
    if (to) checkLeaving(to.address, written, at, report);
  },
  normalize: (checked): TcpSpec => ({
    kind: "tcp",
    ...(parseEndpoint(checked.tcp as string) as { address: string; port: number }),
    ...leavingOf(checked),
  }),
  target: ({ address, port }) => `${address.includes(":") ? `[${address}]` : address}:${port}`,
});
