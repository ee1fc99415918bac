/**
 * The life of a daemon process, for `run` and `vrrpd` alike: claim the control socket, open the router,
 * follow signals, leave in good order. The order matters: who does not get the socket never touches the
 * kernel.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Hello } from "../control/protocol.js";
import { type ControlServer, type Handlers, startControlServer } from "../control/server.js";
import type { Bequest } from "../engine/exchange.js";
import type { ReloadResult, Router } from "../engine/router.js";
import type { RouterEvent } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import type { LoadedConfig } from "./config-file.js";
import { followEvents } from "./event-stream.js";
import { reloadText } from "./events.js";
import { giveBackMemory, loadReady, settle } from "./footprint.js";
import { findPredecessor, handoverHandler, hasDied, type Predecessor } from "./handover.js";
import type { Logger } from "./log.js";
import { operationHandlers } from "./operation-handlers.js";
import { listed } from "./output.js";
import { realtimeWarning, requireCapabilities } from "./privileges.js";
import { type ManagedAs, managedAs, openServiceManager, type ServiceManager } from "./service-manager.js";
import { makeSuccessor, type Successor } from "./successor.js";
import { version } from "./version.js";

/** Ended by an internal error (sysexits.h: EX_SOFTWARE). */
export const EXIT_INTERNAL = 70;
/** Why a daemon ends that another one followed. */
const FOLLOWED = "followed";
/** After a second signal, releasing may take so long; then the process ends whatever is left to do. */
const HURRIED_RELEASE_MS = 1000;
/** The same after an internal error; a hand-over takes 1.1 s at the usual interval. */
const FAILED_RELEASE_MS = 2000;

/** To start more than this many virtual routers is worth optimised code. */
const MANY = 512;

export interface ServiceOptions {
  readonly loaded: LoadedConfig;
  /** Reads the configuration again, for SIGHUP and `reload`; null where there is no file. */
  readonly reread: (() => LoadedConfig) | null;
  readonly configFile: string | null;
  /** null: no control socket. */
  readonly socket: string | null;
  readonly stateDirectory: string | undefined;
  /** Follow the daemon that runs on the control socket, without a change of state. */
  readonly handover?: boolean;
  /** The command line that a process which follows this one is started with; without it, none is. */
  readonly command?: readonly string[];
  readonly log: Logger;
}

/**
 * Runs until a signal or `stop` ends it.
 * @returns when everything is released.
 * @throws FirsthopError when it cannot start.
 */
export async function runService(options: ServiceOptions): Promise<void> {
  requireCapabilities();
  const service = new Service(options);
  process.on("uncaughtException", (error) => service.fail(error));
  const disarm = service.followSignals();
  try {
    await service.run();
  } finally {
    disarm();
  }
}

/** What a service keeps running. */
interface Running {
  readonly router: Router;
  /** Null: nobody can ask it anything. */
  readonly control: ControlServer | null;
}

class Service {
  readonly #options: ServiceOptions;
  readonly #log: Logger;
  readonly #startedAt = new Date().toISOString();
  readonly #stopped: Promise<string>;
  #stop: (why: string) => void = () => {};
  #stopping = false;
  /** Followed, and notify commands are all that is left. */
  #lingers = false;
  #failed = false;
  #router: Router | null = null;
  /** Requests that come while the daemon starts wait here. */
  readonly #ready: Promise<Router>;
  #started: (router: Router) => void = () => {};
  #manager: ServiceManager;
  readonly #successor: Successor | null;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#manager = this.#openManager(managedAs(process.env, process.pid));
    this.#successor = options.command
      ? makeSuccessor({ command: options.command, onFailure: (why) => this.#notFollowed(why) })
      : null;
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
    this.#ready = new Promise((resolve) => {
      this.#started = resolve;
    });
  }

  async run(): Promise<void> {
    let control: ControlServer | null = null;
    try {
      const running = (await this.#followRunning()) ?? (this.#stopping ? null : await this.#startAnew());
      if (!running) {
        this.#log.info({}, "told to end before it had begun: ended");
        return;
      }
      const { router } = running;
      control = running.control;
      this.#router = router;
      this.#started(router);
      this.#announce(router, control);
      settle();
      const { dropProgramPages, runPromptly } = await import("../driver/linux/own-process.js");
      giveBackMemory(dropProgramPages);
      runPromptly();
      const why = await this.#stopped;
      // Also when it was told to end in the moment in which it was followed.
      if (why === FOLLOWED || router.exchange.departed) {
        // What this process still does is nothing of the service.
        this.#manager.close();
        this.#manager = this.#openManager(null);
        await control?.close();
        control = null;
        await router.leave((commands) => this.#followed(commands));
        this.#log.info({ why }, "another process goes on; ended");
        return;
      }
      this.#log.info({ why }, `${why}: handing over`);
      this.#manager.stopping();
      this.#manager.status(() => `${why}: handing over`);
      await router.close();
      this.#log.info({}, "ended");
    } finally {
      this.#manager.close();
      await control?.close();
    }
  }

  /** Null: there is nobody to follow, or who there was died before everything was handed over. */
  async #followRunning(): Promise<Running | null> {
    const { socket, handover } = this.#options;
    const predecessor = handover && socket !== null ? await this.#findPredecessor(socket) : null;
    if (!predecessor || socket === null) return null;
    try {
      const router = await this.#open(predecessor.bequest);
      return { router, control: await this.#succeed(predecessor, router, socket) };
    } catch (error) {
      if (!(await hasDied(socket, error))) throw error;
      if (!this.#stopping)
        this.#log.warn({ socket }, "the running daemon died before it was followed: starting anew");
      return null;
    } finally {
      predecessor.close();
    }
  }

  async #startAnew(): Promise<Running> {
    const { socket } = this.#options;
    const control = socket === null ? null : await this.#listen(socket);
    try {
      return { router: await this.#open(), control };
    } catch (error) {
      await control?.close();
      throw error;
    }
  }

  async #open(bequest?: Bequest): Promise<Router> {
    const { loaded, stateDirectory } = this.#options;
    const { Router } = await loadReady(() => import("../engine/router.js"));
    if (this.#many) settle();
    return Router.open(loaded.config, {
      onEvent: (event: RouterEvent): void => this.#logEvent(event),
      ...(stateDirectory === undefined ? {} : { stateDirectory }),
      ...(bequest ? { bequest } : {}),
    });
  }

  get #many(): boolean {
    return this.#options.loaded.config.virtualRouters.length > MANY;
  }

  async #findPredecessor(socket: string): Promise<Predecessor | null> {
    const found = await findPredecessor(socket, this.#options.loaded.config);
    if (!found && !this.#stopping)
      this.#log.info({ socket }, `no daemon runs on ${socket}: nothing to take over, starting anew`);
    return found;
  }

  async #succeed(predecessor: Predecessor, router: Router, socket: string): Promise<ControlServer | null> {
    try {
      const names = router.status().virtualRouters.map(({ name }) => name);
      const managed = await predecessor.follow(router, names, () => this.#stopping);
      // Started by hand beside a service, this process is the service now.
      if (managed !== null && this.#manager.managed === null) this.#manager = this.#openManager(managed);
    } catch (error) {
      // The other one goes on: nothing of what it has may be touched.
      await router.leave();
      throw error;
    }
    this.#log.info({}, "took over from the running daemon");
    try {
      return await this.#listen(socket, true);
    } catch (error) {
      // The work is more than the command line that looks at it.
      this.#log.error({ code: "control-socket" }, `no command reaches this daemon: ${String(error)}`);
      return null;
    }
  }

  #announce(router: Router, control: ControlServer | null): void {
    const status = router.status();
    this.#warn(this.#options.loaded);
    const warning = realtimeWarning(status.engine);
    if (warning !== null) this.#log.warn({ code: "not-realtime" }, warning);
    const names = status.virtualRouters.map((one) => one.name);
    const count = `${names.length} virtual router${names.length === 1 ? "" : "s"}`;
    this.#log.info(
      { pid: process.pid, version: version(), socket: control?.path ?? null, virtualRouters: names },
      `firsthop ${version()} runs ${count}: ${listed(names) || "none"}`,
    );
    this.#manager.ready();
    this.#tellStatus();
  }

  #openManager(managed: ManagedAs | null): ServiceManager {
    return openServiceManager(managed, (message) => this.#log.warn({ code: "service-manager" }, message));
  }

  #tellStatus(): void {
    this.#manager.status(() => {
      const states = new Map<string, number>();
      for (const { state } of this.#router?.status().virtualRouters ?? [])
        states.set(state, (states.get(state) ?? 0) + 1);
      return `virtual routers: ${[...states].map(([state, count]) => `${count} ${state}`).join(", ") || "none"}`;
    });
  }

  /** First signal: hand over. Second: leave at once. */
  followSignals(): () => void {
    const end = (signal: NodeJS.Signals): void => {
      if (!this.#stopping) {
        this.#end();
        this.#stop(signal);
        return;
      }
      this.#log.warn({ signal }, `${signal} again: leaving at once`);
      void this.#router?.close({ handOver: false });
      setTimeout(() => process.exit(0), HURRIED_RELEASE_MS).unref();
    };
    const reload = (): void => {
      this.#reload("SIGHUP").catch(() => {
        // Logged already, problem by problem.
      });
    };
    const exchange = (): void => this.#exchange();
    // Else Node opens its debugger to every local user. Never taken off: then the signal would end the process.
    process.on("SIGUSR1", () => this.#tellWhereToAsk());
    process.on("SIGTERM", end).on("SIGINT", end).on("SIGHUP", reload).on("SIGUSR2", exchange);
    return () => {
      process.off("SIGTERM", end).off("SIGINT", end).off("SIGHUP", reload).off("SIGUSR2", exchange);
    };
  }

  /** keepalived writes its data to a file on this signal. */
  #tellWhereToAsk(): void {
    const { socket } = this.#options;
    const where =
      socket === null
        ? "this daemon has no control socket (--socket) on which `firsthop show` and `firsthop events` could ask it"
        : `\`firsthop show\` and \`firsthop events\` tell the state, through ${socket}`;
    this.#log.info({ socket }, `SIGUSR1: ${where}`);
  }

  /** Who was told to end ends, and so does the process that it has started to follow it. */
  #end(): void {
    this.#stopping = true;
    if (this.#lingers) void this.#router?.close();
    else if (this.#router?.exchange.departed !== true) this.#successor?.end();
  }

  /** Another process is at work, and here so many notify commands are all that is left. */
  async #followed(commands: number): Promise<void> {
    // Leaving holds JavaScript up: a signal that came meanwhile is heard within two turns of the loop.
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    this.#lingers = true;
    if (this.#stopping) {
      void this.#router?.close();
      await this.#endHeir();
    } else if (commands > 0) {
      this.#log.info(
        { commands },
        `another process goes on; this one waits for notify commands: ${commands}`,
      );
    }
  }

  /** Told to end in the moment in which it was followed. */
  async #endHeir(): Promise<void> {
    const { socket } = this.#options;
    if (socket !== null && (await this.#successor?.endAtWork(socket)))
      this.#log.info({}, "the process that follows is told to end, too");
  }

  #notFollowed(why: string): void {
    // Who supervises both sees the end of the work when this process has ended, too.
    if (this.#lingers) void this.#router?.close();
    if (this.#stopping || this.#router?.exchange.departed) return;
    this.#log.error({ code: "no-successor" }, `no process followed this one, which goes on: ${why}`);
  }

  #exchange(): void {
    if (this.#successor === null || this.#options.socket === null) {
      this.#log.warn(
        {},
        "SIGUSR2: without a configuration file and a control socket no process can follow this one",
      );
    } else if (
      this.#router === null ||
      this.#stopping ||
      this.#router.exchange.departed ||
      !this.#successor.start()
    ) {
      this.#log.warn({}, "SIGUSR2: not now, the daemon starts, ends or is being followed");
    } else {
      this.#log.info({}, "SIGUSR2: a new process is started, which takes over");
    }
  }

  /**
   * A bug must not leave a half-dead router: hand over if that still works, and end. A second one ends at
   * once.
   */
  fail(error: Error): void {
    this.#log.fatal({ err: error }, `internal error, ending: ${error.stack ?? error.message}`);
    const end = (): never => process.exit(EXIT_INTERNAL);
    if (this.#failed || this.#router === null) end();
    this.#failed = true;
    setTimeout(end, FAILED_RELEASE_MS);
    this.#router?.close().then(end, end);
  }

  async #reload(why: string): Promise<ReloadResult> {
    const { reread, configFile } = this.#options;
    if (reread === null) {
      this.#log.warn({ why }, `${why}: there is no configuration file to read again`);
      throw new FirsthopError(
        "USAGE",
        "this daemon has no configuration file: restart it with other arguments",
      );
    }
    const router = await this.#ready;
    this.#manager.reloading();
    let loaded: LoadedConfig | null = null;
    try {
      loaded = reread();
      const result = await router.reload(loaded.config);
      this.#warn(loaded);
      return result;
    } catch (error) {
      const lines = String(error instanceof Error ? error.message : error).split("\n");
      const outcome = loaded ? "was not taken over" : "was not taken over: nothing changed";
      for (const line of [...lines, `${configFile} ${outcome}`])
        this.#log.error({ why, code: "reload-refused" }, line);
      throw error;
    } finally {
      if (!this.#stopping) {
        this.#manager.ready();
        this.#tellStatus();
      }
    }
  }

  #warn({ warnings }: LoadedConfig): void {
    for (const line of warnings) this.#log.warn({ code: "configuration" }, line);
  }

  #logEvent(event: RouterEvent): void {
    const name = event.type === "reload" || event.name === null ? "" : `${event.name}: `;
    switch (event.type) {
      case "stateChange": {
        const write = event.to === "fault" ? this.#log.warn : this.#log.info;
        write.call(this.#log, event, `${name}${event.from} -> ${event.to}: ${event.detail}`);
        if (this.#router !== null && !this.#stopping) this.#tellStatus();
        return;
      }
      case "groupChange":
        this.#log.info(event, `sync group ${name}${event.from} -> ${event.to}: ${event.detail}`);
        return;
      case "track": {
        const write = event.to === "down" ? this.#log.warn : this.#log.info;
        write.call(this.#log, event, `tracker ${name}${event.from} -> ${event.to}: ${event.detail}`);
        return;
      }
      case "warning":
        this.#log.warn(event, name + event.detail);
        return;
      case "info":
        this.#log.info(event, name + event.detail);
        return;
      case "reload":
        this.#log.info(event, `reloaded: ${reloadText(event)}`);
        return;
    }
  }

  // ---- control socket -----------------------------------------------------------------------------------

  #listen(path: string, replaces = false): Promise<ControlServer> {
    return startControlServer({
      path,
      replaces,
      handlers: this.#handlers(),
      onNotice: (message) => this.#log.warn({ code: "control-socket" }, message),
    });
  }

  #handlers(): Handlers {
    const hello: Hello = {
      pid: process.pid,
      version: version(),
      startedAt: this.#startedAt,
      configFile: this.#options.configFile,
    };
    return {
      hello: () => hello,
      status: async () => (await this.#ready).status(),
      explain: async ({ name }) => {
        if (typeof name !== "string")
          throw new FirsthopError("USAGE", "explain needs the `name` of a virtual router");
        return (await this.#ready).explain(name);
      },
      ...operationHandlers(() => this.#ready),
      mask: async ({ action, entry }) => {
        const { mask, exchange } = await this.#ready;
        if (action === "list") return mask.list();
        if ((action === "add" || action === "del") && typeof entry === "string") {
          exchange.requireNone();
          return mask[action](entry);
        }
        throw new FirsthopError(
          "USAGE",
          "mask needs an `action`, list, add or del, and the `entry` of the latter two",
        );
      },
      events: async (params, stream) => followEvents((await this.#ready).events, params, stream),
      reload: () => this.#reload("reload"),
      handover: handoverHandler(this.#ready, (heir) => {
        // Before this process ends: a service whose main process ends has ended.
        if (heir !== null) this.#manager.mainPid(heir);
        // The answer goes out first.
        setImmediate(() => this.#stop(FOLLOWED));
        return this.#manager.managed;
      }),
      recorder: async () => (await this.#ready).flightRecorder(),
      stop: () => {
        this.#end();
        // The answer goes out first.
        setImmediate(() => this.#stop("stop"));
        return { pid: process.pid };
      },
    };
  }
}
