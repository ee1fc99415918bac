/** The verdict of a tracker: what counts, what waits, what is damped. */
import { describe, expect, it } from "vitest";
import {
  elapse,
  judge,
  type TrackerState,
  type TrackerStep,
  UNKNOWN_TRACKER,
  type VerdictSettings,
} from "../../../../src/core/tracking/verdict.js";

const PLAIN: VerdictSettings = { fall: 1, rise: 1, upDelayUs: 0, downDelayUs: 0, damping: null };
const S = 1_000_000;

/** Results one second apart: "+" up, "-" down. The verdict after each. */
function verdicts(settings: VerdictSettings, results: string): string {
  let state = UNKNOWN_TRACKER;
  return [...results]
    .map((result, at) => {
      state = judge(settings, state, { up: result === "+", evidence: `result ${at}` }, at * S).state;
      return { unknown: "?", up: "+", down: "-" }[state.verdict];
    })
    .join("");
}

describe("counting", () => {
  const cases: readonly [string, Partial<VerdictSettings>, string, string][] = [
    ["each result counts", {}, "+-+--+", "+-+--+"],
    ["the first result decides, whatever fall is", { fall: 3 }, "-", "-"],
    ["the first result decides, whatever rise is", { rise: 3 }, "+", "+"],
    ["fall in a row", { fall: 3 }, "+--+---+", "++++++-+"],
    ["rise in a row", { rise: 2 }, "-+-++-", "----+-"],
    ["one contradiction starts the count anew", { fall: 2, rise: 2 }, "+-+-+--+-++", "++++++----+"],
  ];
  it.each(cases)("%s", (_, settings, results, expected) => {
    expect(verdicts({ ...PLAIN, ...settings }, results)).toBe(expected);
  });

  it("keeps the evidence that the verdict rests on", () => {
    const settings = { ...PLAIN, fall: 2 };
    let state = judge(settings, UNKNOWN_TRACKER, { up: true, evidence: "fine" }, 0).state;
    state = judge(settings, state, { up: false, evidence: "timed out" }, S).state;
    expect(state).toMatchObject({ verdict: "up", evidence: "fine", against: 1 });
    state = judge(settings, state, { up: false, evidence: "refused" }, 2 * S).state;
    expect(state).toMatchObject({ verdict: "down", evidence: "refused", against: 0 });
    state = judge(settings, state, { up: false, evidence: "no route" }, 3 * S).state;
    expect(state).toMatchObject({ verdict: "down", evidence: "no route" });
  });

  it("tells a change once, and a value whenever it is another one", () => {
    const first = judge(PLAIN, UNKNOWN_TRACKER, { up: true, evidence: "says 0", value: 0 }, 0);
    expect(first.changed).toBe(true);
    const same = judge(PLAIN, first.state, { up: true, evidence: "says 0", value: 0 }, S);
    expect(same.changed).toBe(false);
    const other = judge(PLAIN, same.state, { up: true, evidence: "says 20", value: 20 }, 2 * S);
    expect(other).toMatchObject({ changed: true, state: { verdict: "up", value: 20, evidence: "says 20" } });
  });
});

describe("delays", () => {
  const settings: VerdictSettings = { ...PLAIN, upDelayUs: 5 * S, downDelayUs: 2 * S };
  const up = judge(settings, UNKNOWN_TRACKER, { up: true, evidence: "up" }, 0).state;
  const fail = (state: TrackerState, atUs: number): TrackerStep =>
    judge(settings, state, { up: false, evidence: "no carrier" }, atUs);
  const work = (state: TrackerState, atUs: number): TrackerStep =>
    judge(settings, state, { up: true, evidence: "carrier" }, atUs);

  it("do not hold back the first verdict", () => expect(up.verdict).toBe("up"));

  it("make a change wait, and say when to ask again", () => {
    const waiting = fail(up, 10 * S);
    expect(waiting).toMatchObject({ changed: false, wakeAtUs: 12 * S, state: { verdict: "up" } });
    expect(elapse(settings, waiting.state, 12 * S - 1)).toMatchObject({ changed: false, wakeAtUs: 12 * S });
    const over = elapse(settings, waiting.state, 12 * S);
    expect(over).toMatchObject({ changed: true, state: { verdict: "down", evidence: "no carrier" } });
  });

  it("bring the number along with the verdict", () => {
    const first = judge(settings, UNKNOWN_TRACKER, { up: true, evidence: "says 20", value: 20 }, 0).state;
    const waiting = judge(settings, first, { up: false, evidence: "says -10", value: -10 }, S).state;
    expect(waiting).toMatchObject({ verdict: "up", value: 20 });
    expect(elapse(settings, waiting, 3 * S).state).toMatchObject({ verdict: "down", value: -10 });
  });

  it("end where a result agrees with the verdict again", () => {
    const waiting = fail(up, 10 * S).state;
    const back = work(waiting, 11 * S);
    expect(back).toMatchObject({ changed: false, wakeAtUs: null, state: { pendingSinceUs: null } });
    expect(elapse(settings, back.state, 20 * S).changed).toBe(false);
  });

  it("count from the result that completed the row", () => {
    const counting = { ...settings, fall: 3 };
    let step = judge(counting, up, { up: false, evidence: "1" }, 1 * S);
    step = judge(counting, step.state, { up: false, evidence: "2" }, 2 * S);
    expect(step.wakeAtUs).toBeNull();
    step = judge(counting, step.state, { up: false, evidence: "3" }, 3 * S);
    expect(step.wakeAtUs).toBe(5 * S);
    step = judge(counting, step.state, { up: false, evidence: "4" }, 4 * S);
    expect(step.wakeAtUs).toBe(5 * S);
  });

  it("of both directions are their own", () => {
    const down = elapse(settings, fail(up, 0).state, 2 * S).state;
    expect(work(down, 10 * S).wakeAtUs).toBe(15 * S);
  });
});

describe("damping", () => {
  const settings: VerdictSettings = {
    ...PLAIN,
    damping: { flaps: 3, withinUs: 60 * S, holdUs: 100 * S },
  };
  const flap = (state: TrackerState, atUs: number): TrackerState => {
    const down = judge(settings, state, { up: false, evidence: "down" }, atUs).state;
    return judge(settings, down, { up: true, evidence: "up" }, atUs + S).state;
  };
  const up = judge(settings, UNKNOWN_TRACKER, { up: true, evidence: "up" }, 0).state;

  it("starts at the given number of falls within the time", () => {
    let state = flap(flap(up, 10 * S), 20 * S);
    expect(state).toMatchObject({ verdict: "up", damped: false });
    state = judge(settings, state, { up: false, evidence: "down" }, 30 * S).state;
    expect(state).toMatchObject({ verdict: "down", damped: true });
    const again = judge(settings, state, { up: true, evidence: "up" }, 31 * S);
    expect(again).toMatchObject({ changed: false, wakeAtUs: 131 * S });
  });

  it("forgets falls that are long ago", () => {
    let state = flap(flap(up, 10 * S), 20 * S);
    state = judge(settings, state, { up: false, evidence: "down" }, 80 * S).state;
    expect(state).toMatchObject({ damped: false, fallsUs: [80 * S] });
  });

  it("ends after it held, and counts anew", () => {
    let state = flap(flap(flap(up, 10 * S), 20 * S), 30 * S);
    expect(state.verdict).toBe("down");
    state = elapse(settings, state, 131 * S).state;
    expect(state).toMatchObject({ verdict: "up", damped: false, fallsUs: [] });
  });

  it("starts anew when it fails while it is held", () => {
    let state = flap(flap(flap(up, 10 * S), 20 * S), 30 * S);
    state = judge(settings, state, { up: false, evidence: "down" }, 90 * S).state;
    const step = judge(settings, state, { up: true, evidence: "up" }, 95 * S);
    expect(step.wakeAtUs).toBe(195 * S);
  });

  it("does not count a tracker that began as down", () => {
    const state = judge(settings, UNKNOWN_TRACKER, { up: false, evidence: "down" }, 0).state;
    expect(state.fallsUs).toEqual([]);
  });
});
