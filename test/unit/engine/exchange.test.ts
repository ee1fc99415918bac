/** How one process follows another, where it does not go as planned: no process, no kernel. */
import { describe, expect, it } from "vitest";
import { defineConfig } from "../../../src/config/index.js";
import { doesTheSame, Exchange, type ExchangeHost, fingerprint } from "../../../src/engine/exchange.js";
import { leaseTerms } from "../../../src/engine/vrrp/placement.js";

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
      syncGroups: () => [],
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

describe("the terms of a lease", () => {
  it("leave a router that advertises seldom its time", () => {
    const terms = (advertisementIntervalUs: number, limitUs: number | null) =>
      leaseTerms({ advertisementIntervalUs }, limitUs);
    expect(terms(10_000, 1_000_000)).toEqual({ overdueUs: 15_000, limitUs: 1_000_000 });
    expect(terms(100_000_000, 60_000_000)).toEqual({ overdueUs: 150_000_000, limitUs: 300_000_000 });
    expect(terms(10_000, null)).toEqual({ overdueUs: 15_000, limitUs: null });
  });
});
