/**
 * A router: all virtual routers of one configuration on one machine. It makes the parts that they share, passes facts
 * on (news of the kernel, reports of the heartbeat engine) to the part they concern, and takes another configuration
 * over.
 */
import { randomBytes } from "node:crypto";
import type { Config, VirtualRouterConfig } from "../config/index.js";
import { AT_START, diffConfig, keyInFile } from "../config/index.js";
import { unpackOctets } from "../core/octets.js";
import type { Driver, Heartbeat, HeartbeatReport, Kernel, KernelNews } from "../driver/driver.js";
import { FirsthopError } from "../errors.js";
import { type BfdRecord, BfdSessions } from "./bfd/sessions.js";
import { DEFAULT_STATE_DIRECTORY } from "./defaults.js";
import { Chronicle } from "./events/chronicle.js";
import type { EventLog } from "./events/event-log.js";
import { FlightRecorder } from "./events/recorder.js";
import { type Bequest, Exchange } from "./exchange.js";
import { explainVirtualRouter } from "./explain.js";
import { JobQueue } from "./job-queue.js";
import { lostText } from "./lan/forwarding-text.js";
import { Interfaces } from "./lan/interfaces.js";
import { Operations } from "./operations.js";
import { Roster } from "./roster.js";
import type { Explanation, RouterEvent, RouterStatus } from "./status.js";
import { SyncGroups } from "./sync-groups.js";
import { trackEvent } from "./tracking/events.js";
import { MaskTable } from "./tracking/mask-table.js";
import { Trackers } from "./tracking/trackers.js";
import { KeptForms } from "./vrrp/checksum-forms.js";
import type { VirtualRouterHost } from "./vrrp/host.js";
import { VirtualRouter } from "./vrrp/virtual-router.js";

export interface RouterOptions {
  /** Defaults to this Linux machine. */
  readonly driver?: Driver;
  /** What must survive a restart; default /run/firsthop. */
  readonly stateDirectory?: string;
  readonly onEvent?: (event: RouterEvent) => void;
  /** Of the process that this one follows; virtual routers wait until they are resumed (see Exchange). */
  readonly bequest?: Bequest;
}

/** What a reload did, by names of virtual routers. */
export interface ReloadResult {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  /** Other sections of the configuration that differ, by their keys in the file. */
  readonly settings: readonly string[];
}

/** Commands that still wait when the router closes are run for so long. */
const NOTIFY_END_US = 5_000_000;

export class Router {
  readonly #driver: Driver;
  readonly #heartbeat: Heartbeat;
  readonly #openedAtUs: number;
  readonly #kernel: Kernel;
  readonly #interfaces: Interfaces;
  readonly #recorder = new FlightRecorder();
  readonly #host: VirtualRouterHost;
  readonly #trackers: Trackers;
  readonly #operations: Operations;
  /** How another process takes over from this one, or this one from another. */
  readonly exchange: Exchange;
  /** Whom no check looks at. */
  readonly mask = new MaskTable((what) => {
    this.#trackers.maskChanged();
    if (what) this.#chronicle.notice("info", null, "mask", what);
  });
  readonly #syncGroups: SyncGroups;
  readonly #roster = new Roster();
  readonly #bfd: BfdSessions;
  readonly #chronicle: Chronicle;
  readonly #jobs: JobQueue;
  readonly #forms: KeptForms;
  #config: Config;
  #reloading: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;
  #closed = false;

  private constructor(
    config: Config,
    driver: Driver,
    stateDirectory: string,
    { onEvent, bequest }: RouterOptions,
  ) {
    this.#config = config;
    this.#driver = driver;
    this.#chronicle = new Chronicle(driver, bequest?.events);
    if (onEvent) this.events.on(onEvent);
    this.#heartbeat = driver.openHeartbeat({
      onReports: (reports) => this.#onReports(reports),
      controlTimeoutUs: config.controlTimeoutUs,
    });
    this.#openedAtUs = this.#heartbeat.now();
    this.#jobs = new JobQueue({
      now: () => this.#heartbeat.now(),
      setTimer: (afterUs, run) => driver.setTimer(afterUs, run),
    });
    this.#kernel = driver.openKernel({
      onNews: (news) => this.#onNews(news),
      onFilterLost: (name, outcome) =>
        this.#chronicle.notice("warning", null, "ownership-lost", lostText(name, outcome)),
      ownership: config.ownership,
      stateDirectory,
      ...(bequest ? { inheritance: bequest.kernel } : {}),
    });
    this.#interfaces = new Interfaces(config, {
      heartbeat: this.#heartbeat,
      kernel: this.#kernel,
      bfd: () => this.#bfd,
      setTimer: (afterUs, run) => this.#setTimer(afterUs, run),
      notice: (level, name, code, detail) => this.#chronicle.notice(level, name, code, detail),
    });
    this.#bfd = this.#makeBfd();
    this.#forms = new KeptForms(driver);
    this.#host = this.#makeHost();
    this.#trackers = this.#makeTrackers();
    this.#operations = this.#makeOperations();
    this.#operations.inherit(bequest?.orders ?? []);
    this.exchange = new Exchange({
      kernel: this.#kernel,
      config: () => this.#config,
      virtualRouters: () => this.#roster.all(),
      trackers: () => this.#trackers.records(),
      orders: () => this.#operations.records(),
      mask: () => this.mask.record(),
      syncGroups: () => this.#syncGroups.records(),
      holdGroups: (hold) => this.#syncGroups.takeCharge(this.#roster.names(), hold),
      events: () => this.events.recent(),
      ceaseEvents: () => this.events.cease(),
      catchUpEvents: (told) => this.#chronicle.catchUp(told),
      bfd: () => this.#bfd,
      obstacle: () => this.#obstacle(),
      reloaded: () => this.#reloading,
    });
    this.mask.configure(config.mask);
    if (bequest?.mask) this.mask.inherit(bequest.mask);
    this.#syncGroups = this.#makeSyncGroups();
  }

  /**
   * Opens a router and starts its virtual routers; resolves when all that the kernel allows is running.
   * @throws FirsthopError PERMISSION, NATIVE_UNAVAILABLE, KERNEL_REFUSED
   */
  static async open(config: Config, options: RouterOptions = {}): Promise<Router> {
    const stateDirectory = options.stateDirectory ?? DEFAULT_STATE_DIRECTORY;
    const driver =
      options.driver ?? (await import("../driver/linux/index.js")).openLinuxDriver({ stateDirectory });
    let router: Router;
    try {
      router = new Router(config, driver, stateDirectory, options);
    } catch (error) {
      await driver.close();
      throw error;
    }
    try {
      for (const line of await router.#kernel.recover())
        router.#chronicle.notice("info", null, "recovered", line);
      router.#interfaces.load(await router.#kernel.snapshot());
      if (options.bequest) router.#bfd.resume(unpackOctets(options.bequest.bfdSessions) as BfdRecord[]);
      router.#trackers.apply(config.trackers, options.bequest?.trackers);
      router.#syncGroups.apply(config.syncGroups);
      if (options.bequest) router.#syncGroups.inherit(options.bequest.syncGroups ?? []);
      for (const one of config.virtualRouters) router.#add(one, options.bequest !== undefined);
      await Promise.all(router.#roster.all().map((one) => one.started()));
    } catch (error) {
      if (options.bequest) await router.leave();
      else await router.close({ handOver: false });
      throw error;
    }
    return router;
  }

  // ---- for users ----------------------------------------------------------------------------------------

  status(): RouterStatus {
    return {
      virtualRouters: this.#roster.all().map((one) => one.status()),
      syncGroups: this.#syncGroups.status(),
      tracks: this.#trackers.status((tracker) => this.#roster.followersOf(tracker).map((one) => one.name)),
      mask: this.mask.list(),
      interfaces: this.#roster.interfaceNames().map((name) => this.#interfaces.status(name)),
      bfdSessions: this.#bfd.status(),
      bfdRejected: this.#bfd.rejected(),
      statistics: this.#interfaces.statistics(),
      engine: this.#heartbeat.timing(),
    };
  }

  /** What happened, numbered. */
  get events(): EventLog {
    return this.#chronicle.events;
  }

  /** The last events, oldest first. */
  recentEvents(): readonly RouterEvent[] {
    return this.events.recent();
  }

  /** Follows events; the function returned ends it. */
  on(listener: (event: RouterEvent) => void): () => void {
    return this.events.on(listener);
  }

  /** @throws FirsthopError NOT_FOUND */
  explain(name: string): Explanation {
    return explainVirtualRouter(this.#roster.find(name).status(), this.status());
  }

  /** The last inputs of the state machines, one JSON document a line. */
  flightRecorder(): string {
    return this.#recorder.dump();
  }

  /**
   * Drain, priority, switchover: what is ordered without another configuration.
   * @throws FirsthopError USAGE while another process takes over: it would not know
   */
  get operations(): Operations {
    this.exchange.requireNone();
    return this.#operations;
  }

  /** Takes over another configuration; what did not change does not flap. Reloads queue up. */
  reload(config: Config): Promise<ReloadResult> {
    const result = this.#reloading.then(() => this.#reload(config));
    this.#reloading = result.catch(() => undefined);
    return result;
  }

  /**
   * Leaves all virtual routers and undoes what was put into the kernel. With `handOver` (the default) an Active
   * forwards until its successor is heard. A second call without it ends the wait.
   */
  close(options: { readonly handOver?: boolean } = {}): Promise<void> {
    if (this.exchange.departed) {
      // What it waits for is given up in time.
      void this.#chronicle.drain(options.handOver === false ? 0 : NOTIFY_END_US);
      return this.leave();
    }
    // An heir that came halfway learns with its next request that it is not wanted any more.
    this.exchange.cancel();
    if (options.handOver === false) for (const one of this.#roster.all()) one.endHandOver();
    this.#closing ??= this.#close(options.handOver ?? true);
    return this.#closing;
  }

  /**
   * Leaves everything in the kernel as it is: another process goes on with it. Resolves when notify commands have ended,
   * each within its own time; `close` gives up the wait. `left` is called when so many of them are all that is left.
   */
  leave(left?: (commands: number) => Promise<void>): Promise<void> {
    if (this.#closing) return this.#closing;
    // An engine that ends resigns from what it still runs.
    for (const one of this.#roster.all()) one.look(true);
    this.#bfd.look(true);
    this.events.cease();
    this.#closing = this.#leave(left);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---- life of virtual routers --------------------------------------------------------------------------

  #add(config: VirtualRouterConfig, suspended = false): VirtualRouter {
    const orders = this.#operations.ordersOf(config.name);
    const tracking = this.#trackers.follow(config.track);
    const one = new VirtualRouter(config, this.#host, tracking, orders, suspended);
    this.#roster.add(one);
    try {
      this.#interfaces.add(one);
    } catch (error) {
      this.#forget([one]);
      throw error;
    }
    return one;
  }

  #forget(routers: readonly VirtualRouter[]): void {
    for (const one of routers) {
      this.#roster.remove(one);
      this.#syncGroups.removed(one.name);
      one.dispose();
    }
    this.#interfaces.remove(routers, this.#roster.interfaceNames());
  }

  async #remove(routers: readonly VirtualRouter[], handOver: boolean): Promise<void> {
    await Promise.all(routers.map((one) => one.stop(handOver)));
    try {
      await this.#kernel.release(routers.map((one) => one.owner));
    } finally {
      this.#forget(routers);
    }
  }

  async #reload(config: Config): Promise<ReloadResult> {
    if (this.#closing) throw new FirsthopError("USAGE", "the router is closing; nothing was reloaded");
    if (this.exchange.begun) {
      throw new FirsthopError("USAGE", "another process is taking over; nothing was reloaded");
    }
    const before = this.#config;
    try {
      return await this.#change(config);
    } catch (error) {
      // The next reload begins with what there really is.
      this.#config = { ...before, virtualRouters: this.#roster.all().map((one) => one.config) };
      const why = error instanceof Error ? error.message : String(error);
      const advice = "`firsthop show` tells what runs now; reload again when that is mended";
      throw new FirsthopError("KERNEL_REFUSED", `the reload ended halfway: ${why}: ${advice}`, {
        cause: error,
      });
    }
  }

  async #change(config: Config): Promise<ReloadResult> {
    const diff = diffConfig(this.#config, config);
    const restarted = diff.changed.filter((change) => change.restart);
    const leaving = [...diff.removed, ...restarted.map((change) => change.old)].map((one) =>
      this.#roster.find(one.name),
    );
    await this.#remove(leaving, true);
    this.#config = config;
    this.#interfaces.configure(config);
    this.#operations.keepOnly(diff.names);
    this.mask.configure(config.mask);
    this.#trackers.apply(config.trackers);
    for (const change of diff.changed)
      if (!change.restart) this.#roster.find(change.name).applyLive(change.new);
    if (diff.settings.includes("ownershipLimitUs"))
      for (const one of this.#roster.all()) one.applyLive(one.config);
    for (const one of this.#roster.all()) one.setTracking(this.#trackers.follow(one.config.track));
    this.#syncGroups.apply(config.syncGroups);
    const added = [...diff.added, ...restarted.map((change) => change.new)].map((one) => this.#add(one));
    this.#syncGroups.reconsiderAll();
    await Promise.all(added.map((one) => one.started()));
    const result: ReloadResult = {
      added: diff.added.map((one) => one.name),
      removed: diff.removed.map((one) => one.name),
      changed: diff.changed.map((change) => change.name),
      unchanged: diff.unchanged.map((one) => one.name),
      settings: diff.settings.map(keyInFile),
    };
    this.#chronicle.tell({ type: "reload", at: this.#chronicle.at(), ...result });
    const later = diff.settings.filter((key) => AT_START.has(key)).map(keyInFile);
    if (later.length > 0)
      this.#chronicle.notice(
        "warning",
        null,
        "not-reloaded",
        `${later.join(", ")}: in force from the next start on, or from an exchange of processes (run --handover)`,
      );
    return result;
  }

  async #close(handOver: boolean): Promise<void> {
    await this.#reloading;
    try {
      this.#trackers.end();
      await this.#remove(this.#roster.all(), handOver);
      await this.#chronicle.drain(handOver ? NOTIFY_END_US : 0);
    } finally {
      await this.#end();
    }
  }

  /** What happened here is told from here: the process that goes on does not know what was told. */
  async #leave(left?: (commands: number) => Promise<void>): Promise<void> {
    await this.#end();
    await left?.(this.#chronicle.commands);
    await this.#chronicle.drain(null);
  }

  async #end(): Promise<void> {
    this.#closed = true;
    this.#trackers.end();
    this.#bfd.close();
    this.#forms.save();
    await this.#driver.close();
  }

  /** Why no process can follow this one now. */
  #obstacle(): string | null {
    if (this.#closing) return "the running daemon is ending";
    const { underWay } = this.#operations;
    return underWay && `${underWay} is being handed over by command: try again when that is over`;
  }

  // ---- facts --------------------------------------------------------------------------------------------

  #onReports(reports: readonly HeartbeatReport[]): void {
    for (const report of reports) {
      if (this.#closed) return;
      switch (report.type) {
        case "transition":
          if (!this.#bfd.onTransition(report)) this.#roster.ofSession(report.session)?.onTransition(report);
          break;
        case "frame":
          this.#interfaces.onFrame(report.port, report.frame, report.atUs);
          break;
        case "kernel":
          this.#roster.ofSession(report.session)?.onKernelReport(report);
          break;
        case "portError":
          this.#interfaces.onPortError(report.port, report.errno);
          break;
        case "controlRestored":
          this.#chronicle.notice(
            "warning",
            null,
            "control-restored",
            `JavaScript was silent for ${Math.round(report.silentForUs / 1000)} ms`,
          );
          for (const one of this.#roster.all()) one.onControlRestored();
          this.#bfd.onControlRestored();
          break;
      }
    }
  }

  #onNews(news: KernelNews): void {
    if (this.#closed) return;
    this.#interfaces.onNews(news);
    this.#trackers.networkChanged();
    this.#bfd.networkChanged();
  }

  // ---- the parts ----------------------------------------------------------------------------------------

  /** Nothing happens any more once the router is closed. */
  #setTimer(afterUs: number, run: () => void): () => void {
    return this.#driver.setTimer(afterUs, () => this.#closed || run());
  }

  #makeBfd(): BfdSessions {
    return new BfdSessions({
      heartbeat: this.#heartbeat,
      ports: (name, family) => this.#interfaces.bfdPorts(name, family),
      isOnLink: (name, address) => this.#interfaces.isOnLink(name, address),
      draw: () => randomBytes(4).readUInt32LE(),
      setTimer: (afterUs, run) => this.#setTimer(afterUs, run),
      notice: (level, name, code, detail) => this.#chronicle.notice(level, name, code, detail),
    });
  }

  #makeHost(): VirtualRouterHost {
    return {
      heartbeat: this.#heartbeat,
      kernel: this.#kernel,
      lanPort: (link) => this.#interfaces.lanPort(link),
      datagramPort: (family, ifindex) => this.#interfaces.datagramPort(family, ifindex),
      bfd: () => this.#bfd,
      adopt: (session, own) => this.#roster.adopt(session, own),
      release: (session) => this.#roster.release(session),
      wallClockMs: () => this.#driver.wallClockMs(),
      openedAtUs: () => this.#openedAtUs,
      setTimer: (afterUs, run) => this.#setTimer(afterUs, run),
      schedule: (run) => this.#jobs.add(run),
      record: (name, atUs, event) => this.#recorder.record({ name, atUs, event }),
      stateChanged: (name, change) => this.#chronicle.stateChanged(name, change, this.#roster.get(name)),
      moved: (one, move) => {
        if (move) this.#operations.moved(one, move);
        this.#syncGroups.moved(one);
      },
      notice: (level, name, code, detail) => this.#chronicle.notice(level, name, code, detail),
      ownershipLimitUs: () => this.#config.ownershipLimitUs,
      placed: (session, link, place) => {
        const one = this.#roster.ofSession(session);
        const family = one?.config.family;
        if (family)
          this.#chronicle.notForwarding(link, family, () => this.#kernel.forwardingOff(link.name, family));
        if (place.ifindex === link.ifindex) return;
        if (one) this.#interfaces.made(place, one);
        const judged = this.#kernel.ownership(link.ifindex);
        if (judged && !place.lease) this.#chronicle.unfiltered(link, judged);
      },
      loadForms: (name) => this.#forms.loadForms(name),
      saveForms: (name, forms) => this.#forms.saveForms(name, forms),
    };
  }

  #makeTrackers(): Trackers {
    const services = {
      driver: this.#driver,
      heartbeat: this.#heartbeat,
      kernel: this.#kernel,
      network: this.#interfaces.network,
      probes: this.#driver.openProbes(),
      bfd: () => this.#bfd,
      prober: this.#driver.openProber(),
      mask: this.mask,
      sourceOn: (name: string, target: string) => this.#interfaces.sourceOn(name, target),
      isOwn: (address: string) => this.#interfaces.isOwn(address),
    };
    return new Trackers(services, {
      changed: (tracker, change) => {
        const followers = this.#roster.followersOf(tracker.name);
        this.#chronicle.tell(trackEvent(this.#chronicle.at(), tracker, change, followers));
        for (const one of followers) one.setTracking(this.#trackers.follow(one.config.track));
      },
      overdue: (name) => {
        for (const one of this.#roster.followersOf(name))
          one.setTracking(this.#trackers.follow(one.config.track));
      },
      untried: (name, detail) =>
        this.#chronicle.notice("warning", null, "not-checked", `tracker ${name}: ${detail}`),
    });
  }

  #makeOperations(): Operations {
    return new Operations({
      all: () => this.#roster.all(),
      find: (name) => this.#roster.find(name),
      unitOf: (name) => this.#syncGroups.unitOf(name),
      takeCharge: (unit, inCharge) => this.#syncGroups.takeCharge(unit, inCharge),
      now: () => this.#heartbeat.now(),
      wallClockMs: () => this.#driver.wallClockMs(),
      setTimer: (afterUs, run) => this.#driver.setTimer(afterUs, run),
    });
  }

  #makeSyncGroups(): SyncGroups {
    return new SyncGroups({
      all: () => this.#roster.all(),
      order: (name, change) => this.#operations.order(name, change),
      setTimer: (afterUs, run) => this.#setTimer(afterUs, run),
      at: () => this.#chronicle.at(),
      changed: (group, change) => this.#chronicle.groupChanged(group, change),
    });
  }
}
