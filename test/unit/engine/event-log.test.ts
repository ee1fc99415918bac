/** The event log: numbers without a gap, a bounded past, resuming. */
import { describe, expect, it } from "vitest";
import { EventLog } from "../../../src/engine/events/event-log.js";

const happening = {
  type: "info",
  at: "2026-01-01T00:00:00.000Z",
  name: null,
  code: "x",
  detail: "y",
} as const;

describe("event log", () => {
  it("counts from 1 and goes on after what was inherited", () => {
    const log = new EventLog();
    expect([log.last, log.add(happening).sequence, log.add(happening).sequence]).toEqual([0, 1, 2]);
    const heir = new EventLog(log.recent());
    expect(heir.add(happening).sequence).toBe(3);
    expect(heir.recent().map((event) => event.sequence)).toEqual([1, 2, 3]);
  });

  it("of an heir goes on after the last number of the process before it", async () => {
    const log = new EventLog();
    log.add(happening);
    const heir = new EventLog(log.recent());
    heir.hold();
    const heard: number[] = [];
    heir.on((event) => heard.push(event.sequence));
    const early = heir.add(happening);
    log.add(happening);
    log.add(happening);
    await Promise.resolve();
    expect(heard).toEqual([]);
    heir.catchUp(log.recent());
    heir.add(happening);
    await Promise.resolve();
    expect(early.sequence).toBe(4);
    expect(heard).toEqual([4, 5]);
    expect(heir.recent().map((event) => event.sequence)).toEqual([1, 2, 3, 4, 5]);
  });

  it("tells without a number what comes when numbers are another one's", async () => {
    const log = new EventLog();
    log.add(happening);
    const failed = new EventLog(log.recent());
    failed.hold();
    failed.add(happening);
    const heard: number[] = [];
    for (const one of [log, failed]) {
      one.on((event) => heard.push(event.sequence));
      one.cease();
      one.add(happening);
      expect(one.last).toBe(1);
      expect(one.recent()).toHaveLength(1);
    }
    await Promise.resolve();
    expect(heard).toEqual([0, 0, 0]);
  });

  it("resumes after a number, and says how many are gone", () => {
    const log = new EventLog();
    expect(log.since(0)).toEqual({ events: [], missed: 0 });
    for (let count = 0; count < 1500; count++) log.add(happening);
    const sequences = (since: number): number[] => log.since(since).events.map((event) => event.sequence);
    expect(sequences(1498)).toEqual([1499, 1500]);
    expect(sequences(1500)).toEqual([]);
    expect(log.since(400)).toMatchObject({ missed: 100 });
    expect(sequences(400)[0]).toBe(501);
    expect(log.since(500).missed).toBe(0);
    expect(log.since(9000)).toEqual({ events: [], missed: 0 });
  });
});
