/** The daemon on a real kernel: what hosts notice, and what the kernel keeps, in each turn of a router's life. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { daemonConfig, startDaemon } from "../../src/lab/daemon.js";
import {
  captureLan,
  eventually,
  type Lab,
  measureFailover,
  netnsTest,
  reach,
  readAdverts,
  type Speaker,
  type SpeakerOptions,
  startFirsthop,
  startPair,
  startTraffic,
  withLab,
} from "./testbed/index.js";
import { CLEAN, counted } from "./testbed/packets.js";

const PLACES: readonly { readonly title: string; readonly options: Omit<SpeakerOptions, "priority"> }[] = [
  { title: "IPv4, virtual MAC", options: { family: "ipv4" } },
  { title: "IPv6, virtual MAC", options: { family: "ipv6" } },
  { title: "IPv4, virtual MAC, ownership off", options: { family: "ipv4", top: { ownership: "off" } } },
  { title: "IPv6, virtual MAC, ownership off", options: { family: "ipv6", top: { ownership: "off" } } },
  { title: "IPv4, the interface's own MAC", options: { family: "ipv4", virtualMac: false } },
  { title: "IPv6, the interface's own MAC", options: { family: "ipv6", virtualMac: false } },
];

async function changesOf(speaker: Speaker): Promise<number> {
  return speaker
    .log()
    .split("\n")
    .filter((line) => line.includes('"stateChange"')).length;
}

describe.each(PLACES)("$title", ({ options }) => {
  netnsTest(
    "fails over when the lines are cut, and comes back without a loss",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const pair = await startPair(lab, "firsthop", { ...options, intervalMs: 100 });
        const traffic = startTraffic(lab, { rate: 2000, family: options.family ?? "ipv4" });
        const failover = await measureFailover({ lab, ...pair, traffic });
        expect(failover.overDownIntervalUs).toBeGreaterThan(-500);
        expect(failover.overDownIntervalUs).toBeLessThan(50_000);
        expect(failover.duplicated).toBe(0);
        const leaving = await counted(traffic, async () => {
          await pair.active.stop();
          await reach(pair.backup, "active", 5_000);
        });
        expect(leaving).toEqual(CLEAN);
        const returning = await counted(traffic, async () => {
          const again = await startFirsthop(lab, pair.active.router, {
            ...options,
            intervalMs: 100,
            priority: 150,
          });
          await reach(again, "active", 5_000);
          await reach(pair.backup, "backup", 5_000);
        });
        expect(returning).toEqual(CLEAN);
        await traffic.stop();
      });
    },
    60_000,
  );

  netnsTest(
    "a killed daemon goes on forwarding, and its next start finds and cleans what it left",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const pair = await startPair(lab, "firsthop", { ...options, intervalMs: 100 });
        const before = await kernelState(lab, 0);
        const traffic = startTraffic(lab, { rate: 2000, family: options.family ?? "ipv4" });
        const killed = await counted(traffic, async () => {
          await pair.active.crash();
          await reach(pair.backup, "active", 5_000);
        });
        expect(killed.lost).toBe(0);
        const again = await startFirsthop(lab, pair.active.router, {
          ...options,
          intervalMs: 100,
          priority: 150,
        });
        await reach(again, "active", 5_000);
        expect(await kernelState(lab, 0)).toBe(before);
        await again.stop();
        await pair.backup.stop();
        await traffic.stop();
      });
    },
    60_000,
  );
});

/** What `ip` and `sysctl` say about a router's namespace, without what changes by itself or with each daemon. */
async function kernelState(lab: Lab, router: number): Promise<string> {
  const node = lab.routers[router]!;
  const said = [
    await node.run("ip", "-d", "link"),
    await node.run("ip", "addr"),
    await node.run("ip", "maddr"),
    await node.run("sysctl", "net.ipv4.conf", "net.ipv6.conf", "net.ipv4.neigh", "net.ipv6.neigh"),
  ].join("\n");
  return said
    .replace(/valid_lft .*/g, "")
    .replace(/^\d+:\s+/gm, "")
    .replace(/state (UP|UNKNOWN)/g, "state UP")
    .replace(/alias firsthop:\w+:/g, "alias firsthop:");
}

describe("the kernel", () => {
  for (const virtualMac of [true, false]) {
    netnsTest(
      `holds nothing more after SIGTERM than before the first start (${virtualMac ? "virtual MAC" : "own MAC"})`,
      [],
      async () => {
        await withLab({ routers: 1 }, async (lab) => {
          const before = await kernelState(lab, 0);
          for (const end of ["stop", "crash", "stop"] as const) {
            const speaker = await startFirsthop(lab, lab.routers[0]!, {
              priority: 150,
              intervalMs: 100,
              virtualMac,
            });
            await reach(speaker, "active", 5_000);
            await speaker[end]();
          }
          expect(await kernelState(lab, 0)).toBe(before);
        });
      },
      60_000,
    );
  }
});

describe("a reload", () => {
  netnsTest(
    "flaps nothing that did not change, and refuses a bad file whole",
    [],
    async () => {
      await withLab({ routers: 1 }, async (lab) => {
        const router = lab.routers[0]!;
        const base = { version: 3, family: "ipv4", intervalMs: 100 } as const;
        const one = daemonConfig({ ...base, vrid: 10, priority: 150 });
        const daemon = await startDaemon(lab, router, one);
        await daemon.reach("active", 5_000);
        const capture = captureLan(lab);
        const file = join(lab.directory, `${router.name}-firsthop.yaml`);
        const both = JSON.parse(one) as { virtualRouters: unknown[] };
        both.virtualRouters.push({
          interface: "lan0",
          vrid: 11,
          addresses: ["192.0.2.200/24"],
          advertisementInterval: "100ms",
        });
        writeFileSync(file, "virtualRouters: [{ interface: lan0, vrid: 999 }]\n");
        daemon.process.kill("SIGHUP");
        await eventually("the bad file is refused", 5_000, () => daemon.process.output().includes("vrid"));
        writeFileSync(file, JSON.stringify(both));
        daemon.process.kill("SIGHUP");
        await eventually(
          "the new router is there",
          5_000,
          async () => (await daemon.status()).virtualRouters.length === 2,
        );
        await eventually("the new router is Active", 5_000, async () => {
          return (await daemon.status()).virtualRouters.every((each) => each.state === "active");
        });
        const status = await daemon.status();
        expect(status.virtualRouters[0]?.statistics.masterTransitions).toBe(1);
        await capture.stop();
        expect(
          readAdverts(capture.frames()).filter((advert) => advert.vrid === 10 && advert.priority === 0),
        ).toEqual([]);
        await daemon.stop();
      });
    },
    60_000,
  );
});

describe("an interface", () => {
  netnsTest(
    "that loses its carrier makes the router faulty, and its return makes it Backup first",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const { active, backup } = await startPair(lab, "firsthop", { intervalMs: 100 });
        await lab.cut(active.router, "lan");
        await reach(active, "other", 5_000);
        await reach(backup, "active", 5_000);
        await lab.restore(active.router, "lan");
        await reach(active, "active", 5_000);
        await reach(backup, "backup", 5_000);
        expect(active.log()).toMatch(/no-carrier/);
        expect(await changesOf(active)).toBeGreaterThan(0);
      });
    },
    60_000,
  );

  netnsTest(
    "that vanishes and returns is used again",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const router = lab.routers[0]!;
        await router.run("ip", "link", "add", "wing", "type", "veth", "peer", "name", "wing-peer");
        const config = daemonConfig({
          vrid: 10,
          priority: 150,
          version: 3,
          family: "ipv4",
          intervalMs: 100,
        }).replace('"lan0"', '"wing"');
        const up = async (): Promise<void> => {
          await router.run("ip", "addr", "add", "192.0.2.77/24", "dev", "wing");
          await router.run("ip", "link", "set", "wing", "up");
          await router.run("ip", "link", "set", "wing-peer", "up");
        };
        await up();
        const daemon = await startDaemon(lab, router, config);
        await daemon.reach("active", 5_000);
        await router.run("ip", "link", "del", "wing");
        await daemon.reach("fault", 5_000);
        await router.run("ip", "link", "add", "wing", "type", "veth", "peer", "name", "wing-peer");
        await up();
        await daemon.reach("active", 5_000);
        // The same one goes to another namespace and returns, with whatever the kernel left on it.
        const elsewhere = lab.routers[1]!;
        await router.run("ip", "link", "set", "wing", "netns", elsewhere.namespace);
        await daemon.reach("fault", 5_000);
        await elsewhere.run("ip", "link", "set", "wing", "netns", router.namespace);
        await up();
        await daemon.reach("active", 5_000);
        expect(daemon.process.output()).not.toContain("not filtered");
        await daemon.stop();
        expect(await router.run("ip", "-o", "link")).not.toContain("macvlan");
      });
    },
    60_000,
  );
});

describe("unicast", () => {
  netnsTest(
    "peers elect without multicast",
    [],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers;
        const start = (router: typeof first, peer: typeof first, priority: number): Promise<Speaker> =>
          startFirsthop(lab, router!, { priority, intervalMs: 100, unicastPeers: [peer!.addresses.ipv4] });
        const active = await start(first, second, 150);
        const backup = await start(second, first, 100);
        await reach(active, "active", 5_000);
        await reach(backup, "backup", 5_000);
        const capture = captureLan(lab);
        await eventually("adverts pass", 5_000, () => capture.count() > 5);
        await active.crash();
        await reach(backup, "active", 5_000);
        await capture.stop();
        const adverts = readAdverts(capture.frames());
        expect(adverts.length).toBeGreaterThan(0);
        expect(adverts.filter((advert) => advert.family === "ipv4" && advert.priority === 0)).toEqual([]);
      });
    },
    60_000,
  );
});

describe("a blocked JavaScript thread", () => {
  /** A library user: waits in Atomics.wait for so long, once it is Active. */
  const program = (lab: Lab, blockMs: number): string => {
    const file = join(lab.directory, "user.mjs");
    const library = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
    writeFileSync(
      file,
      `import { defineConfig, openRouter } from ${JSON.stringify(library)};
      const virtualRouter = { interface: "lan0", vrid: 10, priority: 150, addresses: ["192.0.2.1/24"], advertisementInterval: "10ms" };
      const config = defineConfig({ controlTimeout: "1s", virtualRouters: [virtualRouter] });
      const router = await openRouter(config, { stateDirectory: ${JSON.stringify(join(lab.directory, "user"))} });
      let blocked = false;
      router.on("stateChange", (change) => {
        console.log(change.to, change.reason);
        if (change.to !== "active" || blocked) return;
        blocked = true;
        setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${blockMs}), 300);
      });
      process.on("SIGTERM", () => router.close());`,
    );
    return file;
  };

  netnsTest("for less than controlTimeout is noticed by nobody", [], async () => {
    await withLab({ routers: 1 }, async (lab) => {
      const capture = captureLan(lab);
      const user = lab.routers[0]!.spawn("user", process.execPath, [program(lab, 700)]);
      await eventually("it is Active", 5_000, () => user.output().includes("active"));
      const adverts = () => readAdverts(capture.frames()).length;
      await eventually("150 advertisements have passed", 10_000, () => adverts() > 150);
      expect(user.output().match(/^(active|backup|fault)/gm)).toEqual(["active"]);
      expect(readAdverts(capture.frames()).filter((advert) => advert.priority === 0)).toEqual([]);
      await capture.stop();
      user.kill("SIGTERM");
      await user.ended;
    });
  });

  netnsTest("for longer makes the router resign, and it comes back by itself", [], async () => {
    await withLab({ routers: 1 }, async (lab) => {
      const capture = captureLan(lab);
      const user = lab.routers[0]!.spawn("user", process.execPath, [program(lab, 2_500)]);
      await eventually("it says priority 0", 10_000, () =>
        readAdverts(capture.frames()).some((advert) => advert.priority === 0),
      );
      await eventually("it is Active again", 10_000, () => user.output().match(/^active/gm)?.length === 2);
      expect(user.output()).toContain("fault control-lost");
      await capture.stop();
      user.kill("SIGTERM");
      await user.ended;
    });
  });
});

describe("without accept mode", () => {
  for (const family of ["ipv4", "ipv6"] as const) {
    netnsTest(
      `it forwards and resolves to the virtual MAC for ${family}, but does not answer itself`,
      [],
      async () => {
        await withLab({ routers: 1 }, async (lab) => {
          const speaker = await startFirsthop(lab, lab.routers[0]!, {
            family,
            priority: 150,
            intervalMs: 100,
            more: { accept: false },
          });
          await reach(speaker, "active", 5_000);
          const [host] = lab.hosts;
          const traffic = startTraffic(lab, { rate: 1000, family });
          await eventually("packets come through", 5_000, () => {
            return traffic.carriedBy(speaker.router.upstreamMac) > 500;
          });
          const gateway = speaker.options.addresses.map((one) => one.split("/")[0] as string);
          await host!.run("ip", "neigh", "flush", "dev", "eth0");
          const carried = traffic.carriedBy(speaker.router.upstreamMac);
          await eventually("packets come through after the host forgot everything", 5_000, () => {
            return traffic.carriedBy(speaker.router.upstreamMac) > carried + 500;
          });
          const neighbours = await host!.run("ip", "neigh");
          const mac = family === "ipv4" ? "00:00:5e:00:01:0a" : "00:00:5e:00:02:0a";
          expect(neighbours).toMatch(
            new RegExp(`(${gateway.join("|").replaceAll(".", "\\.")}) dev eth0 lladdr ${mac}`),
          );
          const global = gateway.at(-1) as string;
          await expect(host!.run("ping", "-c", "1", "-W", "1", global)).rejects.toThrow();
          await traffic.stop();
          await speaker.stop();
        });
      },
      60_000,
    );
  }
});

describe("many virtual routers", () => {
  netnsTest(
    "255 on one interface start, advertise and leave together",
    [],
    async () => {
      await withLab({ routers: 1 }, async (lab) => {
        const router = lab.routers[0]!;
        const virtualRouters = Array.from({ length: 255 }, (_, index) => ({
          interface: "lan0",
          vrid: index + 1,
          priority: 150,
          addresses: [`10.99.${index}.1/24`],
          advertisementInterval: "100ms",
        }));
        const before = await kernelState(lab, 0);
        const daemon = await startDaemon(lab, router, JSON.stringify({ virtualRouters }));
        await eventually("all are Active", 20_000, async () => {
          const { virtualRouters: all } = await daemon.status();
          return all.length === 255 && all.every((each) => each.state === "active");
        });
        const capture = captureLan(lab);
        await eventually("each has advertised", 5_000, () => {
          return new Set(readAdverts(capture.frames()).map((advert) => advert.vrid)).size === 255;
        });
        await capture.stop();
        await daemon.stop();
        expect(await kernelState(lab, 0)).toBe(before);
      });
    },
    90_000,
  );
});
