/** Trackers and virtual routers on simulated machines: what a tracker's verdict does to an election, and how fast. */
import { describe, expect, it } from "vitest";
import { type ConfigInput, defineConfig } from "../../../src/config/index.js";
import { SimulatedMachine, SimulatedSegment, SimulatedWorld } from "../../../src/driver/simulated/index.js";
import { Router } from "../../../src/engine/router.js";
import type { RouterEvent, VirtualRouterStatus } from "../../../src/engine/status.js";

type Change = Partial<ConfigInput> & { readonly router?: Partial<ConfigInput["virtualRouters"][number]> };

interface One {
  readonly machine: SimulatedMachine;
  readonly router: Router;
  readonly events: RouterEvent[];
  status(): VirtualRouterStatus;
}

class Stage {
  readonly world = new SimulatedWorld(7);
  readonly lan = new SimulatedSegment(this.world);
  readonly upstream = new SimulatedSegment(this.world);
  #count = 0;

  static config({ router, ...rest }: Change): ReturnType<typeof defineConfig> {
    const virtualRouter = {
      interface: "lan0",
      vrid: 10,
      addresses: ["192.0.2.1/24"],
      advertisementInterval: "100ms",
      ...router,
    };
    return defineConfig({ virtualRouters: [virtualRouter], ...rest });
  }

  async open(change: Change): Promise<One> {
    const index = ++this.#count;
    const machine = new SimulatedMachine(this.world, `r${index}`);
    machine.addInterface("lan0", this.lan, { addresses: [`192.0.2.${index + 1}/24`] });
    machine.addInterface("wan0", this.upstream, { addresses: [`203.0.113.${index + 1}/24`] });
    const events: RouterEvent[] = [];
    const router = await this.world.settle(
      Router.open(Stage.config(change), {
        driver: machine.openDriver(),
        onEvent: (event) => events.push(event),
      }),
    );
    return {
      machine,
      router,
      events,
      status: () => router.status().virtualRouters[0] as VirtualRouterStatus,
    };
  }

  run(ms: number): Promise<void> {
    return this.world.runFor(ms * 1000);
  }
}

const WAN = { trackers: [{ name: "wan", interface: "wan0" }] };

describe("a tracker without a weight", () => {
  it("forbids Active while it is down, and says why", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...WAN, router: { priority: 150, track: ["wan"] } });
    const r2 = await stage.open({});
    await stage.run(1000);
    expect([r1.status().state, r2.status().state]).toEqual(["active", "backup"]);
    const cable = r1.machine.cable("wan0");
    if (cable) cable.carrier = false;
    await stage.run(200);
    expect(r1.status()).toMatchObject({ state: "fault", causes: ["tracking:wan"], priority: 150 });
    // It resigned: the other took over within its Skew_Time of some 61 ms, not after three intervals.
    expect(r2.status().state).toBe("active");
    expect(r1.events.find((event) => event.type === "track" && event.to === "down")).toMatchObject({
      name: "wan",
      from: "up",
      detail: "wan0 has no carrier",
      trackedBy: ["lan0/10"],
    });
    expect(r1.events.findLast((event) => event.type === "stateChange")).toMatchObject({
      from: "active",
      to: "fault",
      reason: "tracking:wan",
      detail: "tracker wan: wan0 has no carrier",
    });
    if (cable) cable.carrier = true;
    await stage.run(1000);
    expect([r1.status().state, r2.status().state]).toEqual(["active", "backup"]);
  });

  it("that is down from the start keeps the router out", async () => {
    const stage = new Stage();
    const r1 = await stage.open({
      trackers: [{ name: "wan", interface: "nothere" }],
      router: { priority: 150, track: ["wan"] },
    });
    await stage.run(2000);
    expect(r1.status()).toMatchObject({ state: "fault", causes: ["tracking:wan"] });
    expect(r1.router.explain("lan0/10").summary).toContain("tracking:wan");
  });

  it("reversed forbids Active while it is up", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...WAN, router: { track: [{ tracker: "wan", reverse: true }] } });
    await stage.run(1000);
    expect(r1.status().state).toBe("fault");
  });

  it("several forbid together; each is a cause", async () => {
    const stage = new Stage();
    const track = [{ interface: "one" }, { interface: "two" }];
    const r1 = await stage.open({ router: { track } });
    await stage.run(500);
    expect(r1.status().causes).toEqual(["tracking:interface:one", "tracking:interface:two"]);
  });
});

describe("a tracker with a weight", () => {
  it("lowers the priority, which an Active says at once", async () => {
    const stage = new Stage();
    const r1 = await stage.open({
      ...WAN,
      router: { priority: 150, track: [{ tracker: "wan", weight: -100 }] },
    });
    const r2 = await stage.open({ router: { priority: 100 } });
    await stage.run(1000);
    const sent = r1.status().statistics.advertisementSent;
    const cable = r1.machine.cable("wan0");
    if (cable) cable.carrier = false;
    await stage.run(30);
    expect(r1.status()).toMatchObject({
      state: "active",
      priority: 50,
      configuredPriority: 150,
      trackedDelta: -100,
    });
    expect(r1.status().tracking).toEqual([
      { tracker: "wan", state: "down", weight: -100, reverse: false, effect: "weight", delta: -100 },
    ]);
    expect(r1.status().statistics.advertisementSent).toBeGreaterThan(sent);
    expect(r2.status().active?.priority).toBe(50);
    await stage.run(500);
    expect([r1.status().state, r2.status().state]).toEqual(["backup", "active"]);
    if (cable) cable.carrier = true;
    await stage.run(1000);
    expect([r1.status().state, r2.status().state]).toEqual(["active", "backup"]);
    expect(r1.status()).toMatchObject({ priority: 150, trackedDelta: 0 });
  });

  it("does not move the owner of the addresses", async () => {
    const stage = new Stage();
    const machine = await stage.open({
      router: { priority: 255, addresses: ["192.0.2.2/24"], track: [{ interface: "nothere", weight: -100 }] },
    });
    await stage.run(500);
    expect(machine.status()).toMatchObject({ priority: 255, trackedDelta: -100 });
  });
});

describe("a reload", () => {
  it("takes over weights and other trackers without leaving", async () => {
    const stage = new Stage();
    const before: Change = { ...WAN, router: { priority: 150, track: ["wan"] } };
    const r1 = await stage.open(before);
    await stage.run(1000);
    const changes = (): number => r1.events.filter((event) => event.type === "stateChange").length;
    const so = changes();
    const next = Stage.config({ ...WAN, router: { priority: 150, track: [{ tracker: "wan", weight: 20 }] } });
    await stage.world.settle(r1.router.reload(next));
    await stage.run(500);
    expect(r1.status()).toMatchObject({ state: "active", priority: 170 });
    expect(changes()).toBe(so);
    const [track] = r1.router.status().tracks;
    await stage.world.settle(r1.router.reload(Stage.config(before)));
    // The tracker itself did not change: it goes on with what it knew.
    expect(r1.router.status().tracks[0]).toEqual({ ...track });
    expect(changes()).toBe(so);
  });

  it("ends trackers that nobody configures any more", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...WAN, router: { track: ["wan"] } });
    await stage.world.settle(r1.router.reload(Stage.config({})));
    expect(r1.router.status().tracks).toEqual([]);
    await stage.run(100);
    expect(r1.status().tracking).toEqual([]);
  });
});
