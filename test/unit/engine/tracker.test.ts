/** A tracker on a machine that has too little of something, and one that another process began. */
import { describe, expect, it } from "vitest";
import { type ConfigInput, defineConfig } from "../../../src/config/index.js";
import type { ProbeNews } from "../../../src/driver/driver.js";
import type { TrackingServices } from "../../../src/engine/tracking/kind.js";
import { Trackers } from "../../../src/engine/tracking/trackers.js";

type TrackerInput = NonNullable<ConfigInput["trackers"]>[number];

const SECOND_US = 1_000_000;

function machine() {
  const timers: { atUs: number; run: () => void }[] = [];
  const told: string[] = [];
  const state = { nowUs: 1_000 * SECOND_US, shortage: null as string | null, probing: 0 };
  let tell: (news: ProbeNews) => void = () => undefined;
  const setAt = (atUs: number, run: () => void): (() => void) => {
    const timer = { atUs, run };
    timers.push(timer);
    return () => void timers.splice(timers.indexOf(timer), 1);
  };
  const services = {
    driver: {
      setTimer: (afterUs: number, run: () => void) => setAt(state.nowUs + afterUs, run),
      setAlarm: setAt,
      wallClockMs: () => 0,
    },
    heartbeat: { now: () => state.nowUs },
    mask: { namesMacs: false, maskedBy: () => null },
    sourceOn: () => "192.0.2.2",
    prober: {
      probe(_: unknown, onNews: (news: ProbeNews) => void) {
        if (state.shortage) throw Object.assign(new Error(state.shortage), { code: state.shortage });
        state.probing++;
        tell = onNews;
        return {
          changeSource() {},
          counts: () => ({ answered: 0, timeouts: 0, errors: 0, mac: null }),
          end() {},
        };
      },
    },
  } as unknown as TrackingServices;
  const trackers = new Trackers(services, {
    changed: ({ name }, { from, to }) => told.push(`${name} ${from} -> ${to}`),
    overdue: () => {},
    untried: (name, detail) => told.push(`${name}: ${detail}`),
  });
  const pass = (us: number): void => {
    for (const untilUs = state.nowUs + us; ; ) {
      const next = timers.filter(({ atUs }) => atUs <= untilUs).sort((a, b) => a.atUs - b.atUs)[0];
      state.nowUs = next?.atUs ?? untilUs;
      if (!next) return;
      timers.splice(timers.indexOf(next), 1);
      next.run();
    }
  };
  const silent = (): void => tell({ outcome: "timeout", verdict: "down", atUs: state.nowUs } as ProbeNews);
  return { trackers, told, state, pass, silent };
}

const configs = (more: Partial<TrackerInput> = {}) =>
  defineConfig({
    virtualRouters: [{ interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"] }],
    trackers: [{ name: "host", icmp: "192.0.2.9", interface: "eth0", ...more } as TrackerInput],
  }).trackers;

describe("a watch that there are too few descriptors for", () => {
  it("is tried again, and ends nothing", () => {
    const { trackers, told, state, pass, silent } = machine();
    state.shortage = "EMFILE";
    trackers.apply(configs());
    pass(2.5 * SECOND_US);
    expect(state.probing).toBe(0);
    expect(told).toEqual(["host: not checked, what was known stays: EMFILE"]);
    state.shortage = null;
    pass(SECOND_US);
    expect(state.probing).toBe(1);
    silent();
    expect(told.slice(1)).toEqual(["host unknown -> down"]);
    trackers.end();
    pass(10 * SECOND_US);
    expect(state.probing).toBe(1);
  });

  it("is another error where nothing is too little", () => {
    const { trackers, state } = machine();
    state.shortage = "EINVAL";
    expect(() => trackers.apply(configs())).toThrow("EINVAL");
  });
});

describe("a change that waited for its delay in another process", () => {
  it("comes when it would have come there", () => {
    const delayed = configs({ downDelay: "4s" });
    const before = machine();
    before.trackers.apply(delayed, [
      {
        name: "host",
        state: {
          verdict: "up",
          evidence: "",
          value: null,
          against: 0,
          pendingSinceUs: null,
          pendingEvidence: "",
          pendingValue: null,
          fallsUs: [],
          damped: false,
        },
        changedAtMs: 1,
      },
    ]);
    before.silent();
    before.pass(3 * SECOND_US);
    expect(before.told).toEqual([]);
    const after = machine();
    after.state.nowUs = before.state.nowUs;
    after.trackers.apply(delayed, JSON.parse(JSON.stringify(before.trackers.records())));
    after.pass(0.9 * SECOND_US);
    expect(after.told).toEqual([]);
    after.pass(0.2 * SECOND_US);
    expect(after.told).toEqual(["host up -> down"]);
  });
});
