/** What two processes say to each other when one follows the other, also where one of them is of an earlier version. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findPredecessor, handoverHandler } from "../../../src/cli/handover.js";
import type { ManagedAs } from "../../../src/cli/service-manager.js";
import { version } from "../../../src/cli/version.js";
import { defineConfig } from "../../../src/config/index.js";
import { withDaemon } from "../../../src/control/client.js";
import { type ControlServer, type Handler, startControlServer } from "../../../src/control/server.js";
import { EventLog } from "../../../src/engine/events/event-log.js";
import { Exchange, type ExchangeHost } from "../../../src/engine/exchange.js";
import type { Router } from "../../../src/engine/router.js";

const MANAGED: ManagedAs = { socket: "/run/notify", watchdogUs: null };
const config = defineConfig({
  virtualRouters: [{ interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"] }],
});

/** As much of a router as an exchange without virtual routers touches. */
function routerWith(events: EventLog): Router {
  const host = {
    kernel: { bequeath: async () => ({}), keep: () => undefined },
    config: () => config,
    virtualRouters: () => [],
    trackers: () => [],
    orders: () => [],
    mask: () => ({ added: [], lifted: [] }),
    syncGroups: () => [],
    holdGroups: () => undefined,
    events: () => events.recent(),
    ceaseEvents: () => events.cease(),
    catchUpEvents: (told: Parameters<EventLog["catchUp"]>[0]) => events.catchUp(told),
    bfd: () => ({
      look: () => [],
      thaw: () => undefined,
      overtake: () => undefined,
      catchUp: () => undefined,
    }),
    obstacle: () => null,
    reloaded: async () => undefined,
  };
  return { exchange: new Exchange(host as unknown as ExchangeHost) } as Router;
}

describe("an exchange of processes", () => {
  let directory: string;
  let server: ControlServer | null = null;
  const happen = (log: EventLog, code: string) =>
    log.add({ type: "info", at: "2026-01-01T00:00:00.000Z", name: null, code, detail: "y" });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "fh-handover-"));
  });
  afterEach(async () => {
    await server?.close();
    rmSync(directory, { recursive: true });
  });

  /** A predecessor that has something to tell before each step of the exchange, and after the last one. */
  async function listen(events: EventLog, change: (handler: Handler) => Handler = (same) => same) {
    const ready = Promise.resolve(routerWith(events));
    const handover = change(handoverHandler(ready, () => MANAGED));
    const path = join(directory, "control.sock");
    server = await startControlServer({
      path,
      handlers: {
        hello: () => ({ pid: 1, version: version() }),
        handover: async (params, stream) => {
          happen(events, String(params.step));
          const answer = await handover(params, stream);
          if (params.step === "depart") happen(events, "later");
          return answer;
        },
      },
    });
    return path;
  }

  async function follow(path: string) {
    const predecessor = await findPredecessor(path, config);
    if (!predecessor) throw new Error("nobody listens");
    const events = new EventLog(predecessor.bequest.events);
    events.hold();
    happen(events, "heir");
    const managed = await predecessor.follow(routerWith(events), [], () => false);
    predecessor.close();
    return {
      managed,
      told: events.recent().map(({ sequence, ...event }) => [sequence, "code" in event && event.code]),
    };
  }

  it("loses no event, and gives no number twice", async () => {
    const { managed, told } = await follow(await listen(new EventLog()));
    expect(managed).toEqual(MANAGED);
    expect(told).toEqual([
      [1, "begin"],
      [2, "sessions"],
      [3, "freezeSessions"],
      [4, "depart"],
      [5, "heir"],
    ]);
  });

  it("works with a predecessor of an earlier version, which tells no events at the end", async () => {
    const earlier = await listen(
      new EventLog(),
      (handler) =>
        ({ eventsSince: _, ...params }, stream) =>
          handler(params, stream),
    );
    expect(await follow(earlier)).toEqual({
      managed: MANAGED,
      told: [
        [1, "begin"],
        [2, "heir"],
      ],
    });
  });

  it("works with an heir of an earlier version, which asks for no events at the end", async () => {
    const path = await listen(new EventLog());
    await withDaemon(path, async (client) => {
      await client.request("handover", { step: "begin" });
      expect(await client.request("handover", { step: "depart", pid: 7 })).toEqual(MANAGED);
    });
  });
});
