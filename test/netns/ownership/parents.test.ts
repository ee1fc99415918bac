/** What a virtual router may stand on, and what may happen to it. */
import { describe, expect } from "vitest";
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import type { LabNode } from "../../../src/lab/topology.js";
import {
  DEVICE_OF_VRID_10,
  eventually,
  type Lab,
  type LabRouter,
  netnsTest,
  startTraffic,
  withLab,
} from "../testbed/index.js";
import { CLEAN, counted, packets } from "../testbed/packets.js";

const RATE = 4000;
const INTERVAL_MS = 20;

const ip = (node: LabNode, line: string): Promise<string> => node.run("ip", ...line.split(" "));

function config(name: string, priority: number): string {
  const base = { vrid: 10, family: "ipv4", version: 3, intervalMs: INTERVAL_MS } as const;
  return daemonConfig({ ...base, priority, more: { interface: name } });
}

const hookOf = async (daemon: LabDaemon): Promise<string | undefined> =>
  (await daemon.status()).interfaces[0]?.hook;

interface Kind {
  /** Its name in the routers. */
  readonly name: string;
  /** Makes it of lan0, which has no IPv4 address any more. */
  make(router: LabRouter): Promise<void>;
  /** What a host needs to reach it. */
  readonly host?: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  "a VLAN": {
    name: "lan0.5",
    make: async (router) => void (await ip(router, "link add link lan0 name lan0.5 type vlan id 5")),
    host: [
      "link add link eth0 name eth0.5 type vlan id 5",
      "addr flush dev eth0",
      "link set eth0.5 up",
      "addr add 192.0.2.100/24 dev eth0.5",
      "route add default via 192.0.2.1 dev eth0.5",
    ],
  },
  "a bridge": {
    name: "bridge0",
    make: async (router) => {
      await ip(router, `link add bridge0 address ${router.lanMac} type bridge forward_delay 0`);
      await ip(router, "link set lan0 master bridge0");
    },
  },
};

describe.each(Object.entries(KINDS))("on %s", (_, { name, make, host }) => {
  netnsTest("a flooded Backup forwards nothing, and takes over without a loss or a double", [], (context) =>
    withLab({ routers: 2 }, async (lab) => {
      const [first, second] = lab.routers as [LabRouter, LabRouter];
      for (const router of [first, second]) {
        try {
          await make(router);
        } catch (error) {
          if (!String(error).includes("Unknown device type")) throw error;
          console.warn(`skipped: this kernel has no such interface as ${name}`);
          context.skip("this kernel has none");
        }
        await ip(router, "-4 addr flush dev lan0");
        await ip(router, `link set ${name} up`);
        await ip(router, `addr add ${router.addresses.ipv4}/24 dev ${name}`);
      }
      for (const line of host ?? []) await ip(lab.hosts[0] as LabNode, line);
      const active = await startDaemon(lab, first, config(name, 150));
      await active.reach("active", 15_000);
      const backup = await startDaemon(lab, second, config(name, 100));
      await backup.reach("backup", 15_000);
      for (const daemon of [active, backup]) expect(await hookOf(daemon)).toBe("tc");
      const traffic = startTraffic(lab, { rate: RATE });
      await packets(traffic, 400);
      const flooded = await counted(traffic, async () => {
        for (let round = 0; round < 3; round++) {
          await ip(lab.lan, "link set br0 type bridge fdb_flush");
          await packets(traffic, 400);
        }
      });
      expect(flooded).toEqual(CLEAN);
      const left = await counted(traffic, async () => {
        await active.stop();
        await backup.reach("active", 5_000);
      });
      expect(left).toEqual(CLEAN);
      await traffic.stop();
      await backup.stop();
    }),
  );
});

netnsTest("a macvlan can't carry a virtual MAC, and says so; addresses alone it can", [], () =>
  withLab({ routers: 1 }, async (lab) => {
    const [router] = lab.routers as [LabRouter];
    await ip(router, "link add mv0 link lan0 type macvlan mode bridge");
    await ip(router, "-4 addr flush dev lan0");
    await ip(router, "link set mv0 up");
    await ip(router, `addr add ${router.addresses.ipv4}/24 dev mv0`);
    const refused = await startDaemon(lab, router, config("mv0", 150));
    await refused.reach("fault", 5_000);
    expect(refused.process.output()).toContain("mv0 is a macvlan, which can't carry a virtual MAC");
    await refused.stop();
    const plain = JSON.parse(config("mv0", 150)) as { virtualRouters: object[] };
    const virtualRouters = plain.virtualRouters.map((one) => ({ ...one, virtualMac: false }));
    const daemon = await startDaemon(lab, router, JSON.stringify({ ...plain, virtualRouters }));
    await daemon.reach("active", 5_000);
    const traffic = startTraffic(lab, { rate: RATE });
    await packets(traffic, 400);
    expect(await counted(traffic, () => packets(traffic, 400))).toEqual(CLEAN);
    await traffic.stop();
    await daemon.stop();
  }),
);

describe("an interface", () => {
  /** The lab's cable again, as it was. */
  async function plug(lab: Lab, router: LabRouter): Promise<void> {
    const port = `r${router.index}`;
    await ip(
      lab.lan,
      `link add ${port} type veth peer name lan0 address ${router.lanMac} netns ${router.namespace}`,
    );
    await ip(lab.lan, `link set ${port} master br0 up`);
    await ip(router, "link set lan0 up");
    await ip(router, `addr add ${router.addresses.ipv4}/24 dev lan0`);
  }

  netnsTest("may change its size, its name and its namespace, and be replaced by another one", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config("lan0", 150));
      await daemon.reach("active", 15_000);
      const traffic = startTraffic(lab, { rate: RATE });
      const carried = (): number => traffic.carriedBy(router.upstreamMac);
      const passes = async (): Promise<void> => {
        await daemon.reach("active", 10_000);
        const before = carried();
        await eventually("packets pass", 5_000, () => carried() > before + 400);
      };
      await passes();
      const { lastChange } = (await daemon.virtualRouter()) ?? {};
      const resized = await counted(traffic, async () => {
        for (const mtu of [1400, 1500]) await ip(router, `link set lan0 mtu ${mtu}`);
        await packets(traffic, RATE / 2);
      });
      expect(resized).toEqual(CLEAN);
      expect((await daemon.virtualRouter())?.lastChange).toEqual(lastChange);

      await ip(router, "link set lan0 down");
      await ip(router, "link set lan0 name lan9");
      await daemon.reach("fault", 5_000);
      await ip(router, "link set lan9 name lan0");
      await ip(router, "link set lan0 up");
      await passes();

      await ip(router, `link set lan0 netns ${lab.upstream.namespace}`);
      await daemon.reach("fault", 5_000);
      await ip(lab.upstream, `link set lan0 netns ${router.namespace}`);
      await ip(router, "link set lan0 up");
      await ip(router, `addr add ${router.addresses.ipv4}/24 dev lan0`);
      await passes();

      await ip(router, "link del lan0");
      await daemon.reach("fault", 5_000);
      await plug(lab, router);
      await passes();
      expect(await hookOf(daemon)).toBe("tc");
      await traffic.stop();
      await daemon.stop();
      expect(await ip(router, "-o link")).not.toMatch(DEVICE_OF_VRID_10);
    }),
  );

  netnsTest("that is gone while one process follows another is found again by the heir", [], () =>
    withLab({ routers: 1 }, async (lab) => {
      const [router] = lab.routers as [LabRouter];
      const daemon = await startDaemon(lab, router, config("lan0", 150));
      await daemon.reach("active", 15_000);
      // What stands on it stays behind, unlike where it is deleted.
      await ip(router, `link set lan0 netns ${lab.upstream.namespace}`);
      await daemon.reach("fault", 5_000);
      const heir = await startDaemon(lab, router, config("lan0", 150), undefined, undefined, ["--handover"]);
      expect((await daemon.process.ended).code).toBe(0);
      expect(heir.process.output()).toContain("took over from the running daemon");
      await ip(lab.upstream, `link set lan0 netns ${router.namespace}`);
      await ip(router, "link set lan0 up");
      await ip(router, `addr add ${router.addresses.ipv4}/24 dev lan0`);
      await heir.reach("active", 10_000);
      expect(await hookOf(heir)).toBe("tc");
      const traffic = startTraffic(lab, { rate: RATE });
      await packets(traffic, 400);
      expect(await counted(traffic, () => packets(traffic, 400))).toEqual(CLEAN);
      expect(heir.process.output()).not.toContain("kernel-step-failed");
      await traffic.stop();
      await heir.stop();
      expect(await ip(router, "-o link")).not.toMatch(DEVICE_OF_VRID_10);
    }),
  );
});
