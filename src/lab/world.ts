/** A lab with two firsthop routers at work, a host that sends, and what is known about all of them. */
import { activeDownIntervalUs } from "../core/vrrp/timing.js";
import type { RouterEvent, StateChange } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import { daemonConfig, type LabDaemon, startDaemon } from "./daemon.js";
import type { LabAction, LabSettings, LineView, RouterStateName, RouterView } from "./model.js";
import { type Lab, type LabRouter, openLab } from "./topology.js";
import { type Capture, captureAt, startTraffic, type Traffic } from "./traffic.js";
import { eventually } from "./wait.js";

/** A change of state as it happened in a router. */
export interface SeenChange extends StateChange {
  readonly router: string;
}

/** One router: its place, its daemon, and what the lab did to it. */
export interface RouterActor {
  readonly place: LabRouter;
  readonly priority: number;
  readonly activeDownIntervalMs: number;
  view(): RouterView;
  /** Packets that it carried so far. */
  carried(): number;
  readonly state: () => RouterStateName;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export interface World {
  readonly lab: Lab;
  readonly settings: LabSettings;
  readonly routers: readonly [RouterActor, RouterActor];
  readonly traffic: Traffic;
  /** Advertisements that reach router 2. */
  readonly adverts: Capture;
  /** Does something to router 1. Resolves when it is done. */
  act(action: LabAction): Promise<void>;
  /** Hears of every change of state; returns how to stop hearing. */
  onChange(listener: (change: SeenChange) => void): () => void;
  /** Ends the traffic and removes everything. */
  close(): Promise<void>;
}

const ELECTION_EXTRA_MS = 10_000;
/** A router that carried a packet within this time counts as carrying. */
const CARRYING_MS = 60;

/** What a daemon in a given router is started with. */
export type StartDaemon = (lab: Lab, router: LabRouter, config: string) => Promise<LabDaemon>;

/** Builds everything and waits until router 1 is Active, router 2 Backup, and packets flow. */
export async function openWorld(settings: LabSettings, start: StartDaemon = startDaemon): Promise<World> {
  const lab = await openLab({ routers: 2 });
  try {
    return await populate(lab, settings, start);
  } catch (error) {
    lab.close();
    throw error;
  }
}

async function populate(lab: Lab, settings: LabSettings, start: StartDaemon): Promise<World> {
  const listeners = new Set<(change: SeenChange) => void>();
  const announce = (change: SeenChange): void => {
    for (const listener of listeners) listener(change);
  };
  const lines: Lines = { lan: "up", upstream: "up" };
  let traffic: Traffic | null = null;
  const actor = (at: 0 | 1): RouterActor =>
    routerActor({
      lab,
      settings,
      place: lab.routers[at]!,
      priority: settings.priorities[at]!,
      lines: at === 0 ? lines : { lan: "up", upstream: "up" },
      announce,
      start,
      carried: () => traffic?.carriedBy(lab.routers[at]!.upstreamMac) ?? 0,
    });
  const routers = [actor(0), actor(1)] as const;
  const adverts = captureAt(lab.routers[1]!, "lan0");
  await Promise.all(routers.map((router) => router.start()));
  await normalRoles(routers);
  const stream = startTraffic(lab, { rate: settings.rate, family: settings.family });
  traffic = stream;
  await eventually("packets flow through r1", ELECTION_EXTRA_MS, () => routers[0].carried() > 0);
  return {
    lab,
    settings,
    routers,
    traffic: stream,
    adverts,
    act: (action) => carryOut(action, lab, routers[0], lines),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      await Promise.all([stream.stop(), adverts.stop()]);
      lab.close();
    },
  };
}

/** Waits until router 1 is Active and router 2 is Backup. */
async function normalRoles(routers: readonly [RouterActor, RouterActor]): Promise<void> {
  const boundMs = 3 * routers[1].activeDownIntervalMs + ELECTION_EXTRA_MS;
  await eventually(
    "r1 is Active and r2 is Backup",
    boundMs,
    () => routers[0].state() === "active" && routers[1].state() === "backup",
    () => `r1 is ${routers[0].state()}, r2 is ${routers[1].state()}`,
  );
}

/** Lines of router 1. */
interface Lines {
  lan: LineView;
  upstream: LineView;
}

async function carryOut(action: LabAction, lab: Lab, router: RouterActor, lines: Lines): Promise<void> {
  const place = router.place;
  const set = (lan: LineView, upstream: LineView): void => {
    lines.lan = lan;
    lines.upstream = upstream;
  };
  switch (action) {
    case "cut-lines":
      set("cut", "cut");
      await lab.cut(place, "both");
      return;
    case "cut-lan":
      set("cut", "up");
      await lab.cut(place, "lan");
      return;
    case "mute-port":
      set("muted", "muted");
      await lab.cut(place, "both", "silent");
      return;
    case "restore-lines":
      await lab.restore(place, "both");
      set("up", "up");
      return;
    case "restore-lan":
      await lab.restore(place, "lan");
      set("up", "up");
      return;
    case "restore-port":
      await lab.restore(place, "both", "silent");
      set("up", "up");
      return;
    case "kill-daemon":
      return router.kill();
    case "stop-daemon":
      return router.stop();
    case "start-daemon":
      return router.start();
  }
}

interface ActorParts {
  readonly lab: Lab;
  readonly settings: LabSettings;
  readonly place: LabRouter;
  readonly priority: number;
  readonly lines: Lines;
  readonly announce: (change: SeenChange) => void;
  readonly start: StartDaemon;
  readonly carried: () => number;
}

function routerActor(parts: ActorParts): RouterActor {
  const { lab, settings, place, priority } = parts;
  const config = daemonConfig({
    vrid: settings.vrid,
    family: settings.family,
    version: 3,
    priority,
    intervalMs: settings.intervalMs,
  });
  let daemon: LabDaemon | null = null;
  let state: RouterStateName = "starting";
  const carrying = recentGrowth(parts.carried);
  const running = (): LabDaemon => {
    if (daemon) return daemon;
    throw new FirsthopError("LAB_FAILED", `${place.name} has no daemon`);
  };
  return {
    place,
    priority,
    activeDownIntervalMs: activeDownIntervalUs(3, priority, settings.intervalMs * 1000) / 1000,
    carried: parts.carried,
    state: () => state,
    view: () => ({ name: place.name, priority, state, ...parts.lines, carries: carrying() }),
    start: async () => {
      state = "starting";
      const started = await parts.start(lab, place, config);
      daemon = started;
      await started.follow((event: RouterEvent) => {
        if (event.type !== "stateChange" || daemon !== started) return;
        state = event.to;
        parts.announce({ ...event, router: place.name });
      });
    },
    stop: async () => {
      await running().stop();
      daemon = null;
      state = "stopped";
    },
    kill: async () => {
      const victim = running();
      daemon = null;
      state = "killed";
      await victim.crash();
    },
  };
}

/** Whether a count grew a moment ago, asked again and again. */
function recentGrowth(count: () => number): () => boolean {
  let last = 0;
  let grewAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = count();
    if (now > last) grewAt = performance.now();
    last = now;
    return performance.now() - grewAt < CARRYING_MS;
  };
}
