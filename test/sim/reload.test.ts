/** What a reload changes beside the virtual routers. Production code, virtual time. */
import { describe, expect, it } from "vitest";
import { type ConfigInput, defineConfig } from "../../src/config/index.js";
import {
  SimulatedHost,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
} from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";

const config = (more: Omit<ConfigInput, "virtualRouters">) =>
  defineConfig({
    ...more,
    virtualRouters: [
      { interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"], advertisementInterval: "100ms" },
    ],
  });

/** One router, Active, with a host that sends a packet each millisecond. */
async function stage(more: Omit<ConfigInput, "virtualRouters">) {
  const world = new SimulatedWorld(3);
  const lan = new SimulatedSegment(world);
  const machine = new SimulatedMachine(world, "r1");
  machine.addInterface("eth0", lan, { addresses: ["192.0.2.2/24"] });
  const router = await world.settle(Router.open(config(more), { driver: machine.openDriver() }));
  const host = new SimulatedHost(lan, {
    name: "h1",
    address: "192.0.2.100",
    gateway: "192.0.2.1",
    packetEveryUs: 1_000,
  });
  host.start();
  await world.runFor(2_000_000);
  return { world, machine, router, host };
}

describe("a reload", () => {
  it.each([
    ["60s", "1s", 1_000_000],
    ["1s", "3s", 3_000_000],
  ])("with ownershipLimit %s changed to %s changes the lease that runs", async (before, after, limitUs) => {
    const { world, machine, router, host } = await stage({ ownershipLimit: before });
    await world.settle(router.reload(config({ ownershipLimit: after })));
    expect(router.status().virtualRouters[0]?.state).toBe("active");
    await world.runFor(500_000);
    machine.stop();
    const stoppedUs = world.nowUs;
    await world.runFor(5_000_000);
    const forwarded = (fromUs: number, toUs: number): boolean[] =>
      host.packets
        .filter(({ atUs }) => atUs >= stoppedUs + fromUs && atUs < stoppedUs + toUs)
        .map(({ forwardedBy }) => forwardedBy.length > 0);
    // The last renewal was at most an advertisement interval before it was stopped.
    expect(new Set(forwarded(0, limitUs - 150_000))).toEqual(new Set([true]));
    expect(new Set(forwarded(limitUs + 50_000, 4_500_000))).toEqual(new Set([false]));
  });
});

describe("a reload that fails halfway", () => {
  it("says so, and the next one begins with what there is", async () => {
    const { world, machine, router } = await stage({});
    machine.addInterface("eth1", new SimulatedSegment(world), { addresses: ["198.51.100.2/24"] });
    const wanted = defineConfig({
      virtualRouters: [
        { interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24", "192.0.2.7/24"] },
        { interface: "eth1", vrid: 20, addresses: ["198.51.100.1/24"] },
      ],
    });
    machine.refuseSockets = "EINVAL";
    await expect(world.settle(router.reload(wanted))).rejects.toThrow(
      /ended halfway: EINVAL: .*reload again/,
    );
    machine.refuseSockets = null;
    const result = await world.settle(router.reload(wanted));
    expect([...result.added, ...result.changed].sort()).toEqual(["eth0/10", "eth1/20"]);
    await world.runFor(8_000_000);
    const now = router.status().virtualRouters.map(({ name, state, addresses }) => [name, state, addresses]);
    expect(now).toEqual([
      ["eth0/10", "active", ["192.0.2.1", "192.0.2.7"]],
      ["eth1/20", "active", ["198.51.100.1"]],
    ]);
    expect(await world.settle(router.reload(wanted))).toMatchObject({ added: [], removed: [], changed: [] });
  });
});
