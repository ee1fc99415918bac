/** `firsthop vrrpd` as a process: the classic command line, its defaults and its pid file. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ONE_LINE } from "./command.js";
import { IS_ROOT, stageEachTest, until, WHY } from "./stage.js";

const stage = stageEachTest();
const { reached, socketPath, start, status } = stage;

describe.runIf(IS_ROOT)(`vrrpd${WHY}`, () => {
  const pidFile = (): string => join(stage.directory, "pids", "vrrpd_lan0_50.pid");
  const options = (): string[] => {
    mkdirSync(join(stage.directory, "pids"), { recursive: true });
    return ["-i", "lan0", "-v", "50", "-f", join(stage.directory, "pids"), "--socket", socketPath()];
  };

  it("runs version 2 with the classic defaults, and keeps a pid file", async () => {
    const daemon = start(["vrrpd", ...options(), "192.0.2.50"]);
    await reached(daemon, "lan0/50", "active");
    expect((await status())?.virtualRouters[0]).toMatchObject({
      version: 2,
      priority: 100,
      preempt: true,
      advertisementIntervalMs: 1000,
      virtualMac: "00:00:5e:00:01:32",
    });
    expect(readFileSync(pidFile(), "utf8")).toBe(`${daemon.pid}\n`);

    const second = start([
      "vrrpd",
      "-i",
      "lan0",
      "-v",
      "50",
      "-f",
      join(stage.directory, "pids"),
      "192.0.2.50",
    ]);
    expect((await second.ended).code).toBe(1);
    expect(second.output()).toMatch(ONE_LINE);
    expect(second.output()).toContain(`pid ${daemon.pid}`);

    daemon.kill("SIGTERM");
    expect(await daemon.ended).toEqual({ code: 0, signal: null });
    expect(existsSync(pidFile())).toBe(false);
  });

  it("says on SIGUSR1 what would let commands ask it", async () => {
    const daemon = start(["vrrpd", ...options().slice(0, -2), "192.0.2.50"]);
    await until("it runs", daemon, () => daemon.output().includes("runs 1 virtual router"));
    daemon.kill("SIGUSR1");
    await until("SIGUSR1 is answered", daemon, () =>
      daemon.output().includes("SIGUSR1: this daemon has no control socket (--socket)"),
    );
    expect(daemon.output()).not.toMatch(/debugger|inspector/i);
  });

  it("does not wait for an interface that is not there", async () => {
    const daemon = start(["vrrpd", "-i", "nope", "-v", "50", "192.0.2.50"]);
    expect((await daemon.ended).code).toBe(1);
    expect(daemon.output()).toMatch(ONE_LINE);
    expect(daemon.output()).toContain("-i nope: there is no such interface; there is lan0");
  });

  it("-n, -s, -p, -d and -a mean what they meant", async () => {
    const daemon = start([
      "vrrpd",
      ...options(),
      "-n",
      "-s",
      "-p",
      "7",
      "-d",
      "2",
      "-a",
      "pw/secret",
      "192.0.2.50/24",
    ]);
    await reached(daemon, "lan0/50", "backup");
    expect((await status())?.virtualRouters[0]).toMatchObject({
      priority: 7,
      preempt: false,
      advertisementIntervalMs: 2000,
      virtualMac: null,
      addresses: ["192.0.2.50"],
    });
  });

  it("takes over the pid file of a process that is gone", async () => {
    const args = options();
    writeFileSync(pidFile(), "999999999\n");
    const daemon = start(["vrrpd", ...args, "192.0.2.50"]);
    await reached(daemon, "lan0/50", "backup");
    expect(readFileSync(pidFile(), "utf8")).toBe(`${daemon.pid}\n`);
  });
});
