/** Checks keep their grid, and their time counts from it. */
import { describe, expect, it } from "vitest";
import { checkDeadlineUs, nextCheckUs, sparedUs } from "../../../../src/core/tracking/index.js";

describe("the next check", () => {
  it("is due an interval after the one before was, however late that ended", () => {
    for (const endedUs of [1_000_100, 1_005_000, 1_010_000, 1_011_250])
      expect(nextCheckUs(1_000_000, 10_000, endedUs)).toBe(1_010_000);
  });

  it("is due at once after one that took too long", () => {
    expect(nextCheckUs(1_000_000, 10_000, 1_011_251)).toBe(1_011_251);
    expect(nextCheckUs(1_000_000, 10_000, 1_500_000)).toBe(1_500_000);
  });
});

describe("a check's time", () => {
  it("counts from when it was due", () => {
    for (const nowUs of [1_000_000, 1_000_080, 1_001_250])
      expect(checkDeadlineUs(1_000_000, 10_000, nowUs)).toBe(1_010_000);
  });

  it("is an eighth shorter at most, however late it begins", () => {
    expect(checkDeadlineUs(1_000_000, 10_000, 1_001_251)).toBe(1_010_001);
    expect(checkDeadlineUs(1_000_000, 10_000, 1_500_000)).toBe(1_508_750);
  });

  it("is over when the next check is due, where it may take all of the interval: failures in a row lose nothing", () => {
    const [intervalUs, latenessUs] = [10_000, 180];
    let dueUs = 1_000_000;
    for (let check = 0; check < 100; check++) {
      const deadlineUs = checkDeadlineUs(dueUs, intervalUs, dueUs + latenessUs);
      dueUs = nextCheckUs(dueUs, intervalUs, deadlineUs + latenessUs);
    }
    expect(dueUs).toBe(1_000_000 + 100 * intervalUs);
  });
});

describe("a missing answer", () => {
  it("is a failure in time, and is waited for again as long as nobody listened, but not for longer than before", () => {
    expect(sparedUs(0, 80_000)).toBe(0);
    expect(sparedUs(10_000, 80_000)).toBe(0);
    expect(sparedUs(10_001, 80_000)).toBe(10_001);
    expect(sparedUs(500_000, 80_000)).toBe(80_000);
  });
});
