/** neighbours: everybody who was seen on a link, and how many of them answer. */
import { z } from "zod";
import { type NeighbourThreshold, parseNeighbourThreshold } from "../../core/tracking/neighbourhood.js";
import { duration, integer, interfaceName, oneOf } from "../fields.js";
import { parseDuration } from "../units.js";
import { trackerKind } from "./kind.js";

export interface NeighboursSpec {
  readonly kind: "neighbours";
  readonly interface: string;
  readonly mode: "polling" | "trigger";
  readonly threshold: NeighbourThreshold;
  /** Who showed last so long ago is no neighbour any more. */
  readonly ageUs: number;
  readonly max: number;
}

const DEFAULTS = { mode: "polling", threshold: "50%", age: "5m", max: 256 } as const;

const threshold = z
  .union([z.number(), z.string()], { error: "a number like 3 or a percentage like 50% is expected" })
  .superRefine((value, context) => {
    if (parseNeighbourThreshold(value)) return;
    const message = `${JSON.stringify(value)} is neither a whole number from 1 on nor a percentage from 1% to 100%`;
    context.addIssue({ code: "custom", message });
  })
  .meta({
    title: "number or percentage",
    description:
      "neighbours: so many of those that are asked have to answer. Default 50%. Where some are masked, a number is no more than those that are asked. Where nobody was seen, a percentage is reached, a number is not; where all are masked, both are.",
    examples: ["50%", 3],
  });

export const neighboursKind = trackerKind({
  keys: {
    neighbours: interfaceName.optional().meta({
      description:
        "Kind: the interface works, and enough of the neighbours that were seen on it answer. Own, virtual and masked addresses are left out.",
      examples: ["eth0"],
    }),
    mode: oneOf(["polling", "trigger"], {
      description:
        "neighbours: polling asks by ARP and neighbour solicitation, trigger by ICMP echo request. Default polling.",
      examples: ["trigger"],
    }).optional(),
    threshold: threshold.optional(),
    age: duration(
      {
        description:
          "neighbours: who neither showed nor answered for so long is forgotten, unless all are silent. 20s to 24h, default 5m.",
        examples: ["1h"],
      },
      { minUs: 20_000_000, maxUs: 86_400_000_000 },
    ).optional(),
    max: integer(1, 4096, {
      description: "neighbours: so many are followed at most, those seen first. Default 256.",
      examples: [1000],
    }).optional(),
  },
  polling: { interval: "1s", fall: 3, rise: 2 },
  check({ threshold: wanted, max = DEFAULTS.max }, at, report) {
    if (typeof wanted !== "number" || typeof max !== "number" || wanted <= max) return;
    report("error", at("threshold"), `${wanted} can't be reached: at most ${max} are followed (max)`);
  },
  normalize: (checked): NeighboursSpec => ({
    kind: "neighbours",
    interface: checked.neighbours as string,
    mode: checked.mode ?? DEFAULTS.mode,
    threshold: parseNeighbourThreshold(checked.threshold ?? DEFAULTS.threshold) as NeighbourThreshold,
    ageUs: parseDuration(checked.age ?? DEFAULTS.age) as number,
    max: checked.max ?? DEFAULTS.max,
  }),
  target: (spec) => spec.interface,
});
