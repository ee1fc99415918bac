/**
 * `run --handover`: one daemon follows another at the same work. The control socket carries it: what the running one
 * holds, then one virtual router after the other, then the word that it may go. Whoever loses the connection before
 * that word goes on as if nothing had been asked.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/index.js";
import { type ControlClient, connectControl } from "../control/client.js";
import type { Hello } from "../control/protocol.js";
import type { Handler } from "../control/server.js";
import { type Bequest, doesTheSame } from "../engine/exchange.js";
import type { Router } from "../engine/router.js";
import type { RouterEvent } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import type { ManagedAs } from "./service-manager.js";
import { version } from "./version.js";

/** Preparing goes through the kernel for each virtual router. */
const BEGIN_TIMEOUT_MS = 30_000;
/** A process that is killed leaves its connections before it leaves its socket. */
const DEATH_PATIENCE_MS = 500;
const DEATH_RETRY_MS = 10;

/** A running daemon that this one is to follow. */
export interface Predecessor {
  readonly bequest: Bequest;
  /**
   * Takes the virtual routers over, in the order given, and sends the predecessor off, unless this process was `told`
   * to end before that.
   * @returns how it was known to its service manager
   * @throws FirsthopError REFUSED when it was told
   */
  follow(router: Router, names: readonly string[], told: () => boolean): Promise<ManagedAs | null>;
  close(): void;
}

/**
 * Asks the running daemon for what it holds.
 * @returns null when none runs, or the one that did dies over the question
 * @throws FirsthopError USAGE when it does other work than this configuration asks for
 */
export async function findPredecessor(socket: string, config: Config): Promise<Predecessor | null> {
  let client: ControlClient;
  try {
    client = await connectControl(socket);
  } catch (error) {
    if (isUnreachable(error)) return null;
    throw error;
  }
  const ask = (params: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<unknown> =>
    client.request("handover", params, timeoutMs === undefined ? {} : { timeoutMs });
  try {
    const hello = (await client.request("hello")) as Hello;
    const bequest = (await ask({ step: "begin" }, BEGIN_TIMEOUT_MS)) as Bequest;
    if (!doesTheSame(bequest.configuration, config, hello.version === version())) {
      throw new FirsthopError(
        "USAGE",
        "the running daemon works by another configuration: let it read this one first (SIGHUP), then hand over",
      );
    }
    return {
      bequest,
      async follow(router, names, told) {
        const unlessTold: typeof ask = async (params) => {
          if (!told()) return ask(params);
          throw new FirsthopError(
            "REFUSED",
            "told to end before it had taken over: the work stays with the running daemon",
          );
        };
        for (const name of names) {
          router.exchange.resume(name, await unlessTold({ step: "look", name }));
          router.exchange.resume(name, await unlessTold({ step: "freeze", name }));
        }
        router.exchange.overtake(await unlessTold({ step: "sessions" }));
        router.exchange.finish(await unlessTold({ step: "freezeSessions" }));
        const eventsSince = bequest.events.at(-1)?.sequence ?? 0;
        const answer = await unlessTold({ step: "depart", pid: process.pid, eventsSince });
        const { managed, events } = departureOf(answer);
        router.exchange.catchUp(events);
        return managed;
      },
      close: () => client.close(),
    };
  } catch (error) {
    client.close();
    if (await hasDied(socket, error)) return null;
    throw error;
  }
}

/** The answer to `depart`, where the heir says since when it wants to know events. */
interface Departure {
  readonly managed: ManagedAs | null;
  readonly events: readonly RouterEvent[];
}

/** An earlier version answers with the first part alone. */
function departureOf(answer: unknown): Departure {
  const departure = answer as Departure | ManagedAs | null;
  return departure !== null && "events" in departure ? departure : { managed: departure, events: [] };
}

/** Whether `error` came of the death of the daemon that listened: nobody does any more. */
export async function hasDied(socket: string, error: unknown): Promise<boolean> {
  if (!isUnreachable(error)) return false;
  for (const deadline = Date.now() + DEATH_PATIENCE_MS; Date.now() < deadline; await delay(DEATH_RETRY_MS)) {
    try {
      (await connectControl(socket)).close();
    } catch (failure) {
      return isUnreachable(failure);
    }
  }
  return false;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof FirsthopError && error.code === "DAEMON_UNREACHABLE";
}

/**
 * The predecessor's side. `depart` is called once, when the heir, with this process id, has everything; what it returns
 * is the answer.
 */
export function handoverHandler(
  ready: Promise<Router>,
  depart: (heir: number | null) => ManagedAs | null,
): Handler {
  return async ({ step, name, pid, eventsSince }, { signal }) => {
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
      case "depart": {
        if (!exchange.depart()) throw new FirsthopError("USAGE", "not everything was taken over");
        const managed = depart(isInteger(pid) ? pid : null);
        return isInteger(eventsSince) ? { managed, events: exchange.toldSince(eventsSince) } : managed;
      }
      default:
        throw new FirsthopError(
          "USAGE",
          "handover needs a `step`: begin, look, freeze, sessions, freezeSessions or depart",
        );
    }
  };
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
