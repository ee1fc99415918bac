import { describe, expect, it } from "vitest";
import { JobQueue } from "../../../src/engine/job-queue.js";

function queueWith(nowUs: () => number): { queue: JobQueue; timers: (() => void)[] } {
  const timers: (() => void)[] = [];
  return { queue: new JobQueue({ now: nowUs, setTimer: (_, run) => timers.push(run) }), timers };
}

describe("job queue", () => {
  it("runs in order, and ends its turn after five milliseconds", () => {
    let nowUs = 0;
    const { queue, timers } = queueWith(() => nowUs);
    const done: number[] = [];
    for (let job = 0; job < 10; job++) {
      queue.add(() => {
        nowUs += 2_000;
        done.push(job);
      });
    }
    expect(timers).toHaveLength(1);
    timers.shift()?.();
    expect(done).toEqual([0, 1, 2]);
    while (timers.length > 0) timers.shift()?.();
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("takes as long a turn as it had to wait for, but no longer than fifty milliseconds", () => {
    let nowUs = 0;
    const { queue, timers } = queueWith(() => nowUs);
    let done = 0;
    for (let job = 0; job < 100; job++) {
      queue.add(() => {
        nowUs += 1_000;
        done++;
      });
    }
    nowUs += 20_000;
    timers.shift()?.();
    expect(done).toBe(21);
    nowUs += 1_000_000;
    timers.shift()?.();
    expect(done).toBe(21 + 51);
  });

  it("goes on after a job that throws, and tells its error", () => {
    const { queue, timers } = queueWith(() => 0);
    const done: string[] = [];
    queue.add(() => {
      throw new Error("a bug");
    });
    queue.add(() => done.push("second"));
    expect(() => timers.shift()?.()).toThrow("a bug");
    timers.shift()?.();
    queue.add(() => done.push("later"));
    timers.shift()?.();
    expect(done).toEqual(["second", "later"]);
  });
});
