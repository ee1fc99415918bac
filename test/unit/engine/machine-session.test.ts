/** A virtual router's machine beside the engine that runs its automaton: no engine, no kernel. */
import { describe, expect, it } from "vitest";
import type { Operation } from "../../../src/core/automaton.js";
import { GROUP_ADDRESS, GROUP_MAC, virtualMac } from "../../../src/core/vrrp/advertisement.js";
import { type BackupState, VRRP_TIMERS } from "../../../src/core/vrrp/machine.js";
import { encodeAdvertisementFrame } from "../../../src/core/vrrp/packet.js";
import type { Heartbeat } from "../../../src/driver/driver.js";
import { type FrozenMachine, MachineSession } from "../../../src/engine/vrrp/machine-session.js";
import { VrrpPlan, type VrrpPlanInput } from "../../../src/engine/vrrp/plan.js";
import { SETTINGS } from "./settings.js";

const INTERVAL_US = SETTINGS.intervalUs;
const NOW_US = 1_000_000;
const planInput: VrrpPlanInput = {
  settings: SETTINGS,
  vrid: 7,
  mac: virtualMac("ipv4", 7),
  interfaceMac: "02:00:00:00:00:07",
  checksumForms: ["message-only"],
  authType: 0,
  authData: new Uint8Array(8),
  lanPort: 3,
  unicast: null,
  leased: true,
  bfd: null,
  open: [],
  settle: [],
  close: [],
};
const plan = new VrrpPlan(planInput);
const known = {
  frame: encodeAdvertisementFrame({
    advertisement: {
      ...{ version: 3, family: "ipv4", vrid: 7, priority: 200, addresses: ["192.0.2.1"] },
      ...{ intervalUs: INTERVAL_US, authType: 0, authData: new Uint8Array(0) },
    },
    sourceMac: virtualMac("ipv4", 7),
    destinationMac: GROUP_MAC.ipv4,
    source: "192.0.2.2",
    destination: GROUP_ADDRESS.ipv4,
    checksumForm: "message-only",
  }),
  ...{ source: "192.0.2.2", priority: 200, intervalUs: INTERVAL_US },
};
const backup = (priority: number): BackupState => ({
  name: "backup",
  activeAdverIntervalUs: INTERVAL_US,
  active: { address: "192.0.2.2", priority },
  preemptHold: "none",
});
const DOWN = VRRP_TIMERS.indexOf("activeDown");
const frozen = (state: FrozenMachine["state"], downUs: number): FrozenMachine => ({
  state,
  deadlinesUs: VRRP_TIMERS.map((_, timer) => (timer === DOWN ? downUs : null)),
  counters: [],
  known: [["192.0.2.2", known]],
});

interface Loaded {
  readonly compiled: boolean;
  readonly operations: readonly Operation[];
}

/** `refuses`: the engine made a transition that was not read yet. */
function session(plans: () => VrrpPlan | null, refuses: () => boolean = () => false) {
  const armed: number[] = [];
  const loads: Loaded[] = [];
  const heartbeat = {
    now: () => NOW_US,
    createSession: () => 1,
    counters: () => new Float64Array(16),
    look: () => ({ posture: 0, deadlinesUs: [], counters: [] }),
    load: (...[, program, { operations }]: Parameters<Heartbeat["load"]>) => {
      loads.push({ compiled: program !== null, operations });
      for (const one of operations) if (one.op === "arm" && one.timer === DOWN) armed.push(one.afterUs);
      return !refuses();
    },
  } as unknown as Heartbeat;
  const machine = new MachineSession(heartbeat, {
    settings: () => SETTINGS,
    plan: plans,
    record: () => undefined,
    stepped: () => undefined,
  });
  return { machine, armed, loads };
}

describe("a machine that goes on in another process", () => {
  it("gives the Active time to speak, however slow the two processes were", () => {
    const { machine, armed } = session(() => plan);
    // JavaScript was so slow that the deadline of the look has passed.
    expect(machine.resume(frozen(backup(200), NOW_US - 1))).toBe(true);
    expect(machine.state).toEqual(backup(200));
    expect(armed).toEqual([1.5 * INTERVAL_US]);
  });

  it("awaits a deadline that is far enough, and an Active that released nothing is owed, as they are", () => {
    const { machine, armed } = session(() => plan);
    machine.resume(frozen(backup(200), NOW_US + 25_000));
    machine.resume(frozen(backup(0), NOW_US + 2_000));
    expect(armed).toEqual([25_000, 2_000]);
  });

  it("starts anew where nothing stands on the interface any more", () => {
    let stands = true;
    const { machine, armed } = session(() => (stands ? plan : null));
    machine.resume(frozen(backup(200), NOW_US + 25_000));
    const left = machine.look(true);
    stands = false;
    expect(machine.resume(left)).toBe(false);
    expect(machine.state).toMatchObject({ name: "initialize" });
    stands = true;
    machine.start(NOW_US);
    expect(machine.state).toMatchObject({ name: "backup" });
    expect(armed).toHaveLength(2);
  });
});

describe("an order that the engine was given already, for the case that JavaScript fails", () => {
  const becomesActive = (plans: () => VrrpPlan | null = () => plan) => {
    const made = session(plans);
    made.machine.start(NOW_US);
    made.machine.dispatch({ type: "takeOver" }, NOW_US);
    expect(made.machine.state).toMatchObject({ name: "active" });
    made.loads.length = 0;
    return made;
  };
  const sends = ({ operations }: Loaded): number => operations.filter(({ op }) => op === "send").length;

  it("is carried out as it stands: nothing is compiled while hosts wait", () => {
    const { machine, loads } = becomesActive();
    machine.dispatch({ type: "shutdown", handOver: true }, NOW_US);
    expect(machine.state).toMatchObject({ name: "initialize", handingOver: true });
    expect(loads.map(({ compiled }) => compiled)).toEqual([false]);
    expect(loads.map(sends)).toEqual([1]);
  });

  it("is not mistaken for one that releases at once", () => {
    const { machine, loads } = becomesActive();
    machine.dispatch({ type: "shutdown", handOver: false }, NOW_US);
    expect(machine.state).toEqual({ name: "initialize", handingOver: false });
    expect(loads.map(({ compiled }) => compiled)).toEqual([true]);
  });

  it("is compiled where frames changed meanwhile", () => {
    let now = plan;
    const { machine, loads } = becomesActive(() => now);
    now = new VrrpPlan(planInput);
    machine.dispatch({ type: "shutdown", handOver: true }, NOW_US);
    expect(loads.map(({ compiled }) => compiled)).toEqual([true]);
  });
});

describe("another priority", () => {
  const arms = ({ operations }: Loaded): readonly Operation[] => operations.filter(({ op }) => op === "arm");

  it("keeps an Active from saying the old one while its program is made", () => {
    const { machine, loads } = session(() => plan);
    machine.start(NOW_US);
    machine.dispatch({ type: "takeOver" }, NOW_US);
    loads.length = 0;
    machine.dispatch({ type: "priority" }, NOW_US);
    expect(loads.map(({ compiled }) => compiled)).toEqual([false, true]);
    expect(loads.map(arms)[0]).toEqual([
      { op: "arm", timer: VRRP_TIMERS.indexOf("adver"), afterUs: INTERVAL_US },
    ]);
  });

  it("is put off when the engine is ahead, before anything is made in vain", () => {
    let ahead = false;
    const { machine, loads } = session(
      () => plan,
      () => ahead,
    );
    machine.start(NOW_US);
    machine.dispatch({ type: "takeOver" }, NOW_US);
    loads.length = 0;
    ahead = true;
    machine.dispatch({ type: "priority" }, NOW_US);
    expect(loads.map(({ compiled }) => compiled)).toEqual([false]);
  });

  it("leaves a Backup's timers as they are", () => {
    const { machine, loads } = session(() => plan);
    machine.start(NOW_US);
    loads.length = 0;
    machine.dispatch({ type: "priority" }, NOW_US);
    expect(loads.flatMap(arms)).toEqual([]);
  });
});
