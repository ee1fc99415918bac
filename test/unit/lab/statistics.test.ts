/** What the lab counts, on columns written by hand. */
import { describe, expect, it } from "vitest";
import {
  arrivalTimes,
  firstArrivalAfter,
  median,
  quantile,
  reportTraffic,
  strip,
  type TrafficColumns,
} from "../../../src/lab/statistics.js";

const A = "02:00:00:02:00:01";
const B = "02:00:00:02:00:02";

/** Packets of one a millisecond, 0.1 ms under way: [copies, via] each; 0 copies: lost. */
function columnsOf(packets: readonly (readonly [copies: number, via: number])[], from = 0): TrafficColumns {
  const sentUs = Float64Array.from(packets, (_, at) => at * 1000);
  return {
    from,
    sentUs,
    firstUs: Float64Array.from(packets, ([copies], at) => (copies === 0 ? Number.NaN : at * 1000 + 100)),
    copies: Uint32Array.from(packets, ([copies]) => copies),
    via: Uint8Array.from(packets, ([, via]) => via),
    senders: [A, B],
  };
}

const viaA = [1, 0] as const;
const viaB = [1, 1] as const;
const lost = [0, 0] as const;

describe("reportTraffic", () => {
  it("finds nothing wrong where nothing is", () => {
    expect(reportTraffic(columnsOf([viaA, viaA, viaA]))).toEqual({
      sent: 3,
      arrived: 3,
      lost: 0,
      lostRanges: [],
      duplicated: 0,
      longestGap: { lengthUs: 1000, startUs: 100, endUs: 1100, open: false },
      slowestUs: 100,
      longestPauseUs: 1000,
      bySender: { [A]: 3, [B]: 0 },
    });
  });

  it("counts what was lost, in ranges of sequence numbers, and the gap that it left", () => {
    const report = reportTraffic(columnsOf([viaA, lost, lost, viaB, viaB, lost, viaB], 40));
    expect(report.lost).toBe(3);
    expect(report.lostRanges).toEqual([
      { first: 41, last: 42 },
      { first: 45, last: 45 },
    ]);
    expect(report.longestGap).toEqual({ lengthUs: 3000, startUs: 100, endUs: 3100, open: false });
    expect(report.bySender).toEqual({ [A]: 1, [B]: 3 });
  });

  it("counts a packet with three copies as one that was doubled", () => {
    expect(reportTraffic(columnsOf([viaA, [3, 0], [2, 1]])).duplicated).toBe(2);
  });

  it("leaves a gap open when packets are still lost at the end", () => {
    expect(reportTraffic(columnsOf([viaA, lost, lost, lost])).longestGap).toEqual({
      lengthUs: 2900,
      startUs: 100,
      endUs: 3000,
      open: true,
    });
  });

  it("knows no gap without an arrival, and nothing of no packets", () => {
    expect(reportTraffic(columnsOf([lost, lost])).longestGap).toBeNull();
    expect(reportTraffic(columnsOf([]))).toMatchObject({ sent: 0, lost: 0, longestGap: null });
  });

  it("measures gaps between arrivals, not between sequence numbers that overtook each other", () => {
    const columns = columnsOf([viaA, viaA, viaA]);
    columns.firstUs.set([5000, 4000, 6000]);
    expect(Array.from(arrivalTimes(columns))).toEqual([4000, 5000, 6000]);
    expect(reportTraffic(columns).longestGap?.lengthUs).toBe(1000);
    expect(reportTraffic(columns).slowestUs).toBe(5000);
  });
});

describe("firstArrivalAfter", () => {
  const columns = columnsOf([viaA, viaA, lost, viaB, viaA]);
  it("finds the first arrival after an instant, through anybody or through one", () => {
    expect(firstArrivalAfter(columns, 150)).toBe(1100);
    expect(firstArrivalAfter(columns, 150, B)).toBe(3100);
    expect(firstArrivalAfter(columns, 3200, B)).toBeNull();
    expect(firstArrivalAfter(columns, 0, "02:00:00:00:00:99")).toBeNull();
  });
});

describe("strip", () => {
  it("sorts packets into cells by when they were sent", () => {
    const cells = strip(columnsOf([viaA, viaA, lost, viaB, [2, 1], viaB]), 0, 6000, 2000);
    expect(cells).toEqual([
      { sent: 2, lost: 0, duplicated: 0, carried: [2, 0] },
      { sent: 2, lost: 1, duplicated: 0, carried: [0, 1] },
      { sent: 2, lost: 0, duplicated: 1, carried: [0, 2] },
    ]);
  });

  it("leaves out what was sent before and after", () => {
    const cells = strip(columnsOf([viaA, viaA, viaA, viaA]), 1000, 3000, 1000);
    expect(cells.map((cell) => cell.sent)).toEqual([1, 1]);
    expect(strip(columnsOf([viaA]), 1000, 1000, 1000)).toEqual([]);
  });
});

describe("median and quantile", () => {
  it("takes the middle, or the mean of the two in the middle", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
  it("gives the least value that a share does not exceed", () => {
    const sorted = Array.from({ length: 1000 }, (_, at) => at + 1);
    expect(quantile(sorted, 0.999)).toBe(999);
    expect(quantile(sorted, 0.5)).toBe(500);
    expect(quantile([7], 0.999)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });
  it("calls nine of ten what nine of ten keep", () => {
    for (const tens of [1, 2, 3, 7]) {
      const sorted = Array.from({ length: 10 * tens }, (_, at) => (at < 9 * tens ? 1 : 99));
      expect(quantile(sorted, 0.9)).toBe(1);
    }
    expect(quantile([1, 1, 1, 1, 99], 0.9)).toBe(99);
  });
});
