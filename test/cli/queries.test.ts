/** What commands say of a running daemon: show, explain, events. */
import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { withDaemon } from "../../src/control/client.js";
import type { RouterEvent } from "../../src/engine/status.js";
import { runIn } from "../../src/lab/namespaces.js";
import { execute, MAIN, ONE_LINE } from "./command.js";
import { IS_ROOT, stageEachTest, until, virtualRouter, WHY } from "./stage.js";

const stage = stageEachTest();
const { ask, configPath, configure, reached, socketPath, start, startActive, startDaemon, status } = stage;

describe.runIf(IS_ROOT)(`of a running daemon${WHY}`, () => {
  it("shows sync groups with their members", async () => {
    const members = [10, 11].map((vrid) => virtualRouter(vrid, { syncGroup: "edge" }));
    writeFileSync(configPath(), JSON.stringify({ virtualRouters: members, syncGroups: [{ name: "edge" }] }));
    const daemon = startDaemon();
    await until(
      "the group is Active",
      daemon,
      async () => (await status())?.syncGroups[0]?.state === "active",
    );
    const lines = (await ask("show", "sync-groups")).stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^GROUP +MODE +STATE +PRIORITY +NOTE$/);
    expect(lines[1]).toMatch(/^edge +all +active +- +-$/);
    expect(lines[2]).toMatch(/^ {2}lan0\/10 +active +200 +-$/);
    expect(lines[3]).toMatch(/^ {2}lan0\/11 +active +200 +-$/);
    expect(JSON.parse((await ask("show", "sync-groups", "--json")).stdout)).toEqual({
      syncGroups: [
        { name: "edge", mode: "all", state: "active", blocked: false, members: ["lan0/10", "lan0/11"] },
      ],
    });
  });

  it("goes on after the event whose number is given, and refuses what is no number", async () => {
    await startActive();
    const list = async (...more: string[]): Promise<RouterEvent[]> => {
      const { stdout } = await ask("events", "--no-follow", "--json", ...more);
      return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as RouterEvent);
    };
    const all = await list();
    expect(all.length).toBeGreaterThan(1);
    const second = all[1]!.sequence;
    const after = await list("--since", String(second));
    expect(after.slice(0, all.length - 2)).toEqual(all.slice(2));
    expect(after.every((event) => event.sequence > second)).toBe(true);
    // A number of the daemon before this one.
    const anew = await list("--since", String(all.at(-1)!.sequence + 1000));
    expect(anew.slice(0, all.length)).toEqual(all);
    const unknown = await ask("events", "nosuch", "--no-follow");
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toMatch(ONE_LINE);
    expect(unknown.stderr).toMatch(/nothing is called nosuch now; there is lan0\/10/);
    expect((await ask("events", "lan0", "--no-follow")).stderr).toBe("");
    const wrong = await ask("events", "--since", "yesterday");
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toMatch(ONE_LINE);
  });

  it("explains, and says what it does not know", async () => {
    await startActive();
    const text = await ask("explain", "lan0/10");
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(
      /^lan0\/10: Active: .+\nbecause\n( {2}- .+\n)+what would change it\n( {2}- .+\n)+$/,
    );
    expect(JSON.parse((await ask("explain", "--json", "lan0/10")).stdout)).toMatchObject({
      name: "lan0/10",
      state: "active",
      because: expect.any(Array),
      next: expect.any(Array),
    });
    expect((await ask("explain")).stdout).toBe(text.stdout);
    for (const command of ["explain", "show"]) {
      const unknown = await ask(command, "lan0/99");
      expect(unknown.code).toBe(1);
      expect(unknown.stderr).toMatch(ONE_LINE);
      expect(unknown.stderr).toContain("lan0/10");
    }
  });

  it("tells events, remembered and as they come", async () => {
    const daemon = await startActive();
    const remembered = await ask("events", "--no-follow", "--json");
    const events = remembered.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as RouterEvent);
    expect(events).toContainEqual(
      expect.objectContaining({ type: "stateChange", name: "lan0/10", from: "backup", to: "active" }),
    );
    expect((await ask("events", "--no-follow")).stdout).toMatch(/lan0\/10 {2}backup -> active {2}\S.+\n/);
    const own = (await ask("events", "lan0/10", "--no-follow")).stdout.trim().split("\n");
    expect(own.filter((line) => !line.includes("  lan0/10  "))).toEqual([]);
    expect(own.length).toBeGreaterThanOrEqual(2);
    expect(await ask("events", "lan1", "--no-follow")).toMatchObject({ code: 1, stdout: "" });
    // What is no more has its events still.
    stage.configure(virtualRouter(11));
    expect((await ask("reload")).code).toBe(0);
    const gone = await ask("events", "lan0/10", "--no-follow");
    expect(gone).toMatchObject({ code: 0, stderr: "" });
    expect(gone.stdout).toContain("lan0/10");

    const follower = start(["events", "--json", "--socket", socketPath()]);
    await withDaemon(socketPath(), (client) => client.request("hello"));
    await until("the follower is connected", daemon, async () => {
      await runIn(stage.namespace, "ip", "link", "set", "lan0", "down");
      await runIn(stage.namespace, "ip", "link", "set", "lan0", "up");
      return follower.output().includes('"to":"fault"');
    });
    daemon.kill("SIGTERM");
    expect(await follower.ended).toMatchObject({ code: 1 });
    expect(follower.output()).toMatch(/firsthop: the firsthop daemon on \S+ ended\n$/);
  });

  it("show --watch draws again on a change", async () => {
    const daemon = await startActive();
    const watcher = start(["show", "--watch", "--json", "--socket", socketPath()]);
    await until("the first picture", daemon, () => watcher.output().includes('"active"'));
    await runIn(stage.namespace, "ip", "link", "set", "lan0", "down");
    await until("the second picture", daemon, () => watcher.output().includes('"fault"'));
    watcher.kill("SIGINT");
    await watcher.ended;
  });

  it("show | head does not complain", async () => {
    configure(...Array.from({ length: 60 }, (_, index) => virtualRouter(index + 100)));
    const daemon = startDaemon();
    await reached(daemon, "lan0/159", "active");
    const line = `set -o pipefail; "${process.execPath}" "${MAIN}" show --json --socket "${socketPath()}" | head -n 1`;
    expect(await execute("bash", ["-c", line])).toMatchObject({ code: 0, stderr: "", stdout: "{\n" });
  });
});
