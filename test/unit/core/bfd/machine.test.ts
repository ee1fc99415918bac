/** The session's state machine: the table of RFC 5880 section 6.8.6, its timers, polls, and two of them together. */
import { describe, expect, it } from "vitest";
import {
  type BfdEffect,
  type BfdEvent,
  type BfdSettings,
  type BfdState,
  contentOf,
  currentDetectionTimeUs,
  currentTransmitIntervalUs,
  type HeardPacket,
  INITIAL_BFD_STATE,
  step,
  timersOf,
} from "../../../../src/core/bfd/machine.js";
import { type BfdStateName, NO_FLAGS } from "../../../../src/core/bfd/packet.js";

const SETTINGS: BfdSettings = {
  localDiscriminator: 1,
  desiredMinTxUs: 50_000,
  requiredMinRxUs: 50_000,
  detectMult: 3,
  passive: false,
};

function packet(state: BfdStateName, more: Partial<HeardPacket> = {}): BfdEvent {
  return {
    type: "packet",
    packet: {
      state,
      flags: NO_FLAGS,
      detectMult: 3,
      myDiscriminator: 2,
      yourDiscriminator: 1,
      desiredMinTxUs: state === "up" ? 50_000 : 1_000_000,
      requiredMinRxUs: 50_000,
      ...more,
    },
  };
}

function after(...events: BfdEvent[]): BfdState {
  return events.reduce((state, event) => step(SETTINGS, state, event).state, INITIAL_BFD_STATE as BfdState);
}

const START: BfdEvent = { type: "start" };
const EXPIRED: BfdEvent = { type: "timer", timer: "detection" };
const FINAL = { flags: { ...NO_FLAGS, final: true } };
const STATES = {
  adminDown: after(START, { type: "adminDown" }),
  down: after(START),
  init: after(START, packet("down")),
  up: after(START, packet("down"), packet("up"), packet("up", FINAL)),
};

const armed = (effects: readonly BfdEffect[], timer: string) =>
  effects.find((one) => one.effect === "arm" && one.timer === timer);
const sent = (effects: readonly BfdEffect[]) => effects.filter((one) => one.effect === "send");
const failed = (effects: readonly BfdEffect[]): boolean => effects.some((one) => one.effect === "failed");

describe("the table of section 6.8.6", () => {
  const TABLE: readonly (readonly [keyof typeof STATES, BfdStateName, BfdStateName, number])[] = [
    ["down", "down", "init", 0],
    ["down", "init", "up", 0],
    ["down", "up", "down", 0],
    ["down", "adminDown", "down", 0],
    ["init", "down", "init", 0],
    ["init", "init", "up", 0],
    ["init", "up", "up", 0],
    ["init", "adminDown", "down", 3],
    ["up", "down", "down", 3],
    ["up", "init", "up", 0],
    ["up", "up", "up", 0],
    ["up", "adminDown", "down", 3],
    ["adminDown", "down", "adminDown", 7],
    ["adminDown", "up", "adminDown", 7],
  ];
  it.each(TABLE)("%s hears %s: %s, diagnostic %i", (local, received, name, diagnostic) => {
    const made = step(SETTINGS, STATES[local], packet(received));
    expect(made.state).toMatchObject({ name, diagnostic });
    expect(failed(made.effects)).toBe(false);
  });

  it.each(["init", "up"] as const)("%s: nothing for the detection time", (name) => {
    const made = step(SETTINGS, STATES[name], EXPIRED);
    expect(made).toMatchObject({ state: { name: "down", diagnostic: 1 }, reason: "detection-time-expired" });
    expect(failed(made.effects)).toBe(name === "up");
    // The neighbour's discriminator is kept for one more detection time.
    expect(made.state.remote?.discriminator).toBe(2);
    const forgotten = step(SETTINGS, made.state, EXPIRED);
    expect(forgotten.state).toMatchObject({ name: "down", remote: null });
    expect(contentOf(SETTINGS, forgotten.state, false).yourDiscriminator).toBe(0);
  });
});

describe("timing", () => {
  it("is slow until the session is Up (section 6.8.3)", () => {
    for (const name of ["down", "init", "adminDown"] as const) {
      expect(contentOf(SETTINGS, STATES[name], false).desiredMinTxUs).toBe(1_000_000);
      expect(currentTransmitIntervalUs(SETTINGS, STATES[name])).toBe(1_000_000);
    }
    expect(contentOf(SETTINGS, STATES.up, false).desiredMinTxUs).toBe(50_000);
    expect(currentTransmitIntervalUs(SETTINGS, STATES.up)).toBe(50_000);
  });

  it("tells the neighbour of the faster pace with a poll, and of nothing else", () => {
    const up = step(SETTINGS, STATES.init, packet("up"));
    expect(up.state.polling).toBe(true);
    expect(contentOf(SETTINGS, up.state, false).flags).toMatchObject({ poll: true, final: false });
    expect(step(SETTINGS, up.state, packet("up")).state.polling).toBe(true);
    expect(step(SETTINGS, up.state, packet("up", FINAL)).state.polling).toBe(false);
  });

  it("sends the slower of what we want and the neighbour takes; nothing where it takes nothing", () => {
    const slow = step(SETTINGS, STATES.up, packet("up", { requiredMinRxUs: 200_000 }));
    expect(armed(slow.effects, "transmit")).toMatchObject({ afterUs: 200_000, jitterUs: 50_000 });
    const mute = step(SETTINGS, STATES.up, packet("up", { requiredMinRxUs: 0 }));
    expect(mute.effects).toContainEqual({ effect: "cancel", timer: "transmit" });
    expect(timersOf(SETTINGS, mute.state)).toEqual(["detection"]);
  });

  it("jitters downwards only, and keeps a distance from the whole interval with a Detect Mult of 1", () => {
    const tick: BfdEvent = { type: "timer", timer: "transmit" };
    expect(armed(step(SETTINGS, STATES.up, tick).effects, "transmit")).toMatchObject({
      afterUs: 50_000,
      jitterUs: 12_500,
    });
    const single = { ...SETTINGS, detectMult: 1 };
    expect(armed(step(single, STATES.up, tick).effects, "transmit")).toMatchObject({
      afterUs: 45_000,
      jitterUs: 7_500,
    });
  });

  it("detects by the neighbour's multiplier and the slower of both intervals (section 6.8.4)", () => {
    const heard = step(SETTINGS, STATES.up, packet("up", { detectMult: 5, desiredMinTxUs: 20_000 }));
    expect(currentDetectionTimeUs(heard.state)).toBe(250_000);
    expect(armed(heard.effects, "detection")).toMatchObject({ afterUs: 250_000, jitterUs: 0 });
    const slower = step(SETTINGS, STATES.up, packet("up", { desiredMinTxUs: 80_000 }));
    expect(currentDetectionTimeUs(slower.state)).toBe(240_000);
  });

  it("takes what makes detection false only after the poll", () => {
    const slower = { ...SETTINGS, desiredMinTxUs: 200_000, requiredMinRxUs: 10_000 };
    const tuned = step(slower, STATES.up, { type: "retune" });
    expect(tuned.state).toMatchObject({ polling: true, txUs: 50_000, rxUs: 50_000 });
    expect(contentOf(slower, tuned.state, false)).toMatchObject({
      desiredMinTxUs: 200_000,
      requiredMinRxUs: 10_000,
    });
    expect(step(slower, tuned.state, packet("up")).state).toMatchObject({ txUs: 50_000, rxUs: 50_000 });
    const done = step(slower, tuned.state, packet("up", FINAL));
    expect(done.state).toMatchObject({ polling: false, txUs: 200_000, rxUs: 10_000 });
  });

  it("takes what makes detection late at once", () => {
    const faster = { ...SETTINGS, desiredMinTxUs: 10_000, requiredMinRxUs: 200_000 };
    expect(step(faster, STATES.up, { type: "retune" }).state).toMatchObject({ txUs: 10_000, rxUs: 200_000 });
  });
});

describe("polls and demand", () => {
  it("answers a poll at once with F and without P", () => {
    const asked = step(SETTINGS, STATES.up, packet("up", { flags: { ...NO_FLAGS, poll: true } }));
    expect(sent(asked.effects)).toEqual([{ effect: "send", final: true }]);
    expect(contentOf(SETTINGS, asked.state, true).flags).toMatchObject({ poll: false, final: true });
  });

  it("falls silent where the neighbour is in demand mode", () => {
    const demanded = step(SETTINGS, STATES.up, packet("up", { flags: { ...NO_FLAGS, demand: true } }));
    expect(timersOf(SETTINGS, demanded.state)).toEqual(["detection"]);
  });

  it("says nothing in the passive role until it is spoken to", () => {
    const passive = { ...SETTINGS, passive: true };
    const waiting = step(passive, INITIAL_BFD_STATE, START);
    expect(sent(waiting.effects)).toEqual([]);
    expect(waiting.effects.filter((one) => one.effect === "arm")).toEqual([]);
    const heard = step(passive, waiting.state, packet("down", { yourDiscriminator: 0 }));
    expect(heard.state.name).toBe("init");
    expect(sent(heard.effects)).toHaveLength(1);
  });
});

describe("two sessions", () => {
  it("come up, and forget each other after an end", () => {
    const b: BfdSettings = { ...SETTINGS, localDiscriminator: 2, passive: true };
    let one = step(SETTINGS, INITIAL_BFD_STATE, START).state;
    let two = step(b, INITIAL_BFD_STATE, START).state;
    const say = (settings: BfdSettings, state: BfdState, final = false): BfdEvent => {
      const content = contentOf(settings, state, final);
      return { type: "packet", packet: { ...content, flags: { ...NO_FLAGS, ...content.flags } } };
    };
    for (let round = 0; round < 3; round++) {
      two = step(b, two, say(SETTINGS, one)).state;
      one = step(SETTINGS, one, say(b, two)).state;
    }
    expect([one.name, two.name]).toEqual(["up", "up"]);
    expect([one.polling, two.polling]).toEqual([true, true]);
    one = step(SETTINGS, one, say(b, two, true)).state;
    two = step(b, two, say(SETTINGS, one, true)).state;
    expect([one.polling, two.polling]).toEqual([false, false]);
    expect([currentDetectionTimeUs(one), currentDetectionTimeUs(two)]).toEqual([150_000, 150_000]);
  });
});
