/** The daemon as a process: its start, its signals, its file, what surrounds it, and what it leaves behind. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withDaemon } from "../../src/control/client.js";
import { GROUP_ADDRESS, GROUP_MAC } from "../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementFrame } from "../../src/core/vrrp/packet.js";
import type { RouterEvent, RouterStatus } from "../../src/engine/status.js";
import { ipBatch, namespacePath, runIn, spawnIn } from "../../src/lab/namespaces.js";
import { loadNative } from "../../src/native.js";
import { MAIN, ONE_LINE } from "./command.js";
import { IS_ROOT, logOf, stageEachTest, until, virtualRouter, WHY } from "./stage.js";

const stage = stageEachTest();
const { ask, configPath, configure, reached, socketPath, start, startActive, startDaemon, status } = stage;

/** An advertisement of priority 99 for VRID 10, from one of many senders. */
function strangersFrame(number: number): Uint8Array {
  const source = `192.0.2.${20 + number}`;
  return encodeAdvertisementFrame({
    advertisement: {
      version: 3,
      family: "ipv4",
      vrid: 10,
      priority: 99,
      intervalUs: 50_000,
      addresses: ["192.0.2.10"],
      authType: 0,
      authData: new Uint8Array(0),
    },
    source,
    destination: GROUP_ADDRESS.ipv4,
    checksumForm: number % 2 === 0 ? "message-only" : "pseudo-header",
    sourceMac: `02:00:00:00:01:${number.toString(16).padStart(2, "0")}`,
    destinationMac: GROUP_MAC.ipv4,
  });
}

describe.runIf(IS_ROOT)(`the daemon${WHY}`, () => {
  it("runs, answers, and leaves nothing behind after SIGTERM", async () => {
    const links = await runIn(stage.namespace, "ip", "-o", "link");
    const daemon = await startActive();
    expect(statSync(socketPath()).mode & 0o777).toBe(0o600);

    const json = await ask("show", "--json");
    expect(json.code).toBe(0);
    const shown = JSON.parse(json.stdout) as RouterStatus;
    expect(shown.virtualRouters[0]).toMatchObject({
      name: "lan0/10",
      interface: "lan0",
      vrid: 10,
      family: "ipv4",
      version: 3,
      state: "active",
      priority: 200,
      addresses: ["192.0.2.10"],
      virtualMac: "00:00:5e:00:01:0a",
      advertisementIntervalMs: 50,
      lastChange: { from: "backup", to: "active" },
    });

    const table = (await ask("show")).stdout.split("\n");
    expect(table[0]).toMatch(/^NAME +STATE +PRIORITY +ACTIVE +ADDRESSES +SINCE$/);
    expect(table[1]).toMatch(/^lan0\/10 +active +200 +self +192\.0\.2\.10 +\S+$/);
    expect((await ask("show", "lan0/10")).stdout).toMatch(/^virtual MAC +00:00:5e:00:01:0a on \S+$/m);
    expect((await ask("show", "interfaces")).stdout).toMatch(/^lan0 +up /m);
    expect(Object.keys(JSON.parse((await ask("show", "interfaces", "--json")).stdout))).toEqual([
      "interfaces",
    ]);

    daemon.kill("SIGTERM");
    expect(await daemon.ended).toEqual({ code: 0, signal: null });
    expect(readdirSync(join(stage.directory, "run"))).toEqual([]);
    // Indexes and MAC addresses apart, nothing was added.
    const names = (text: string): string[] => text.split("\n").map((line) => line.split(": ")[1] ?? "");
    expect(names(await runIn(stage.namespace, "ip", "-o", "link"))).toEqual(names(links));
  });

  it("stays out of the election for its start-up delay", async () => {
    configure(virtualRouter(10), virtualRouter(11, { startupDelay: "2s" }));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "active");
    expect((await status())?.virtualRouters[1]?.state).toBe("initialize");
    await reached(daemon, "lan0/11", "active");
    const listed = await ask("events", "--no-follow", "--json");
    const events = listed.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as RouterEvent);
    const [early, late] = ["lan0/10", "lan0/11"].map((name) => {
      const first = events.find((event) => event.type === "stateChange" && event.name === name);
      return Date.parse(first?.at ?? "");
    });
    // From the daemon's start; the other one starts a moment later, when the kernel has made its device.
    expect(late! - early!).toBeGreaterThan(1_500);
    expect(late! - early!).toBeLessThan(4_000);
  });

  it("refuses a second instance with one line that names the first", async () => {
    const first = await startActive();
    const second = startDaemon();
    expect((await second.ended).code).toBe(1);
    expect(second.output()).toMatch(ONE_LINE);
    expect(second.output()).toMatch(/already runs on .*control\.sock/);
    // spawnIn runs through `ip netns exec`, which becomes the daemon: one pid.
    expect(second.output()).toContain(`pid ${first.pid}`);
    expect((await status())?.virtualRouters[0]?.state).toBe("active");
  });

  it("replaces the socket of a killed daemon", async () => {
    const first = await startActive();
    first.kill("SIGKILL");
    await first.ended;
    expect(existsSync(socketPath())).toBe(true);
    const second = startDaemon();
    await reached(second, "lan0/10", "active");
    expect(await withDaemon(socketPath(), (client) => client.request("hello"))).toMatchObject({
      pid: second.pid,
    });
    second.kill("SIGTERM");
    expect((await second.ended).code).toBe(0);
  });

  it("reloads on SIGHUP: what is new comes, what did not change does not flap", async () => {
    const daemon = await startActive();
    const before = (await status())?.virtualRouters[0]?.lastChange;
    configure(virtualRouter(10), virtualRouter(20));
    daemon.kill("SIGHUP");
    await reached(daemon, "lan0/20", "active");
    expect((await status())?.virtualRouters.find((one) => one.vrid === 10)?.lastChange).toEqual(before);
    expect(logOf(daemon).map((line) => line.msg)).toContain("reloaded: added lan0/20");
  });

  it("says on SIGUSR1 where to ask, and opens no debugger", async () => {
    const daemon = await startActive();
    daemon.kill("SIGUSR1");
    await until("SIGUSR1 is answered", daemon, () =>
      logOf(daemon).some(({ msg }) => /^SIGUSR1: .*firsthop show.*firsthop events/.test(msg)),
    );
    expect(daemon.output()).not.toMatch(/debugger|inspector/i);
    // 9229, where Node's debugger listens.
    expect(readFileSync(`/proc/${daemon.pid}/net/tcp`, "utf8")).not.toContain(":240D ");
    expect((await status())?.virtualRouters[0]?.state).toBe("active");
  });

  it("a bad file on SIGHUP changes nothing, and every problem is logged", async () => {
    const daemon = await startActive();
    const before = await status();
    configure(virtualRouter(10, { priority: 999 }), virtualRouter(300), { vrid: 5 });
    daemon.kill("SIGHUP");
    await until("the refusal is logged", daemon, () => daemon.output().includes("nothing changed"));
    const errors = logOf(daemon).filter((line) => line.level === "error");
    expect(errors.filter((line) => /firsthop\.yaml:\d+:\d+/.test(line.msg)).length).toBeGreaterThanOrEqual(3);
    const after = await status();
    expect(after?.virtualRouters.map((one) => [one.name, one.state, one.lastChange])).toEqual(
      before?.virtualRouters.map((one) => [one.name, one.state, one.lastChange]),
    );
    writeFileSync(configPath(), "virtualRouters: [");
    daemon.kill("SIGHUP");
    await until(
      "a file that is no YAML",
      daemon,
      () => daemon.output().split("nothing changed").length === 3,
    );
    expect(daemon.running()).toBe(true);
  });

  it("reloads by command, which tells what changed, or every problem", async () => {
    const daemon = await startActive();
    configure(virtualRouter(10), virtualRouter(20));
    expect(await ask("reload")).toMatchObject({ code: 0, stdout: "reloaded: added lan0/20\n", stderr: "" });
    configure(virtualRouter(10, { priority: 999, vrid: 0 }));
    const refused = await ask("reload");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    const lines = refused.stderr.trim().split("\n");
    expect(lines.filter((line) => /firsthop\.yaml:\d+:\d+: error: /.test(line))).toHaveLength(2);
    expect(lines.at(-1)).toBe("firsthop: the file cannot be used (see above): nothing changed");
    configure(virtualRouter(10));
    expect(JSON.parse((await ask("reload", "--json")).stdout)).toEqual({
      added: [],
      removed: ["lan0/20"],
      changed: [],
      unchanged: ["lan0/10"],
      settings: [],
    });
    const inputs = (await ask("recorder")).stdout.trim().split("\n");
    expect(inputs.map((line) => JSON.parse(line).name)).toContain("lan0/20");
    expect(daemon.running()).toBe(true);
  });

  it("does not start from a bad or missing file", async () => {
    const missing = startDaemon();
    expect((await missing.ended).code).toBe(1);
    expect(missing.output()).toMatch(ONE_LINE);
    configure(virtualRouter(300));
    const bad = startDaemon();
    expect((await bad.ended).code).toBe(1);
    expect(bad.output()).toMatch(/firsthop\.yaml:\d+:\d+/);
    expect(existsSync(socketPath())).toBe(false);
  });

  it("waits for an interface that is not there yet", async () => {
    configure(virtualRouter(10, { interface: "lan7" }));
    const daemon = startDaemon();
    await reached(daemon, "lan7/10", "fault");
    expect((await ask("show")).stdout).toMatch(/lan7\/10 +fault +200 +interface-missing/);
    const wire = "link add lan7 type veth peer name lan8";
    const up = ["link set lan8 up", "link set lan7 up", "addr add 192.0.2.7/24 dev lan7"];
    await ipBatch([wire, ...up], stage.namespace);
    await reached(daemon, "lan7/10", "active");
  });

  it("waits for the source address that is configured, and says so", async () => {
    configure(virtualRouter(10, { unicast: { source: "192.0.2.77", peers: ["192.0.2.78"] } }));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "fault");
    expect((await ask("explain", "lan0/10")).stdout).toContain(
      "unicast.source is no address of the interface",
    );
    await ipBatch(["addr add 192.0.2.77/24 dev lan0"], stage.namespace);
    await reached(daemon, "lan0/10", "active");
    await ipBatch(["addr del 192.0.2.77/24 dev lan0"], stage.namespace);
    await reached(daemon, "lan0/10", "fault");
  });

  it("refuses a socket path that names a directory", async () => {
    configure(virtualRouter(10));
    for (const path of [`${stage.directory}/`, ""]) {
      const daemon = start(["run", "-c", configPath(), `--socket=${path}`]);
      expect((await daemon.ended).code).toBe(2);
      expect(daemon.output()).toMatch(ONE_LINE);
      expect(daemon.output()).toContain(`'${path}' names no socket`);
    }
  });

  it("`stop` over the socket ends it in good order", async () => {
    const daemon = await startActive();
    expect(await withDaemon(socketPath(), (client) => client.request("stop"))).toMatchObject({
      pid: daemon.pid,
    });
    expect(await daemon.ended).toEqual({ code: 0, signal: null });
  });

  it("a second signal ends a hand-over at once", async () => {
    // Nobody is there to succeed: the hand-over would last 1.1 s (Skew_Time of priority 1, and 100 ms).
    configure(virtualRouter(10, { advertisementInterval: "1s" }));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "active");
    daemon.kill("SIGINT");
    await until("the hand-over begins", daemon, () => daemon.output().includes("handing over"));
    daemon.kill("SIGTERM");
    expect((await daemon.ended).code).toBe(0);
    expect(daemon.output()).toContain("SIGTERM again: leaving at once");
    expect(existsSync(socketPath())).toBe(false);
  });

  it("ends with 70 on an internal error, says so, and takes its addresses along", async () => {
    configure(virtualRouter(10));
    const bug = 'process.on("SIGUSR2",()=>{throw new Error("a bug")})';
    const logFile = join(stage.directory, "bug.log");
    const args = [
      `--import=data:text/javascript,${encodeURIComponent(bug)}`,
      MAIN,
      "run",
      "-c",
      configPath(),
    ];
    const daemon = spawnIn(stage.namespace, process.execPath, [...args, "--socket", socketPath()], {
      logFile,
    });
    await reached(daemon, "lan0/10", "active");
    expect(await runIn(stage.namespace, "ip", "addr")).toContain("192.0.2.10");
    daemon.kill("SIGUSR2");
    expect((await daemon.ended).code).toBe(70);
    const fatal = logOf(daemon).filter((line) => line.level === "fatal");
    expect(fatal).toEqual([expect.objectContaining({ msg: expect.stringContaining("Error: a bug") })]);
    expect(await runIn(stage.namespace, "ip", "addr")).not.toContain("192.0.2.10");
    expect(existsSync(socketPath())).toBe(false);
  });

  it("outlives clients that misbehave", async () => {
    const daemon = await startActive();
    const flood = connect(socketPath());
    flood.on("error", () => {});
    flood.write(Buffer.alloc(1024 * 1024, "x"));
    const half = connect(socketPath(), () => half.write('{"id":1,"method":"sta'));
    half.on("error", () => {});
    const garbage = connect(socketPath(), () => garbage.write("\0\0\0\n[]\n{}\n"));
    garbage.on("error", () => {});
    await until("the flood is refused", daemon, () => daemon.output().includes("a request of more than"));
    expect((await ask("show")).code).toBe(0);
    for (const socket of [flood, half, garbage]) socket.destroy();
    expect((await ask("show")).code).toBe(0);
  });

  it.each([
    ["is set down", "link set fh10-lan0 down", "was set down"],
    ["loses its address", "addr del 192.0.2.10/24 dev fh10-lan0", "lost the address 192.0.2.10"],
    ["gets another MAC address", "link set fh10-lan0 address 02:00:00:00:00:77", "got another MAC address"],
    ["is closed", "link set fh10-lan0 type macvlan mode source", "was put into macvlan mode source"],
    ["is removed", "link delete fh10-lan0", "was removed"],
  ])("makes a device anew that %s by somebody else's hand", async (_, command, words) => {
    const daemon = await startActive();
    await ipBatch([command], stage.namespace);
    await until("it is told", daemon, () => daemon.output().includes(`fh10-lan0 ${words}`));
    await until("it is Active again", daemon, () =>
      /initialize -> backup.*backup -> active/s.test(daemon.output().slice(daemon.output().indexOf(words))),
    );
    const device = await runIn(stage.namespace, "ip", "-o", "addr", "show", "dev", "fh10-lan0", "up");
    expect(device).toContain("192.0.2.10/24");
    expect(await runIn(stage.namespace, "ip", "-o", "link", "show", "fh10-lan0")).toContain(
      "00:00:5e:00:01:0a",
    );
  });

  it("stays Active, answers and ends in time while hundreds of strangers advertise", async () => {
    configure(virtualRouter(10));
    writeFileSync(configPath(), readFileSync(configPath(), "utf8").replace("{", '{"controlTimeout":"1s",'));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "active");
    const frames = Array.from({ length: 200 }, (_, at) => strangersFrame(at));
    const { TrafficSource } = loadNative();
    const strangers = new TrafficSource({
      namespace: namespacePath(stage.namespace),
      interface: "lan1",
      frames,
      packetsPerSecond: 10_000,
      capacity: 200_000,
    });
    try {
      await until("they were heard for a while", daemon, () => strangers.status().sent > 30_000);
      expect((await ask("show")).code).toBe(0);
      expect((await status())?.virtualRouters[0]?.state).toBe("active");
      expect(daemon.output()).not.toContain("JavaScript was silent");
      daemon.kill("SIGTERM");
      expect(await daemon.ended).toEqual({ code: 0, signal: null });
      expect(strangers.status().sent).toBeLessThan(200_000);
    } finally {
      strangers.stop();
    }
  });

  it("goes on, and ends, where its log meets a full disk", async () => {
    configure(virtualRouter(10));
    const line = `"${process.execPath}" "${MAIN}" run -c "${configPath()}" --socket "${socketPath()}" > /dev/full`;
    const shell = spawnIn(stage.namespace, "bash", ["-c", `${line}; echo "exit code $?"`], {
      logFile: join(stage.directory, "full.log"),
    });
    await reached(shell, "lan0/10", "active");
    await withDaemon(socketPath(), (client) => client.request("stop"));
    await shell.ended;
    expect(shell.output()).toContain("exit code 0");
  }, 20_000);

  it("goes on when nobody reads its log", async () => {
    configure(virtualRouter(10));
    const line = `"${process.execPath}" "${MAIN}" run -c "${configPath()}" --socket "${socketPath()}" | true`;
    const shell = spawnIn(stage.namespace, "bash", ["-c", line], {
      logFile: join(stage.directory, "pipe.log"),
    });
    await reached(shell, "lan0/10", "active");
    await withDaemon(socketPath(), (client) => client.request("stop"));
    await shell.ended;
  });
});
