/**
 * firsthop as a library. Importing works on every system; opening a router needs Linux and the native addon,
 * which is loaded only then.
 *
 *     const router = await openRouter(defineConfig({ virtualRouters: [ … ] }));
 *     router.on("stateChange", (event) => console.log(event.name, event.to, event.detail));
 *     await router.close();
 */
import type { Config } from "./config/index.js";
import { requireDefined } from "./config/parse.js";
import type { Driver } from "./driver/driver.js";
import { type ReloadResult, Router } from "./engine/router.js";
import type {
  Explanation,
  MaskStatus,
  Outcome,
  RouterEvent,
  RouterStatus,
  SwitchoverReport,
} from "./engine/status.js";

export * from "./config/index.js";
export type { Driver } from "./driver/driver.js";
export type { ReloadResult } from "./engine/router.js";
export type {
  Explanation,
  GlobalStatistics,
  InterfaceStatus,
  MaskStatus,
  Outcome,
  RouterEvent,
  RouterStatus,
  StateChange,
  SwitchoverMove,
  SwitchoverReport,
  TrackingStatus,
  TrackStatus,
  VirtualRouterStateName,
  VirtualRouterStatistics,
  VirtualRouterStatus,
} from "./engine/status.js";
export { ERROR_CODES, type ErrorCode, FirsthopError } from "./errors.js";

/** What a listener of one type of event gets. `warning` and `info` share one shape, hence the detour. */
export type EventOf<Type extends RouterEvent["type"]> = RouterEvent extends infer One
  ? One extends { readonly type: infer Types }
    ? Type extends Types
      ? One & { readonly type: Type }
      : never
    : never
  : never;

export interface OpenRouterOptions {
  /** What must survive a restart is kept here; default /run/firsthop. */
  readonly stateDirectory?: string;
  /** Another machine than this one: `firsthop/simulated` has one on virtual time, for tests. */
  readonly driver?: Driver;
}

export interface FirsthopRouter {
  status(): RouterStatus;
  /** The last events, oldest first; those of the start are here too. */
  recentEvents(): readonly RouterEvent[];
  /**
   * Follows events of one type.
   * @returns ends it.
   */
  on<Type extends RouterEvent["type"]>(type: Type, listener: (event: EventOf<Type>) => void): () => void;
  /** @throws FirsthopError NOT_FOUND */
  explain(name: string): Explanation;
  /** Whom no check looks at. What is added or lifted here stays so until the router is closed, also over a reload. */
  readonly mask: {
    list(): readonly MaskStatus[];
    /** @throws FirsthopError USAGE for what is neither an IP prefix nor a MAC address */
    add(entry: string): MaskStatus;
    /** @throws FirsthopError USAGE, NOT_FOUND */
    del(entry: string): MaskStatus;
  };
  /** The last inputs of the state machines, one JSON document a line: for bug reports. */
  flightRecorder(): string;
  /**
   * Hands over and takes no part in the election until `undrain`. Who finds no successor stays Active and is not
   * drained, unless `force`. Like all orders it holds across a reload, and ends with the router.
   * @throws FirsthopError NOT_FOUND
   */
  drain(names: readonly string[], options?: { readonly force?: boolean }): Promise<readonly Outcome[]>;
  /** @throws FirsthopError NOT_FOUND */
  undrain(names: readonly string[]): readonly Outcome[];
  /**
   * Stands for the configured priority, 1 to 254; null: that one counts again.
   * @throws FirsthopError NOT_FOUND, USAGE, REFUSED
   */
  setPriority(name: string, priority: number | null): Outcome;
  /**
   * Hands over to the best Backup, which keeps the virtual router; with `testForUs` only for that time.
   * @throws FirsthopError NOT_FOUND, REFUSED
   */
  switchover(name: string, options?: { readonly testForUs?: number | null }): Promise<SwitchoverReport>;
  /** Takes over another configuration; what did not change does not flap. @throws FirsthopError USAGE */
  reload(config: Config): Promise<ReloadResult>;
  /** Leaves; with `handOver` (the default) an Active forwards until its successor is heard. */
  close(options?: { readonly handOver?: boolean }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a router on this machine and starts its virtual routers.
 * @throws FirsthopError USAGE, NATIVE_UNAVAILABLE, PERMISSION, KERNEL_REFUSED
 */
export async function openRouter(config: Config, options: OpenRouterOptions = {}): Promise<FirsthopRouter> {
  requireDefined(config);
  const router = await Router.open(config, options);
  return {
    status: () => router.status(),
    recentEvents: () => router.recentEvents(),
    on: (type, listener) =>
      router.on((event) => {
        if (event.type === type) guarded(() => listener(event as Parameters<typeof listener>[0]));
      }),
    explain: (name) => router.explain(name),
    mask: router.mask,
    flightRecorder: () => router.flightRecorder(),
    drain: (names, drainOptions) => router.operations.drain(names, drainOptions?.force),
    undrain: (names) => router.operations.undrain(names),
    setPriority: (name, priority) => router.operations.setPriority(name, priority),
    switchover: (name, switchOptions) => router.operations.switchover(name, switchOptions?.testForUs),
    reload: async (next) => {
      requireDefined(next);
      return router.reload(next);
    },
    close: (closing) => router.close(closing),
    [Symbol.asyncDispose]: () => router.close(),
  };
}

/**
 * What a listener throws is the program's error, as everywhere in Node, but never one inside the state
 * machine.
 */
function guarded(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
