/** Every hook at a real interface: what gets through, who else stands there, and what a dead process leaves. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { virtualMac } from "../../../src/core/vrrp/advertisement.js";
import { eventually } from "../../../src/lab/wait.js";
import type { OwnershipGroup, OwnershipHook } from "../../../src/native/ownership.js";
import { arpRequest, claim, PEER_MAC, packet, solicitation, tagged } from "../../native/ownership-frames.js";
import { createWorld, type World } from "../kernel/support/namespaces.js";
import { whyNoNamespaces } from "../testbed/index.js";
import { type RemoteOwnership, sendFrames, startAgent, type Watch, watch } from "./plant.js";

const reason = whyNoNamespaces();
if (reason !== null) console.warn(`skipped: ${reason}`);

const HOOKS: readonly OwnershipHook[] = ["xdp", "xdp-generic", "tc", "tc-clsact"];
const V4 = virtualMac("ipv4", 10);
const V6 = virtualMac("ipv6", 10);
const COUNT = 20;
const many = (frame: Uint8Array): Uint8Array[] => Array.from({ length: COUNT }, () => frame);

let world: World;
const watches: Watch[] = [];

beforeEach(() => {
  world = createWorld();
});
afterEach(() => {
  for (const one of watches.splice(0)) one.stop();
  world.destroy();
});

/** A cable from "lan" (device far…) to the router (device lan…); the router's interface number. */
function cable(number = 0): number {
  const [near, far] = [`lan${number}`, `far${number}`];
  world.run(
    "router",
    "ip",
    "link",
    "add",
    near,
    "type",
    "veth",
    "peer",
    "name",
    far,
    "netns",
    world.namespace("lan"),
  );
  for (const [namespace, device] of [["router", near] as const, ["lan", far] as const])
    quietly(namespace, device);
  return Number(world.run("router", "cat", `/sys/class/net/${near}/ifindex`));
}

/** Up, and without anything to say of its own. */
function quietly(namespace: string, device: string): void {
  world.run(namespace, "sh", "-c", `echo 1 > /proc/sys/net/ipv6/conf/${device}/disable_ipv6`);
  world.run(namespace, "ip", "link", "set", device, "up");
}

/** A device that has a group's MAC, on top of another: it gets what the filter lets through. */
function macvlan(name: string, parent: string, mac: string): void {
  world.run(
    "router",
    "ip",
    "link",
    "add",
    name,
    "link",
    parent,
    "address",
    mac,
    "type",
    "macvlan",
    "mode",
    "private",
  );
  quietly("router", name);
}

function watchAt(namespace: string, device: string): Watch {
  const one = watch(world, namespace, device);
  watches.push(one);
  return one;
}

const group = (ifindex: number, more: Partial<OwnershipGroup> = {}): OwnershipGroup => ({
  ifindex,
  mac: V4,
  addresses: ["192.0.2.1"],
  overdueUs: 60_000_000,
  limitUs: 0,
  ...more,
});

async function counted(handle: RemoteOwnership, slot: number, expected: object): Promise<void> {
  let found = {};
  await eventually(
    `counters ${JSON.stringify(expected)}`,
    5_000,
    async () => {
      found = await handle.counters(slot);
      return JSON.stringify(found) === JSON.stringify({ ...found, ...expected });
    },
    () => JSON.stringify(found),
  );
}

/** Waits until so many frames came in, and asserts that no more did. */
async function arrived(at: Watch, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  await eventually(
    `${count} frames`,
    5_000,
    () => {
      frames.push(...at.frames());
      return frames.length >= count;
    },
    () => `${frames.length}`,
  );
  expect(frames).toHaveLength(count);
  return frames;
}

const state = (): string =>
  world.run(
    "router",
    "sh",
    "-c",
    "ip -o link | sed 's/qlen.*//'; tc qdisc; tc filter show dev lan0 ingress; bpftool net",
  );

describe.skipIf(reason !== null)("ownership at an interface", () => {
  for (const hook of HOOKS) {
    describe(hook, () => {
      it("lets through what is owned, and keeps out and in what is not", async () => {
        const ifindex = cable();
        macvlan("mv4", "lan0", V4);
        macvlan("mv6", "lan0", V6);
        const before = state();
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        expect(await handle.attach(ifindex, hook)).toBe(hook);
        await handle.setGroup(1, group(ifindex));
        await handle.setGroup(2, group(ifindex, { mac: V6, addresses: ["fe80::1"] }));
        const in4 = watchAt("router", "mv4");
        const in6 = watchAt("router", "mv6");
        const out = watchAt("lan", "far0");
        const send = (...frames: Uint8Array[]) => sendFrames(world, "lan", "far0", frames);
        const speak = (...frames: Uint8Array[]) => sendFrames(world, "router", "lan0", frames);

        await send(...many(packet(V4)), ...many(packet(V6, "ipv6")));
        await counted(handle, 1, { notOwned: COUNT, owned: 0 });
        await counted(handle, 2, { notOwned: COUNT, owned: 0 });
        await send(arpRequest("192.0.2.1"), solicitation("fe80::1"), arpRequest("192.0.2.7"));
        await counted(handle, 1, { unanswered: 1 });
        await counted(handle, 2, { unanswered: 1 });
        // A broadcast comes to each macvlan, in order: nothing that was dropped is still on its way.
        expect((await arrived(in4, 1))[0]?.[41]).toBe(7);
        expect((await arrived(in6, 1))[0]?.[41]).toBe(7);
        expect(
          await speak(packet(PEER_MAC, "ipv4", V4), packet(PEER_MAC, "ipv6", V6), packet(PEER_MAC)),
        ).toBe(2);
        await counted(handle, 1, { keptIn: 1 });
        await counted(handle, 2, { keptIn: 1 });
        await arrived(out, 1);

        await handle.setLease(1, true);
        await send(...many(packet(V4)), ...many(packet(V6, "ipv6")));
        await counted(handle, 1, { owned: COUNT, notOwned: COUNT });
        await counted(handle, 2, { owned: 0, notOwned: 2 * COUNT });
        await send(arpRequest("192.0.2.1"), solicitation("fe80::1"), arpRequest("192.0.2.7"));
        await arrived(in4, COUNT + 2);
        await arrived(in6, 2);
        await speak(packet(PEER_MAC, "ipv4", V4), packet(PEER_MAC, "ipv6", V6));
        await counted(handle, 2, { keptIn: 2 });
        await arrived(out, 1);

        await handle.close();
        expect(await agent.find([ifindex])).toEqual([]);
        await send(packet(V4), packet(V6, "ipv6"));
        await arrived(in4, 1);
        await arrived(in6, 1);
        expect(state()).toBe(before);
      });

      it("believes a claim that comes when it is overdue, and no other", async () => {
        const ifindex = cable();
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        await handle.attach(ifindex, hook);
        await handle.setGroup(1, group(ifindex));
        await handle.setGroup(2, group(ifindex, { mac: V6, addresses: [] }));
        const send = (...frames: Uint8Array[]) => sendFrames(world, "lan", "far0", frames);
        const uptimeUs = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e6;
        for (const slot of [1, 2]) await handle.setLease(slot, true);
        await send(claim(), claim({ family: "ipv6" }), packet(V4), packet(V6, "ipv6"));
        for (const slot of [1, 2]) await counted(handle, slot, { owned: 1 });
        expect(await handle.yields()).toBe(0);
        // Broken and foreign ones change nothing when it is overdue, either.
        for (const slot of [1, 2]) await handle.setLease(slot, true, Math.max(0, uptimeUs() - 61_000_000));
        const cuts = Array.from({ length: 28 }, (_, index) => claim().subarray(0, 14 + index));
        await send(...cuts, claim({ vrid: 11 }), claim({ priority: 0 }), packet(V4));
        await counted(handle, 1, { owned: 2 });
        expect(await handle.yields()).toBe(0);
        await send(claim(), packet(V4), packet(V6, "ipv6"));
        await counted(handle, 1, { owned: 2, notOwned: 1 });
        await counted(handle, 2, { owned: 2, notOwned: 0 });
        await send(claim({ family: "ipv6" }), packet(V6, "ipv6"));
        await counted(handle, 2, { owned: 2, notOwned: 1 });
        expect(await handle.yields()).toBe(2);
        await handle.close();
      });

      it("stays when its process is killed, until it is cleared", async () => {
        const ifindex = cable();
        macvlan("mv4", "lan0", V4);
        const before = state();
        const victim = startAgent(world, "router");
        const handle = await victim.open(4711);
        await handle.attach(ifindex, hook);
        await handle.setGroup(5, group(ifindex, { overdueUs: 0 }));
        await handle.setGroup(6, group(ifindex, { mac: V6, addresses: [] }));
        await handle.setLease(5, true);
        await victim.kill();
        const inside = watchAt("router", "mv4");
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await arrived(inside, COUNT);
        const agent = startAgent(world, "router");
        const found = await agent.find([ifindex]);
        expect(found).toMatchObject([
          {
            abi: 1,
            token: 4711,
            yields: 0,
            groups: [
              { slot: 5, ifindex, vlans: [], mac: V4, lease: { owner: true, overdueUs: 0 } },
              { slot: 6, ifindex, vlans: [], mac: V6, lease: { owner: false } },
            ],
          },
        ]);
        // No daemon is needed to give way.
        const outside = watchAt("router", "lan0");
        await sendFrames(world, "lan", "far0", [claim({ sourceMac: V4 }), packet(V4)]);
        await eventually(
          "the lease given up",
          5_000,
          async () => (await agent.find([ifindex]))[0]?.yields === 1,
        );
        expect((await agent.find([ifindex]))[0]?.groups[0]?.lease.owner).toBe(false);
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        // A socket at the interface has the claim. At tc its way ends there, and behind XDP it goes on to the device.
        await eventually("the claim", 5_000, () => outside.frames().some((frame) => frame[23] === 112));
        if (hook.startsWith("xdp")) expect((await arrived(inside, 1))[0]?.[23]).toBe(112);
        await agent.clear(found[0]!);
        expect(await agent.find([ifindex])).toEqual([]);
        expect(inside.frames()).toEqual([]);
        await sendFrames(world, "lan", "far0", [packet(V4)]);
        await arrived(inside, 1);
        expect(state()).toBe(before);
      });

      it("is put back where somebody took it off", async () => {
        const ifindex = cable();
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        await handle.attach(ifindex, hook);
        await handle.setGroup(1, group(ifindex));
        expect(await handle.mend(ifindex)).toEqual([]);
        const [before] = await agent.find([ifindex]);
        await agent.clear(before!);
        expect(await agent.find([ifindex])).toEqual([]);
        expect(await handle.mend(ifindex)).toHaveLength(2);
        const [after] = await agent.find([ifindex]);
        expect(after?.attached).toEqual(before?.attached);
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await counted(handle, 1, { notOwned: COUNT });
        world.run("router", "ip", "link", "del", "lan0");
        expect(await handle.mend(ifindex)).toEqual([]);
        await handle.close();
      });

      it("comes back with an interface that was in another network namespace", async () => {
        const ifindex = cable();
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        await handle.attach(ifindex, hook);
        world.run("router", "ip", "link", "set", "lan0", "netns", world.namespace("away"));
        await handle.detach(ifindex);
        world.run("away", "ip", "link", "set", "lan0", "netns", world.namespace("router"));
        quietly("router", "lan0");
        const again = Number(world.run("router", "cat", "/sys/class/net/lan0/ifindex"));
        expect(await handle.attach(again, hook)).toBe(hook);
        await handle.setGroup(1, group(again));
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await counted(handle, 1, { notOwned: COUNT });
        await handle.close();
        expect(await agent.find([again])).toEqual([]);
      });

      it("is adopted with all it has", async () => {
        const ifindex = cable();
        const second = cable(1);
        const before = state();
        const victim = startAgent(world, "router");
        const handle = await victim.open(1);
        await handle.attach(ifindex, hook);
        await handle.setGroup(5, group(ifindex));
        await handle.setLease(5, true);
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await counted(handle, 5, { owned: COUNT });
        await victim.kill();
        const agent = startAgent(world, "router");
        const [found] = await agent.find([ifindex, second]);
        const heir = await agent.adopt(found!, 2);
        expect(await heir.groups()).toMatchObject([{ slot: 5, ...group(ifindex), vlans: [] }]);
        expect(await heir.lease(5)).toMatchObject({ owner: true });
        await sendFrames(world, "lan", "far0", [packet(V4)]);
        await counted(heir, 5, { owned: COUNT + 1 });
        // What it adds belongs to the same tables.
        await heir.attach(second, hook);
        await heir.setGroup(6, group(second));
        await sendFrames(world, "lan", "far1", [packet(V4)]);
        await counted(heir, 6, { notOwned: 1 });
        const again = await agent.find([ifindex, second]);
        expect(again).toHaveLength(1);
        expect(again[0]).toMatchObject({ token: 2, tableId: found?.tableId });
        expect(again[0]?.attached).toHaveLength(4);
        // Programs that it did not load itself are put back as well.
        await agent.clear(again[0]!);
        expect(await agent.find([ifindex, second])).toEqual([]);
        for (const place of [ifindex, second]) expect(await heir.mend(place)).toHaveLength(2);
        expect((await agent.find([ifindex, second]))[0]?.attached).toEqual(again[0]?.attached);
        await sendFrames(world, "lan", "far0", [packet(V4)]);
        await counted(heir, 5, { owned: COUNT + 2 });
        await heir.removeGroup(5);
        await sendFrames(world, "lan", "far0", [packet(V4)]);
        await heir.close();
        expect(await agent.find([ifindex, second])).toEqual([]);
        expect(state()).toBe(before);
      });

      it("keeps one virtual router apart on two interfaces", async () => {
        const indexes = [cable(0), cable(1)];
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        for (const [number, ifindex] of indexes.entries()) {
          await handle.attach(ifindex, hook);
          await handle.setGroup(number + 1, group(ifindex));
        }
        await handle.setLease(2, true);
        for (const device of ["far0", "far1"]) await sendFrames(world, "lan", device, many(packet(V4)));
        await counted(handle, 1, { owned: 0, notOwned: COUNT });
        await counted(handle, 2, { owned: COUNT, notOwned: 0 });
        await handle.detach(indexes[0] as number);
        await sendFrames(world, "lan", "far1", [packet(V4)]);
        await counted(handle, 2, { owned: COUNT + 1 });
        expect((await handle.attached()).map((one) => one.ifindex)).toEqual([indexes[1], indexes[1]]);
        await handle.close();
      });
    });
  }

  for (const hook of ["tc", "tc-clsact"] as const) {
    it(`${hook} knows the tags that come beside the frame, end to end`, async () => {
      const ifindex = cable();
      macvlan("mv4", "lan0", V4);
      // The kernel takes the outer tag off a frame before tc; a bridge sends it on without putting it back.
      world.run("lan", "ip", "link", "add", "br0", "type", "bridge");
      world.run("lan", "ip", "link", "add", "host0", "type", "veth", "peer", "name", "port0");
      for (const port of ["port0", "far0"]) world.run("lan", "ip", "link", "set", port, "master", "br0");
      for (const device of ["br0", "host0", "port0"]) quietly("lan", device);
      // A port forwards once the kernel has noticed its carrier.
      for (const port of ["port0", "far0"])
        await eventually(
          `${port} forwards`,
          10_000,
          () => world.run("lan", "cat", `/sys/class/net/${port}/brport/state`).trim() === "3",
        );
      const agent = startAgent(world, "router");
      const handle = await agent.open(1);
      await handle.attach(ifindex, hook);
      const places = [[], [5], [7, 6]];
      for (const [index, vlans] of places.entries())
        await handle.setGroup(index + 1, group(ifindex, { vlans }));
      const inside = watchAt("router", "mv4");
      const out = watchAt("lan", "far0");
      const forms = (frame: Uint8Array) => [frame, tagged(frame, 5), tagged(frame, [0x88a8, 7], 6)];
      let rounds = 0;
      for (const device of ["far0", "host0"]) {
        for (const open of [1, 2, 3]) {
          rounds++;
          for (const slot of [1, 2, 3]) await handle.setLease(slot, slot === open);
          for (const form of forms(packet(V4))) await sendFrames(world, "lan", device, many(form));
          await sendFrames(world, "lan", device, forms(arpRequest("192.0.2.1")));
          for (const slot of [1, 2, 3]) {
            const owned = Math.floor((rounds + 3 - slot) / 3);
            await counted(handle, slot, { owned: COUNT * owned, notOwned: COUNT * (rounds - owned) });
            await counted(handle, slot, { unanswered: rounds - owned });
          }
          await arrived(inside, COUNT + 1);
        }
      }
      out.frames();
      const kept = await sendFrames(world, "router", "lan0", forms(packet(PEER_MAC, "ipv4", V4)));
      expect(kept).toBe(2);
      for (const slot of [1, 2, 3]) await counted(handle, slot, { keptIn: slot === 3 ? 0 : 1 });
      await arrived(out, 1);
      await handle.close();
    });
  }

  it("xdp knows the tags within the frame", async () => {
    const ifindex = cable();
    const agent = startAgent(world, "router");
    const handle = await agent.open(1);
    await handle.attach(ifindex, "xdp");
    await handle.setGroup(2, group(ifindex, { vlans: [5] }));
    await sendFrames(world, "lan", "far0", many(tagged(packet(V4), 5)));
    await counted(handle, 2, { notOwned: COUNT });
    await handle.close();
  });

  describe("beside other programs", () => {
    it("at tc, theirs runs too and stays", async () => {
      const ifindex = cable();
      macvlan("mv4", "lan0", V4);
      const agent = startAgent(world, "router");
      const theirs = await agent.open(1);
      const ours = await agent.open(2);
      const inside = watchAt("router", "mv4");
      for (const [hook, place] of [
        ["tc", "tcx-ingress"] as const,
        ["tc-clsact", "clsact-ingress"] as const,
      ]) {
        await theirs.attachBare(ifindex, place, "bare-tc-drop");
        const alone = await theirs.attached();
        await ours.attach(ifindex, hook);
        await ours.setGroup(1, group(ifindex));
        await ours.setLease(1, true);
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        // Ours comes first and lets it through, theirs drops it.
        await counted(ours, 1, { owned: COUNT });
        expect(inside.frames()).toEqual([]);
        await ours.detach(ifindex);
        await ours.removeGroup(1);
        expect(await theirs.attached()).toEqual(alone);
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await theirs.detach(ifindex);
        await sendFrames(world, "lan", "far0", [packet(V4)]);
        await arrived(inside, 1);
      }
      expect(world.run("router", "tc", "qdisc")).not.toContain("clsact");
    });

    it("at tc egress, the guard comes before one that ends the way", async () => {
      const ifindex = cable();
      const agent = startAgent(world, "router");
      const theirs = await agent.open(1);
      const ours = await agent.open(2);
      for (const [hook, place] of [["tc", "tcx-egress"] as const, ["tc-clsact", "clsact-egress"] as const]) {
        await theirs.attachBare(ifindex, place, "bare-tc-end");
        await ours.attach(ifindex, hook);
        await ours.setGroup(1, group(ifindex));
        expect(await sendFrames(world, "router", "lan0", many(packet(PEER_MAC, "ipv4", V4)))).toBe(COUNT);
        await counted(ours, 1, { keptIn: COUNT });
        await ours.detach(ifindex);
        await ours.removeGroup(1);
        await theirs.detach(ifindex);
      }
    });

    it("at XDP, ours is refused, and tc goes", async () => {
      const ifindex = cable();
      const agent = startAgent(world, "router");
      const theirs = await agent.open(1);
      const ours = await agent.open(2);
      for (const hook of ["xdp", "xdp-generic"] as const) {
        await theirs.attachBare(ifindex, hook, "bare-xdp-pass");
        await expect(ours.attach(ifindex, hook)).rejects.toMatchObject({ code: "EBUSY" });
        expect(await ours.attached()).toEqual([]);
        expect(await ours.attach(ifindex, "tc")).toBe("tc");
        await ours.setGroup(1, group(ifindex));
        await sendFrames(world, "lan", "far0", many(packet(V4)));
        await counted(ours, 1, { notOwned: COUNT });
        await ours.detach(ifindex);
        await ours.removeGroup(1);
        expect(world.run("router", "ip", "link", "show", "lan0")).toContain("prog/xdp");
        await theirs.detach(ifindex);
        // The same when they come later, after somebody took ours off.
        await ours.attach(ifindex, hook);
        world.run("router", "ip", "link", "set", "lan0", hook === "xdp" ? "xdpdrv" : "xdpgeneric", "off");
        await theirs.attachBare(ifindex, hook, "bare-xdp-pass");
        await expect(ours.mend(ifindex)).rejects.toMatchObject({ code: "EBUSY" });
        await ours.detach(ifindex);
        await theirs.detach(ifindex);
        expect(world.run("router", "ip", "link", "show", "lan0")).not.toContain("prog/xdp");
      }
    });

    it("two processes at one interface are told apart, and each clears its own", async () => {
      const ifindex = cable();
      const agent = startAgent(world, "router");
      const handles = [await agent.open(1), await agent.open(2)];
      for (const handle of handles) await handle.attach(ifindex, "tc");
      const found = await agent.find([ifindex]);
      expect(found.map((one) => one.token).sort()).toEqual([1, 2]);
      await agent.clear(found.find((one) => one.token === 1)!);
      expect((await agent.find([ifindex])).map((one) => one.token)).toEqual([2]);
      // What was cleared from outside is gone for its owner as well.
      await handles[0]?.close();
      expect((await agent.find([ifindex])).map((one) => one.token)).toEqual([2]);
      await handles[1]?.close();
      expect(await agent.find([ifindex])).toEqual([]);
    });

    it("what an heir that died put into the tables is in nobody's way", async () => {
      const ifindex = cable();
      const agent = startAgent(world, "router");
      const handle = await agent.open(1);
      await handle.attach(ifindex, "tc");
      await handle.setGroup(1, group(ifindex));
      const victim = startAgent(world, "router");
      const heir = await victim.adopt((await victim.find([ifindex]))[0]!, 1);
      const six = group(ifindex, { mac: V6, addresses: ["fe80::1"] });
      await heir.setGroup(2, six);
      await victim.kill();
      const other = virtualMac("ipv4", 11);
      await handle.setGroup(2, group(ifindex, { mac: other, addresses: ["192.0.2.11"] }));
      await handle.setGroup(3, six);
      await handle.setLease(3, true);
      const frames = [packet(V6, "ipv6"), solicitation("fe80::1"), packet(other)];
      await sendFrames(world, "lan", "far0", frames);
      await counted(handle, 3, { owned: 1, unanswered: 0 });
      await counted(handle, 2, { notOwned: 1 });
      // What is somebody's is refused, and leaves no half group behind.
      await expect(handle.setGroup(4, six)).rejects.toMatchObject({ code: "EEXIST" });
      const half = group(ifindex, { mac: virtualMac("ipv4", 12), addresses: ["192.0.2.1", "192.0.2.12"] });
      await expect(handle.setGroup(4, half)).rejects.toMatchObject({ code: "EEXIST" });
      expect((await handle.groups()).map(({ slot }) => slot)).toEqual([1, 2, 3]);
      await handle.setGroup(5, { ...half, addresses: ["192.0.2.12"] });
      await handle.close();
    });

    it("an interface that goes takes all with it", async () => {
      for (const hook of HOOKS) {
        const ifindex = cable();
        const agent = startAgent(world, "router");
        const handle = await agent.open(1);
        await handle.attach(ifindex, hook);
        world.run("router", "ip", "link", "del", "lan0");
        expect(await agent.find([ifindex])).toEqual([]);
        await handle.detach(ifindex);
        await handle.close();
        await agent.kill();
      }
    });

    it("a refused hook leaves nothing", async () => {
      cable();
      const agent = startAgent(world, "router");
      const handle = await agent.open(1);
      await expect(handle.attach(1, "xdp")).rejects.toMatchObject({ code: /EOPNOTSUPP|ENOTSUP/ });
      expect(await agent.find([1])).toEqual([]);
      expect(world.run("router", "tc", "qdisc", "show", "dev", "lo")).not.toContain("clsact");
      await handle.close();
    });
  });
});
