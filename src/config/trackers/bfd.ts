/** bfd: a single-hop BFD session (RFC 5881) to a neighbour. */
import { canonicalIp } from "../../core/address.js";
import {
  bfdAuthentication,
  bfdMultiplier,
  checkBfdAuthentication,
  normalizeBfdAuthentication,
} from "../bfd.js";
import { address } from "../fields.js";
import type { BfdAuthenticationConfig } from "../types.js";
import { checkLeaving, type Leaving, leaving, leavingOf, trackerKind } from "./kind.js";

export interface BfdSpec extends Leaving {
  readonly kind: "bfd";
  /** The neighbour's. */
  readonly address: string;
  readonly multiplier: number;
  readonly authentication: BfdAuthenticationConfig | null;
}

export const bfdKind = trackerKind({
  keys: {
    bfd: address.optional().meta({
      description:
        "Address of a neighbour that runs BFD: up while the session is. AdminDown of the neighbour is no failure.",
      examples: ["203.0.113.1"],
    }),
    multiplier: bfdMultiplier.optional(),
    authentication: bfdAuthentication,
    ...leaving,
  },
  polling: { interval: "50ms", fall: 1, rise: 1, counted: false, leastIntervalUs: 1_000 },
  check(written, at, report) {
    checkBfdAuthentication(written.authentication, at("authentication"), report);
    const neighbour = typeof written.bfd === "string" ? canonicalIp(written.bfd) : null;
    if (neighbour) checkLeaving(neighbour, written, at, report);
  },
  detectionUs: ({ multiplier }: BfdSpec, intervalUs) => intervalUs * multiplier,
  normalize: (checked): BfdSpec => ({
    kind: "bfd",
    address: canonicalIp(checked.bfd as string) as string,
    multiplier: checked.multiplier ?? 3,
    authentication: normalizeBfdAuthentication(checked.authentication),
    ...leavingOf(checked),
  }),
  target: (spec) => spec.address,
});
