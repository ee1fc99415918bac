/** The automaton does what the state machine says, whatever happens in whatever order. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMac } from "../../../src/core/address.js";
import { GROUP_ADDRESS, GROUP_MAC, virtualMac } from "../../../src/core/vrrp/advertisement.js";
import {
  INITIAL_STATE,
  step,
  timersOf,
  VRRP_TIMERS,
  type VrrpSettings,
  type VrrpState,
} from "../../../src/core/vrrp/machine.js";
import { encodeAdvertisementFrame, readVrrpFrame } from "../../../src/core/vrrp/packet.js";
import { type KnownFrame, VrrpPlan, type VrrpPlanInput } from "../../../src/engine/vrrp/plan.js";
import { SETTINGS } from "./settings.js";

function input(settings: Partial<VrrpSettings> = {}): VrrpPlanInput {
  return {
    settings: { ...SETTINGS, ...settings },
    vrid: 7,
    mac: virtualMac("ipv4", 7),
    interfaceMac: "02:00:00:00:00:07",
    checksumForms: ["message-only"],
    authType: 0,
    authData: new Uint8Array(8),
    lanPort: 3,
    unicast: null,
    leased: false,
    bfd: null,
    open: [{ step: "write", path: "/open", value: "1" }],
    settle: [{ step: "write", path: "/settle", value: "1" }],
    close: [{ step: "write", path: "/close", value: "1" }],
  };
}

function known(priority: number, source: string, intervalUs = 10_000): KnownFrame {
  const frame = encodeAdvertisementFrame({
    advertisement: {
      version: 3,
      family: "ipv4",
      vrid: 7,
      priority,
      addresses: ["192.0.2.1"],
      intervalUs,
      authType: 0,
      authData: new Uint8Array(0),
    },
    sourceMac: virtualMac("ipv4", 7),
    destinationMac: GROUP_MAC.ipv4,
    source,
    destination: GROUP_ADDRESS.ipv4,
    checksumForm: "message-only",
  });
  return { frame, source, priority, intervalUs };
}

const PEERS = [known(200, "192.0.2.2"), known(100, "192.0.2.3"), known(50, "192.0.2.4")];

function startedAsBackup(plan: VrrpPlan, settings: VrrpSettings) {
  return plan.compile(INITIAL_STATE, step(settings, INITIAL_STATE, { type: "startup" }), PEERS);
}

describe("the automaton of a virtual router", () => {
  it("stays small whoever forges peers: each with an interval of its own, while the router waits", () => {
    const forged = Array.from({ length: 6 }, (_, at) =>
      known(90 - at, `192.0.2.${20 + at}`, 20_000 * (at + 1)),
    );
    for (const preemptDelayUs of [0, 1_000_000])
      for (const waits of [false, true]) {
        const settings = {
          ...SETTINGS,
          preemptDelayUs,
          waits,
          backupAdvertisements: true,
        };
        const plan = new VrrpPlan(input(settings));
        const bfd = { address: "192.0.2.20", signal: 0, waitUs: 5_000 };
        for (const each of [plan, new VrrpPlan({ ...input(settings), bfd })]) {
          const entry = step(settings, INITIAL_STATE, { type: "startup" });
          expect(each.compile(INITIAL_STATE, entry, forged).compiled.states.length).toBeLessThan(256);
        }
      }
  });

  it("is closed, and small", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    expect(compiled.states.length).toBeLessThan(40);
    for (const posture of compiled.program.postures) {
      for (const { next } of posture.transitions) expect(next).toBeLessThan(compiled.states.length);
    }
  });

  it("reports each transition but those that change nothing", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    compiled.program.postures.forEach((posture, index) => {
      for (const transition of posture.transitions) expect(transition.report).toBe(transition.next !== index);
    });
  });

  it("has a transition for each timer that may run in a state", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    compiled.states.forEach((state, index) => {
      const timers = compiled.program.postures[index]?.transitions.flatMap(({ trigger }) =>
        trigger.on === "timer" ? [VRRP_TIMERS[trigger.timer]] : [],
      );
      expect(timers).toEqual(timersOf(SETTINGS, state));
    });
  });

  it("follows the machine through any sequence of what was foreseen", () => {
    const settings = fc.record({
      priority: fc.integer({ min: 1, max: 255 }),
      preempt: fc.boolean(),
      preemptDelayUs: fc.constantFrom(0, 50_000),
    });
    fc.assert(
      fc.property(settings, fc.array(fc.nat(), { maxLength: 60 }), (chosen, choices) => {
        const all = { ...SETTINGS, ...chosen };
        const { compiled } = startedAsBackup(new VrrpPlan(input(chosen)), all);
        let posture = 0;
        let state: VrrpState = compiled.states[0] as VrrpState;
        for (const choice of choices) {
          const transitions = compiled.program.postures[posture]?.transitions ?? [];
          if (transitions.length === 0) break;
          const index = choice % transitions.length;
          const event = compiled.outcomes[posture]?.[index]?.event;
          // A claim that nobody made yet: JavaScript makes that step.
          if (!event) {
            expect(transitions[index]).toMatchObject({ next: posture, report: false });
            continue;
          }
          state = step(all, state, event).state;
          posture = transitions[index]?.next as number;
          expect(compiled.states[posture]).toEqual(state);
        }
      }),
    );
  });

  it("opens the way for packets before it points hosts here: all frames of a take-over wait in the kernel plan", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    const takeover = compiled.program.postures[0]?.transitions.find(
      ({ trigger }) => trigger.on === "timer" && VRRP_TIMERS[trigger.timer] === "activeDown",
    );
    expect(takeover?.operations.filter(({ op }) => op === "send")).toEqual([]);
    const plan = takeover?.operations.find(({ op }) => op === "kernel");
    const steps = plan?.op === "kernel" ? compiled.program.kernelPlans[plan.plan] : undefined;
    expect(steps?.map(({ step: kind }) => kind)).toEqual(["write", "send", "send", "write"]);
  });

  it("steps down by itself on a known higher claim, and leaves lower claims to JavaScript", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    const active = compiled.states.findIndex((state) => state.name === "active");
    const claims = compiled.outcomes[active]?.flatMap((outcome) =>
      outcome?.event.type === "advertisement" ? [outcome.event.priority] : [],
    );
    expect(claims).toEqual([200]);
  });

  it("foresees the release of each known peer, in the peer's own checksum form", () => {
    const { compiled } = startedAsBackup(new VrrpPlan(input()), SETTINGS);
    const priorities = compiled.program.patterns.map(({ bytes }) => readVrrpFrame(bytes)?.message?.priority);
    expect(priorities.filter((priority) => priority === 0)).toHaveLength(PEERS.length);
    expect(compiled.program.patterns.filter(({ guards }) => guards)).toHaveLength(1);
    for (const { bytes } of compiled.program.patterns) {
      expect(readVrrpFrame(bytes)?.message?.checksumValid.messageOnly).toBe(true);
    }
  });

  it("sends copies of both checksum forms where peers ask for both", () => {
    const plan = new VrrpPlan({ ...input(), checksumForms: ["message-only", "pseudo-header"] });
    const { compiled } = startedAsBackup(plan, SETTINGS);
    const active = compiled.states.findIndex((state) => state.name === "active");
    const beat = compiled.program.postures[active]?.transitions.find(
      ({ trigger }) => trigger.on === "timer" && VRRP_TIMERS[trigger.timer] === "adver",
    );
    expect(beat?.operations.filter(({ op }) => op === "send")).toHaveLength(2);
  });

  it("sends backup advertisements from the interface's own MAC: a switch must not follow them", () => {
    const showing = { backupAdvertisements: true };
    const { compiled } = startedAsBackup(new VrrpPlan(input(showing)), { ...SETTINGS, ...showing });
    const backup = compiled.states.findIndex((state) => state.name === "backup");
    const beat = compiled.program.postures[backup]?.transitions.find(
      ({ trigger }) => trigger.on === "timer" && VRRP_TIMERS[trigger.timer] === "adver",
    );
    expect(beat).toMatchObject({ next: backup, report: false });
    const send = beat?.operations.find(({ op }) => op === "send");
    const frame = send?.op === "send" ? compiled.program.frames[send.frame] : undefined;
    expect(formatMac((frame ?? new Uint8Array(14)).subarray(6, 12))).toBe("02:00:00:00:00:07");
    expect(frame && readVrrpFrame(frame)?.message).toMatchObject({ type: 2, priority: 100, vrid: 7 });
  });
});
