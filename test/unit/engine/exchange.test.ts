/** How one process follows another, where it does not go as planned: no process, no kernel. */
import { describe, expect, it } from "vitest";
import { defineConfig } from "../../../src/config/index.js";
import { GROUP_ADDRESS, GROUP_MAC, virtualMac } from "../../../src/core/vrrp/advertisement.js";
import { type BackupState, VRRP_TIMERS, type VrrpSettings } from "../../../src/core/vrrp/machine.js";
import { encodeAdvertisementFrame } from "../../../src/core/vrrp/packet.js";
import type { Heartbeat } from "../../../src/driver/driver.js";
import { doesTheSame, Exchange, type ExchangeHost, fingerprint } from "../../../src/engine/exchange.js";
import { type FrozenMachine, MachineSession } from "../../../src/engine/machine-session.js";
import { leaseTerms } from "../../../src/engine/placement.js";
import { VrrpPlan } from "../../../src/engine/vrrp-plan.js";

const config = (more: object = {}) =>
  defineConfig({
    virtualRouters: [{ interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"], ...more }],
  });

describe("the beginning", () => {
  function host(overrides: Partial<ExchangeHost> = {}): { host: ExchangeHost; held: () => boolean } {
    let held = false;
    const kernel = { bequeath: async () => ({}), keep: () => undefined };
    const bfd = { look: () => [], thaw: () => undefined };
    const made = {
      kernel,
      config,
      virtualRouters: () => [],
      trackers: () => [],
      orders: () => [],
      mask: () => [],
      events: () => [],
      bfd: () => bfd,
      obstacle: () => null,
      reloaded: async () => undefined,
      holdGroups: (hold: boolean) => {
        held = hold;
      },
      ...overrides,
    } as unknown as ExchangeHost;
    return { host: made, held: () => held };
  }

  it("that fails leaves the way free for the next one", async () => {
    let failures = 1;
    const kernel = {
      bequeath: async () => {
        if (failures-- > 0) throw new Error("EMFILE");
        return {};
      },
      keep: () => undefined,
    };
    const { host: surroundings, held } = host({ kernel: kernel as unknown as ExchangeHost["kernel"] });
    const exchange = new Exchange(surroundings);
    await expect(exchange.begin()).rejects.toThrow("EMFILE");
    expect(exchange.begun).toBe(false);
    expect(held()).toBe(false);
    await exchange.begin();
    expect(exchange.begun).toBe(true);
    await expect(exchange.begin()).rejects.toThrow("another process is taking over already");
  });

  it("waits for a reload, and is refused where nobody can follow", async () => {
    const order: string[] = [];
    const reloaded = async (): Promise<void> => void order.push("reloaded");
    const kernel = { bequeath: async () => void order.push("bequeathed"), keep: () => undefined };
    const waiting = host({ reloaded, kernel: kernel as unknown as ExchangeHost["kernel"] });
    await new Exchange(waiting.host).begin();
    expect(order).toEqual(["reloaded", "bequeathed"]);
    const ending = new Exchange(host({ obstacle: () => "the running daemon is ending" }).host);
    await expect(ending.begin()).rejects.toMatchObject({ code: "USAGE" });
    expect(ending.begun).toBe(false);
  });

  it("is taken back when the daemon is told to end meanwhile", async () => {
    const calls: string[] = [];
    const kernel = {
      bequeath: async () => {
        exchange.cancel();
        calls.push("bequeathed");
      },
      keep: () => void calls.push("kept"),
    };
    const exchange = new Exchange(host({ kernel: kernel as unknown as ExchangeHost["kernel"] }).host);
    await expect(exchange.begin()).rejects.toMatchObject({ code: "USAGE" });
    expect(calls).toEqual(["kept", "bequeathed", "kept"]);
    expect(exchange.begun).toBe(false);
  });
});

describe("what two processes must have in common", () => {
  const theirs = fingerprint(config());
  const changed = (change: (one: Record<string, unknown>) => void): string => {
    const work = JSON.parse(theirs) as { virtualRouters: Record<string, unknown>[] };
    change(work.virtualRouters[0] as Record<string, unknown>);
    return JSON.stringify(work);
  };

  it("is everything, with the same version", () => {
    expect(doesTheSame(theirs, config(), true)).toBe(true);
    expect(doesTheSame(theirs, config({ priority: 101 }), true)).toBe(false);
    const older = changed((one) => delete one.preempt);
    expect(doesTheSame(older, config(), true)).toBe(false);
  });

  it("is what both know, with another version", () => {
    expect(
      doesTheSame(
        changed((one) => delete one.preempt),
        config(),
        false,
      ),
    ).toBe(true);
    const newer = changed((one) => Object.assign(one, { later: { a: 1 } }));
    expect(doesTheSame(newer, config(), false)).toBe(true);
    expect(doesTheSame(theirs, config({ priority: 101 }), false)).toBe(false);
    expect(doesTheSame(theirs, config({ addresses: ["192.0.2.1/24", "192.0.2.2/24"] }), false)).toBe(false);
  });
});

describe("a machine that goes on in another process", () => {
  const INTERVAL_US = 10_000;
  const NOW_US = 1_000_000;
  const settings: VrrpSettings = {
    version: 3,
    family: "ipv4",
    priority: 100,
    addresses: ["192.0.2.1"],
    primaryAddress: "192.0.2.10",
    intervalUs: INTERVAL_US,
    preempt: true,
    preemptDelayUs: 0,
  };
  const plan = new VrrpPlan({
    settings,
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
  });
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

  function session(plans: () => VrrpPlan | null) {
    const armed: number[] = [];
    const heartbeat = {
      now: () => NOW_US,
      createSession: () => 1,
      counters: () => new Float64Array(16),
      look: () => ({ posture: 0, deadlinesUs: [], counters: [] }),
      load: (...[, , { operations }]: Parameters<Heartbeat["load"]>) => {
        for (const one of operations) if (one.op === "arm" && one.timer === DOWN) armed.push(one.afterUs);
        return true;
      },
    } as unknown as Heartbeat;
    const machine = new MachineSession(heartbeat, {
      settings: () => settings,
      plan: plans,
      record: () => undefined,
      stepped: () => undefined,
    });
    return { machine, armed };
  }

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

describe("the terms of a lease", () => {
  it("leave a router that advertises seldom its time", () => {
    const terms = (advertisementIntervalUs: number, limitUs: number | null) =>
      leaseTerms({ advertisementIntervalUs }, limitUs);
    expect(terms(10_000, 1_000_000)).toEqual({ overdueUs: 15_000, limitUs: 1_000_000 });
    expect(terms(100_000_000, 60_000_000)).toEqual({ overdueUs: 150_000_000, limitUs: 300_000_000 });
    expect(terms(10_000, null)).toEqual({ overdueUs: 15_000, limitUs: null });
  });
});
