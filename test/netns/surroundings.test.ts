/** What stands around a router: the owner's own interface, a bridge as the LAN leg, forgeries, floods, odd intervals. */
import { describe, expect } from "vitest";
import { ipToBytes, macToBytes } from "../../src/core/address.js";
import { arpFrame } from "../../src/core/arp.js";
import { internetChecksum, pseudoHeaderSum } from "../../src/core/checksum.js";
import { buildEthernet, buildIp, putU16 } from "../../src/core/ethernet.js";
import { GROUP_ADDRESS, GROUP_MAC } from "../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementFrame } from "../../src/core/vrrp/packet.js";
import type { RouterStatus } from "../../src/engine/status.js";
import { daemonConfig, type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { writeSysctls } from "../../src/lab/namespaces.js";
import type { LabFamily, LabNode } from "../../src/lab/topology.js";
import { loadNative } from "../../src/native.js";
import {
  DEVICE_OF_VRID_10,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  withLab,
} from "./testbed/index.js";

interface Plan {
  readonly family: LabFamily;
  readonly priority: number;
  readonly addresses?: readonly string[];
  readonly more?: Readonly<Record<string, unknown>>;
}

async function start(
  lab: Lab,
  index: number,
  { family, priority, addresses, more }: Plan,
): Promise<LabDaemon> {
  const base = { vrid: 10, family, version: 3 as const, priority, intervalMs: 100 };
  const config = daemonConfig({ ...base, ...(addresses ? { addresses } : {}), ...(more ? { more } : {}) });
  return startDaemon(lab, lab.routers[index] as LabRouter, config);
}

async function startBoth(lab: Lab, plan: Omit<Plan, "priority">): Promise<[LabDaemon, LabDaemon]> {
  const active = await start(lab, 0, { ...plan, priority: 150 });
  await active.reach("active", 15_000);
  const backup = await start(lab, 1, { ...plan, priority: 100 });
  await backup.reach("backup", 15_000);
  return [active, backup];
}

/** Lines of the daemon's log with an event of this code. */
function eventsOf({ process: { output } }: LabDaemon, code: string): string[] {
  return output()
    .split("\n")
    .filter((line) => line.includes(`"code":"${code}"`));
}

/** Sends these frames in turn from a host, until so many are out. */
async function inject(
  host: LabNode,
  frames: readonly Uint8Array[],
  packetsPerSecond: number,
  count: number,
): Promise<void> {
  const source = new (loadNative().TrafficSource)({
    namespace: host.path,
    interface: "eth0",
    frames,
    packetsPerSecond,
    capacity: count,
    realtimePriority: 0,
  });
  try {
    await eventually("all frames are out", 20_000, () => source.status().sent >= count);
    expect(source.status().errors).toBe(0);
  } finally {
    source.stop();
  }
}

const changesOf = (status: RouterStatus): number =>
  status.virtualRouters[0]?.statistics.masterTransitions ?? -1;

const ping = (lab: Lab, address: string): Promise<string> =>
  (lab.hosts[0] as LabNode).run("ping", "-c1", "-W2", address);

describe("an owner", () => {
  netnsTest(
    "has the address on its interface before, while and after",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const first = lab.routers[0] as LabRouter;
        const own = first.addresses.ipv4;
        const addresses = [`${own}/24`];
        const where = (): Promise<string> => first.run("ip", "-o", "addr", "show", "dev", "lan0");
        const before = await where();
        const owner = await start(lab, 0, { family: "ipv4", priority: 255, addresses });
        // It waits for nobody.
        await owner.reach("active", 2_000);
        const backup = await start(lab, 1, { family: "ipv4", priority: 100, addresses });
        await backup.reach("backup", 15_000);
        await ping(lab, own);
        expect(await where()).toContain(own);
        await lab.cut(first, "lan");
        await backup.reach("active", 5_000);
        await ping(lab, own);
        await lab.restore(first, "lan");
        await backup.reach("backup", 5_000);
        await owner.reach("active", 1_000);
        await ping(lab, own);
        await owner.stop();
        await backup.reach("active", 5_000);
        const addressesOf = (text: string): string[] => [...text.matchAll(/inet6? \S+/g)].map(([one]) => one);
        expect(addressesOf(await where())).toEqual(addressesOf(before));
        await backup.stop();
      }),
    40_000,
  );
});

describe("a bridge as the LAN leg", () => {
  netnsTest(
    "carries a virtual router like any other interface",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const first = lab.routers[0] as LabRouter;
        const second = lab.routers[1] as LabRouter;
        for (const router of [first, second]) {
          const mac = router.lanMac;
          await router.run(
            "ip",
            "link",
            "add",
            "bridge0",
            "address",
            mac,
            "type",
            "bridge",
            "forward_delay",
            "0",
          );
          await router.run("ip", "link", "set", "lan0", "master", "bridge0");
          await router.run("ip", "addr", "flush", "dev", "lan0");
          await router.run("ip", "link", "set", "bridge0", "up");
          await router.run("ip", "addr", "add", `${router.addresses.ipv4}/24`, "dev", "bridge0");
        }
        const [active, backup] = await startBoth(lab, { family: "ipv4", more: { interface: "bridge0" } });
        await ping(lab, "192.0.2.1");
        await lab.cut(first, "lan");
        await backup.reach("active", 5_000);
        await ping(lab, "192.0.2.1");
        await lab.restore(first, "lan");
        await active.reach("active", 5_000);
        await backup.reach("backup", 5_000);
        await ping(lab, "192.0.2.1");
        await active.stop();
        await backup.stop();
        expect(await first.run("ip", "-o", "link")).not.toMatch(DEVICE_OF_VRID_10);
      }),
    40_000,
  );
});

describe("forgeries over IPv6", () => {
  /** Priority 254 for VRID 10: whoever believes it steps down. */
  function claim(addresses = ["fe80::1", "2001:db8:1::1"]): Uint8Array {
    return encodeAdvertisementFrame({
      advertisement: {
        ...{ version: 3, family: "ipv6", vrid: 10, priority: 254, intervalUs: 100_000, addresses },
        ...{ authType: 0, authData: new Uint8Array(0) },
      },
      source: "fe80::bad",
      destination: GROUP_ADDRESS.ipv6,
      checksumForm: "pseudo-header",
      sourceMac: "02:00:00:00:0b:ad",
      destinationMac: GROUP_MAC.ipv6,
    });
  }
  const changed = (at: number, value: number): Uint8Array => {
    const frame = claim();
    frame[at] = value;
    return frame;
  };
  const HOP_LIMIT = 14 + 7;
  const PAYLOAD_LENGTH = 14 + 5;
  const VRRP = 14 + 40;

  netnsTest(
    "move counters and nothing else",
    [],
    () =>
      withLab({ routers: 2 }, async (lab) => {
        const both = await startBoth(lab, { family: "ipv6" });
        const before = await Promise.all(both.map((one) => one.status()));
        const wrongHopLimit = changed(HOP_LIMIT, 254);
        const wrongChecksum = changed(VRRP + 6, (claim()[VRRP + 6] ?? 0) ^ 0xff);
        // As many addresses as before, in a packet that ends after the first; and a frame that ends within the header.
        const truncated = changed(PAYLOAD_LENGTH, 8 + 16);
        const cutOff = claim().slice(0, VRRP + 4);
        const globalFirst = claim(["2001:db8:1::1", "fe80::1"]);
        const frames = [wrongHopLimit, wrongChecksum, truncated, cutOff, globalFirst];
        await inject(lab.hosts[0] as LabNode, frames, 100, 200);
        for (const [at, one] of both.entries()) {
          let now = before[at] as RouterStatus;
          await eventually(
            "what was sent is counted",
            5_000,
            async () => {
              now = await one.status();
              const { ipTtlErrors, checksumErrors } = now.statistics;
              const { packetLengthErrors, addressListErrors } = now.virtualRouters[0]?.statistics ?? {
                packetLengthErrors: 0,
                addressListErrors: 0,
              };
              return [ipTtlErrors, checksumErrors, packetLengthErrors, addressListErrors].every(
                (count) => count >= 40,
              );
            },
            () => JSON.stringify([now.statistics, now.virtualRouters[0]?.statistics]),
          );
          expect(changesOf(now)).toBe(changesOf(before[at] as RouterStatus));
          expect(now.virtualRouters[0]?.lastChange).toEqual(before[at]?.virtualRouters[0]?.lastChange);
          // Each reason is told at a bounded rate.
          expect(
            one.process
              .output()
              .split("\n")
              .filter((line) => line.includes("fe80::bad")).length,
          ).toBeLessThan(20);
        }
        await ping(lab, "2001:db8:1::1");
        for (const one of both) await one.stop();
      }),
    40_000,
  );
});

describe("a flood of 20,000 a second for 3 s", () => {
  const senders = Array.from({ length: 64 }, (_, at) => at + 100);
  const macOf = (at: number): string => `02:00:00:00:02:${at.toString(16).padStart(2, "0")}`;
  const requests = senders.map((at) =>
    arpFrame("ff:ff:ff:ff:ff:ff", macOf(at), {
      operation: 1,
      senderMac: macOf(at),
      senderIp: `192.0.2.${at}`,
      targetMac: "00:00:00:00:00:00",
      targetIp: "192.0.2.1",
    }),
  );
  /** RFC 4861 section 4.3, to the solicited-node group of fe80::1. */
  const solicitations = senders.map((at) => {
    const source = ipToBytes(`fe80::${at.toString(16)}`);
    const group = ipToBytes("ff02::1:ff00:1");
    const message = new Uint8Array(32);
    message[0] = 135;
    message.set(ipToBytes("fe80::1"), 8);
    message.set([1, 1, ...macToBytes(macOf(at))], 24);
    putU16(message, 2, internetChecksum(message, pseudoHeaderSum(source, group, 58, message.length)));
    return buildEthernet(
      macToBytes("33:33:ff:00:00:01"),
      macToBytes(macOf(at)),
      0x86dd,
      buildIp(source, group, 58, message),
    );
  });

  describe.each([
    ["ARP requests", "ipv4", requests],
    ["neighbour solicitations", "ipv6", solicitations],
  ] as const)("of %s", (_, family, frames) => {
    for (const accept of [true, false]) {
      netnsTest(
        `changes no role (accept: ${accept})`,
        [],
        () =>
          withLab({ routers: 2 }, async (lab) => {
            const both = await startBoth(lab, { family, more: { accept } });
            const before = await Promise.all(both.map((one) => one.status()));
            await inject(lab.hosts[0] as LabNode, frames, 20_000, 60_000);
            const after = await Promise.all(both.map((one) => one.status()));
            expect(after.map((one) => one.virtualRouters[0]?.lastChange)).toEqual(
              before.map((one) => one.virtualRouters[0]?.lastChange),
            );
            expect(after.map((one) => one.virtualRouters[0]?.state)).toEqual(["active", "backup"]);
            for (const one of both) await one.stop();
          }),
        40_000,
      );
    }
  });
});

describe("a machine that forwards nothing", () => {
  netnsTest(
    "is told once, with the setting that keeps it from it",
    [],
    () =>
      withLab({ routers: 1 }, async (lab) => {
        await writeSysctls((lab.routers[0] as LabRouter).namespace, { "net/ipv4/ip_forward": 0 });
        const router = await start(lab, 0, { family: "ipv4", priority: 150 });
        await router.reach("active", 5_000);
        const told = eventsOf(router, "forwarding-off");
        expect(told).toHaveLength(1);
        expect(told[0]).toContain("lan0: net.ipv4.conf.lan0.forwarding is 0");
        expect(told[0]).toContain("`sysctl -w net.ipv4.ip_forward=1`");
        await router.stop();
      }),
    30_000,
  );
});

describe("an interval of 40.95 s where 0.1 s is configured", () => {
  netnsTest(
    "is told once, with the time that a Backup waits",
    [],
    () =>
      withLab({ routers: 1 }, async (lab) => {
        const router = await start(lab, 0, { family: "ipv4", priority: 150 });
        await router.reach("active", 5_000);
        const frame = encodeAdvertisementFrame({
          advertisement: {
            ...{ version: 3, family: "ipv4", vrid: 10, priority: 200, intervalUs: 40_950_000 },
            ...{ addresses: ["192.0.2.1"], authType: 0, authData: new Uint8Array(0) },
          },
          source: "192.0.2.77",
          destination: GROUP_ADDRESS.ipv4,
          checksumForm: "message-only",
          sourceMac: "02:00:00:00:0b:ad",
          destinationMac: GROUP_MAC.ipv4,
        });
        await inject(lab.hosts[0] as LabNode, [frame], 20, 20);
        await router.reach("backup", 2_000);
        const told = eventsOf(router, "long-interval");
        expect(eventsOf(router, "forwarding-off")).toEqual([]);
        expect(told).toHaveLength(1);
        expect(told[0]).toContain("an interval of 40.95 s where 0.1 s are configured");
        expect(told[0]).toContain("waits 123 s and more");
        await router.stop();
      }),
    30_000,
  );
});
