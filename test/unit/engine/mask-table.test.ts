/** The mask table at run time: what the file says, what was done by hand, and how the two meet across reloads. */
import { describe, expect, it } from "vitest";
import { type MaskEntry, parseMaskEntry } from "../../../src/core/tracking/mask.js";
import { MaskTable } from "../../../src/engine/tracking/mask-table.js";

const entries = (...texts: string[]): MaskEntry[] => texts.map((text) => parseMaskEntry(text) as MaskEntry);
const table = (...configured: string[]): MaskTable => {
  const made = new MaskTable(() => {});
  made.configure(entries(...configured));
  return made;
};
const HOST = "192.0.2.7";

describe("the mask table at run time", () => {
  it("takes an entry of the file back that was lifted", () => {
    const mask = table("192.0.2.0/24");
    expect(mask.maskedBy(HOST, null)).toBe("192.0.2.0/24");
    expect(mask.del("192.0.2.0/24")).toMatchObject({ origin: "configuration", inForce: false });
    expect(mask.maskedBy(HOST, null)).toBeNull();
    expect(mask.add("192.0.2.0/24")).toMatchObject({ origin: "configuration", inForce: true });
    expect(mask.maskedBy(HOST, null)).toBe("192.0.2.0/24");
  });

  it("takes an entry that was lifted, and is in the file no more", () => {
    const mask = table("192.0.2.0/24");
    mask.del("192.0.2.0/24");
    mask.configure([]);
    expect(mask.add("192.0.2.0/24")).toEqual({ entry: "192.0.2.0/24", origin: "runtime", inForce: true });
    expect(mask.maskedBy(HOST, null)).toBe("192.0.2.0/24");
    mask.del("192.0.2.0/24");
    expect(mask.list()).toEqual([]);
  });

  it("goes on in another process as it was", () => {
    const mask = table("192.0.2.0/24", "02:00:00:00:00:17");
    mask.del("192.0.2.0/24");
    mask.add("198.51.100.0/24");
    const heir = table("192.0.2.0/24", "02:00:00:00:00:17");
    heir.inherit(JSON.parse(JSON.stringify(mask.record())));
    expect(heir.list()).toEqual(mask.list());
    expect(heir.namesMacs).toBe(true);
    expect(heir.maskedBy(HOST, null)).toBeNull();
    expect(heir.maskedBy("198.51.100.9", null)).toBe("198.51.100.0/24");
  });

  it("finds hundreds of neighbours in thousands of entries quickly", () => {
    const many = Array.from({ length: 4000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`);
    const mask = table(...many, "2001:db8::/32", "203.0.113.0/28");
    const startedMs = performance.now();
    for (let round = 0; round < 1000; round++) mask.maskedBy(`198.51.${round & 255}.${round >> 8}`, null);
    // One by one it takes seconds.
    expect(performance.now() - startedMs).toBeLessThan(500);
  });
});
