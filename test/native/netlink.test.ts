/** The native netlink surface: bytes of requests, wrong arguments, and its ends (descriptors, worker threads). */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { loadNative } from "../../src/native.js";

const native = loadNative();

/** Header and attributes of a request, in the byte order of this machine (little endian on all that Node runs on). */
function takeApart(message: Uint8Array, headerLength: number) {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const header = Buffer.from(message.subarray(16, 16 + headerLength)).toString("hex");
  return {
    length: view.getUint32(0, true),
    type: view.getUint16(4, true),
    flags: view.getUint16(6, true),
    sequence: view.getUint32(8, true),
    header,
    attributes: attributesOf(message.subarray(16 + headerLength)),
  };
}

function attributesOf(bytes: Uint8Array): { type: number; value: Uint8Array }[] {
  const found: { type: number; value: Uint8Array }[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    found.push({ type: view.getUint16(at + 2, true), value: bytes.subarray(at + 4, at + length) });
    at += (length + 3) & ~3;
  }
  return found;
}

const IFINFO = 16;
const IFADDR = 8;
const REQUEST_ACK = 0x5;
const CREATE_EXCL = 0x600;

function hexOf(attributes: { type: number; value: Uint8Array }[], type: number): string | undefined {
  const found = attributes.find((one) => one.type === type);
  return found && Buffer.from(found.value).toString("hex");
}

describe("requests", () => {
  it("create a macvlan with its MAC from the start", () => {
    const message = native.encodeCreateMacvlan({
      parentIfindex: 7,
      name: "fh10-eth0",
      mac: "00:00:5e:00:01:0a",
      mode: "source",
    });
    const { attributes, ...head } = takeApart(message, IFINFO);
    expect(head).toEqual({
      length: message.length,
      type: 16,
      flags: REQUEST_ACK | CREATE_EXCL,
      sequence: 0,
      header: "00".repeat(16),
    });
    expect(hexOf(attributes, 5)).toBe("07000000");
    expect(hexOf(attributes, 3)).toBe(Buffer.from("fh10-eth0\0").toString("hex"));
    expect(hexOf(attributes, 1)).toBe("00005e00010a");
    const info = attributesOf(attributes.find((one) => one.type === 18)?.value as Uint8Array);
    expect(hexOf(info, 1)).toBe(Buffer.from("macvlan\0").toString("hex"));
    expect(hexOf(attributesOf(info[1]?.value as Uint8Array), 1)).toBe("10000000");
  });

  it("change a link's mode, state, tag and settings", () => {
    const mode = takeApart(native.encodeChangeLink({ ifindex: 9, macvlanMode: "private" }), IFINFO);
    expect(mode).toMatchObject({
      type: 16,
      flags: REQUEST_ACK,
      header: `00000000${"09000000"}${"00".repeat(8)}`,
    });
    const up = takeApart(native.encodeChangeLink({ ifindex: 9, up: true }), IFINFO);
    expect(up.header).toBe("00000000090000000100000001000000");
    const down = takeApart(native.encodeChangeLink({ ifindex: 9, up: false }), IFINFO);
    expect(down.header).toBe("00000000090000000000000001000000");
    const more = native.encodeChangeLink({
      name: "x",
      alias: "firsthop:1",
      addrGenMode: 1,
      ipv4: { arp_ignore: 8 },
    });
    const { attributes } = takeApart(more, IFINFO);
    expect(hexOf(attributes, 3)).toBe("7800");
    expect(hexOf(attributes, 20)).toBe(Buffer.from("firsthop:1\0").toString("hex"));
    const families = attributesOf(attributes.find((one) => one.type === 26)?.value as Uint8Array);
    expect(families.map((one) => one.type)).toEqual([2, 10]);
    const conf = attributesOf(attributesOf(families[0]?.value as Uint8Array)[0]?.value as Uint8Array);
    expect(conf.map((one) => [one.type, one.value[0]])).toEqual([[19, 8]]);
    expect(hexOf(attributesOf(families[1]?.value as Uint8Array), 8)).toBe("01");
  });

  it("add and delete addresses", () => {
    const change = { ifindex: 3, address: "fe80::1", prefixLength: 64, routeMetric: 50_000 };
    const added = takeApart(native.encodeAddAddress(change), IFADDR);
    expect(added).toMatchObject({ type: 20, flags: REQUEST_ACK | CREATE_EXCL, header: "0a4000fd03000000" });
    expect(hexOf(added.attributes, 2)).toBe("fe800000000000000000000000000001");
    expect(hexOf(added.attributes, 8)).toBe("02000000"); // no duplicate address detection
    expect(hexOf(added.attributes, 9)).toBe("50c30000");
    expect(hexOf(added.attributes, 11)).toBe("70");
    const deleted = takeApart(
      native.encodeDeleteAddress({ ifindex: 3, address: "192.0.2.1", prefixLength: 24 }),
      IFADDR,
    );
    expect(deleted).toMatchObject({ type: 21, flags: REQUEST_ACK, header: "0218000003000000" });
    expect(hexOf(deleted.attributes, 1)).toBe("c0000201");
    const local = { ifindex: 3, address: "127.112.0.1", prefixLength: 32, hostScope: true };
    expect(takeApart(native.encodeAddAddress(local), IFADDR).header).toBe("022000fe03000000");
  });

  it("add blackhole routes, also to tables above 255", () => {
    const main = takeApart(native.encodeAddBlackhole({ address: "192.0.2.1" }), 12);
    expect(main).toMatchObject({
      type: 24,
      flags: REQUEST_ACK | CREATE_EXCL,
      header: "02200000fe70000600000000",
    });
    const high = takeApart(native.encodeDeleteBlackhole({ address: "2001:db8::1", table: 1000 }), 12);
    expect(high).toMatchObject({ type: 25, header: "0a8000000070000600000000" });
    expect(hexOf(high.attributes, 15)).toBe("e8030000");
  });

  it("delete one link, or a group", () => {
    expect(takeApart(native.encodeDeleteLink({ ifindex: 5 }), IFINFO)).toMatchObject({
      type: 17,
      flags: REQUEST_ACK,
    });
    const group = takeApart(native.encodeDeleteGroup({ group: 0x70000001 }), IFINFO);
    expect(group.header).toBe("00".repeat(16));
    expect(hexOf(group.attributes, 27)).toBe("01000070");
  });
});

describe("wrong arguments", () => {
  const wrong: readonly [string, () => unknown][] = [
    ["no options", () => native.encodeDeleteLink(undefined as never)],
    ["index 0", () => native.encodeDeleteLink({ ifindex: 0 })],
    ["an index that is no number", () => native.encodeDeleteLink({ ifindex: "1" as never })],
    ["a fraction", () => native.encodeDeleteLink({ ifindex: 1.5 })],
    ["not a number", () => native.encodeDeleteLink({ ifindex: Number.NaN })],
    ["a name of 16", () => native.encodeChangeLink({ name: "1234567890123456", up: true })],
    ["a name with a zero", () => native.encodeChangeLink({ name: "a\0b", up: true })],
    ["no MAC", () => native.encodeChangeLink({ ifindex: 1, mac: "00:00:5e:00:01" })],
    ["a MAC with junk", () => native.encodeChangeLink({ ifindex: 1, mac: "00:00:5e:00:01:0g" })],
    [
      "a prefix too long",
      () => native.encodeAddAddress({ ifindex: 1, address: "192.0.2.1", prefixLength: 33 }),
    ],
    ["no address", () => native.encodeAddAddress({ ifindex: 1, address: "192.0.2", prefixLength: 24 })],
    ["another mode", () => native.encodeChangeLink({ ifindex: 1, macvlanMode: "bridge" as never })],
    ["an unknown setting", () => native.encodeChangeLink({ ifindex: 1, ipv4: { forwarding: 1 } as never })],
    ["steps that are none", () => new native.NetlinkSocket().run([{} as never])],
    ["a message cut short", () => new native.NetlinkSocket().run([{ message: new Uint8Array(20) }])],
    ["no steps", () => new native.NetlinkSocket().run(undefined as never)],
    ["an unknown dump", () => new native.NetlinkSocket().dump("rules" as never)],
    ["no listener", () => new native.NetlinkMonitor(undefined as never)],
    ["no name", () => native.holdNamespaceName(undefined as never)],
  ];
  it.each(wrong)("%s", (_, call) => {
    expect(call).toThrow(TypeError);
  });

  it("a socket that is closed", async () => {
    const socket = new native.NetlinkSocket();
    const links = socket.dump("links");
    socket.close();
    expect(await links).toContainEqual(expect.objectContaining({ name: "lo", ifindex: 1, kind: null }));
    expect(() => socket.dump("links")).toThrow(/Bad file descriptor/);
  });
});

describe("a socket", () => {
  it("answers in the order of the requests, and tells which steps failed and why", async () => {
    const socket = new native.NetlinkSocket();
    const missing = native.encodeChangeLink({ name: "no-such-link", up: true });
    const order: number[] = [];
    const runs = [1, 2, 3].map((one) => socket.run([{ message: missing }]).then(() => order.push(one)));
    const failures = await socket.run([
      { message: missing },
      { path: "/proc/sys/net/no-such-file", value: "1" },
      ...Array.from({ length: 200 }, () => ({ message: missing })),
    ]);
    await Promise.all(runs);
    expect(order).toEqual([1, 2, 3]);
    expect(failures).toHaveLength(202);
    expect(failures.map((one) => one.index)).toEqual(Array.from({ length: 202 }, (_, index) => index));
    expect(failures[1]).toEqual({ index: 1, errno: 2, text: "" });
    socket.close();
  });
});

describe("presence", () => {
  it("is a name that one may hold", () => {
    const name = `firsthop-test-${process.pid}`;
    expect(native.isNamespaceNameHeld(name)).toBe(false);
    const letGo = native.holdNamespaceName(name);
    expect(native.isNamespaceNameHeld(name)).toBe(true);
    // Nobody accepts the connections that asking makes; also a full queue means that somebody is there.
    for (let asked = 0; asked < 5_000; asked++) expect(native.isNamespaceNameHeld(name)).toBe(true);
    expect(() => native.holdNamespaceName(name)).toThrow(/in use/);
    letGo();
    letGo();
    expect(native.isNamespaceNameHeld(name)).toBe(false);
    expect(() => native.holdNamespaceName("x".repeat(200))).toThrow(/too long/);
  });

  it("is a lock that one may have", () => {
    const directory = mkdtempSync(join(tmpdir(), `firsthop-lock-${process.pid}-`));
    const unlock = native.tryLock(directory);
    expect(unlock).toBeTypeOf("function");
    expect(native.tryLock(directory)).toBeNull();
    unlock?.();
    const again = native.tryLock(directory);
    expect(again).toBeTypeOf("function");
    again?.();
    rmSync(directory, { recursive: true });
    expect(() => native.tryLock(directory)).toThrow(/No such file/);
  });

  it("is a namespace with an identity", () => {
    expect(native.namespaceCookie()).toMatch(/^[0-9]+$/);
  });
});

describe("ends", () => {
  const openFiles = (): number => readdirSync("/proc/self/fd").length;

  it("leak no descriptor", async () => {
    const before = openFiles();
    for (let round = 0; round < 50; round++) {
      const monitor = new native.NetlinkMonitor(() => undefined);
      const socket = new native.NetlinkSocket();
      const dump = socket.dump("addresses");
      monitor.close();
      monitor.close();
      socket.close();
      socket.close();
      await dump;
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(openFiles()).toBeLessThanOrEqual(before);
  });

  it("of a worker thread come at any moment", async () => {
    const before = openFiles();
    const addon = join(import.meta.dirname, "../..");
    const script = `
      const { parentPort } = require("node:worker_threads");
      const native = require("node-gyp-build")(${JSON.stringify(addon)});
      new native.NetlinkMonitor(() => undefined);
      globalThis.name = native.holdNamespaceName("firsthop-worker-" + process.pid);
      const socket = new native.NetlinkSocket();
      for (let i = 0; i < 200; i++) socket.dump("links");
      parentPort.postMessage("busy");
    `;
    for (let round = 0; round < 10; round++) {
      const worker = new Worker(script, { eval: true });
      await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
    }
    expect(openFiles()).toBeLessThanOrEqual(before + 2);
    expect(native.isNamespaceNameHeld(`firsthop-worker-${process.pid}`)).toBe(false);
  });
});
