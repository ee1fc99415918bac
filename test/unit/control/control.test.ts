/** The control socket end to end, in one process: framing, bounds, streams, who owns the path. */
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectControl } from "../../../src/control/client.js";
import { lineReader, parseRequest, REQUEST_MAX_BYTES } from "../../../src/control/protocol.js";
import { type ControlServer, type Handlers, startControlServer } from "../../../src/control/server.js";
import { FirsthopError } from "../../../src/errors.js";

const HELLO = { pid: 4242, version: "0", startedAt: "", configFile: null };

let directory: string;
let path: string;
const servers: ControlServer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `firsthop-control-${process.pid}-`));
  path = join(directory, "run", "control.sock");
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function serve(handlers: Handlers = {}, onNotice?: (message: string) => void): Promise<ControlServer> {
  const server = await startControlServer({
    path,
    handlers: { hello: () => HELLO, ...handlers },
    ...(onNotice ? { onNotice } : {}),
  });
  servers.push(server);
  return server;
}

/** Sends raw octets and collects what comes back until the other end closes. */
function exchange(data: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(data));
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("utf8");
    });
    socket.on("close", () => resolve(received));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "EPIPE" || error.code === "ECONNRESET" ? resolve(received) : reject(error),
    );
  });
}

/** Leaves a socket behind as a killed daemon does: bound, and nobody listens. */
async function leaveStaleSocket(): Promise<void> {
  const server = await serve();
  servers.splice(0);
  const aside = join(directory, "aside");
  linkSync(path, aside);
  await server.close();
  renameSync(aside, path);
}

describe("line reader", () => {
  it("puts lines together across chunks, in any cut", () => {
    const text = '{"a":1}\n\n{"b":"ü"}\n';
    for (let cut = 1; cut < Buffer.byteLength(text); cut++) {
      const lines: string[] = [];
      const read = lineReader(100, (line) => lines.push(line), expect.unreachable);
      const bytes = Buffer.from(text);
      read(bytes.subarray(0, cut));
      read(bytes.subarray(cut));
      expect(lines).toEqual(['{"a":1}', "", '{"b":"ü"}']);
    }
  });

  it("tells of a line that is too long once, and reads nothing after it", () => {
    let overflows = 0;
    const lines: string[] = [];
    const read = lineReader(
      4,
      (line) => lines.push(line),
      () => {
        overflows++;
      },
    );
    for (const chunk of ["ok\n", "abc", "de", "f\nnext\n"]) read(Buffer.from(chunk));
    expect({ overflows, lines }).toEqual({ overflows: 1, lines: ["ok"] });
  });
});

describe("requests", () => {
  it.each([
    ["no JSON", "hello"],
    ["an array", "[]"],
    ["null", "null"],
    ["no id", '{"method":"status"}'],
    ["a fractional id", '{"id":1.5,"method":"status"}'],
    ["no method", '{"id":1}'],
    ["params that are no object", '{"id":1,"method":"status","params":[1]}'],
  ])("%s is refused in words", (_, line) => {
    expect(parseRequest(line)).toBeTypeOf("string");
  });

  it("a method of Object.prototype is not one", async () => {
    await serve();
    const client = await connectControl(path);
    await expect(client.request("toString" as never)).rejects.toThrow(/unknown method "toString"/);
    client.close();
  });

  it("answers, and passes the daemon's errors on with their code", async () => {
    await serve({
      explain: () => {
        throw new FirsthopError("NOT_FOUND", "no virtual router eth0/9; there is eth0/10");
      },
    });
    const client = await connectControl(path);
    expect(await client.request("hello")).toEqual(HELLO);
    await expect(client.request("explain", { name: "eth0/9" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    client.close();
  });

  it("refuses a huge request, tells so, and goes on serving others", async () => {
    const notices: string[] = [];
    await serve({}, (message) => notices.push(message));
    const answer = await exchange(Buffer.alloc(REQUEST_MAX_BYTES * 4, "x"));
    expect(answer).toMatch(/at most 65536 octets|^$/);
    expect(notices).toHaveLength(1);
    const client = await connectControl(path);
    expect(await client.request("hello")).toEqual(HELLO);
    client.close();
  });

  it("answers a fresh client while hundreds sit on their connections", async () => {
    const notices: string[] = [];
    const server = await serve({ status: () => "fine" }, (message) => notices.push(message));
    const half: Socket[] = [];
    let closed = 0;
    for (let client = 0; client < 200; client++) {
      const socket = connect(path, () => socket.write('{"id":1,"method":"sta'));
      socket.on("error", () => {});
      socket.on("close", () => closed++);
      half.push(socket);
    }
    await expect.poll(() => closed, { timeout: 5000 }).toBeGreaterThanOrEqual(200 - 64);
    const fresh = await connectControl(path);
    expect(await fresh.request("status")).toBe("fine");
    fresh.close();
    expect(server.connections()).toBeLessThanOrEqual(64);
    expect(notices).toHaveLength(1);
    // Who never asks anything is not kept for a minute.
    await expect.poll(() => closed, { timeout: 10_000 }).toBe(200);
    for (const socket of half) socket.destroy();
  }, 20_000);

  it("hears no more from a client that asks and does not read, and answers all of it once it reads", async () => {
    const big = "x".repeat(300_000);
    let asked = 0;
    await serve({ status: () => `${++asked}${big}` });
    const count = 1000;
    const socket = connect(path);
    socket.pause();
    for (let id = 1; id <= count; id++) socket.write(`{"id":${id},"method":"status"}\n`);
    // Whoever came later is answered, so the first one's requests were looked at.
    const other = await connectControl(path);
    for (let turn = 0; turn < 20; turn++) await other.request("hello");
    other.close();
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(100);
    let answers = 0;
    await new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => {
        for (const octet of chunk) if (octet === 0x0a) answers++;
        if (answers === count) resolve();
      });
      socket.resume();
    });
    socket.destroy();
  }, 20_000);

  it("a client that sends half a request and leaves costs nothing", async () => {
    const server = await serve();
    const half = await new Promise<Socket>((resolve) => {
      const socket = connect(path, () => {
        socket.write('{"id":1,"meth');
        resolve(socket);
      });
    });
    const client = await connectControl(path);
    expect(await client.request("hello")).toEqual(HELLO);
    half.destroy();
    client.close();
    await expect.poll(() => server.connections()).toBe(0);
  });
});

describe("streams", () => {
  it("delivers events in order, then the answer", async () => {
    await serve({
      events: (_, { emit }) => {
        for (let n = 0; n < 3; n++) emit({ n });
        return { done: true };
      },
    });
    const client = await connectControl(path);
    const events: unknown[] = [];
    expect(await client.request("events", {}, { onEvent: (event) => events.push(event) })).toEqual({
      done: true,
    });
    expect(events).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
    client.close();
  });

  it("leaves events out for a reader that does not read, and tells how many", async () => {
    let flood: (() => void) | null = null;
    await serve({
      events: (_, { emit }) =>
        new Promise((resolve) => {
          flood = () => {
            for (let n = 0; n < 5000; n++) emit({ n, filler: "x".repeat(1000) });
            resolve(null);
          };
        }),
    });
    const received: string[] = [];
    const socket = connect(path, () => socket.write('{"id":1,"method":"events"}\n'));
    socket.pause();
    await expect.poll(() => flood).not.toBeNull();
    (flood as unknown as () => void)();
    const ended = new Promise<void>((resolve) => {
      const read = lineReader(
        1e6,
        (line) => {
          received.push(line);
          if (line.includes('"dropped"')) resolve();
        },
        expect.unreachable,
      );
      socket.on("data", read);
    });
    socket.resume();
    await ended;
    socket.destroy();
    const answers = received.map((line) => JSON.parse(line) as { event?: { n: number }; dropped?: number });
    const events = answers.filter((one) => one.event !== undefined).length;
    const dropped = answers.reduce((sum, one) => sum + (one.dropped ?? 0), 0);
    expect(dropped).toBeGreaterThan(0);
    expect(events + dropped).toBe(5000);
  });

  it("tells the handler when the follower is gone", async () => {
    let gone = false;
    await serve({
      events: (_, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            gone = true;
            resolve(null);
          });
        }),
    });
    const client = await connectControl(path);
    const stream = client.request("events", {}, { timeoutMs: null });
    client.close();
    await expect(stream).rejects.toThrow(/ended/);
    await expect.poll(() => gone).toBe(true);
  });
});

describe("time-outs", () => {
  it("names a daemon that accepts but does not answer", async () => {
    await serve({ status: () => new Promise(() => {}) });
    const client = await connectControl(path);
    await expect(client.request("status", {}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: "DAEMON_UNREACHABLE",
      message: expect.stringContaining("did not answer within 50 ms"),
    });
    client.close();
  });

  it("does not say that a daemon ended which has no room for another connection", async () => {
    const server = await serve({ status: () => new Promise(() => {}) });
    const busy = await Promise.all(Array.from({ length: 64 }, () => connectControl(path)));
    const waiting = Promise.allSettled(busy.map((client) => client.request("status")));
    await Promise.all(busy.map((client) => client.request("hello")));
    expect(server.connections()).toBe(64);
    const late = await connectControl(path);
    await expect(late.request("hello")).rejects.toMatchObject({
      code: "DAEMON_UNREACHABLE",
      message: expect.stringMatching(/closed the connection without an answer: it has too many of them/),
    });
    await expect(late.request("hello")).rejects.toThrow(/without an answer/);
    for (const client of busy) client.close();
    for (const one of await waiting)
      expect(one).toMatchObject({
        status: "rejected",
        reason: { message: expect.stringMatching(/ ended$/) },
      });
  });

  it("says what to do when no daemon is there", async () => {
    await expect(connectControl(path)).rejects.toMatchObject({
      code: "DAEMON_UNREACHABLE",
      message: `no firsthop daemon answers on ${path}: start one with \`firsthop run -c FILE\``,
    });
  });
});

describe("the socket's path", () => {
  it("is for its owner alone, and gone afterwards", async () => {
    const server = await serve();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "run")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(directory, "run"))).toEqual(["control.sock"]);
    await server.close();
    servers.splice(0);
    expect(readdirSync(join(directory, "run"))).toEqual([]);
  });

  it("is refused to a second daemon, which names the first one's pid", async () => {
    await serve();
    await expect(startControlServer({ path, handlers: {} })).rejects.toMatchObject({
      code: "SOCKET_IN_USE",
      message: expect.stringContaining("(pid 4242) already runs"),
    });
    expect(existsSync(path)).toBe(true);
    expect(readdirSync(join(directory, "run"))).toEqual(["control.sock"]);
  });

  it("is refused too when the first one is stopped and does not answer", async () => {
    const mute: Server = createServer(() => {});
    mkdirSync(join(directory, "run"));
    await new Promise<void>((resolve) => mute.listen(path, resolve));
    await expect(startControlServer({ path, handlers: {} })).rejects.toMatchObject({ code: "SOCKET_IN_USE" });
    mute.close();
  });

  it("is taken over from a daemon that died", async () => {
    await leaveStaleSocket();
    expect(existsSync(path)).toBe(true);
    await serve();
    const client = await connectControl(path);
    expect(await client.request("hello")).toEqual(HELLO);
    client.close();
  });

  it("goes to exactly one of several that start together on a stale socket", async () => {
    await leaveStaleSocket();
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => startControlServer({ path, handlers: { hello: () => HELLO } })),
    );
    const started = results.filter((one) => one.status === "fulfilled");
    for (const one of started) servers.push(one.value);
    expect(started).toHaveLength(1);
  });

  it("leaves a file that is no socket alone", async () => {
    mkdirSync(join(directory, "run"));
    writeFileSync(path, "precious");
    await expect(startControlServer({ path, handlers: {} })).rejects.toThrow(/exists and is no socket/);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  it("says when its directory can't be made, also where the kernel never will", async () => {
    for (const where of ["/proc/firsthop", join(directory, "file", "below")]) {
      writeFileSync(join(directory, "file"), "");
      path = join(where, "control.sock");
      await expect(serve()).rejects.toThrow(/^cannot make the directory .* \((ENOENT|ENOTDIR)\)/);
    }
  });

  it("says when it is too long", async () => {
    const long = join(directory, "x".repeat(120));
    await expect(startControlServer({ path: long, handlers: {} })).rejects.toThrow(/too long/);
  });
});
