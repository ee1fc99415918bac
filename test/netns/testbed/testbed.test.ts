/** The testbed proves itself with peers whose behaviour is known before anything of ours is judged by it. */
import { existsSync } from "node:fs";
import { describe, expect } from "vitest";
import {
  captureLan,
  failoverSummary,
  measureFailover,
  netnsTest,
  reach,
  readAdverts,
  startPair,
  startTraffic,
  withLab,
} from "./index.js";

describe("testbed", () => {
  netnsTest("leaves nothing behind", [], async () => {
    const seen: string[] = [];
    await withLab({ routers: 3, hosts: 2 }, async (lab) => {
      seen.push(lab.lan.path, lab.upstream.path, lab.directory, ...lab.routers.map((router) => router.path));
      expect(seen.every((path) => existsSync(path))).toBe(true);
      const [host] = lab.hosts;
      await host!.run("ping", "-c", "1", "-W", "1", lab.routers[2]!.addresses.ipv4);
      await host!.run("ping", "-c", "1", "-W", "1", lab.routers[2]!.addresses.ipv6);
    });
    expect(seen.some((path) => existsSync(path))).toBe(false);
  });

  for (const family of ["ipv4", "ipv6"] as const) {
    for (const kind of ["keepalived", "frr"] as const) {
      netnsTest(
        `a pair of ${kind} fails over for ${family}`,
        [kind],
        async () => {
          await withLab({ routers: 2 }, async (lab) => {
            const pair = await startPair(lab, kind, { family, intervalMs: 100 });
            const traffic = startTraffic(lab, { rate: 4000, family });
            const runs = [];
            for (let run = 0; run < 2; run++)
              runs.push(await measureFailover({ lab, ...pair, traffic, kind: "silent" }));
            await traffic.stop();
            traffic.verify();
            console.log(`${kind}, ${family}, 100 ms: ${failoverSummary(runs)}`);
            for (const run of runs) {
              // FRR rounds the skew away (to whole units of 10 ms) and fires early.
              expect(run.advertOverDownIntervalUs).toBeGreaterThan(kind === "frr" ? -65_000 : -1_000);
              expect(run.overDownIntervalUs).toBeLessThan(100_000);
              // FRR's Backup also carries what the switch brings it before it claims: then nothing is lost.
              if (kind === "keepalived") expect(run.lost).toBeGreaterThan(0);
            }
            await pair.backup.stop();
            await pair.active.stop();
          });
        },
        60_000,
      );
    }
  }

  netnsTest("reads versions, priorities and intervals off the wire", ["keepalived"], async () => {
    await withLab({ routers: 2 }, async (lab) => {
      const capture = captureLan(lab);
      const password = "lab";
      const pair = await startPair(lab, "keepalived", { version: 2, password, intervalMs: 1000, vrid: 7 });
      await pair.active.stop();
      await reach(pair.backup, "active", 5_000);
      await capture.stop();
      capture.verify();
      const adverts = readAdverts(capture.frames());
      expect(new Set(adverts.map((advert) => `${advert.family} v${advert.version} ${advert.vrid}`))).toEqual(
        new Set(["ipv4 v2 7"]),
      );
      expect(adverts.filter((advert) => advert.port === "r1").at(-1)?.priority).toBe(0);
    });
  });
});
