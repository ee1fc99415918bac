/**
 * One process follows another at the same work without a change of state: what the predecessor holds in the kernel is
 * bequeathed, then one virtual router after the other is resumed here from where it is there, and frozen there only
 * when it runs here. For that moment both say and hear the same, so that no advertisement is missing however slow the
 * two processes are; the lease stays open, so that forwarding does not notice. Until `depart` the predecessor can go on
 * by itself.
 */
import type { Config } from "../config/index.js";
import { packOctets, unpackOctets } from "../core/octets.js";
import type { Kernel } from "../driver/driver.js";
import { FirsthopError } from "../errors.js";
import type { BfdRecord, BfdSessions } from "./bfd/sessions.js";
import type { Orders } from "./orders.js";
import type { RouterEvent } from "./status.js";
import type { SyncGroupRecord } from "./sync-groups.js";
import type { MaskRecord } from "./tracking/mask-table.js";
import type { TrackerRecord } from "./tracking/tracker.js";
import type { FrozenVirtualRouter } from "./vrrp/host.js";
import type { VirtualRouter } from "./vrrp/virtual-router.js";

/** What the heir needs before it takes over the first virtual router. JSON. */
export interface Bequest {
  /** Equal where two processes would do the same. */
  readonly configuration: string;
  readonly kernel: unknown;
  readonly trackers: readonly TrackerRecord[];
  readonly orders: readonly (readonly [string, Orders])[];
  /** Missing where the process before did not tell. */
  readonly mask?: MaskRecord;
  readonly syncGroups?: readonly SyncGroupRecord[];
  readonly events: readonly RouterEvent[];
  /** Octets packed. */
  readonly bfdSessions: unknown;
}

export interface ExchangeHost {
  readonly kernel: Kernel;
  config(): Config;
  virtualRouters(): readonly VirtualRouter[];
  trackers(): readonly TrackerRecord[];
  orders(): readonly (readonly [string, Orders])[];
  mask(): MaskRecord;
  syncGroups(): readonly SyncGroupRecord[];
  events(): readonly RouterEvent[];
  /** Numbers of events are the heir's from now on. */
  ceaseEvents(): void;
  /** In the heir: what the predecessor told since the bequest. */
  catchUpEvents(told: readonly RouterEvent[]): void;
  bfd(): BfdSessions;
  /** Why nobody can follow now; null: somebody can. */
  obstacle(): string | null;
  /** Resolves when no reload is under way. */
  reloaded(): Promise<unknown>;
  /** Whether sync groups leave their members alone: half of them may be here, the other half there. */
  holdGroups(hold: boolean): void;
}

export class Exchange {
  readonly #host: ExchangeHost;
  readonly #resumed = new Map<VirtualRouter, FrozenVirtualRouter>();
  readonly #frozen = new Map<VirtualRouter, FrozenVirtualRouter>();
  #begun = false;
  #departed = false;

  constructor(host: ExchangeHost) {
    this.#host = host;
  }

  /** Whether an heir is at work: nothing else may be changed. */
  get begun(): boolean {
    return this.#begun;
  }

  /** What is ordered now would be lost. @throws FirsthopError USAGE while an heir is at work */
  requireNone(): void {
    if (this.#begun)
      throw new FirsthopError("USAGE", "another process is taking over: give the order again in a moment");
  }

  /** Whether an heir has everything: this process only leaves. */
  get departed(): boolean {
    return this.#departed;
  }

  /** @throws FirsthopError USAGE when another heir is at work, or nobody can follow now */
  async begin(): Promise<Bequest> {
    const obstacle = this.#begun ? "another process is taking over already" : this.#host.obstacle();
    if (obstacle !== null) throw new FirsthopError("USAGE", obstacle);
    this.#begun = true;
    try {
      await this.#host.reloaded();
      this.#requireBegun();
      this.#host.holdGroups(true);
      const kernel = await this.#host.kernel.bequeath();
      this.#requireBegun();
      return {
        configuration: fingerprint(this.#host.config()),
        kernel,
        trackers: this.#host.trackers(),
        orders: this.#host.orders(),
        mask: this.#host.mask(),
        syncGroups: this.#host.syncGroups(),
        events: this.#host.events(),
        bfdSessions: packOctets(this.#host.bfd().look(false)),
      };
    } catch (error) {
      this.#begun = true;
      this.cancel();
      throw error;
    }
  }

  /** Meanwhile this process may have been told to end. */
  #requireBegun(): void {
    if (!this.#begun) throw new FirsthopError("USAGE", "the running daemon is ending");
  }

  /** Where a virtual router is: what `resume` takes there, as JSON. @throws FirsthopError */
  look(name: string): unknown {
    return packOctets(this.#mine(name).look(false));
  }

  /** The virtual router ceases to act here. @returns where it was in the end. @throws FirsthopError */
  freeze(name: string): unknown {
    const one = this.#mine(name);
    const frozen = one.look(true);
    this.#frozen.set(one, frozen);
    return packOctets(frozen);
  }

  /** Where BFD sessions are, as JSON. `freeze`: they cease to act here. @throws FirsthopError */
  sessions(freeze: boolean): unknown {
    if (!this.#begun) throw new FirsthopError("USAGE", "nobody is taking over");
    return packOctets(this.#host.bfd().look(freeze));
  }

  #mine(name: string): VirtualRouter {
    const one = this.#host.virtualRouters().find((router) => router.name === name);
    if (this.#begun && one && !this.#frozen.has(one)) return one;
    throw new FirsthopError("USAGE", `${name} can't be taken over now`);
  }

  /** The heir is gone, or this process is to end by itself: it goes on with what it has. */
  cancel(): void {
    if (!this.#begun || this.#departed) return;
    this.#begun = false;
    this.#host.kernel.keep();
    for (const [one, frozen] of this.#frozen) one.resume(frozen);
    this.#frozen.clear();
    this.#host.bfd().thaw();
    this.#host.holdGroups(false);
  }

  /** The heir has everything: there is no way back. False while it has not. */
  depart(): boolean {
    this.#departed = this.#begun && this.#host.virtualRouters().every((one) => this.#frozen.has(one));
    if (this.#departed) this.#host.ceaseEvents();
    return this.#departed;
  }

  /** Events with a higher number than this one. */
  toldSince(sequence: number): readonly RouterEvent[] {
    return this.#host.events().filter((event) => event.sequence > sequence);
  }

  /**
   * In the heir: goes on with a virtual router from where the predecessor is with it. Called again with where it was in
   * the end, which changes something only if it got further in between, and this process did not.
   */
  resume(name: string, there: unknown): void {
    const one = this.#host.virtualRouters().find((router) => router.name === name);
    if (!one) return;
    const where = unpackOctets(there) as FrozenVirtualRouter;
    const from = this.#resumed.get(one);
    this.#resumed.set(one, where);
    const moved = from && !sameState(from, where) && sameState(from, one.look(false));
    if (!from || moved) one.resume(where);
  }

  /** In the heir: the predecessor's BFD sessions are about to cease. */
  overtake(sessions: unknown): void {
    this.#host.bfd().overtake(unpackOctets(sessions) as BfdRecord[]);
  }

  /** In the heir: every virtual router is here now, and BFD sessions are only here. */
  finish(sessions: unknown): void {
    this.#host.bfd().catchUp(unpackOctets(sessions) as BfdRecord[]);
    this.#host.holdGroups(false);
  }

  /** In the heir, when the predecessor has departed. `told`: by that one, since the bequest. */
  catchUp(told: readonly RouterEvent[]): void {
    this.#host.catchUpEvents(told);
  }
}

function sameState(a: FrozenVirtualRouter, b: FrozenVirtualRouter): boolean {
  return JSON.stringify(a.machine.state) === JSON.stringify(b.machine.state);
}

/** What two processes must have in common for one to go on where the other one was. */
export function fingerprint({ control: _, log: __, ...work }: Config): string {
  return JSON.stringify(work);
}

/**
 * Whether a process with this fingerprint does what this configuration says. Another version may know settings that
 * this one does not, and the other way round: those are left out.
 */
export function doesTheSame(theirs: string, config: Config, sameVersion: boolean): boolean {
  const own = fingerprint(config);
  return sameVersion ? theirs === own : agree(JSON.parse(theirs), JSON.parse(own));
}

function agree(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((one, index) => agree(one, b[index]));
  if (!isObject(a) || !isObject(b)) return a === b;
  return Object.keys(a).every((key) => !(key in b) || agree(a[key], b[key]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
