/** Virtual time and seeded randomness. */
import { describe, expect, it } from "vitest";
import { Random, SimulatedWorld } from "../../../src/driver/simulated/index.js";

describe("virtual time", () => {
  it("runs appointments in the order of time, and of asking among equals", async () => {
    const world = new SimulatedWorld(1);
    const order: string[] = [];
    world.schedule(20, () => order.push("c"));
    world.schedule(10, () => order.push("a"));
    world.schedule(10, () => order.push("b"));
    const cancel = world.schedule(15, () => order.push("never"));
    cancel();
    await world.runUntil(19);
    expect([order, world.nowUs]).toEqual([["a", "b"], 19]);
    await world.runFor(1);
    expect([order, world.nowUs]).toEqual([["a", "b", "c"], 20]);
    expect(await world.step()).toBe(false);
  });

  it("keeps a thousand appointments in order", async () => {
    const world = new SimulatedWorld(2);
    const times: number[] = [];
    for (let count = 0; count < 1_000; count++) {
      world.schedule(world.random.integer(0, 5_000), () => times.push(world.nowUs));
    }
    await world.runUntil(5_000);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times).toHaveLength(1_000);
  });

  it("lets promises settle before time goes on", async () => {
    const world = new SimulatedWorld(3);
    const seen: string[] = [];
    world.schedule(1, () => {
      world.enterJavaScript();
      void (async () => {
        for (let turn = 0; turn < 20; turn++) await null;
        seen.push(`promise at ${world.nowUs}`);
      })();
    });
    world.schedule(2, () => seen.push("next"));
    await world.runUntil(10);
    expect(seen).toEqual(["promise at 1", "next"]);
  });

  it("settles promises of simulated code, and says when one does not", async () => {
    const world = new SimulatedWorld(4);
    const later = new Promise<number>((resolve) => {
      world.schedule(5_000, () => {
        world.enterJavaScript();
        resolve(world.nowUs);
      });
    });
    expect(await world.settle(later)).toBe(5_000);
    await expect(world.settle(new Promise(() => undefined), 1_000)).rejects.toThrow("still pending");
    await expect(world.settle(Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  });
});

describe("randomness", () => {
  it("is the same for the same seed on every machine", () => {
    const random = new Random(42);
    expect([random.next(), random.next(), random.next()]).toMatchInlineSnapshot(`
      [
        660444221,
        3652823732,
        77678286,
      ]
    `);
    expect(new Random(43).next()).not.toBe(new Random(42).next());
  });

  it("has streams that do not depend on each other", () => {
    const drawn = new Random(7);
    drawn.next();
    expect(drawn.fork("faults").next()).toBe(new Random(7).fork("faults").next());
    expect(drawn.fork("faults").next()).not.toBe(drawn.fork("hosts").next());
  });

  it("is even enough", () => {
    const random = new Random(9);
    const counts = new Array<number>(6).fill(0);
    for (let count = 0; count < 60_000; count++) counts[random.integer(0, 5)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
    expect(random.shuffle([1, 2, 3, 4, 5]).sort()).toEqual([1, 2, 3, 4, 5]);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});
