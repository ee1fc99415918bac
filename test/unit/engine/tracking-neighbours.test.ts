/** The tracker of all neighbours on a simulated machine: who is forgotten, and when its link is down. */
import { describe, expect, it } from "vitest";
import { Stage } from "./tracking-stage.js";

describe("a tracker of neighbours", () => {
  const HOSTS = ["203.0.113.101", "203.0.113.102", "203.0.113.103"];

  async function watched(age: string, threshold: number | string = "50%") {
    const stage = new Stage();
    const silent = new Set<string>();
    const trackers = [{ name: "up", neighbours: "wan0", interval: "200ms" as const, age, threshold }];
    const one = await stage.open({ trackers, router: { track: ["up"] } }, (machine) => {
      machine.echoScript = ({ address }) => (silent.has(address) ? null : 1000);
    });
    await stage.run(2000);
    for (const [at, host] of HOSTS.entries())
      one.machine.showNeighbour("wan0", host, `02:00:00:00:00:0${at}`);
    await stage.run(2000);
    const shown = () => {
      const [{ state, evidence } = { state: "none", evidence: "" }] = one.router.status().tracks as readonly {
        state: string;
        evidence: string;
      }[];
      return `${state}: ${evidence}`;
    };
    expect(shown()).toBe("up: 3 of 3 neighbours on wan0 answer");
    return { stage, silent, one, shown };
  }

  it("does not come up because those who are all silent are forgotten", async () => {
    const { stage, silent, one, shown } = await watched("20s");
    for (const host of HOSTS) silent.add(host);
    await stage.run(120_000);
    expect(shown()).toBe(`down: 0 of 3 neighbours on wan0 answer; silent: ${HOSTS.join(", ")}`);
    expect(one.status().state).toBe("fault");
    // One that answers again shows that the link works: the others have gone.
    silent.delete(HOSTS[1]!);
    await stage.run(15_000);
    expect(shown()).toBe("up: 1 of 1 neighbours on wan0 answer");
    expect(one.status().state).toBe("active");
  });

  it.each([1, 3, "100%"])("of threshold %s never fails because of the mask", async (threshold) => {
    const { stage, silent, one, shown } = await watched("20s", threshold);
    const before = one.router.events.last;
    one.router.mask.add("203.0.113.102");
    await stage.run(2000);
    expect(shown()).toBe("up: 2 of 2 neighbours on wan0 answer");
    one.router.mask.add("203.0.113.0/24");
    await stage.run(2000);
    expect(shown()).toBe("up: all known neighbours on wan0 are masked (3)");
    // Longer than their age: nobody shows, and nobody is asked.
    await stage.run(120_000);
    expect(shown()).toMatch(/^up: all known neighbours on wan0 are masked \(\d\)$/);
    for (const [at, host] of HOSTS.entries())
      one.machine.showNeighbour("wan0", host, `02:00:00:00:00:0${at}`);
    one.router.mask.del("203.0.113.102");
    one.router.mask.del("203.0.113.0/24");
    await stage.run(2000);
    expect(shown()).toBe("up: 3 of 3 neighbours on wan0 answer");
    const since = one.events.filter(({ sequence }) => sequence > before);
    expect(since.filter(({ type }) => type === "track")).toEqual([]);
    // Neither does it hide that those who are asked are silent.
    one.router.mask.add(HOSTS[0]!);
    for (const host of HOSTS) silent.add(host);
    await stage.run(5000);
    expect(shown()).toBe(`down: 0 of 2 neighbours on wan0 answer; silent: ${HOSTS.slice(1).join(", ")}`);
  });

  it("is down where its interface has no line, whoever was known there", async () => {
    const { stage, one, shown } = await watched("5m");
    one.machine.cable("wan0")!.carrier = false;
    await stage.run(100);
    expect(shown()).toBe("down: wan0 has no carrier");
    one.machine.cable("wan0")!.carrier = true;
    await stage.run(2000);
    expect(shown()).toBe("up: 3 of 3 neighbours on wan0 answer");
    one.machine.removeInterface("wan0");
    await stage.run(100);
    expect(shown()).toBe("down: wan0 does not exist");
  });
});
