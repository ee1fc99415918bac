/** What a router tells of advertisements that something is odd about, on a simulated LAN. */
import { expect, it } from "vitest";
import { defineConfig } from "../../src/config/index.js";
import { SimulatedMachine, SimulatedSegment, SimulatedWorld } from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";
import type { RouterEvent } from "../../src/engine/status.js";

interface Written {
  readonly vrid?: number;
  readonly priority: number;
  readonly address?: string;
  readonly interval?: string;
}

/** What the first of the routers told within six seconds, by code. */
async function told(...written: readonly Written[]): Promise<Map<string, string[]>> {
  const world = new SimulatedWorld(1);
  const lan = new SimulatedSegment(world);
  const events: RouterEvent[] = [];
  for (const [
    index,
    { vrid = 10, priority, address = "192.0.2.1", interval = "100ms" },
  ] of written.entries()) {
    const machine = new SimulatedMachine(world, `r${index + 1}`);
    machine.addInterface("eth0", lan, { addresses: [`192.0.2.${index + 2}/24`] });
    const config = defineConfig({
      virtualRouters: [
        { interface: "eth0", vrid, priority, addresses: [address], advertisementInterval: interval },
      ],
    });
    const onEvent = (event: RouterEvent): void => void (index === 0 && events.push(event));
    await world.settle(Router.open(config, { driver: machine.openDriver(), onEvent }));
  }
  await world.runFor(6_000_000);
  const byCode = new Map<string, string[]>();
  for (const event of events) {
    if (event.type === "warning" || event.type === "info")
      byCode.set(event.code, [...(byCode.get(event.code) ?? []), event.detail]);
  }
  return byCode;
}

it("the same VRID in two groups: whose addresses, and what to do", async () => {
  const codes = await told({ priority: 100 }, { priority: 200, address: "192.0.2.77" });
  expect(codes.get("address-list-mismatch")).toEqual([
    "192.0.2.3 advertises 192.0.2.77 under VRID 10, where 192.0.2.1 is configured here: give one of the two groups " +
      "another VRID, or all routers of the group the same addresses",
  ]);
});

it("another interval: both of them", async () => {
  const codes = await told({ priority: 100 }, { priority: 200, interval: "1s" });
  expect(codes.get("interval-mismatch")).toEqual([
    "192.0.2.3 advertises every 1 s, where 100 ms is configured here: Backups wait for as long as the Active says",
  ]);
});

it("two owners", async () => {
  const codes = await told({ priority: 255 }, { priority: 255 });
  expect(codes.get("duplicate-owner")?.[0]).toMatch(/^192\.0\.2\.3 says that it owns the addresses/);
});

it("another VRID, once", async () => {
  const codes = await told({ priority: 100 }, { vrid: 11, priority: 200, address: "192.0.2.11" });
  expect(codes.get("vrid")).toEqual(["192.0.2.3 advertises VRID 11 on eth0, which is not configured here"]);
});

it("nothing where all is well", async () => {
  expect([...(await told({ priority: 100 }, { priority: 200 })).keys()]).toEqual([]);
});
