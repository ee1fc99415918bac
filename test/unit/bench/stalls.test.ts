/** What of an advertisement's lateness bare sleepers met, too. */
import { describe, expect, it } from "vitest";
import type { Wake } from "../../../bench/lib/noise.js";
import { attribute, sleptToo, stallTailsMs } from "../../../bench/lib/stalls.js";

const wake = (dueMs: number, lateMs: number, processor = 0): Wake => ({
  processor,
  dueUs: 1000 * dueMs,
  lateMs,
});

describe("sleptToo", () => {
  const late = { dueUs: 100_000, cameUs: 103_000 };

  it("takes a sleeper that waited in the same time, by half as much at least", () => {
    expect(sleptToo(late, [wake(100.2, 2.8)])).toBe(true);
    expect(sleptToo(late, [wake(100.2, 0.1), wake(98, 5, 1)])).toBe(true);
    expect(sleptToo(late, [wake(100.2, 1.4)])).toBe(false);
  });

  it("takes none that was late before or afterwards", () => {
    expect(sleptToo(late, [wake(95, 4), wake(103.3, 9)])).toBe(false);
    expect(sleptToo(late, [wake(103.1, 9)], 200)).toBe(true); // due so much later than the advertisement
    expect(sleptToo(late, [])).toBe(false);
  });
});

describe("attribute", () => {
  const listened = { intervalMs: 10, leastMs: 0.5, apartUs: 200 };
  // One that is late or early moves those after it.
  const everyTenMs = (late: Readonly<Record<number, number>>): number[] => {
    let movedUs = 0;
    return Array.from({ length: 20 }, (_, at) => {
      movedUs += 1000 * (late[at] ?? 0);
      return 10_000 * at + movedUs;
    });
  };

  it("leaves out what a shared stall made of the gap before it ended, and nothing else", () => {
    const found = attribute(everyTenMs({ 5: 3, 12: 2 }), [wake(50.2, 2.8)], listened);
    expect([found.late, found.shared, found.restMs.length]).toEqual([2, 1, 18]);
    expect(found.restMs.filter((ms) => ms > 0.5)).toEqual([2]);
  });

  it("calls nothing late that was early or nearly punctual", () => {
    const found = attribute(everyTenMs({ 3: 0.4, 8: -3 }), [], { ...listened, leastMs: 3.5 });
    expect(found).toMatchObject({ late: 0, shared: 0 });
    expect(found.restMs).toHaveLength(19);
  });
});

describe("stallTailsMs", () => {
  /** The same by trying it out: gaps of many virtual routers, evenly spread over the interval, that wait for stalls. */
  function tried(stalls: readonly Wake[], seconds: number): number {
    const [intervalMs, many] = [100, 500];
    const gaps: number[] = [];
    for (let one = 0; one < many; one++) {
      const cameMs: number[] = [];
      for (
        let dueMs = (one * intervalMs) / many;
        dueMs < 1000 * seconds;
        dueMs = cameMs.at(-1)! + intervalMs
      ) {
        const stall = stalls.find(
          ({ dueUs, lateMs }) => dueMs >= dueUs / 1000 && dueMs < dueUs / 1000 + lateMs,
        );
        cameMs.push(stall ? stall.dueUs / 1000 + stall.lateMs : dueMs);
      }
      gaps.push(...cameMs.slice(1).map((ms, at) => Math.abs(ms - cameMs[at]! - intervalMs)));
    }
    return gaps.sort((a, b) => a - b)[Math.ceil(0.999 * gaps.length) - 1]!;
  }

  it("says what stalls make of many gaps", () => {
    for (const stalls of [
      [wake(1234, 25)],
      [wake(310, 8), wake(1234, 25), wake(2065, 24)],
      [wake(100, 3), wake(410, 3), wake(1520, 3)],
    ]) {
      expect(Math.abs(stallTailsMs(stalls, 2.5)[0]! - tried(stalls, 2.5))).toBeLessThan(0.5);
    }
  });

  it("is one of each processor, and 0 where stalls are too few to count", () => {
    expect(stallTailsMs([wake(100, 30), wake(100, 6, 1)], 2.5)).toEqual([27.5, 3.5]);
    expect(stallTailsMs([wake(100, 1)], 2.5)).toEqual([0]);
    expect(stallTailsMs([], 2.5)).toEqual([]);
  });
});
