/** udp: a request is answered. */
import { text } from "../fields.js";
import { checkLeaving, type Leaving, leaving, leavingOf, parseEndpoint, trackerKind } from "./kind.js";
import { endpoint } from "./tcp.js";

export interface UdpSpec extends Leaving {
  readonly kind: "udp";
  readonly address: string;
  readonly port: number;
  /** What is sent, and how an answer must begin, in hexadecimal. */
  readonly sendHex: string;
  readonly expectHex: string;
}

const OCTETS_MAX = 1024;

/** A text, or octets written 0x0a0b; in hexadecimal. Null: it is neither. */
function octetsOf(value: string): string | null {
  const hex = value.startsWith("0x")
    ? value.slice(2).toLowerCase()
    : [...new TextEncoder().encode(value)].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return /^([0-9a-f]{2})*$/.test(hex) && hex.length <= 2 * OCTETS_MAX ? hex : null;
}

const octets = text("text or 0x octets", "a text, or octets like 0x0a0b", (value) =>
  octetsOf(value) === null ? `'${value}' is neither a text nor whole octets of at most ${OCTETS_MAX}` : null,
);

export const udpKind = trackerKind({
  keys: {
    udp: endpoint.optional().meta({
      description: "Kind: a datagram to this address and port is answered.",
      examples: ["203.0.113.1:53"],
    }),
    send: octets.optional().meta({
      description: "udp: what is sent, as text or as octets; default: an empty datagram.",
      examples: ["0x0001"],
    }),
    expect: octets.optional().meta({
      description: "udp: how the answer must begin; default: any answer will do.",
      examples: ["pong"],
    }),
    ...leaving,
  },
  polling: { interval: "1s", fall: 3, rise: 2 },
  check(written, at, report) {
    const to = typeof written.udp === "string" ? parseEndpoint(written.udp) : null;
    if (to) checkLeaving(to.address, written, at, report);
  },
  normalize: (checked): UdpSpec => ({
    kind: "udp",
    ...(parseEndpoint(checked.udp as string) as { address: string; port: number }),
    sendHex: octetsOf(checked.send ?? "") as string,
    expectHex: octetsOf(checked.expect ?? "") as string,
    ...leavingOf(checked),
  }),
  target: ({ address, port }) => `${address.includes(":") ? `[${address}]` : address}:${port}`,
});
