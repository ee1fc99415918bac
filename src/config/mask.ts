/** The section mask: whom no check looks at. */
import { z } from "zod";
import { type MaskEntry, parseMaskEntry } from "../core/tracking/mask.js";
import { text } from "./fields.js";
import { section } from "./section.js";

const entry = text("prefix or MAC address", "an IP prefix or a MAC address", (value) =>
  parseMaskEntry(value) === null
    ? `'${value}' is neither an IP prefix like 192.0.2.128/25 nor a MAC address like 02:00:00:00:00:17`
    : null,
);

export const mask = section({
  schema: z
    .array(entry, { error: "a list of IP prefixes and MAC addresses is expected" })
    .max(1000, { error: "the mask table has at most 1000 entries" })
    .default([])
    .meta({
      description:
        "IP prefixes and MAC addresses that no check looks at: trackers of such an address count as up, `neighbours` trackers leave it out. `firsthop mask` changes the table at run time.",
      examples: [["192.0.2.128/25", "02:00:00:00:00:17"]],
    }),
  check(written, report) {
    if (!Array.isArray(written)) return;
    const seen = new Map<string, number>();
    written.forEach((one: unknown, index) => {
      const parsed = typeof one === "string" ? parseMaskEntry(one) : null;
      if (!parsed) return;
      const before = seen.get(parsed.text);
      if (before !== undefined)
        report("warning", ["mask", index], `${parsed.text} is there already`, ["mask", before]);
      seen.set(parsed.text, before ?? index);
      if (parsed.kind === "prefix" && parsed.length === 0)
        report("warning", ["mask", index], `${parsed.text} keeps checks from every address of its family`);
    });
  },
  normalize: (checked): { readonly mask: readonly MaskEntry[] } => ({
    mask: [
      ...new Map(checked.map((one) => [parseMaskEntry(one)?.text, parseMaskEntry(one)])).values(),
    ].filter((one): one is MaskEntry => one !== null && one !== undefined),
  }),
});
