/** Multipoint BFD (RFC 8562): a head that speaks, tails that listen. */
import { describe, expect, it } from "vitest";
import {
  type BfdEffect,
  type BfdEvent,
  type BfdSettings,
  type BfdState,
  contentOf,
  currentDetectionTimeUs,
  currentTransmitIntervalUs,
  INITIAL_BFD_STATE,
  step,
  timersOf,
} from "../../../../src/core/bfd/machine.js";
import { type BfdStateName, NO_FLAGS } from "../../../../src/core/bfd/packet.js";

const COMMON = { localDiscriminator: 7, desiredMinTxUs: 10_000, detectMult: 3 };
const HEAD: BfdSettings = { ...COMMON, requiredMinRxUs: 0, passive: false, sessionType: "multipointHead" };
const TAIL: BfdSettings = { ...COMMON, requiredMinRxUs: 1_000, passive: true, sessionType: "multipointTail" };

const START: BfdEvent = { type: "start" };
const ADMIN_DOWN: BfdEvent = { type: "adminDown" };
const timer = (name: "transmit" | "detection"): BfdEvent => ({ type: "timer", timer: name });

function heard(state: BfdStateName, myDiscriminator = 7, desiredMinTxUs = 10_000): BfdEvent {
  const flags = { ...NO_FLAGS, demand: true, multipoint: true };
  const packet = {
    state,
    flags,
    detectMult: 3,
    myDiscriminator,
    yourDiscriminator: 0,
    desiredMinTxUs,
    requiredMinRxUs: 0,
  };
  return { type: "packet", packet };
}

function stateAfter(settings: BfdSettings, ...events: BfdEvent[]): BfdState {
  return events.reduce((state, event) => step(settings, state, event).state, INITIAL_BFD_STATE as BfdState);
}

const armed = (effects: readonly BfdEffect[], name: string) =>
  effects.find((one) => one.effect === "arm" && one.timer === name);
const sends = (effects: readonly BfdEffect[]): boolean => effects.some((one) => one.effect === "send");

describe("a head", () => {
  it("is up at once, at its own pace, and names nobody", () => {
    const { state, effects } = step(HEAD, INITIAL_BFD_STATE, START);
    expect(state.name).toBe("up");
    expect(sends(effects)).toBe(true);
    expect(armed(effects, "transmit")).toMatchObject({ afterUs: 10_000, jitterUs: 2_500 });
    expect(contentOf(HEAD, state, false)).toMatchObject({
      state: "up",
      flags: { multipoint: true, demand: true },
      myDiscriminator: 7,
      yourDiscriminator: 0,
      desiredMinTxUs: 10_000,
      requiredMinRxUs: 0,
    });
    expect(step(HEAD, state, heard("down", 9)).effects).toEqual([]);
  });

  it("says AdminDown for a detection time, and is silent then", () => {
    const up = stateAfter(HEAD, START);
    const left = step(HEAD, up, ADMIN_DOWN);
    expect(sends(left.effects)).toBe(true);
    expect(armed(left.effects, "detection")).toMatchObject({ afterUs: 30_000 });
    expect(contentOf(HEAD, left.state, false)).toMatchObject({ state: "adminDown", diagnostic: 7 });
    expect(sends(step(HEAD, left.state, timer("transmit")).effects)).toBe(true);
    const silent = step(HEAD, left.state, timer("detection")).state;
    expect(timersOf(HEAD, silent)).toEqual([]);
    expect(step(HEAD, silent, timer("transmit")).effects).toEqual([]);
    expect(stateAfter(HEAD, START, ADMIN_DOWN, timer("detection"), START).name).toBe("up");
  });

  it("becomes faster at once, and slower when every tail has heard so", () => {
    const up = stateAfter(HEAD, START);
    const slow = { ...HEAD, desiredMinTxUs: 100_000 };
    const slowing = step(slow, up, { type: "retune" });
    expect(contentOf(slow, slowing.state, false).desiredMinTxUs).toBe(100_000);
    expect(currentTransmitIntervalUs(slow, slowing.state)).toBe(10_000);
    const slower = step(slow, slowing.state, timer("detection")).state;
    expect(currentTransmitIntervalUs(slow, slower)).toBe(100_000);
    expect(currentTransmitIntervalUs(HEAD, step(HEAD, slower, { type: "retune" }).state)).toBe(10_000);
  });
});

describe("a tail", () => {
  it("follows the head's word alone: its multiplier times its interval, and never speaks", () => {
    const { state, effects } = step(TAIL, stateAfter(TAIL, START), heard("up", 9, 20_000));
    expect(state.name).toBe("up");
    expect(armed(effects, "detection")).toMatchObject({ afterUs: 60_000 });
    expect(currentDetectionTimeUs(state)).toBe(60_000);
    expect(currentTransmitIntervalUs(TAIL, state)).toBeNull();
    for (const event of [START, ADMIN_DOWN, heard("up"), heard("down"), timer("detection")])
      for (const from of [INITIAL_BFD_STATE, stateAfter(TAIL, START), state])
        expect(sends(step(TAIL, from, event).effects)).toBe(false);
  });

  it("takes silence for a failure, and a word of the head for none", () => {
    const up = stateAfter(TAIL, START, heard("up"));
    const failed = step(TAIL, up, timer("detection"));
    expect(failed).toMatchObject({ state: { name: "down", remote: null }, reason: "detection-time-expired" });
    expect(failed.effects).toContainEqual({ effect: "failed" });
    for (const word of ["adminDown", "down"] as const) {
      const left = step(TAIL, up, heard(word));
      expect(left.state.name).toBe("down");
      expect(left.effects).not.toContainEqual({ effect: "failed" });
      expect(step(TAIL, left.state, timer("detection")).effects).toEqual([]);
    }
  });

  it("keeps to one discriminator while it is up, and takes the next one afterwards", () => {
    const up = stateAfter(TAIL, START, heard("up", 7));
    expect(step(TAIL, up, heard("down", 8))).toEqual({ state: up, effects: [], reason: null });
    expect(stateAfter(TAIL, START, heard("up", 7), heard("adminDown", 7), heard("up", 8))).toMatchObject({
      name: "up",
      remote: { discriminator: 8 },
    });
  });

  it("believes nobody to be faster than it can be", () => {
    const state = stateAfter(TAIL, START, heard("up", 7, 1));
    expect(currentDetectionTimeUs(state)).toBe(3_000);
  });
});
