/** `events` of the control socket, over a real one: all of it, however much it is, and nothing left behind. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { followEvents } from "../../../src/cli/event-stream.js";
import { type ControlClient, connectControl } from "../../../src/control/client.js";
import { type ControlServer, startControlServer } from "../../../src/control/server.js";
import { EventLog } from "../../../src/engine/events/event-log.js";
import type { RouterEvent } from "../../../src/engine/status.js";

let directory: string;
let log: EventLog;
let listening: number;
let server: ControlServer;
let client: ControlClient;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), `firsthop-events-${process.pid}-`));
  const path = join(directory, "control.sock");
  log = new EventLog();
  listening = 0;
  const counted = {
    recent: () => log.recent(),
    since: (sequence: number) => log.since(sequence),
    get last() {
      return log.last;
    },
    on: (listener: (event: RouterEvent) => void) => {
      listening++;
      const off = log.on(listener);
      return () => {
        listening--;
        off();
      };
    },
  };
  const hello = { pid: process.pid, version: "0", startedAt: "", configFile: null };
  server = await startControlServer({
    path,
    handlers: { hello: () => hello, events: (params, stream) => followEvents(counted, params, stream) },
  });
  client = await connectControl(path);
});

afterEach(async () => {
  client.close();
  await server.close();
  rmSync(directory, { recursive: true });
});

const happen = (detail: string): void =>
  void log.add({ type: "info", at: new Date(0).toISOString(), name: null, code: "priority", detail });

async function ask(params: object): Promise<number[]> {
  const heard: number[] = [];
  const onEvent = (event: unknown): void => void heard.push((event as RouterEvent).sequence);
  expect(await client.request("events", { follow: false, ...params }, { onEvent })).toBeNull();
  return heard;
}

it("tells all that is kept, also where that is more than one reader may leave unread", async () => {
  for (let number = 1; number <= 1200; number++) happen("x".repeat(3000));
  const kept = Array.from({ length: 1000 }, (_, index) => 201 + index);
  expect(await ask({ history: true })).toEqual(kept);
  expect(await ask({ since: 1190 })).toEqual([1191, 1192, 1193, 1194, 1195, 1196, 1197, 1198, 1199, 1200]);
  expect(await ask({})).toEqual([]);
  expect(listening).toBe(0);
});

it("tells many on one connection, and says nothing of it", async () => {
  const warned: Error[] = [];
  const onWarning = (warning: Error): void => void warned.push(warning);
  process.on("warning", onWarning);
  try {
    const heard: number[][] = [];
    for (let follower = 0; follower < 12; follower++) {
      const own: number[] = [];
      heard.push(own);
      const onEvent = (event: unknown): void => void own.push((event as RouterEvent).sequence);
      void client.request("events", {}, { onEvent }).catch(() => undefined);
    }
    await expect.poll(() => listening).toBe(12);
    happen("one");
    happen("two");
    await expect.poll(() => heard.every((own) => own.length === 2)).toBe(true);
    client.close();
    await expect.poll(() => listening).toBe(0);
    expect(warned).toEqual([]);
  } finally {
    process.off("warning", onWarning);
  }
});
