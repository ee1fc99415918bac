/** The classic vrrpd command line beside keepalived's VRRPv2. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import type { Lab, LabRouter } from "../../src/lab/topology.js";
import {
  captureLan,
  eventually,
  netnsTest,
  reach,
  readAdverts,
  START,
  withLab,
} from "../netns/testbed/index.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

function vrrpd(lab: Lab, router: LabRouter, ...more: string[]) {
  const state = join(lab.directory, `${router.name}-state`);
  const args = [
    MAIN,
    "vrrpd",
    "-i",
    "lan0",
    "-v",
    "50",
    "-f",
    lab.directory,
    ...more,
    "--state-directory",
    state,
  ];
  return router.spawn(`${router.name}-vrrpd`, process.execPath, [...args, "10.0.0.1"]);
}

const keepalived = (lab: Lab, router: LabRouter, priority: number) =>
  START.keepalived(lab, router, {
    version: 2,
    vrid: 50,
    priority,
    intervalMs: 1000,
    addresses: ["10.0.0.1/32"],
  });

describe("vrrpd -i lan0 -v 50 … 10.0.0.1", () => {
  netnsTest(
    "stands by for a higher keepalived, takes over, and writes and removes its pid file",
    ["keepalived"],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers;
        const peer = await keepalived(lab, first!, 150);
        await reach(peer, "active", 10_000);
        const ours = vrrpd(lab, second!, "-d", "1");
        const pidFile = join(lab.directory, "vrrpd_lan0_50.pid");
        await eventually("there is a pid file", 5_000, () => existsSync(pidFile));
        expect(Number(readFileSync(pidFile, "utf8"))).toBe(ours.pid);
        await peer.stop();
        await eventually("it holds the address", 10_000, async () =>
          (await second!.run("ip", "addr")).includes("10.0.0.1/32"),
        );
        ours.kill("SIGTERM");
        await ours.ended;
        expect(existsSync(pidFile)).toBe(false);
        expect(await second!.run("ip", "addr")).not.toContain("10.0.0.1");
      });
    },
    60_000,
  );

  netnsTest(
    "-p 200 preempts keepalived; -n keeps the interface's own MAC",
    ["keepalived"],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers;
        const peer = await keepalived(lab, first!, 150);
        await reach(peer, "active", 10_000);
        const ours = vrrpd(lab, second!, "-p", "200", "-n");
        await reach(peer, "backup", 15_000);
        const addresses = await second!.run("ip", "-o", "addr", "show", "dev", "lan0");
        expect(addresses).toContain("10.0.0.1/32");
        expect(await second!.run("ip", "-d", "link")).not.toContain("macvlan");
        ours.kill("SIGTERM");
        await ours.ended;
      });
    },
    60_000,
  );

  netnsTest(
    "-s leaves a lower Active alone, and speaks version 2 every -d seconds",
    ["keepalived"],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers;
        const peer = await keepalived(lab, first!, 50);
        await reach(peer, "active", 10_000);
        const ours = vrrpd(lab, second!, "-p", "200", "-s", "-d", "1");
        const capture = captureLan(lab);
        await eventually("five advertisements passed", 15_000, () => capture.count() > 5);
        expect(await peer.state()).toBe("active");
        await peer.stop();
        await eventually("ours advertises", 10_000, () =>
          readAdverts(capture.frames()).some((one) => one.port === "r2"),
        );
        await capture.stop();
        const said = readAdverts(capture.frames()).find((one) => one.port === "r2");
        expect(said).toMatchObject({ version: 2, vrid: 50, priority: 200 });
        ours.kill("SIGTERM");
        await ours.ended;
      });
    },
    60_000,
  );
});
