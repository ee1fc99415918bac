/** The simulated LAN: what a learning switch does, and what faults do to it. */
import { describe, expect, it } from "vitest";
import { macToBytes } from "../../../src/core/address.js";
import { buildEthernet } from "../../../src/core/ethernet.js";
import {
  type Cable,
  SimulatedSegment,
  SimulatedWorld,
  type Station,
} from "../../../src/driver/simulated/index.js";

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const GROUP = "01:00:5e:00:00:12";

class Listener implements Station {
  readonly name: string;
  readonly mac: string;
  readonly heard: number[] = [];
  readonly carriers: boolean[] = [];
  readonly cable: Cable;

  constructor(segment: SimulatedSegment, index: number) {
    this.name = `s${index}`;
    this.mac = `02:00:00:00:00:0${index}`;
    this.cable = segment.attach(this);
  }

  receive(frame: Uint8Array): void {
    this.heard.push(frame[14] as number);
  }

  carrierChanged(carrier: boolean): void {
    this.carriers.push(carrier);
  }

  say(to: string, what: number, from: string = this.mac): void {
    this.cable.send(buildEthernet(macToBytes(to), macToBytes(from), 0x88b5, Uint8Array.of(what)));
  }
}

function lan(stations: number, seed = 1) {
  const world = new SimulatedWorld(seed);
  const segment = new SimulatedSegment(world);
  const all = Array.from({ length: stations }, (_, index) => new Listener(segment, index + 1));
  const heard = async (): Promise<number[][]> => {
    await world.runFor(10_000_000);
    return all.map((one) => one.heard.splice(0));
  };
  return { world, segment, all: all as [Listener, Listener, Listener, ...Listener[]], heard };
}

describe("the simulated switch", () => {
  it("floods what it does not know, and learns from what it hears", async () => {
    const { all, heard } = lan(3);
    const [a, b] = all;
    a.say(b.mac, 1);
    expect(await heard()).toEqual([[], [1], [1]]);
    b.say(a.mac, 2);
    expect(await heard()).toEqual([[2], [], []]);
    a.say(b.mac, 3);
    expect(await heard()).toEqual([[], [3], []]);
  });

  it("floods multicast and broadcast to everybody but the sender", async () => {
    const { all, heard } = lan(3);
    all[0].say(GROUP, 1);
    all[0].say(BROADCAST, 2);
    expect(await heard()).toEqual([[], [1, 2], [1, 2]]);
  });

  it("follows an address that moves to another port", async () => {
    const { all, heard } = lan(3);
    const [a, b, c] = all;
    const moving = "00:00:5e:00:01:0a";
    a.say(BROADCAST, 1, moving);
    c.say(moving, 2);
    b.say(BROADCAST, 3, moving);
    c.say(moving, 4);
    expect(await heard()).toEqual([
      [2, 3],
      [1, 4],
      [1, 3],
    ]);
  });

  it("forgets a port that loses its carrier, and tells the station", async () => {
    const { all, heard } = lan(3);
    const [a, b, c] = all;
    b.say(BROADCAST, 1);
    b.cable.carrier = false;
    b.cable.carrier = true;
    a.say(b.mac, 2);
    expect(await heard()).toEqual([[1], [2], [1, 2]]);
    expect(b.carriers).toEqual([false, true]);
    c.cable.carrier = false;
    a.say(BROADCAST, 3);
    expect(await heard()).toEqual([[], [3], []]);
  });

  it("forgets addresses that were silent for five minutes", async () => {
    const { world, all, heard } = lan(3);
    const [a, b] = all;
    b.say(BROADCAST, 1);
    await world.runFor(301_000_000);
    await heard();
    a.say(b.mac, 2);
    expect(await heard()).toEqual([[], [2], [2]]);
  });
});

describe("faults", () => {
  it("a partition makes two switches of one, each with its own table", async () => {
    const { segment, all, heard } = lan(4);
    const [a, b, c, d] = all as unknown as [Listener, Listener, Listener, Listener];
    segment.partition([
      [a.cable, b.cable],
      [c.cable, d.cable],
    ]);
    const shared = "00:00:5e:00:01:0a";
    a.say(BROADCAST, 1, shared);
    c.say(BROADCAST, 2, shared);
    b.say(shared, 3);
    d.say(shared, 4);
    expect(await heard()).toEqual([[3], [1], [4], [2]]);
    segment.heal();
    // Each side goes on believing what it knew until the address is heard again.
    b.say(shared, 5);
    d.say(shared, 6);
    a.say(BROADCAST, 7, shared);
    d.say(shared, 8);
    expect(await heard()).toEqual([[5, 8], [7], [6, 7], [7]]);
  });

  it("a one-way block leaves the other direction alone", async () => {
    const { segment, all, heard } = lan(2);
    const [a, b] = all;
    segment.block(a.cable, b.cable);
    a.say(BROADCAST, 1);
    b.say(BROADCAST, 2);
    expect(await heard()).toEqual([[2], []]);
  });

  it("a clogged cable holds frames of both directions, in order", async () => {
    const { all, heard } = lan(2);
    const [a, b] = all;
    b.cable.clogged = true;
    a.say(BROADCAST, 1);
    a.say(BROADCAST, 2);
    b.say(BROADCAST, 3);
    expect(await heard()).toEqual([[], []]);
    b.cable.clogged = false;
    expect(await heard()).toEqual([[3], [1, 2]]);
  });

  it("jitter keeps the order, reordering does not", async () => {
    const { segment, all, heard } = lan(2);
    const numbers = Array.from({ length: 100 }, (_, index) => index);
    segment.faults = { ...segment.faults, delayUs: 100, jitterUs: 5_000 };
    for (const number of numbers) all[0].say(BROADCAST, number);
    expect((await heard())[1]).toEqual(numbers);
    segment.faults = { ...segment.faults, reorder: 0.2, jitterUs: 0 };
    for (const number of numbers) all[0].say(BROADCAST, number);
    const disordered = (await heard())[1] as number[];
    expect(disordered).not.toEqual(numbers);
    expect([...disordered].sort((a, b) => a - b)).toEqual(numbers);
  });

  it("loses and doubles about as many frames as asked for", async () => {
    const { segment, all, heard } = lan(2);
    segment.faults = { ...segment.faults, loss: 0.4 };
    for (let count = 0; count < 2_000; count++) all[0].say(BROADCAST, 0);
    const kept = (await heard())[1]?.length ?? 0;
    expect(kept / 2_000).toBeGreaterThan(0.6);
    expect(kept / 2_000).toBeLessThan(0.68);
    segment.faults = { ...segment.faults, loss: 0, duplicate: 1 };
    all[0].say(BROADCAST, 7);
    expect((await heard())[1]).toEqual([7, 7]);
  });

  it("faults of one cable do not touch the others", async () => {
    const { all, heard } = lan(3);
    all[1].cable.faults = { loss: 2 };
    all[0].say(BROADCAST, 1);
    expect(await heard()).toEqual([[], [], [1]]);
  });
});
