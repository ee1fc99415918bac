/**
 * The configuration's schema: the one source of its types, checks, defaults, JSON Schema and reference page.
 * Values keep the form in which people write them; `normalize.ts` makes the engine's form of it.
 */
import { z } from "zod";
import { canonicalIp, familyOf } from "../core/address.js";
import { parseDuration } from "./units.js";

function duration(what: string) {
  return z
    .string({ error: (issue) => durationError(issue.input) })
    .superRefine((value, context) => {
      const parsed = parseDuration(value);
      if (typeof parsed !== "number") context.addIssue({ code: "custom", message: parsed.error });
    })
    .describe(what);
}

function durationError(input: unknown): string {
  const parsed = parseDuration(input);
  return typeof parsed === "number" ? "a duration is written like 10ms" : parsed.error;
}

function integer(min: number, max: number, hint = "") {
  const wrong = (input: unknown): string =>
    `${JSON.stringify(input)} is not a whole number from ${min} to ${max}${hint}`;
  return z
    .int({ error: (issue) => wrong(issue.input) })
    .min(min, { error: (issue) => wrong(issue.input) })
    .max(max, { error: (issue) => wrong(issue.input) });
}

const yesNo = (what: string) => z.boolean({ error: "true or false is expected" }).describe(what);

/** Addresses that name one host on a LAN. */
function addressFlaw(text: string): string | null {
  const address = canonicalIp(text);
  if (address === null) return `'${text}' is no IP address`;
  if (familyOf(address) === "ipv4") {
    const first = Number(address.split(".")[0]);
    if (first === 0) return `${address} names no host`;
    if (first === 127) return `${address} is a loopback address`;
    if (first >= 224) return `${address} is ${first < 240 ? "a multicast" : "a reserved"} address`;
    return null;
  }
  if (address === "::" || address === "::1") return `${address} is no address of a LAN`;
  return address.startsWith("ff") ? `${address} is a multicast address` : null;
}

const address = z.string({ error: "an IP address is expected" }).superRefine((value, context) => {
  const flaw = addressFlaw(value);
  if (flaw) context.addIssue({ code: "custom", message: flaw });
});

const virtualAddress = z
  .string({ error: "an address like 192.0.2.1/24 is expected" })
  .superRefine((value, context) => {
    const [text = "", length, ...rest] = value.split("/");
    const flaw = rest.length > 0 ? `'${value}' is no address with a prefix length` : addressFlaw(text);
    if (flaw) {
      context.addIssue({ code: "custom", message: flaw });
      return;
    }
    const max = familyOf(text) === "ipv4" ? 32 : 128;
    if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) < 1 || Number(length) > max)) {
      context.addIssue({ code: "custom", message: `/${length} is no prefix length: 1 to ${max}` });
    }
  });

const password = z.string({ error: "a text is expected" }).superRefine((value, context) => {
  const octets = new TextEncoder().encode(value).length;
  if (octets < 1 || octets > 8) {
    context.addIssue({
      code: "custom",
      message: `a VRRPv2 password has 1 to 8 octets, this one has ${octets}`,
    });
  }
});

const interfaceName = z
  .string({ error: "the name of an interface is expected" })
  .superRefine((value, context) => {
    if (!/^[^\s/:]{1,15}$/.test(value) || value === "." || value === "..") {
      context.addIssue({
        code: "custom",
        message: `'${value}' is no interface name: 1 to 15 characters without slash, colon or space`,
      });
    }
  });

export const virtualRouterSchema = z.strictObject({
  interface: interfaceName.describe("The LAN interface."),
  vrid: integer(1, 255).describe(
    "Virtual router identifier, 1 to 255; the same on all routers of the group.",
  ),
  version: z
    .union([z.literal(2), z.literal(3)], {
      error: (issue) => `${JSON.stringify(issue.input)} is no VRRP version: 2 or 3`,
    })
    .default(3)
    .describe("VRRP version: 2 (RFC 3768, IPv4 only) or 3 (RFC 9568)."),
  priority: integer(1, 255, " (0 is the release, which is never configured)")
    .default(100)
    .describe("1 to 254; the highest is Active. 255: this router owns the addresses."),
  addresses: z
    .array(virtualAddress, { error: "a list of addresses is expected" })
    .min(1, { error: "at least one address is needed" })
    .max(255, { error: "an advertisement holds at most 255 addresses" })
    .describe(
      "Virtual addresses, all of one family; for IPv6 a link-local one first. Without a prefix length: /32, /128, and /64 for link-local ones.",
    ),
  advertisementInterval: duration(
    "Time between advertisements. v3: 10ms to 40.95s in steps of 10ms; v2: 1s to 255s in whole seconds.",
  ).default("1s"),
  preempt: yesNo("Whether a higher priority takes over from a working Active.").default(true),
  preemptDelay: duration("How long a lower-priority Active is tolerated once it was heard.").default("0s"),
  accept: yesNo(
    "Whether the Active answers on the virtual addresses (ping, SSH). The RFC's default is false; users expect true.",
  ).default(true),
  virtualMac: yesNo("false: the addresses move on the interface's own MAC.").default(true),
  checksum: z
    .enum(["auto", "message-only", "pseudo-header"], {
      error: "auto, message-only or pseudo-header is expected",
    })
    .default("auto")
    .describe(
      "VRRPv3 over IPv4: the checksum that is sent. auto: RFC 9568's, or the peers' where they use the other. Both are always accepted.",
    ),
  authentication: z
    .strictObject({
      type: z
        .literal("simple", { error: "only 'simple' is known (RFC 2338 type 1)" })
        .describe("A password in clear text."),
      password: password.describe("1 to 8 octets."),
    })
    .optional()
    .describe("VRRPv2 only, and no security: it guards against mistakes."),
  unicast: z
    .strictObject({
      source: address.optional().describe("Source address; default: the interface's primary address."),
      peers: z
        .array(address, { error: "a list of addresses is expected" })
        .min(1, { error: "at least one peer is needed" })
        .describe("The other routers' addresses."),
    })
    .optional()
    .describe("Advertisements to named peers, where multicast does not pass."),
});

export const configSchema = z.strictObject({
  virtualRouters: z
    .array(virtualRouterSchema, { error: "a list of virtual routers is expected" })
    .min(1, { error: "at least one virtual router is needed" })
    .describe("The virtual routers that this router takes part in."),
  controlTimeout: duration("How long a router stays Active without its control plane.").default("5s"),
  control: z
    .strictObject({
      socket: z.string().min(1).default("/run/firsthop/control.sock").describe("Path of the control socket."),
    })
    .prefault({})
    .describe("How commands reach the daemon."),
  log: z
    .strictObject({
      level: z
        .enum(["trace", "debug", "info", "warn", "error"], {
          error: "trace, debug, info, warn or error is expected",
        })
        .default("info")
        .describe("The least that is logged."),
      format: z
        .enum(["pretty", "json"], { error: "pretty or json is expected" })
        .optional()
        .describe("Default: pretty on a terminal, else json."),
    })
    .prefault({})
    .describe("The daemon's log, on standard error."),
});

/** The configuration as people write it. */
export type ConfigInput = z.input<typeof configSchema>;
export type VirtualRouterInput = z.input<typeof virtualRouterSchema>;
export type CheckedConfig = z.output<typeof configSchema>;
export type CheckedVirtualRouter = z.output<typeof virtualRouterSchema>;

/** Keys that have their place in the format, but nothing behind them in this version. By path, * for any index. */
export const PLANNED_KEYS: ReadonlySet<string> = new Set([
  "syncGroups",
  "trackers",
  "mask",
  "gateways",
  "ownership",
  "ownershipLimit",
  "metrics",
  "virtualRouters.*.bfd",
  "virtualRouters.*.syncGroup",
  "virtualRouters.*.track",
  "virtualRouters.*.notify",
]);
