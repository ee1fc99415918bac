/** What BFD sessions have in common wherever they are configured. */
import { z } from "zod";
import { AUTHENTICATION_TYPES, type BfdAuthenticationType } from "../core/bfd/authentication.js";
import { duration, integer, oneOf, text } from "./fields.js";
import type { Path, Report } from "./section.js";
import type { BfdAuthenticationConfig } from "./types.js";

export const bfdInterval = duration(
  {
    description: "Time between BFD packets, 1ms to 10s; both ends use the slower of theirs.",
    examples: ["10ms"],
  },
  { minUs: 1_000, maxUs: 10_000_000 },
).default("50ms");

export const bfdMultiplier = integer(1, 255, {
  description: "So many intervals without a packet, and the neighbour takes the session for down.",
  examples: [5],
}).default(3);

const KEY_OCTETS_MAX = 20;
const TYPES = Object.keys(AUTHENTICATION_TYPES) as [BfdAuthenticationType, ...BfdAuthenticationType[]];

const octetsOf = (key: string): number => new TextEncoder().encode(key).length;

const bfdKey = text(`text of 1 to ${KEY_OCTETS_MAX} octets`, "a text", (key) => {
  const octets = octetsOf(key);
  const range = `a key has 1 to 16 octets, for SHA1 1 to ${KEY_OCTETS_MAX}`;
  return octets >= 1 && octets <= KEY_OCTETS_MAX ? null : `${range}; this one has ${octets}`;
});

export const bfdAuthentication = z
  .strictObject(
    {
      type: oneOf(TYPES, {
        description:
          "simple: a password in clear text. The others: a digest with the key; meticulous: no packet counts twice.",
        examples: ["meticulous-keyed-sha1"],
      }),
      keyId: integer(0, 255, {
        description: "Number of the key; the same at both ends.",
        examples: [1],
      }).default(1),
      key: bfdKey.meta({ description: "The same at both ends.", examples: ["secret"] }),
    },
    { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
  )
  .optional()
  .meta({
    description:
      "Authentication of BFD packets (RFC 5880 section 6.7). Packets without it, or with another key, count for nothing.",
  });

/** What the schema of each key does not see. `written` has not passed it. */
export function checkBfdAuthentication(written: unknown, path: Path, report: Report): void {
  const read = bfdAuthentication.safeParse(written);
  if (!read.success || !read.data) return;
  const { type, key } = read.data;
  if (type === "simple")
    report(
      "warning",
      path,
      "no security: every host on the LAN can read it; it only guards against mistakes",
    );
  if (!type.endsWith("sha1") && octetsOf(key) > 16)
    report("error", [...path, "key"], `a key for ${type} has 1 to 16 octets, this one has ${octetsOf(key)}`);
}

export function normalizeBfdAuthentication(
  checked: z.output<typeof bfdAuthentication>,
): BfdAuthenticationConfig | null {
  return checked ?? null;
}
