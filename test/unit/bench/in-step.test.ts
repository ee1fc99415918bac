/** Labs that stand beside each other and wait for one another. */
import { describe, expect, it } from "vitest";
import { InStep } from "../../../bench/lib/in-step.js";

/** Lets everything run that waits for nothing any more. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("InStep", () => {
  it("lets nobody go on before all have come, again and again", async () => {
    const together = new InStep();
    const log: string[] = [];
    const [a, b] = [together.join(), together.join()];
    const walk = async (name: string, { step }: typeof a): Promise<void> => {
      for (const at of [1, 2]) {
        await step();
        log.push(`${name}${at}`);
      }
    };
    const first = walk("a", a);
    await settle();
    expect(log).toEqual([]);
    await Promise.all([first, walk("b", b)]);
    expect(log.slice(0, 2).sort()).toEqual(["a1", "b1"]);
    expect(log.slice(2).sort()).toEqual(["a2", "b2"]);
  });

  it("does not wait for who has left, however often it says so", async () => {
    const together = new InStep();
    const [a, b, c] = [together.join(), together.join(), together.join()];
    let went = false;
    const waits = a.step().then(() => {
      went = true;
    });
    b.leave();
    b.leave();
    await settle();
    expect(went).toBe(false);
    c.leave();
    await waits;
    await a.step();
  });
});
