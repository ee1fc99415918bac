/** Probes of this machine: what each finds, in which words, and that nothing of it stays. */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { TrackResult } from "../../../src/core/tracking/verdict.js";
import type { ProbeRequest, ProbeTime } from "../../../src/driver/driver.js";
import { openLinuxAlarms } from "../../../src/driver/linux/alarms.js";
import { openLinuxProbes } from "../../../src/driver/linux/probes/index.js";
import { median } from "../../../src/lab/statistics.js";
import { eventually } from "../../../src/lab/wait.js";
import { loadNative } from "../../../src/native.js";

const directory = mkdtempSync(join(tmpdir(), `firsthop-probes-${process.pid}-`));
const alarms = openLinuxAlarms(loadNative);
const probes = openLinuxProbes(alarms);
const anywhere = { interface: null, source: null };
const loopback = { interface: "lo", source: "127.0.0.1" };

afterAll(async () => {
  await probes.close();
  alarms.close();
  rmSync(directory, { recursive: true });
});

/** From now on. */
function within(timeoutMs: number): ProbeTime {
  return { timeoutUs: timeoutMs * 1000, deadlineUs: alarms.now() + timeoutMs * 1000 };
}

async function probe(request: ProbeRequest, timeoutMs = 2000): Promise<TrackResult> {
  const result = await probes.start(request, within(timeoutMs)).result;
  if ("untried" in result) throw new Error(result.untried);
  return result;
}

/** A port of loopback where nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

describe("tcp", () => {
  it("finds who accepts connections, from the interface and address that it was told", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const seen = once(server, "connection");
    const result = await probe({
      probe: "tcp",
      address: "127.0.0.1",
      port,
      ...loopback,
      source: "127.0.0.9",
    });
    expect(result).toEqual({ up: true, evidence: `127.0.0.1 accepts connections to port ${port}` });
    const [socket] = await seen;
    expect(socket.remoteAddress).toBe("127.0.0.9");
    socket.destroy();
    server.close();
  });

  it("says what is wrong", async () => {
    const port = await deadPort();
    const to = { probe: "tcp", address: "127.0.0.1", port } as const;
    expect(await probe({ ...to, ...anywhere })).toMatchObject({
      up: false,
      evidence: `127.0.0.1:${port}: refuses the connection`,
    });
    expect(await probe({ ...to, interface: "nothere0", source: null })).toMatchObject({
      up: false,
      evidence: `127.0.0.1:${port}: the interface is not there`,
    });
    expect(await probe({ ...to, interface: null, source: "198.51.100.77" })).toMatchObject({
      up: false,
      evidence: `127.0.0.1:${port}: the source address is not ours`,
    });
  });

  it("leaves no descriptor behind, however it ends", async () => {
    const port = await deadPort();
    await probe({ probe: "tcp", address: "127.0.0.1", port, ...anywhere });
    const before = openDescriptors();
    for (let round = 0; round < 20; round++)
      await probe({ probe: "tcp", address: "127.0.0.1", port, ...anywhere });
    // Nobody answers there: the end of the attempt is its cancelling.
    for (let round = 0; round < 20; round++) {
      const run = probes.start({ probe: "tcp", address: "127.0.0.1", port, ...anywhere }, within(1000));
      run.cancel();
    }
    await eventually("descriptors are closed", 2000, () => openDescriptors() <= before);
  });
});

describe("a time-out", () => {
  const open = async (accept: boolean): Promise<{ server: Server; request: ProbeRequest }> => {
    const server = createServer((socket) => accept && socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const more = {
      secure: false,
      path: "/",
      host: null,
      method: "GET",
      status: [[200, 399]],
      verify: true,
    } as const;
    return { server, request: { probe: "http", address: "127.0.0.1", port, ...more, ...anywhere } };
  };

  it("ends at its moment, between two milliseconds or not", async () => {
    const { server, request } = await open(false);
    const lateUs: number[] = [];
    for (let run = 0; run < 40; run++) {
      const time = { timeoutUs: 5_000, deadlineUs: alarms.now() + 5_000 + 25 * run };
      expect(await probes.start(request, time).result).toEqual({
        up: false,
        evidence: "no answer within 5 ms",
      });
      lateUs.push(alarms.now() - time.deadlineUs);
    }
    expect(Math.min(...lateUs)).toBeGreaterThanOrEqual(0);
    expect(median(lateUs)).toBeLessThan(1000);
    server.close();
  });

  it("is not judged by who was away himself", async () => {
    const { server, request } = await open(true);
    const untilUs = alarms.now() + 60_000;
    const run = probes.start(request, within(20));
    await new Promise((resolve) => setImmediate(resolve));
    while (alarms.now() < untilUs);
    expect(await run.result).toMatchObject({ up: true });
    server.close();
  });
});

describe("udp", () => {
  it("finds who answers rightly", async () => {
    const server = createSocket("udp4");
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.on("message", (message, from) => server.send(`re: ${message}`, from.port, from.address));
    const to = { probe: "udp", address: "127.0.0.1", port, send: Buffer.from("ping"), ...loopback } as const;
    expect(await probe({ ...to, expect: Buffer.from("re: ping") })).toEqual({
      up: true,
      evidence: `127.0.0.1:${port} answers`,
    });
    expect(await probe({ ...to, expect: Buffer.from("no") }, 100)).toMatchObject({
      up: false,
      evidence: "no answer within 100 ms",
    });
    server.close();
  });

  it("says when nobody listens", async () => {
    const port = await deadPort();
    const nothing = new Uint8Array();
    const result = await probe({
      probe: "udp",
      address: "127.0.0.1",
      port,
      send: nothing,
      expect: nothing,
      ...anywhere,
    });
    expect(result).toMatchObject({ up: false, evidence: `127.0.0.1:${port}: nobody listens there` });
  });
});

describe("http", () => {
  const request = (
    port: number,
    more: Partial<Extract<ProbeRequest, { probe: "http" }>> = {},
  ): ProbeRequest => ({
    probe: "http",
    secure: false,
    address: "127.0.0.1",
    port,
    path: "/",
    host: null,
    method: "GET",
    status: [[200, 399]],
    verify: true,
    ...anywhere,
    ...more,
  });

  it("judges the status, asks for the host, and reads no body", async () => {
    const asked: string[] = [];
    const server = createHttp((incoming, answer) => {
      asked.push(`${incoming.method} ${incoming.headers.host}${incoming.url}`);
      answer.statusCode = incoming.url === "/health" ? 200 : 503;
      answer.flushHeaders();
      answer.write("x".repeat(1000)); // and never ends
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const healthy = await probe(request(port, { path: "/health", host: "www.example.net", ...loopback }));
    expect(healthy).toEqual({ up: true, evidence: `127.0.0.1:${port} answers 200` });
    const ill = await probe(request(port, { method: "HEAD" }));
    expect(ill).toEqual({ up: false, evidence: `127.0.0.1:${port} answers 503` });
    expect(asked).toEqual(["GET www.example.net/health", "HEAD 127.0.0.1/"]);
    server.closeAllConnections();
    server.close();
  });

  it("says what is wrong where no answer comes", async () => {
    const port = await deadPort();
    expect(await probe(request(port))).toMatchObject({
      up: false,
      evidence: `127.0.0.1:${port}: refuses the connection`,
    });
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const result = await probe(request((silent.address() as AddressInfo).port), 100);
    expect(result).toEqual({ up: false, evidence: "no answer within 100 ms" });
    silent.close();
    const rude = createServer((socket) => socket.end("what?\r\n")).listen(0, "127.0.0.1");
    await once(rude, "listening");
    expect((await probe(request((rude.address() as AddressInfo).port))).up).toBe(false);
    rude.close();
    const plain = createHttp((_, answer) => answer.end()).listen(0, "127.0.0.1");
    await once(plain, "listening");
    expect((await probe(request((plain.address() as AddressInfo).port, { secure: true }))).up).toBe(false);
    plain.close();
  });

  it("waits for the answer behind interim ones, but is not kept busy by them", async () => {
    const interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let sent = 0;
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      const more = (): void => {
        while (!socket.destroyed && socket.write(interim.repeat(50))) sent++;
      };
      socket.once("data", (asked) => {
        if (asked.includes("GET /few"))
          return socket.end(`${interim.repeat(3)}HTTP/1.1 204 No Content\r\n\r\n`);
        socket.on("drain", more);
        more();
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    expect(await probe(request(port, { path: "/few" }))).toEqual({
      up: true,
      evidence: `127.0.0.1:${port} answers 204`,
    });
    const result = await probe(request(port, { path: "/many" }));
    expect(result.up).toBe(false);
    expect(result.evidence).toContain("status 1xx");
    expect(sent).toBeGreaterThan(0);
    server.close();
  });
});

describe("process", () => {
  it("counts those that run, not zombies", async () => {
    const sleeper = join(directory, "fh-sleeper-test");
    writeFileSync(sleeper, readFileSync("/bin/sleep"), { mode: 0o755 });
    const children = [1, 2].map(() => spawn(sleeper, ["60"], { stdio: "ignore" }));
    const ask = (minimum: number): Promise<TrackResult> =>
      probe({ probe: "process", name: "fh-sleeper-test", minimum });
    try {
      await eventually("both run", 2000, async () => (await ask(2)).up);
      expect(await ask(3)).toEqual({
        up: false,
        evidence: "2 processes fh-sleeper-test run, 3 have to",
      });
      children[0]?.kill("SIGKILL");
      await eventually("one is gone", 2000, async () => !(await ask(2)).up);
      expect((await ask(1)).evidence).toBe(`fh-sleeper-test runs (process ${children[1]?.pid})`);
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
    await eventually("nobody is left", 2000, async () => !(await ask(1)).up);
    expect((await ask(1)).evidence).toBe("no process fh-sleeper-test runs");
  });

  it("reads pid files", async () => {
    const path = join(directory, "test.pid");
    const ask = (): Promise<TrackResult> => probe({ probe: "pidFile", path });
    expect(await ask()).toMatchObject({ up: false, evidence: `${path} can't be read: ENOENT` });
    writeFileSync(path, "nothing\n");
    expect(await ask()).toMatchObject({ up: false, evidence: `${path} holds no process number` });
    writeFileSync(path, `${process.pid}\n`);
    expect(await ask()).toMatchObject({ up: true });
    writeFileSync(path, "4194304\n");
    expect(await ask()).toMatchObject({ up: false, evidence: `process 4194304 of ${path} does not run` });
  });
});

describe("file", () => {
  const path = join(directory, "bias");
  const cases: readonly [content: string, value: number, what: string][] = [
    ["20\n", 20, "says: 20"],
    ["-20", -20, "says: -20"],
    ["5\r\n6\r\n", 5, "says: 5"],
    ["  +7 and more", 7, 'says "  +7 and more": read as 7'],
    ["\n3 # c\n", 3, 'says "3 # c": read as 3'],
    ["\ufeff5\n", 5, 'says "\\u{feff}5": read as 5'],
    ["0x10", 16, 'says "0x10": read as 16'],
    ["-0", 0, 'says "-0": read as 0'],
    ["255", 254, 'says "255": clamped to 254'],
    ["99999999999\n", 254, 'says "99999999999": clamped to 254'],
    ["-900", -254, 'says "-900": clamped to -254'],
    ["", 0, "holds no number: 0"],
    [" \n", 0, "holds no number: 0"],
    ["broken", 0, 'holds no number ("broken"): 0'],
    ["1.5", 0, 'holds no number ("1.5"): 0'],
    ["1e2\n", 0, 'holds no number ("1e2"): 0'],
    ["1\u001b[2J", 0, 'holds no number ("1\\x1b[2J"): 0'],
  ];
  it.each(cases)("%j", async (content, value, what) => {
    writeFileSync(path, content);
    expect(await probe({ probe: "file", path })).toEqual({
      up: value >= 0,
      evidence: `${path} ${what}`,
      value,
    });
  });

  it("of which only the beginning is read holds no part of a number", async () => {
    writeFileSync(path, `${" ".repeat(255)}123`);
    const evidence = `${path} holds no number ("${" ".repeat(60)}" …): 0`;
    expect(await probe({ probe: "file", path })).toEqual({ up: true, evidence, value: 0 });
  });

  it("that is not there counts as 0", async () => {
    const missing = join(directory, "missing");
    expect(await probe({ probe: "file", path: missing })).toMatchObject({
      up: true,
      evidence: `${missing} is not there: 0`,
      value: 0,
    });
    expect(await probe({ probe: "file", path: directory })).toMatchObject({ up: false });
  });
});

describe("script", () => {
  const script = (name: string, body: string, mode = 0o755): ProbeRequest => {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, mode);
    return { probe: "script", path, arguments: [] };
  };

  it("is up when it ends with 0, and tells the first line of what it says", async () => {
    expect(await probe(script("good", "echo fine; echo more"))).toEqual({
      up: true,
      evidence: "good: exit code 0 (fine)",
    });
    expect(await probe(script("bad", "echo oh no >&2; exit 3"))).toEqual({
      up: false,
      evidence: "bad: exit code 3 (oh no)",
    });
  });

  it("is ended with all its children at its time-out", async () => {
    const mark = `fh-probe-${process.pid}`;
    const request = script("hangs", `sh -c 'sleep 61; : ${mark}' & sleep 61; : ${mark}`);
    const result = await probe(request, 200);
    expect(result).toEqual({ up: false, evidence: "hangs: no end within 200 ms, killed" });
    const left = (): string[] =>
      readdirSync("/proc").filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(mark);
        } catch {
          return false;
        }
      });
    await eventually("nobody of its group is left", 2000, () => left().length === 0);
  });

  /** What runs at the same time is found out: the second one would find the first one's directory. */
  const alone = (name: string, seconds: number): ProbeRequest => {
    const place = join(directory, `${name}-runs`);
    return script(name, `mkdir ${place} || exit 7; sleep ${seconds}; rmdir ${place}`);
  };

  it("runs once at a time, and who asks meanwhile has the whole time from its turn on", async () => {
    const request = alone("slow", 0.3);
    const first = probes.start(request, within(2000));
    const others = [probe(request, 500), probe(request, 500)];
    expect(await first.result).toMatchObject({ up: true });
    expect(await Promise.all(others)).toMatchObject([{ up: true }, { up: true }]);
    expect(await probe(request)).toMatchObject({ up: true });
  });

  it("begun after one that was given up is no failure of it", async () => {
    const endless = script("given-up", "trap '' TERM; sleep 62");
    probes.start(endless, within(60_000)).cancel();
    expect(await probe(endless, 200)).toMatchObject({ evidence: "given-up: no end within 200 ms, killed" });
    const waiting = [probes.start(endless, within(60_000)), probes.start(endless, within(60_000))];
    for (const run of [...waiting].reverse()) run.cancel();
    await Promise.all(waiting.map((run) => run.result));
    expect(await probe(script("given-up", "exit 0"))).toMatchObject({ up: true });
  });

  it("is refused when others may change it or it can't be run", async () => {
    expect(await probe(script("not-executable", "exit 0", 0o644))).toMatchObject({ up: false });
    const grouped = await probe(script("group-writable", "exit 0", 0o775));
    expect(grouped.up).toBe(false);
    expect(grouped.evidence).toContain("may be written by group");
    const missing = await probe({ probe: "script", path: join(directory, "nowhere"), arguments: [] });
    expect(missing.evidence).toContain("does not exist");
  });
});
