/** Drain, priority and switchover on a LAN where nothing else goes wrong. Production code, virtual time. */
import { describe, expect, it } from "vitest";
import { defineConfig } from "../../src/config/index.js";
import {
  SimulatedHost,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
} from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";

interface RouterInput {
  readonly priority: number;
  readonly preempt?: boolean;
}

const INTERVAL_US = 100_000;

async function stage(inputs: readonly RouterInput[], interval = "100ms") {
  const world = new SimulatedWorld(7);
  const lan = new SimulatedSegment(world);
  const config = ({ priority, preempt = true }: RouterInput) =>
    defineConfig({
      virtualRouters: [
        {
          interface: "eth0",
          vrid: 10,
          addresses: ["192.0.2.1/24"],
          advertisementInterval: interval,
          priority,
          preempt,
        },
      ],
    });
  const routers: Router[] = [];
  const machines: SimulatedMachine[] = [];
  for (const [index, input] of inputs.entries()) {
    const machine = new SimulatedMachine(world, `r${index + 1}`);
    machines.push(machine);
    machine.addInterface("eth0", lan, { addresses: [`192.0.2.${index + 2}/24`] });
    routers.push(await world.settle(Router.open(config(input), { driver: machine.openDriver() })));
    await world.runFor(1_000_000);
  }
  const host = new SimulatedHost(lan, {
    name: "h1",
    address: "192.0.2.100",
    gateway: "192.0.2.1",
    packetEveryUs: 1_000,
  });
  host.start();
  await world.runFor(1_000_000);
  const sinceUs = world.nowUs;
  return {
    world,
    routers,
    machines,
    config,
    one: routers[0] as Router,
    states: () => routers.map((router) => router.status().virtualRouters[0]?.state),
    status: (index: number) => routers[index]!.status().virtualRouters[0]!,
    /** Packets that did not meet exactly one router. */
    wrong: () =>
      host.packets.filter(
        (packet) =>
          packet.atUs >= sinceUs && packet.atUs < world.nowUs - 5_000 && packet.forwardedBy.length !== 1,
      ).length,
  };
}

const NAME = "eth0/10";

describe("drain", () => {
  it("hands over without a loss, and stays out until undrained", async () => {
    const { world, one, states, status, wrong } = await stage([{ priority: 200 }, { priority: 100 }]);
    const outcome = await world.settle(one.operations.drain([NAME]));
    expect(outcome).toMatchObject([{ name: NAME, done: true }]);
    expect(outcome[0]!.detail).toMatch(/192\.0\.2\.3 \(priority 100\) took over .* after the release/);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["fault", "active"]);
    expect(status(0).causes).toEqual(["drained"]);
    expect(one.operations.undrain([NAME])).toMatchObject([{ done: true }]);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["active", "backup"]);
    expect(wrong()).toBe(0);
  });

  it("undone before its hand-over is through, it does not come after all", async () => {
    const { world, one, states, wrong } = await stage([{ priority: 200 }, { priority: 100 }]);
    const draining = one.operations.drain([NAME]);
    await world.runFor(1_000);
    expect(one.operations.undrain([NAME])).toMatchObject([{ done: true }]);
    expect(await world.settle(draining)).toEqual([
      { name: NAME, done: false, detail: "not drained: undrained meanwhile" },
    ]);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["active", "backup"]);
    expect(wrong()).toBe(0);
    expect(await world.settle(one.operations.drain([NAME]))).toMatchObject([{ done: true }]);
  });

  it("is refused where nobody takes over, and no packet is lost over it", async () => {
    const { world, one, states, status, wrong } = await stage([{ priority: 200 }]);
    const [outcome] = await world.settle(one.operations.drain([NAME]));
    expect(outcome).toMatchObject({ done: false });
    expect(outcome!.detail).toContain("nobody took over within");
    await world.runFor(2_000_000);
    expect(states()).toEqual(["active"]);
    expect(status(0)).toMatchObject({ causes: [], holdsBack: false });
    expect(wrong()).toBe(0);
    expect(await world.settle(one.operations.drain([NAME], true))).toMatchObject([{ done: true }]);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["fault"]);
  });

  it("asked for twice at the same time does not come by the back door", async () => {
    const { world, one, states, wrong } = await stage([{ priority: 200 }]);
    const first = one.operations.drain([NAME]);
    await world.runFor(1_000);
    const [second] = await world.settle(one.operations.drain([NAME]));
    expect(second).toMatchObject({ done: false, detail: expect.stringContaining("is handing over already") });
    await expect(world.settle(one.operations.switchover(NAME))).rejects.toThrow(/is handing over already/);
    expect(await world.settle(first)).toMatchObject([{ done: false }]);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["active"]);
    expect(wrong()).toBe(0);
    const third = one.operations.drain([NAME]);
    await world.runFor(1_000);
    expect(await world.settle(one.operations.drain([NAME], true))).toMatchObject([{ done: true }]);
    expect(await world.settle(third)).toMatchObject([{ done: true }]);
    expect(states()).toEqual(["fault"]);
  });

  it("of a Backup is at once, holds across a reload that restarts it, and no failure brings it in", async () => {
    const { world, routers, config, states, status } = await stage([{ priority: 200 }, { priority: 100 }]);
    const [one, two] = routers as [Router, Router];
    expect(await world.settle(two.operations.drain([NAME]))).toMatchObject([
      { done: true, detail: "drained" },
    ]);
    expect(states()).toEqual(["active", "fault"]);
    const next = config({ priority: 100 });
    const changed = { ...next, virtualRouters: next.virtualRouters.map((vr) => ({ ...vr, accept: false })) };
    await world.settle(two.reload(changed));
    await world.settle(one.close());
    await world.runFor(2_000_000);
    expect(status(1)).toMatchObject({ state: "fault", causes: ["drained"] });
  });
});

describe("an order", () => {
  it("goes with its virtual router where a reload gives that another name", async () => {
    const world = new SimulatedWorld(7);
    const machine = new SimulatedMachine(world, "r1");
    machine.addInterface("eth0", new SimulatedSegment(world), { addresses: ["192.0.2.2/24", "fe80::2/64"] });
    const six = { interface: "eth0", vrid: 10, addresses: ["fe80::1/64"], advertisementInterval: "100ms" };
    const four = { ...six, addresses: ["192.0.2.1/24"] };
    const opening = Router.open(defineConfig({ virtualRouters: [six] }), { driver: machine.openDriver() });
    const one = await world.settle(opening);
    await world.runFor(1_000_000);
    await world.settle(one.operations.drain([NAME], true));
    await world.settle(one.reload(defineConfig({ virtualRouters: [six, four] })));
    await world.runFor(1_000_000);
    const states = one.status().virtualRouters.map(({ name, state }) => [name, state]);
    expect(Object.fromEntries(states)).toEqual({ "eth0/10": "active", "eth0/10/ipv6": "fault" });
  });
});

describe("priority", () => {
  it("counts at once and moves the role; the configured one is shown, and comes back with a reset", async () => {
    const { world, one, states, status, wrong } = await stage([{ priority: 200 }, { priority: 100 }]);
    expect(one.operations.setPriority(NAME, 50)).toMatchObject({ done: true });
    await world.runFor(2_000_000);
    expect(states()).toEqual(["backup", "active"]);
    expect(status(0)).toMatchObject({ priority: 50, configuredPriority: 200, runtimePriority: 50 });
    expect(status(1).active).toMatchObject({ priority: 100 });
    one.operations.setPriority(NAME, null);
    await world.runFor(2_000_000);
    expect(states()).toEqual(["active", "backup"]);
    expect(status(0)).toMatchObject({ priority: 200, runtimePriority: null });
    expect(wrong()).toBe(0);
  });

  it("ordered before a reload makes no less than the owner of the addresses", async () => {
    const { world, one, config, status } = await stage([{ priority: 200 }]);
    one.operations.setPriority(NAME, 50);
    await world.settle(one.reload(config({ priority: 255 })));
    await world.runFor(1_000_000);
    expect(status(0)).toMatchObject({ state: "active", priority: 255 });
    await world.settle(one.reload(config({ priority: 200 })));
    await world.runFor(1_000_000);
    expect(status(0)).toMatchObject({ priority: 50, runtimePriority: 50 });
  });

  it("is 1 to 254, and not for the owner of the addresses", async () => {
    const { one } = await stage([{ priority: 200 }]);
    expect(() => one.operations.setPriority(NAME, 255)).toThrow(/255 is no priority/);
    expect(() => one.operations.setPriority(NAME, 0)).toThrow(/0 is no priority/);
    expect(() => one.operations.setPriority("eth0/11", 5)).toThrow(
      /no virtual router eth0\/11; there is eth0\/10/,
    );
  });
});

describe("switchover", () => {
  it("moves to the best Backup, which keeps the virtual router until it fails", async () => {
    const { world, routers, one, states, status, wrong } = await stage([
      { priority: 200 },
      { priority: 100 },
      { priority: 150 },
    ]);
    const report = await world.settle(one.operations.switchover(NAME));
    expect(report).toMatchObject({ done: true, back: null });
    expect(report.moves).toMatchObject([{ to: { address: "192.0.2.4", priority: 150 }, outageMs: 0 }]);
    // Skew_Time of priority 150.
    expect(report.moves[0]!.silentMs).toBeCloseTo((106 * INTERVAL_US) / 256 / 1000, 0);
    await world.runFor(3_000_000);
    expect(states()).toEqual(["backup", "backup", "active"]);
    expect(status(0).holdsBack).toBe(true);
    await world.settle(routers[2]!.close());
    await world.runFor(2_000_000);
    expect(status(0)).toMatchObject({ state: "active", holdsBack: false });
    expect(wrong()).toBe(0);
  });

  it("is refused by a Backup, and answered with no where nobody takes over", async () => {
    const { world, routers, states, wrong } = await stage([{ priority: 200 }, { priority: 100 }]);
    const [one, two] = routers as [Router, Router];
    await expect(world.settle(two.operations.switchover(NAME))).rejects.toThrow(
      /is backup here: only the Active/,
    );
    await world.settle(two.close());
    const report = await world.settle(one.operations.switchover(NAME));
    expect(report).toMatchObject({
      done: false,
      detail: expect.stringContaining("nobody took eth0/10 over"),
    });
    expect(states()[0]).toBe("active");
    expect(wrong()).toBe(0);
  });

  const PAIRS: readonly { title: string; inputs: readonly RouterInput[] }[] = [
    { title: "to a lower priority", inputs: [{ priority: 200 }, { priority: 100 }] },
    { title: "to the same priority", inputs: [{ priority: 100 }, { priority: 100, preempt: false }] },
    {
      title: "to a higher one that does not preempt",
      inputs: [{ priority: 100 }, { priority: 200, preempt: false }],
    },
  ];
  it.each(PAIRS)("a test moves $title and back, and loses nothing", async ({ inputs }) => {
    const { world, one, states, status, wrong } = await stage(inputs);
    const before = states();
    if (before[0] !== "active") return expect(before).toEqual(["backup", "active"]); // the tie is the other's
    const running = one.operations.switchover(NAME, 3_000_000);
    await world.runFor(1_000_000);
    expect(states()).toEqual(["backup", "active"]);
    const report = await world.settle(running);
    expect(report).toMatchObject({ done: true, back: [{ done: true, outageMs: 0 }] });
    await world.runFor(3_000_000);
    expect(states()).toEqual(["active", "backup"]);
    expect(status(0)).toMatchObject({
      priority: inputs[0]!.priority,
      runtimePriority: null,
      holdsBack: false,
    });
    expect(wrong()).toBe(0);
  });

  it("keeps another process from taking over until the test is through, which would not move back", async () => {
    const { world, one } = await stage([{ priority: 200 }, { priority: 100 }]);
    const running = one.operations.switchover(NAME, 1_000_000);
    await world.runFor(500_000);
    await expect(world.settle(one.exchange.begin())).rejects.toThrow(
      /eth0\/10 is being handed over by command/,
    );
    await world.settle(running);
    one.mask.add("192.0.2.9");
    expect((await world.settle(one.exchange.begin())).mask).toEqual({ added: ["192.0.2.9"], lifted: [] });
    expect(() => one.operations).toThrow(/another process is taking over/);
    one.exchange.cancel();
    expect(one.operations.undrain([NAME])).toMatchObject([{ done: true }]);
  });

  it("is done, too, where the kernel saw the successor's claim before JavaScript came to read it", async () => {
    const { world, one, machines, states, wrong } = await stage([{ priority: 200 }, { priority: 100 }]);
    const running = one.operations.switchover(NAME, 3_000_000);
    await world.runFor(20_000);
    machines[0]!.pauseJavaScript();
    await world.runFor(300_000);
    machines[0]!.resumeJavaScript();
    await world.runFor(500_000);
    expect(one.status().virtualRouters[0]?.lastChange?.reason).toBe("gave-way");
    expect(states()).toEqual(["backup", "active"]);
    const report = await world.settle(running);
    expect(report).toMatchObject({
      done: true,
      moves: [{ done: true, to: { address: "192.0.2.3", priority: 100 }, outageMs: 0 }],
      back: [{ done: true }],
    });
    await world.runFor(3_000_000);
    expect(states()).toEqual(["active", "backup"]);
    expect(wrong()).toBe(0);
  });
});
