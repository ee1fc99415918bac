/**
 * What was under way when something else came in between: an order, a reload or an exchange, while JavaScript was behind
 * the engine or a group had not settled. Simulated LANs, production code, virtual time.
 */
import { describe, expect, it } from "vitest";
import { type ConfigInput, defineConfig } from "../../src/config/index.js";
import { SimulatedMachine, SimulatedSegment, SimulatedWorld } from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";
import type { RouterEvent } from "../../src/engine/status.js";

const MS = 1000;
const SECOND = 1000 * MS;

type VirtualRouterInput = ConfigInput["virtualRouters"][number];

const states = (router: Router): string[] => router.status().virtualRouters.map(({ state }) => state);

function lab(lans: number) {
  const world = new SimulatedWorld(1);
  const segments = Array.from({ length: lans }, () => new SimulatedSegment(world));
  const machines = [1, 2].map((number) => {
    const machine = new SimulatedMachine(world, `r${number}`);
    for (const [at, segment] of segments.entries())
      machine.addInterface(`eth${at}`, segment, { addresses: [`10.${at}.0.${number + 1}/24`] });
    return machine;
  }) as [SimulatedMachine, SimulatedMachine];
  const open = (machine: SimulatedMachine, config: object, onEvent?: (event: RouterEvent) => void) =>
    world.settle(
      Router.open(defineConfig(config as ConfigInput), {
        driver: machine.openDriver(),
        ...(onEvent ? { onEvent } : {}),
      }),
    );
  return { world, segments, machines, open };
}

const member = (lan: number, more: Partial<VirtualRouterInput> = {}): VirtualRouterInput => ({
  interface: `eth${lan}`,
  vrid: lan + 1,
  addresses: [`10.${lan}.0.100/24`],
  advertisementInterval: "100ms",
  ...more,
});

describe("a sync group", () => {
  it("whose move another router objects to gives way as a whole, also when an exchange came in between", async () => {
    const { world, machines, open } = lab(2);
    const together = {
      syncGroups: [{ name: "edge", mode: "all" }],
      virtualRouters: [0, 1].map((lan) => member(lan, { priority: 200, syncGroup: "edge" })),
    };
    const two = await open(machines[1], {
      virtualRouters: [member(0, { priority: 150 }), member(1, { priority: 250 })],
    });
    await world.runFor(2 * SECOND);
    const one = await open(machines[0], together);
    for (let round = 0; round < 600 && states(one)[0] !== "active"; round++) await world.runFor(5 * MS);
    expect(states(one)[0]).toBe("active");
    await world.runFor(20 * MS);
    await world.settle(one.exchange.begin());
    one.exchange.cancel();
    await world.runFor(10 * SECOND);
    expect(states(one)).toEqual(["backup", "backup"]);
    expect(states(two)).toEqual(["active", "active"]);
  });

  it.each([false, true])(
    "that ends to hold its members back does so also for one whose time was over before (unread: %s)",
    async (unread) => {
      const { world, segments, machines, open } = lab(2);
      const config = (router: number, mode: "all" | "any"): object => ({
        syncGroups: [{ name: "edge", mode }],
        virtualRouters: [0, 1].map((lan) => member(lan, { priority: 200 - 50 * router, syncGroup: "edge" })),
      });
      await open(machines[0], config(0, "all"));
      const two = await open(machines[1], config(1, "all"));
      await world.runFor(5 * SECOND);
      // Cut off on one LAN, the second router's group tries and fails, and is blocked.
      const cables = machines.map((machine) => machine.cable("eth0")!);
      segments[0]!.partition(cables.map((cable) => [cable]));
      await world.runFor(20 * SECOND);
      segments[0]!.partition([cables]);
      await world.runFor(300 * MS);
      machines[0].kill();
      machines[0].powerOff();
      if (unread) machines[1].pauseJavaScript();
      await world.runFor(500 * MS);
      await two.reload(defineConfig(config(1, "any") as ConfigInput));
      if (unread) machines[1].resumeJavaScript();
      await world.runFor(10 * SECOND);
      expect(states(two)).toEqual(["active", "active"]);
    },
  );
});

describe("a hand-over", () => {
  it("whose interface goes meanwhile has an end, whatever is reloaded then", async () => {
    const { world, machines, open } = lab(1);
    const config = (priority: number) => ({
      virtualRouters: [member(0, { advertisementInterval: "1s", priority })],
    });
    const router = await open(machines[0], config(100));
    await world.runFor(6 * SECOND);
    const { name } = router.status().virtualRouters[0]!;
    void router.operations.drain([name], true);
    await world.runFor(100 * MS);
    machines[0].removeInterface("eth0");
    await world.runFor(100 * MS);
    await world.settle(router.reload(defineConfig(config(120) as ConfigInput)));
    await world.runFor(100 * MS);
    expect(router.status().virtualRouters[0]!.handingOver).toBe(false);
    let closed = false;
    void router.close().then(() => {
      closed = true;
    });
    await world.runFor(10 * SECOND);
    expect(closed).toBe(true);
  });
});

describe("a tracker", () => {
  it("that gets another target weighs as before until that one's first result", async () => {
    const { world, machines, open } = lab(1);
    machines[0].echoScript = () => null;
    const tracked = (target: string): object => ({
      trackers: [{ name: "isp", icmp: target, interval: "1s", timeout: "1s", fall: 3 }],
      virtualRouters: [member(0, { priority: 200, track: [{ tracker: "isp", weight: -100 }] })],
    });
    const changes: string[] = [];
    const one = await open(machines[0], tracked("203.0.113.1"), (event) => {
      if (event.type === "stateChange") changes.push(event.to);
    });
    const two = await open(machines[1], { virtualRouters: [member(0, { priority: 150 })] });
    await world.runFor(8 * SECOND);
    expect(states(two)).toEqual(["active"]);
    changes.length = 0;
    await world.settle(one.reload(defineConfig(tracked("203.0.113.2") as ConfigInput)));
    const [status] = one.status().virtualRouters;
    expect(status!.tracking).toEqual([expect.objectContaining({ effect: "waits", delta: -100 })]);
    await world.runFor(8 * SECOND);
    expect(changes).toEqual([]);
    expect(states(two)).toEqual(["active"]);
  });
});
