/** The daemon as a process: its socket, its signals, what it says, and who may ask it. In namespaces of its own. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectControl } from "../../src/control/client.js";
import { GROUP_ADDRESS, GROUP_MAC } from "../../src/core/vrrp/advertisement.js";
import { encodeAdvertisementFrame } from "../../src/core/vrrp/packet.js";
import type { RouterEvent, RouterStatus } from "../../src/engine/status.js";
import { ipBatch, type LabProcess, namespacePath, runIn, spawnIn } from "../../src/lab/namespaces.js";
import { loadNative } from "../../src/native.js";
import { execute, firsthop, MAIN, ONE_LINE } from "./command.js";
import { openWiredNamespace } from "./wired-namespace.js";

const IS_ROOT = process.getuid?.() === 0;
const WHY = IS_ROOT ? "" : " (skipped: needs root for network namespaces)";

let namespace: string;
let directory: string;
let clear: () => void;

beforeEach(async () => {
  if (!IS_ROOT) return;
  ({ namespace, directory, clear } = await openWiredNamespace());
});

afterEach(() => clear?.());

const socketPath = (): string => join(directory, "run", "control.sock");
const configPath = (): string => join(directory, "firsthop.yaml");

function virtualRouter(vrid: number, more: object = {}): object {
  return {
    interface: "lan0",
    vrid,
    addresses: [`192.0.2.${vrid}/24`],
    advertisementInterval: "50ms",
    priority: 200,
    ...more,
  };
}

function configure(...virtualRouters: object[]): void {
  writeFileSync(configPath(), JSON.stringify({ virtualRouters, log: { format: "json" } }));
}

let started = 0;

function start(args: readonly string[]): LabProcess {
  const logFile = join(directory, `${++started}.log`);
  return spawnIn(namespace, process.execPath, [MAIN, ...args], { logFile });
}

function startDaemon(...more: string[]): LabProcess {
  const state = join(directory, "state");
  return start(["run", "-c", configPath(), "--socket", socketPath(), "--state-directory", state, ...more]);
}

/** Fails with the daemon's log, so that a failure explains itself. */
async function until(
  what: string,
  daemon: LabProcess,
  probe: () => boolean | Promise<boolean>,
): Promise<void> {
  await expect
    .poll(async () => ((await probe()) ? "yes" : `${what}: not yet; log: ${daemon.output().slice(-2000)}`), {
      timeout: 15_000,
      interval: 20,
    })
    .toBe("yes");
}

async function status(path = socketPath()): Promise<RouterStatus | null> {
  try {
    const client = await connectControl(path);
    try {
      return (await client.request("status")) as RouterStatus;
    } finally {
      client.close();
    }
  } catch {
    return null;
  }
}

async function reached(daemon: LabProcess, name: string, state: string, path = socketPath()): Promise<void> {
  await until(`${name} is ${state}`, daemon, async () => {
    const now = await status(path);
    return now?.virtualRouters.find((one) => one.name === name)?.state === state;
  });
}

async function startActive(): Promise<LabProcess> {
  configure(virtualRouter(10));
  const daemon = startDaemon();
  await reached(daemon, "lan0/10", "active");
  return daemon;
}

const ask = (...args: string[]) => firsthop([...args, "--socket", socketPath()]);

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

/** Log lines as objects. */
function logOf(daemon: LabProcess): { level: string; msg: string }[] {
  return daemon
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { level: string; msg: string });
}

describe.runIf(IS_ROOT)(`the daemon${WHY}`, () => {
  it("runs, answers, and leaves nothing behind after SIGTERM", async () => {
    const links = await runIn(namespace, "ip", "-o", "link");
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
    expect(readdirSync(join(directory, "run"))).toEqual([]);
    // Indexes and MAC addresses apart, nothing was added.
    const names = (text: string): string[] => text.split("\n").map((line) => line.split(": ")[1] ?? "");
    expect(names(await runIn(namespace, "ip", "-o", "link"))).toEqual(names(links));
  });

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

    const follower = start(["events", "--json", "--socket", socketPath()]);
    const client = await connectControl(socketPath());
    await client.request("hello");
    client.close();
    await until("the follower is connected", daemon, async () => {
      await runIn(namespace, "ip", "link", "set", "lan0", "down");
      await runIn(namespace, "ip", "link", "set", "lan0", "up");
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
    await runIn(namespace, "ip", "link", "set", "lan0", "down");
    await until("the second picture", daemon, () => watcher.output().includes('"fault"'));
    watcher.kill("SIGINT");
    await watcher.ended;
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
    const hello = await connectControl(socketPath());
    expect(await hello.request("hello")).toMatchObject({ pid: second.pid });
    hello.close();
    second.kill("SIGTERM");
    expect((await second.ended).code).toBe(0);
  });

  it("other users are refused", async () => {
    await startActive();
    // With the right to read and search everything, so that neither directories nor the place of this clone keep
    // them out: only the mode of the socket does.
    const everywhere = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const nobody = [
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      ...everywhere,
      process.execPath,
      MAIN,
    ];
    const { code, stderr } = await execute("setpriv", [...nobody, "show", "--socket", socketPath()]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain("is not yours");
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

  it("names a missing capability", async () => {
    configure(virtualRouter(10));
    const drop = ["--bounding-set", "-net_raw", "--inh-caps", "-net_raw", process.execPath, MAIN];
    const { code, stderr } = await execute("setpriv", [
      ...drop,
      "run",
      "-c",
      configPath(),
      "--socket",
      socketPath(),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(/CAP_NET_RAW is missing: give the process/);
  });

  it("runs without real-time scheduling, with one plain warning", async () => {
    configure(virtualRouter(10));
    const args = ["--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice", "prlimit", "--rtprio=0"];
    const run = [process.execPath, MAIN, "run", "-c", configPath(), "--socket", socketPath()];
    const logFile = join(directory, "plain.log");
    const daemon = spawnIn(namespace, "setpriv", [...args, ...run], { logFile });
    await reached(daemon, "lan0/10", "active");
    const warnings = logOf(daemon).filter((line) => line.level === "warn");
    expect(warnings).toEqual([expect.objectContaining({ msg: expect.stringContaining("CAP_SYS_NICE") })]);
    const shown = await status();
    expect(shown?.engine.realtime).toBe(false);
  });

  it("keeps its code in memory where it may, and says in the same line where it may not", async () => {
    const locked = (pid: number): number => {
      const smaps = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
      const code = smaps.filter((one) => /^\S+ r-xp .*(?:firsthop\S*\.node|\blibc\b.*\.so)/.test(one));
      expect(code.length).toBeGreaterThanOrEqual(2);
      return code.filter((one) => /^VmFlags:.* lo\b/m.test(one)).length - code.length;
    };
    const first = await startActive();
    expect(locked(first.pid)).toBe(0);
    expect((await status())?.engine.memoryLocked).toBe(true);
    first.kill("SIGTERM");
    await first.ended;
    const without = ["-sys_nice", "-ipc_lock"].join(",");
    const args = ["--bounding-set", without, "--inh-caps", without, "prlimit", "--rtprio=0", "--memlock=0"];
    const run = [process.execPath, MAIN, "run", "-c", configPath(), "--socket", socketPath()];
    const daemon = spawnIn(namespace, "setpriv", [...args, ...run], {
      logFile: join(directory, "plain.log"),
    });
    await reached(daemon, "lan0/10", "active");
    expect(logOf(daemon).filter((line) => line.level === "warn")).toEqual([
      expect.objectContaining({ msg: expect.stringMatching(/CAP_SYS_NICE.*CAP_IPC_LOCK/) }),
    ]);
  });

  it("waits for an interface that is not there yet", async () => {
    configure(virtualRouter(10, { interface: "lan7" }));
    const daemon = startDaemon();
    await reached(daemon, "lan7/10", "fault");
    expect((await ask("show")).stdout).toMatch(/lan7\/10 +fault +200 +interface-missing/);
    const wire = "link add lan7 type veth peer name lan8";
    const up = ["link set lan8 up", "link set lan7 up", "addr add 192.0.2.7/24 dev lan7"];
    await ipBatch([wire, ...up], namespace);
    await reached(daemon, "lan7/10", "active");
  });

  it("waits for the source address that is configured, and says so", async () => {
    configure(virtualRouter(10, { unicast: { source: "192.0.2.77", peers: ["192.0.2.78"] } }));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "fault");
    expect((await ask("explain", "lan0/10")).stdout).toContain(
      "unicast.source is no address of the interface",
    );
    await ipBatch(["addr add 192.0.2.77/24 dev lan0"], namespace);
    await reached(daemon, "lan0/10", "active");
    await ipBatch(["addr del 192.0.2.77/24 dev lan0"], namespace);
    await reached(daemon, "lan0/10", "fault");
  });

  it("refuses a socket path that names a directory", async () => {
    configure(virtualRouter(10));
    for (const path of [`${directory}/`, ""]) {
      const daemon = start(["run", "-c", configPath(), `--socket=${path}`]);
      expect((await daemon.ended).code).toBe(2);
      expect(daemon.output()).toMatch(ONE_LINE);
      expect(daemon.output()).toContain(`'${path}' names no socket`);
    }
  });

  it("`stop` over the socket ends it in good order", async () => {
    const daemon = await startActive();
    const client = await connectControl(socketPath());
    expect(await client.request("stop")).toMatchObject({ pid: daemon.pid });
    client.close();
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
    const logFile = join(directory, "bug.log");
    const args = [
      `--import=data:text/javascript,${encodeURIComponent(bug)}`,
      MAIN,
      "run",
      "-c",
      configPath(),
    ];
    const daemon = spawnIn(namespace, process.execPath, [...args, "--socket", socketPath()], { logFile });
    await reached(daemon, "lan0/10", "active");
    expect(await runIn(namespace, "ip", "addr")).toContain("192.0.2.10");
    daemon.kill("SIGUSR2");
    expect((await daemon.ended).code).toBe(70);
    const fatal = logOf(daemon).filter((line) => line.level === "fatal");
    expect(fatal).toEqual([expect.objectContaining({ msg: expect.stringContaining("Error: a bug") })]);
    expect(await runIn(namespace, "ip", "addr")).not.toContain("192.0.2.10");
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
    await ipBatch([command], namespace);
    await until("it is told", daemon, () => daemon.output().includes(`fh10-lan0 ${words}`));
    await until("it is Active again", daemon, () =>
      /initialize -> backup.*backup -> active/s.test(daemon.output().slice(daemon.output().indexOf(words))),
    );
    const device = await runIn(namespace, "ip", "-o", "addr", "show", "dev", "fh10-lan0", "up");
    expect(device).toContain("192.0.2.10/24");
    expect(await runIn(namespace, "ip", "-o", "link", "show", "fh10-lan0")).toContain("00:00:5e:00:01:0a");
  });

  it("stays Active, answers and ends in time while hundreds of strangers advertise", async () => {
    configure(virtualRouter(10));
    writeFileSync(configPath(), readFileSync(configPath(), "utf8").replace("{", '{"controlTimeout":"1s",'));
    const daemon = startDaemon();
    await reached(daemon, "lan0/10", "active");
    const frames = Array.from({ length: 200 }, (_, at) => strangersFrame(at));
    const { TrafficSource } = loadNative();
    const strangers = new TrafficSource({
      namespace: namespacePath(namespace),
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

  it("show | head does not complain", async () => {
    configure(...Array.from({ length: 60 }, (_, index) => virtualRouter(index + 100)));
    const daemon = startDaemon();
    await reached(daemon, "lan0/159", "active");
    const line = `set -o pipefail; "${process.execPath}" "${MAIN}" show --json --socket "${socketPath()}" | head -n 1`;
    expect(await execute("bash", ["-c", line])).toMatchObject({ code: 0, stderr: "", stdout: "{\n" });
  });

  it("goes on when nobody reads its log", async () => {
    configure(virtualRouter(10));
    const line = `"${process.execPath}" "${MAIN}" run -c "${configPath()}" --socket "${socketPath()}" | true`;
    const shell = spawnIn(namespace, "bash", ["-c", line], { logFile: join(directory, "pipe.log") });
    await reached(shell, "lan0/10", "active");
    const client = await connectControl(socketPath());
    await client.request("stop");
    client.close();
    await shell.ended;
  });
});

describe.runIf(IS_ROOT)(`vrrpd${WHY}`, () => {
  const pidFile = (): string => join(directory, "pids", "vrrpd_lan0_50.pid");
  const options = (): string[] => {
    mkdirSync(join(directory, "pids"), { recursive: true });
    return ["-i", "lan0", "-v", "50", "-f", join(directory, "pids"), "--socket", socketPath()];
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

    const second = start(["vrrpd", "-i", "lan0", "-v", "50", "-f", join(directory, "pids"), "192.0.2.50"]);
    expect((await second.ended).code).toBe(1);
    expect(second.output()).toMatch(ONE_LINE);
    expect(second.output()).toContain(`pid ${daemon.pid}`);

    daemon.kill("SIGTERM");
    expect(await daemon.ended).toEqual({ code: 0, signal: null });
    expect(existsSync(pidFile())).toBe(false);
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
