/** Trackers and virtual routers on simulated machines: what a tracker's verdict does to an election, and how fast. */
import { describe, expect, it } from "vitest";
import { render } from "../../../src/cli/show.js";
import { type ConfigInput, defineConfig } from "../../../src/config/index.js";
import type { SimulatedMachine } from "../../../src/driver/simulated/index.js";
import { type Change, type One, Stage } from "./tracking-stage.js";

/** FIRSTHOP_TRACKING_SEEDS looks further. */
const SEEDS = Number(process.env.FIRSTHOP_TRACKING_SEEDS ?? 5);
const WAN = { trackers: [{ name: "wan", interface: "wan0" }] };

const HOST = {
  trackers: [{ name: "host", icmp: "192.0.2.100", interval: "100ms", timeout: "50ms", fall: 2, rise: 2 }],
};

describe("a probe that this machine can't make", () => {
  it("says nothing about its target, and is told", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...HOST, router: { priority: 150, track: ["host"] } }, (machine) => {
      machine.echoScript = () => 1_000;
    });
    await stage.until(() => r1.status().state === "active");
    r1.machine.echoScript = () => ({ untried: "EMFILE" });
    await stage.run(3_000);
    expect(r1.status().state).toBe("active");
    const told = r1.events.filter((event) => event.type === "warning" && event.code === "not-checked");
    expect(told).toHaveLength(1);
    expect(JSON.stringify(told)).toContain("can't be sent: EMFILE");
    r1.machine.echoScript = () => null;
    await stage.until(() => r1.status().state !== "active");
    expect(r1.status().state).not.toBe("active");
  });
});

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
    const { summary, because, next } = r1.router.explain("lan0/10");
    expect(summary).toContain("tracking:wan");
    expect(because[0]).toMatch(/^tracker wan: .*nothere/);
    expect(next.at(-1)).toBe("`firsthop show tracks` tells what each tracker sees");
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

  it("leads to the same end however changes and elections meet", async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const stage = new Stage(seed);
      const random = stage.world.random.fork("changes");
      const busy = (machine: SimulatedMachine): void => {
        machine.latencies = { ...machine.latencies, reportUs: [30, 60_000], newsUs: [50, 40_000] };
      };
      const track = [{ tracker: "wan", weight: -100 }];
      const r1 = await stage.open({ ...WAN, router: { priority: 150, track } }, busy);
      const r2 = await stage.open({ router: { priority: 100 } }, busy);
      let carrier = true;
      for (let turn = 0; turn < 6; turn++) {
        for (let flap = random.integer(0, 3); flap >= 0; flap--) {
          carrier = !carrier;
          const cable = r1.machine.cable("wan0");
          if (cable) cable.carrier = carrier;
          await stage.run(random.integer(1, 450));
        }
        await stage.run(2_000);
        const states = [r1.status().state, r2.status().state, r1.status().priority];
        expect([seed, turn, ...states]).toEqual([
          seed,
          turn,
          ...(carrier ? ["active", "backup", 150] : ["backup", "active", 50]),
        ]);
      }
    }
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

  const ASKED = { name: "isp", icmp: "203.0.113.9", interface: "wan0", interval: "100ms", fall: 3 };

  it("gives a tracker with other settings no worse first impression: it takes as many failures as ever", async () => {
    const stage = new Stage();
    let lost = 0;
    const config = (fall: number): Change => ({
      trackers: [{ ...ASKED, fall }],
      router: { priority: 150, track: ["isp"] },
    });
    const r1 = await stage.open(config(3), (machine) => {
      machine.echoScript = () => (lost-- > 0 ? null : 1_000);
    });
    await stage.run(1000);
    expect(r1.status().state).toBe("active");
    lost = 2;
    await stage.world.settle(r1.router.reload(Stage.config(config(4))));
    await stage.run(1000);
    lost = 4;
    await stage.run(1000);
    const verdicts = r1.events.flatMap((event) => (event.type === "track" ? [event.to] : []));
    // The second time there were four.
    expect(verdicts).toEqual(["up", "down", "up"]);
  });

  it("lets nobody off who was damped", async () => {
    const stage = new Stage();
    const config = (upDelay: string): Change => ({
      trackers: [
        { name: "wan", interface: "wan0", upDelay, damping: { flaps: 2, within: "10s", hold: "3s" } },
      ],
      router: { priority: 150, track: [{ tracker: "wan", weight: -100 }] },
    });
    const r1 = await stage.open(config("0s"));
    const track = () => r1.router.status().tracks[0];
    for (const carrier of [false, true, false]) {
      await stage.run(200);
      const cable = r1.machine.cable("wan0");
      if (cable) cable.carrier = carrier;
    }
    await stage.run(200);
    expect(track()).toMatchObject({ state: "down", damped: true });
    await stage.world.settle(r1.router.reload(Stage.config(config("10ms"))));
    const cable = r1.machine.cable("wan0");
    if (cable) cable.carrier = true;
    await stage.run(2_500);
    expect(track()).toMatchObject({ state: "down", damped: true });
    await stage.run(1_000);
    expect(track()).toMatchObject({ state: "up", damped: false });
  });

  it("begins trackers that know at once while MAC addresses are masked", async () => {
    const stage = new Stage();
    const masks = { mask: ["02:00:00:00:00:17"] };
    const r1 = await stage.open({ ...WAN, ...masks, router: { track: ["wan"] } });
    await stage.run(1000);
    expect(r1.status().state).toBe("active");
    const trackers = [...WAN.trackers, { name: "gone", tcp: "203.0.113.9:1", interface: "nothere" }];
    await stage.world.settle(r1.router.reload(Stage.config({ ...masks, trackers })));
    expect(r1.router.status().tracks.map((one) => one.state)).toEqual(["up", "down"]);
  });

  it("starts a virtual router anew at once, whatever its start-up delay is, and tells each change once", async () => {
    const stage = new Stage();
    const config = (accept: boolean): Change => ({ router: { startupDelay: "3s", accept } });
    const r1 = await stage.open(config(true));
    await stage.run(1_000);
    const cable = r1.machine.cable("lan0");
    if (cable) cable.carrier = false;
    await stage.run(500);
    expect(r1.status().state).toBe("fault");
    await stage.world.settle(r1.router.reload(Stage.config(config(false))));
    await stage.run(5_000);
    if (cable) cable.carrier = true;
    await stage.run(1_000);
    expect(r1.status().state).toBe("active");
    await stage.world.settle(r1.router.reload(Stage.config(config(true))));
    await stage.run(1_000);
    expect(r1.status().state).toBe("active");
    const changes = r1.events.flatMap((event) => (event.type === "stateChange" ? [event] : []));
    expect(changes.slice(1).map(({ from }) => from)).toEqual(changes.slice(0, -1).map(({ to }) => to));
  });

  it("says what it does not change", async () => {
    const stage = new Stage();
    const r1 = await stage.open({});
    const log = { level: "debug" } as const;
    await stage.world.settle(
      r1.router.reload(Stage.config({ controlTimeout: "2s", ownershipLimit: "5s", log })),
    );
    const notices = r1.events.flatMap((event) =>
      "code" in event && event.code === "not-reloaded" ? [event] : [],
    );
    expect(notices).toMatchObject([
      { type: "warning", detail: expect.stringMatching(/^controlTimeout, log: in force/) },
    ]);
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

describe("a tracker that asks", () => {
  const SCRIPT = {
    trackers: [{ name: "own", script: "/check", interval: "200ms", timeout: "100ms", fall: 2 }],
  };
  const UP = { up: true, evidence: "check: exit code 0" };
  const DOWN = { up: false, evidence: "check: exit code 1" };

  it("keeps a router waiting for its first result, and no longer", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...SCRIPT, router: { priority: 150, track: ["own"] } }, (machine) => {
      machine.probeScript = () => ({ result: UP, afterUs: 80_000 });
    });
    await stage.run(20);
    expect(r1.status().state).toBe("initialize");
    expect(r1.router.status().tracks[0]).toMatchObject({ state: "unknown", results: { up: 0, down: 0 } });
    expect(r1.events.filter((event) => event.type === "stateChange")).toEqual([]);
    await stage.run(1000);
    expect(r1.status().state).toBe("active");
    expect(r1.events.find((event) => event.type === "track")).toMatchObject({ from: "unknown", to: "up" });
  });

  it("keeps one waiting whom it weighs down, so that he does not take over for a moment", async () => {
    const stage = new Stage();
    const r2 = await stage.open({ router: { priority: 120 } });
    await stage.until(() => r2.status().state === "active");
    const host = { name: "host", icmp: "192.0.2.100", interval: "1s", weight: -50 };
    const r1 = await stage.open(
      { trackers: [host], router: { priority: 150, track: ["host"] } },
      (machine) => {
        machine.echoScript = () => null;
      },
    );
    await stage.run(500);
    expect(r1.status().state).toBe("initialize");
    await stage.run(3_000);
    expect(r1.status()).toMatchObject({ state: "backup", priority: 100 });
    expect(r2.status()).toMatchObject({ state: "active" });
    expect(r2.events.filter((event) => event.type === "stateChange" && event.from === "active")).toEqual([]);
  });

  it("is not waited for without end by whom it only weighs", async () => {
    const stage = new Stage();
    const slow = { name: "own", script: "/check", interval: "1m", timeout: "1m" };
    const never = (machine: { probeScript: unknown }): void => {
      machine.probeScript = () => ({ result: DOWN, afterUs: 50_000_000 });
    };
    const router = { priority: 150, track: [{ tracker: "own", weight: -20 }] };
    const weighed = await stage.open({ trackers: [slow], router }, never);
    const forbidden = await stage.open(
      { trackers: [slow], router: { priority: 100, track: ["own"] } },
      never,
    );
    await stage.run(2_500);
    expect([weighed, forbidden].map((one) => one.status().state)).toEqual(["initialize", "initialize"]);
    await stage.run(1_500);
    expect([weighed, forbidden].map((one) => one.status().state)).toEqual(["active", "initialize"]);
  });

  it("is at fault at once when its first result is bad", async () => {
    const stage = new Stage();
    const r1 = await stage.open({ ...SCRIPT, router: { track: ["own"] } }, (machine) => {
      machine.probeScript = () => ({ result: DOWN });
    });
    await stage.run(50);
    expect(r1.status()).toMatchObject({ state: "fault", causes: ["tracking:own"] });
  });

  it("falls after interval x fall, and a silent one after its time-out", async () => {
    const stage = new Stage();
    let result = UP;
    let afterUs = 1000;
    const asked: number[] = [];
    const r1 = await stage.open({ ...SCRIPT, router: { priority: 150, track: ["own"] } }, (machine) => {
      machine.probeScript = () => {
        asked.push(stage.world.nowUs);
        return { result, afterUs };
      };
    });
    await stage.run(2000);
    // On its grid, whatever a try took.
    const gaps = asked.slice(1).map((atUs, at) => atUs - (asked[at] ?? 0));
    expect(new Set(gaps)).toEqual(new Set([200_000]));
    result = DOWN;
    const detectedUs = await stage.until(() => r1.status().state === "fault");
    expect(detectedUs).toBeLessThanOrEqual(2 * 200_000 + 2_000);
    result = UP;
    await stage.run(2000);
    expect(r1.status().state).toBe("active");
    afterUs = 1_000_000;
    const silentUs = await stage.until(() => r1.status().state === "fault");
    expect(silentUs).toBeLessThanOrEqual(2 * 200_000 + 100_000 + 1_000);
    expect(r1.router.status().tracks[0]).toMatchObject({ evidence: "no answer in time" });
  });

  it("leaves from an own address of its interface, never from a virtual one", async () => {
    const stage = new Stage();
    const sources = new Set<unknown>();
    const config: Change = {
      trackers: [{ name: "t", tcp: "192.0.2.77:1", interface: "lan0", interval: "100ms" }],
      router: { virtualMac: false, track: [{ tracker: "t", weight: -10 }] },
    };
    const r1 = await stage.open(config, (machine) => {
      machine.probeScript = (request) => {
        sources.add("source" in request ? request.source : null);
        return { result: UP };
      };
    });
    await stage.run(2000);
    expect(r1.status().state).toBe("active");
    expect([...sources]).toEqual(["192.0.2.2"]);
  });

  it("adds the number of a file", async () => {
    const stage = new Stage();
    let value = 0;
    const config: Change = {
      trackers: [{ name: "bias", file: "/bias", interval: "100ms" }],
      router: { priority: 100, track: ["bias"] },
    };
    const r1 = await stage.open(config, (machine) => {
      machine.probeScript = () => ({ result: { up: value >= 0, evidence: `says ${value}`, value } });
    });
    await stage.run(1000);
    expect(r1.status()).toMatchObject({ state: "active", priority: 100 });
    value = 33;
    await stage.run(300);
    expect(r1.status()).toMatchObject({ state: "active", priority: 133, trackedDelta: 33 });
    value = -254;
    await stage.run(300);
    expect(r1.status()).toMatchObject({ state: "fault", causes: ["tracking:bias"], priority: 100 });
  });
});

describe("a tracker that two follow", () => {
  it("counts for each with his own weight, and is shown so", async () => {
    const stage = new Stage();
    const one = { interface: "lan0", addresses: ["192.0.2.1/24"], advertisementInterval: "100ms" } as const;
    const r1 = await stage.open({ ...WAN });
    const config = (track: readonly (readonly (string | object)[])[]) =>
      defineConfig({
        ...WAN,
        virtualRouters: track.map((list, at) => ({
          ...one,
          vrid: 10 + at,
          addresses: [`192.0.2.${100 + at}/24`],
          track: list as NonNullable<ConfigInput["virtualRouters"][number]["track"]>,
        })),
      });
    const shown = () => render(r1.router.status(), "tracks", 0).split("\n")[1];
    expect(shown()).toContain(" forbids ");
    const weight = -50;
    await stage.world.settle(r1.router.reload(config([[{ tracker: "wan", weight }], ["wan"]])));
    await stage.run(1000);
    expect(shown()).toMatch(/ differs .* lan0\/11 \(forbids\),lan0\/10 \(-50\) /);
    const cable = r1.machine.cable("wan0");
    if (cable) cable.carrier = false;
    await stage.run(500);
    const routers = r1.router.status().virtualRouters;
    expect(routers.map(({ state, priority }) => [state, priority])).toEqual([
      ["fault", 100],
      ["active", 50],
    ]);
    const both = [{ tracker: "wan", weight, reverse: true }];
    await stage.world.settle(r1.router.reload(config([both, both])));
    expect(shown()).toMatch(/ -50 reverse .* lan0\/11,lan0\/10 /);
    expect(r1.router.status().virtualRouters.map((each) => each.priority)).toEqual([150, 150]);
  });
});

describe("a route", () => {
  const hop = { via: "203.0.113.254", ifindex: 3 };
  const route = { prefix: "0.0.0.0/0", table: 254, protocol: 186, nextHops: [hop] };
  const follow = async (tracker: object, prepare: (machine: SimulatedMachine) => void): Promise<One> => {
    const stage = new Stage();
    const trackers = [{ name: "default", route: "0.0.0.0/0", ...tracker }];
    const r1 = await stage.open({ trackers, router: { track: ["default"] } }, prepare);
    await stage.run(1000);
    return r1;
  };
  const track = (one: One) => one.router.status().tracks[0];

  it("is up while it is there, as it is asked for", async () => {
    const cases: readonly [tracker: object, state: string, evidence: string][] = [
      [{}, "up", "0.0.0.0/0 via 203.0.113.254 dev wan0"],
      [
        { via: "203.0.113.254", interface: "wan0", table: "main", protocol: "bgp" },
        "up",
        "0.0.0.0/0 via 203.0.113.254 dev wan0",
      ],
      [{ via: "203.0.113.1" }, "down", "the route to 0.0.0.0/0 goes via 203.0.113.254 dev wan0"],
      [{ interface: "lan0" }, "down", "the route to 0.0.0.0/0 goes via 203.0.113.254 dev wan0"],
      [{ table: 100 }, "down", "no route to 0.0.0.0/0 of this table and protocol"],
      [{ protocol: "static" }, "down", "no route to 0.0.0.0/0 of this table and protocol"],
    ];
    for (const [tracker, state, evidence] of cases) {
      const one = await follow(tracker, (machine) => machine.routes.set("0.0.0.0/0", [route]));
      expect(track(one)).toMatchObject({ state, evidence });
    }
  });

  it("is down when it goes, or its next hops do", async () => {
    const one = await follow({}, () => {});
    expect(track(one)).toMatchObject({ state: "down", evidence: "no route to 0.0.0.0/0" });
    one.machine.routes.set("0.0.0.0/0", [route]);
    await one.machine.world.runFor(100_000);
    expect(track(one)).toMatchObject({ state: "up" });
    one.machine.routes.set("0.0.0.0/0", [{ ...route, nextHops: [] }]);
    await one.machine.world.runFor(100_000);
    expect(track(one)).toMatchObject({
      state: "down",
      evidence: "the route to 0.0.0.0/0 has no next hop that works",
    });
  });
});
