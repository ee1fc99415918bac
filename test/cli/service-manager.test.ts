/** What systemd would hear and run: a real NOTIFY_SOCKET, a real exchange of processes, the unit judged by systemd itself. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { unitFile } from "../../src/cli/unit.js";
import { withDaemon } from "../../src/control/client.js";
import type { Hello } from "../../src/control/protocol.js";
import { type LabProcess, spawnIn } from "../../src/lab/namespaces.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { firsthop, MAIN, ONE_LINE } from "./command.js";
import { IS_ROOT, stageEachTest, virtualRouter } from "./stage.js";

const PYTHON = spawnSync("python3", ["-c", ""]).status === 0;
const WHY = IS_ROOT && PYTHON ? "" : " (skipped: needs root for network namespaces, and python3)";

/** Node has no such sockets. One datagram a line, as JSON, with the sender's process id. */
const LISTENER = `
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
name = sys.argv[1]
s.bind("\\0" + name[1:] if name.startswith("@") else name)
print("listening", flush=True)
while True:
    data, control, _, _ = s.recvmsg(65536, 256)
    pid = struct.unpack("3i", control[0][2])[0]
    print(json.dumps({"pid": pid, "text": data.decode()}), flush=True)
`;

interface Message {
  readonly pid: number;
  readonly text: string;
}

describe.runIf(IS_ROOT && PYTHON)(`a service manager${WHY}`, () => {
  const stage = stageEachTest();
  const { configPath, socketPath } = stage;
  const configure = (priority: number): void => stage.configure(virtualRouter(10, { priority }));

  beforeEach(() => configure(200));

  function start(env: Readonly<Record<string, string>>, ...more: string[]): LabProcess {
    const files = ["-c", configPath(), "--socket", socketPath()];
    const state = ["--state-directory", join(stage.directory, "state")];
    const args = [MAIN, "run", ...files, ...state, ...more];
    return spawnIn(stage.namespace, process.execPath, args, {
      logFile: join(stage.directory, "daemon.log"),
      env,
    });
  }

  async function listen(name: string): Promise<() => Message[]> {
    const logFile = join(stage.directory, "notified.log");
    const listener = spawnIn(stage.namespace, "python3", ["-c", LISTENER, name], { logFile });
    await eventually("somebody listens", 5_000, () => listener.output().startsWith("listening"));
    return () =>
      listener
        .output()
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Message);
  }

  /** The process that answers on the socket; null while none does. */
  const answering = (): Promise<number | null> =>
    withDaemon(socketPath(), async (client) => ((await client.request("hello")) as Hello).pid).catch(
      () => null,
    );

  it.each(["path", "abstract name"])("is told of start, state, reload and end, by %s", async (kind) => {
    const name = kind === "path" ? join(stage.directory, "notify") : `@fh-notify-${process.pid}`;
    const messages = await listen(name);
    const heard = async (what: string, pattern: RegExp, count = 1): Promise<void> => {
      await eventually(
        what,
        10_000,
        () => messages().filter(({ text }) => pattern.test(text)).length >= count,
        () => JSON.stringify(messages()) + daemon.output(),
      );
    };
    const daemon = start({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "400000" });
    await heard("ready", /^READY=1$/);
    expect(messages()[0]?.text).toBe("READY=1");
    await heard("its state", /^STATUS=virtual routers: 1 active$/);
    await heard("it feeds the watchdog", /^WATCHDOG=1$/, 4);
    const before = Number(process.hrtime.bigint() / 1000n);
    configure(210);
    daemon.kill("SIGHUP");
    await heard("ready again", /^READY=1$/, 2);
    const reloading = messages().find(({ text }) => text.startsWith("RELOADING=1"))?.text;
    const at = Number(/^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading ?? "")?.[1]);
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThan(before + 10_000_000);
    daemon.kill("SIGTERM");
    expect((await daemon.ended).code).toBe(0);
    await heard("the end", /^STOPPING=1$/);
    expect(messages().every(({ pid }) => pid === daemon.pid)).toBe(true);
  });

  it("hears of the process that follows, before the first one ends", async () => {
    const messages = await listen(join(stage.directory, "notify"));
    const env = { NOTIFY_SOCKET: join(stage.directory, "notify"), WATCHDOG_USEC: "400000" };
    const daemon = start({ ...env });
    await eventually("it runs", 10_000, () => messages().some(({ text }) => text === "READY=1"));
    daemon.kill("SIGUSR2");
    expect((await daemon.ended).code, daemon.output()).toBe(0);
    const heir = Number(heirOf(messages()));
    await eventually("the heir answers", 10_000, async () => (await answering()) === heir);
    const own = (): string[] =>
      messages()
        .filter(({ pid }) => pid === heir)
        .map(({ text }) => text);
    await eventually("the heir is ready and feeds the watchdog", 5_000, () => own().includes("WATCHDOG=1"));
    expect(own()[0]).toBe("READY=1");
    expect(messages().some(({ text }) => text === "STOPPING=1")).toBe(false);
    expect(messages().find(({ text }) => text.startsWith("MAINPID="))?.pid).toBe(daemon.pid);
    process.kill(heir, "SIGTERM");
    await eventually("the heir says goodbye", 5_000, () => own().includes("STOPPING=1"));
  });

  const heirOf = (heard: readonly Message[]): string =>
    heard.map(({ text }) => /^MAINPID=(\d+)$/.exec(text)?.[1]).find((pid) => pid !== undefined) ?? "none";

  it("is inherited by a process that was started by hand", async () => {
    const messages = await listen(join(stage.directory, "notify"));
    const daemon = start({ NOTIFY_SOCKET: join(stage.directory, "notify"), WATCHDOG_USEC: "400000" });
    await eventually("it runs", 10_000, () => messages().some(({ text }) => text === "READY=1"));
    const heir = start({}, "--handover");
    expect((await daemon.ended).code).toBe(0);
    await eventually("the heir feeds the watchdog", 10_000, () =>
      messages().some(({ pid, text }) => pid === heir.pid && text === "WATCHDOG=1"),
    );
    expect(heirOf(messages())).toBe(String(heir.pid));
    heir.kill("SIGTERM");
    expect((await heir.ended).code).toBe(0);
  });

  it("does not hear of a process that still waits for notify commands, which all run to their end", async () => {
    const messages = await listen(join(stage.directory, "notify"));
    const told = join(stage.directory, "told");
    const command = join(stage.directory, "on-change");
    writeFileSync(command, `#!/bin/sh\n[ $3 = BACKUP ] || sleep 6\necho $3 >> ${told}\n`, { mode: 0o755 });
    stage.configure(virtualRouter(10, { notify: { command, timeout: "30s" } }));
    const daemon = start({ NOTIFY_SOCKET: join(stage.directory, "notify"), WATCHDOG_USEC: "400000" });
    await stage.reached(daemon, "lan0/10", "active");
    await eventually("the second one runs", 5_000, () => existsSync(told));
    daemon.kill("SIGUSR2");
    await eventually("it waits", 10_000, () => daemon.output().includes("waits for notify commands: 1"));
    const since = messages().length;
    daemon.kill("SIGHUP");
    daemon.kill("SIGUSR2");
    expect((await daemon.ended).code, daemon.output()).toBe(0);
    expect(readFileSync(told, "utf8")).toBe("BACKUP\nMASTER\n");
    const heir = Number(heirOf(messages()));
    expect(
      messages()
        .slice(since)
        .every(({ pid }) => pid === heir),
    ).toBe(true);
    expect(await answering()).toBe(heir);
    process.kill(heir, "SIGTERM");
    await eventually("the heir has ended", 10_000, async () => (await answering()) === null);
  });

  it("a successor that can't start is an error in the log, and the daemon goes on", async () => {
    const daemon = start({});
    await eventually("it runs", 10_000, async () => (await answering()) === daemon.pid);
    await eventually("it has started", 10_000, () => daemon.output().includes('"virtualRouters"'));
    writeFileSync(configPath(), "virtualRouters: 7\n");
    daemon.kill("SIGUSR2");
    await eventually("the failure is told", 10_000, () => daemon.output().includes('"no-successor"'));
    expect(await answering()).toBe(daemon.pid);
    configure(200);
    daemon.kill("SIGUSR2");
    expect((await daemon.ended).code).toBe(0);
  });

  it("whoever is told to end at any time after SIGUSR2 ends, and so does who was to follow", async () => {
    const left = (): string =>
      spawnSync("ip", ["netns", "pids", stage.namespace], { encoding: "utf8" }).stdout.trim();
    // Measured: the new process hears signals from 80 ms on, and has taken over after 300 ms.
    for (const afterMs of [0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400]) {
      const daemon = start({});
      await eventually("it runs", 10_000, () => daemon.output().includes('"virtualRouters"'));
      daemon.kill("SIGUSR2");
      await pause(afterMs);
      daemon.kill("SIGTERM");
      await daemon.ended;
      const log = daemon.output();
      expect(log).not.toContain("no-successor");
      // It had ended before it was told: the other process goes on.
      if (log.includes("another process goes on") && !log.includes("is told to end, too"))
        for (const pid of left().split("\n")) process.kill(Number(pid), "SIGTERM");
      await eventually(`nobody is left after ${afterMs} ms`, 10_000, () => left() === "", daemon.output);
    }
  });

  it.each(["/nowhere/notify", "@nobody", "vsock:2:1", `/${"x".repeat(200)}`])(
    "that can't be reached (%s) is one warning",
    async (name) => {
      const daemon = start({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "100000" });
      await eventually("it runs", 10_000, async () => (await answering()) === daemon.pid);
      await eventually("the warning", 10_000, () => daemon.output().includes('"service-manager"'));
      daemon.kill("SIGHUP");
      await eventually("it reloads", 10_000, () => daemon.output().includes('"reload"'));
      daemon.kill("SIGTERM");
      expect((await daemon.ended).code).toBe(0);
      expect(daemon.output().split('"service-manager"')).toHaveLength(2);
    },
  );

  it("its unit gives all the rights that are needed", async () => {
    const unit = unitFile({ node: "/n", main: "/m", config: "/c" });
    const given = [...unit.matchAll(/^CapabilityBoundingSet=(.*)$/gm)].flatMap(([, names]) =>
      names?.split(" "),
    );
    // By its number, too: setpriv may be older than CAP_BPF.
    const names = given.map((name) => (name === "CAP_BPF" ? "cap_39" : name?.slice(4).toLowerCase()));
    const set = ["-all", ...names.map((name) => `+${name}`)].join(",");
    const files = ["-c", configPath(), "--socket", socketPath()];
    const daemon = spawnIn(
      stage.namespace,
      "setpriv",
      [...["--bounding-set", set, "--inh-caps", set, process.execPath, MAIN, "run"], ...files],
      { logFile: join(stage.directory, "daemon.log") },
    );
    await eventually("it runs", 10_000, async () => (await answering()) === daemon.pid);
    expect((await stage.status())?.engine.realtime).toBe(true);
    await eventually("it has started", 10_000, () => daemon.output().includes('"virtualRouters"'));
    daemon.kill("SIGTERM");
    expect((await daemon.ended).code).toBe(0);
    expect(daemon.output()).not.toContain('"level":"warn"');
  });
});

describe("the unit", () => {
  it("starts what is installed here, and systemd finds nothing wrong with it", async () => {
    const { code, stdout } = await firsthop(["unit", "-c", "/etc/first hop/50%.yaml"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`\nExecStart=${process.execPath} ${MAIN} run -c "/etc/first hop/50%%.yaml"\n`);
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) {
      console.warn("skipped: systemd-analyze verify: systemd is not installed");
      return;
    }
    const directory = mkdtempSync(join(tmpdir(), `fh-unit-${process.pid}-`));
    try {
      const path = join(directory, "firsthop.service");
      writeFileSync(path, stdout);
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", path], {
        encoding: "utf8",
      });
      expect(stderr.split("\n").filter((line) => line.includes("firsthop.service"))).toEqual([]);
      expect(status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("refuses a path that it can't hold", async () => {
    const { code, stderr } = await firsthop(["unit", "-c", "/a\nb"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(ONE_LINE);
  });

  it("quotes", () => {
    expect(unitFile({ node: "/n", main: '/a "b"/$c', config: "/d" })).toContain(
      'ExecStart=/n "/a \\"b\\"/$$c" run -c /d\n',
    );
  });
});
