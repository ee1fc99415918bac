/**
 * `run --handover`: one daemon follows another at the same work. The control socket carries it: what the running one
 * holds, then one virtual router after the other, then the word that it may go. Whoever loses the connection before
 * that word goes on as if nothing had been asked.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/index.js";
import { type ControlClient, connectControl } from "../control/client.js";
import type { ControlServer, Handler } from "../control/server.js";
import { type Bequest, fingerprint } from "../engine/exchange.js";
import type { Router } from "../engine/router.js";
import { FirsthopError } from "../errors.js";
import type { ManagedAs } from "./service-manager.js";

/** Preparing goes through the kernel for each virtual router. */
const BEGIN_TIMEOUT_MS = 30_000;
/** How long the predecessor may take to leave the control socket. */
const SOCKET_PATIENCE_MS = 5_000;
const SOCKET_RETRY_MS = 10;

/** A running daemon that this one is to follow. */
export interface Predecessor {
  readonly bequest: Bequest;
  /**
   * Takes the virtual routers over, in the order given, and sends the predecessor off.
   * @returns how it was known to its service manager
   */
  follow(router: Router, names: readonly string[]): Promise<ManagedAs | null>;
  close(): void;
}

/**
 * Asks the running daemon for what it holds.
 * @returns null when none runs
 * @throws FirsthopError USAGE when it does other work than this configuration asks for
 */
export async function findPredecessor(socket: string, config: Config): Promise<Predecessor | null> {
  let client: ControlClient;
  try {
    client = await connectControl(socket);
  } catch (error) {
    if (error instanceof FirsthopError && error.code === "DAEMON_UNREACHABLE") return null;
    throw error;
  }
  const ask = (params: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<unknown> =>
    client.request("handover", params, timeoutMs === undefined ? {} : { timeoutMs });
  try {
    const bequest = (await ask({ step: "begin" }, BEGIN_TIMEOUT_MS)) as Bequest;
    if (bequest.configuration !== fingerprint(config)) {
      throw new FirsthopError(
        "USAGE",
        "the running daemon works by another configuration: let it read this one first (SIGHUP), then hand over",
      );
    }
    return {
      bequest,
      async follow(router, names) {
        for (const name of names) {
          router.exchange.resume(name, await ask({ step: "look", name }));
          router.exchange.resume(name, await ask({ step: "freeze", name }));
        }
        router.exchange.overtake(await ask({ step: "sessions" }));
        router.exchange.finish(await ask({ step: "freezeSessions" }));
        return (await ask({ step: "depart", pid: process.pid })) as ManagedAs | null;
      },
      close: () => client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * The predecessor's side. `depart` is called once, when the heir, with this process id, has everything; what it returns
 * is the answer.
 */
export function handoverHandler(
  ready: Promise<Router>,
  depart: (heir: number | null) => ManagedAs | null,
): Handler {
  return async ({ step, name, pid }, { signal }) => {
    const { exchange } = await ready;
    switch (step) {
      case "begin": {
        const bequest = await exchange.begin();
        signal.addEventListener("abort", () => exchange.cancel());
        if (signal.aborted) exchange.cancel();
        return bequest;
      }
      case "look":
        return exchange.look(String(name));
      case "freeze":
        return exchange.freeze(String(name));
      case "sessions":
        return exchange.sessions(false);
      case "freezeSessions":
        return exchange.sessions(true);
      case "depart":
        if (!exchange.depart()) throw new FirsthopError("USAGE", "not everything was taken over");
        return depart(typeof pid === "number" && Number.isSafeInteger(pid) ? pid : null);
      default:
        throw new FirsthopError(
          "USAGE",
          "handover needs a `step`: begin, look, freeze, sessions, freezeSessions or depart",
        );
    }
  };
}

/** Listens where the predecessor did, as soon as it has left. @throws FirsthopError SOCKET_IN_USE */
export async function listenAfter(listen: () => Promise<ControlServer>): Promise<ControlServer> {
  for (const deadline = Date.now() + SOCKET_PATIENCE_MS; ; await delay(SOCKET_RETRY_MS)) {
    try {
      return await listen();
    } catch (error) {
      const taken = error instanceof FirsthopError && error.code === "SOCKET_IN_USE";
      if (!taken || Date.now() > deadline) throw error;
    }
  }
}
