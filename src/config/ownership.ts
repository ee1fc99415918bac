/** Sections about who forwards: the kernel's filter, and how long it believes a silent daemon. */
import { z } from "zod";
import { duration, oneOf } from "./fields.js";
import { section } from "./section.js";
import { parseDuration } from "./units.js";

export const ownership = section({
  schema: oneOf(["auto", "xdp", "xdp-generic", "tc", "off"], {
    description:
      "Where the kernel drops packets that another router is to forward. auto: native XDP on hardware whose driver " +
      "has it, else tc. off: nothing is filtered, the virtual interface itself is closed instead.",
    examples: ["tc"],
  }).default("auto"),
  normalize: (checked) => ({ ownership: checked }),
});

export const ownershipLimit = section({
  schema: z
    .union(
      [
        z.literal("never"),
        duration({ description: "", examples: [] }, { minUs: 1_000_000, maxUs: 86_400_000_000 }),
      ],
      { error: "a duration like 60s is expected, or never" },
    )
    .meta({
      description:
        "How long the kernel goes on forwarding for a daemon that fell silent, when no successor is heard; 1s to 24h, or never. At least three advertisement intervals.",
      examples: ["5s", "never"],
    })
    .default("60s"),
  normalize: (checked) => ({
    ownershipLimitUs: checked === "never" ? null : (parseDuration(checked) as number),
  }),
});
