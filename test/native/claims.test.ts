/** Patterns with guards: the engine takes for claims what the simulated one does. */
import { describe, expect } from "vitest";
import type { HeartbeatProgram, PortId } from "../../src/core/automaton.js";
import { advertisementOfAny } from "../../src/core/vrrp/any-sender.js";
import { eventually } from "../../src/lab/wait.js";
import { fits, frameOf, reseal } from "../unit/core/frames.js";
import { onCable, opened, started } from "./engine-programs.js";

describe("claims that nobody made before", () => {
  /** One pattern of each kind of advertisement, and a counter for each. */
  function counting(port: PortId): HeartbeatProgram {
    const examples: readonly (readonly [Uint8Array, string])[] = [
      [frameOf("vrrp2-001"), "192.0.2.9"],
      [frameOf("vrrp3-001"), "192.0.2.9"],
      [frameOf("vrrp3-101"), "fe80::9"],
    ];
    const patterns = examples.map(([example, own]) => {
      const pattern = advertisementOfAny({ example, sameSource: false, own, priority: 90 });
      if (!pattern) throw new Error("no pattern");
      return { port, ...pattern };
    });
    const transitions = patterns.map((_, pattern) => ({
      trigger: { on: "pattern", pattern } as const,
      operations: [{ op: "count", counter: pattern } as const],
      next: 0,
      report: false,
    }));
    return { frames: [], patterns, kernelPlans: [], postures: [{ transitions }] };
  }

  /** Each octet of an advertisement changed in several ways, with its checksums right and wrong, padded and not. */
  function variations(of: Uint8Array): Uint8Array[] {
    return [...of.keys()].slice(12).flatMap((at) =>
      [0x01, 0x40, 0x80, 0xff].flatMap((bits) => {
        const copy = of.slice();
        copy[at] = (copy[at] as number) ^ bits;
        return [copy, reseal(copy), Uint8Array.of(...reseal(copy), 1, 2, 3)];
      }),
    );
  }

  onCable("count exactly as in the simulated engine", async (bench) => {
    const port = await opened(bench);
    const program = counting(port);
    const session = await started(bench, { program, operations: [] });
    const frames = ["vrrp2-001", "vrrp3-001", "vrrp3-002", "vrrp3-101"].flatMap((id) =>
      variations(frameOf(id)),
    );
    const expected = program.patterns.map((pattern) => frames.filter((frame) => fits(pattern, frame)).length);
    for (const count of expected) expect(count).toBeGreaterThan(50);
    bench.source(frames, 20_000, frames.length);
    await eventually("all are read", 20_000, async () => {
      const { received, droppedByKernel } = await bench.call("portCounters", port);
      return received + droppedByKernel >= frames.length;
    });
    expect([...(await bench.call("counters", session))].slice(0, 3)).toEqual(expected);
    const { received, matched, delivered, droppedUnread } = await bench.call("portCounters", port);
    expect([received, matched, delivered + droppedUnread]).toEqual([frames.length, 0, frames.length]);
  });
});
