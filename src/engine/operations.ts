/**
 * What an administrator does to a running router without editing a file: drain, undrain, priority, switchover. The
 * orders given hold across a reload, and end with the daemon.
 *
 * Whatever moves a virtual router away from here is make before break: it goes on forwarding until its successor is
 * heard, and if nobody takes over it goes on as Active and says so.
 */
import { FirsthopError } from "../errors.js";
import { describeDuration } from "./duration.js";
import { NO_ORDERS, type Orders } from "./orders.js";
import type { Outcome, SwitchoverMove, SwitchoverReport } from "./status.js";
import type { Move, Mover } from "./vrrp/host.js";
import type { VirtualRouter } from "./vrrp/virtual-router.js";

export interface OperationsHost {
  /** All virtual routers. */
  all(): readonly VirtualRouter[];
  /** @throws FirsthopError NOT_FOUND */
  find(name: string): VirtualRouter;
  /** Names of the virtual routers that move together with this one, itself included. */
  unitOf(name: string): readonly string[];
  /** While a unit is moved from here, its sync group does not move it. */
  takeCharge(unit: readonly string[], inCharge: boolean): void;
  now(): number;
  wallClockMs(): number;
  setTimer(afterUs: number, run: () => void): () => void;
}

/** Beyond what a hand-over may take, which the machine ends by itself: a guard against a router that is removed. */
const MOVE_MARGIN_US = 5_000_000;
/** So many of its intervals without a claim, and the other router has yielded. */
const SILENT_INTERVALS = 1.5;
const SILENT_MIN_US = 50_000;

type Watcher = (one: Mover, move: Move) => void;

export class Operations {
  readonly #host: OperationsHost;
  readonly #orders = new Map<string, Orders>();
  readonly #watchers = new Set<Watcher>();
  readonly #switching = new Set<string>();
  /** Members of units that hand over in order to be drained; `undrain` takes them out. */
  readonly #draining = new Set<string>();
  /** Members of units that hand over now, for whatever reason. */
  readonly #moving = new Set<string>();

  constructor(host: OperationsHost) {
    this.#host = host;
  }

  /** For the process that goes on with this one's work. */
  records(): readonly (readonly [string, Orders])[] {
    return [...this.#orders];
  }

  /** Somebody whose move, or whose test of one, is not over; null: nobody's. */
  get underWay(): string | null {
    const [first = null] = [...this.#moving, ...this.#switching];
    return first;
  }

  inherit(records: readonly (readonly [string, Orders])[]): void {
    for (const [name, orders] of records) this.#orders.set(name, orders);
  }

  ordersOf(name: string): Orders {
    return this.#orders.get(name) ?? NO_ORDERS;
  }

  /**
   * Another configuration: orders go with their virtual router, whatever it is called there, and end with it.
   * `before`: by its name, what each was called.
   */
  keepOnly(before: ReadonlyMap<string, string>): void {
    const kept = [...before].flatMap(([name, old]) => {
      const orders = this.#orders.get(old);
      return orders ? [[name, orders] as const] : [];
    });
    this.#orders.clear();
    this.inherit(kept);
  }

  order(name: string, change: Partial<Orders>): void {
    const orders = { ...this.ordersOf(name), ...change };
    this.#orders.set(name, orders);
    this.#host
      .all()
      .find((one) => one.name === name)
      ?.setOrders(orders);
  }

  /** A virtual router made a step. */
  moved(one: Mover, move: Move): void {
    // It is the Active again, for whatever reason: what it handed over has come back.
    if (move.after.name === "active" && move.before.name !== "active" && this.ordersOf(one.name).holdsBack)
      this.order(one.name, { holdsBack: false });
    for (const watcher of [...this.#watchers]) watcher(one, move);
  }

  // ---- drain --------------------------------------------------------------------------------------------

  /**
   * Takes virtual routers out of the election: who is Active hands over first. Where nobody takes over, the virtual
   * router stays Active and is not drained, unless `force` says that nobody shall forward then.
   * @throws FirsthopError NOT_FOUND
   */
  async drain(names: readonly string[], force = false): Promise<Outcome[]> {
    const units = this.#units(names);
    const results = await Promise.all(units.map((unit) => this.#drainUnit(unit, force)));
    return results.flat();
  }

  async #drainUnit(unit: readonly string[], force: boolean): Promise<Outcome[]> {
    const why = "drained by command";
    if (unit.every((name) => this.ordersOf(name).drained))
      return unit.map((name) => ({ name, done: true, detail: "was drained already" }));
    const moving = unit.find((name) => this.#moving.has(name));
    if (moving !== undefined && !force)
      return unit.map((name) => ({
        name,
        done: false,
        detail: `not drained: ${moving} is handing over already, try again when it has`,
      }));
    for (const name of unit) this.#draining.add(name);
    const moves = force ? [] : await this.#handOver(unit, why);
    const wanted = unit.map((name) => this.#draining.delete(name)).every((still) => still);
    if (unit.every((name) => this.ordersOf(name).drained)) {
      this.#host.takeCharge(unit, false);
      return unit.map((name) => ({ name, done: true, detail: "was drained by another command meanwhile" }));
    }
    if (!wanted) {
      this.#host.takeCharge(unit, false);
      return unit.map((name) => ({ name, done: false, detail: "not drained: undrained meanwhile" }));
    }
    const stays = moves.find((move) => !move.done);
    if (stays) {
      this.#takeBack(unit, `nobody took ${stays.name} over`);
      this.#host.takeCharge(unit, false);
      return unit.map((name) => ({
        name,
        done: false,
        detail:
          name === stays.name
            ? `nobody took over within ${describeDuration(stays.silentUs)}: it stays Active and is not drained (--force drains it all the same)`
            : `not drained: nobody takes ${stays.name} over, and it moves together with it`,
      }));
    }
    for (const name of unit) this.order(name, { drained: true, holdsBack: false });
    this.#host.takeCharge(unit, false);
    return unit.map((name) => {
      const move = moves.find((one) => one.name === name);
      return { name, done: true, detail: move ? followed(move) : "drained" };
    });
  }

  /** @throws FirsthopError NOT_FOUND */
  undrain(names: readonly string[]): Outcome[] {
    return this.#units(names)
      .flat()
      .map((name) => {
        const { drained, holdsBack } = this.ordersOf(name);
        this.#draining.delete(name);
        this.order(name, { drained: false, holdsBack: false });
        const detail = drained
          ? "takes part in the election again"
          : holdsBack
            ? "preempts again"
            : "was not drained";
        return { name, done: true, detail };
      });
  }

  // ---- priority -----------------------------------------------------------------------------------------

  /**
   * Stands for the configured priority until it is reset (null).
   * @throws FirsthopError NOT_FOUND, USAGE, REFUSED
   */
  setPriority(name: string, priority: number | null): Outcome {
    const one = this.#host.find(name);
    if (priority !== null && (!Number.isInteger(priority) || priority < 1 || priority > 254))
      throw new FirsthopError("USAGE", `${priority} is no priority: 1 to 254, or reset`);
    if (priority !== null && one.config.priority === 255)
      throw new FirsthopError(
        "REFUSED",
        `${name} owns its addresses (priority 255): drain it, or configure another priority`,
      );
    this.order(name, { priority });
    const { priority: effective } = one.status();
    const base = priority ?? one.config.priority;
    const detail =
      effective === base ? `priority is ${base} now` : `base priority is ${base} now, effective ${effective}`;
    return { name, done: true, detail };
  }

  // ---- switchover ---------------------------------------------------------------------------------------

  /**
   * Hands over to the best Backup, which keeps the virtual router: this one does not preempt until it was Active
   * again, or until `undrain`. With `testForUs` it moves back after that time.
   * @throws FirsthopError NOT_FOUND, REFUSED
   */
  async switchover(name: string, testForUs: number | null = null): Promise<SwitchoverReport> {
    const one = this.#host.find(name);
    const unit = this.#host.unitOf(name);
    if (unit.some((member) => this.#moving.has(member)))
      throw new FirsthopError("REFUSED", `${name} is handing over already`);
    if (one.state.name !== "active" || one.state.resigning)
      throw new FirsthopError(
        "REFUSED",
        `${name} is ${one.status().state} here: only the Active can hand over`,
      );
    const owner = unit.find((member) => this.#host.find(member).config.priority === 255);
    if (owner)
      throw new FirsthopError(
        "REFUSED",
        `${owner} owns its addresses (priority 255) and always takes them back: drain it instead`,
      );
    if (unit.some((member) => this.#switching.has(member)))
      throw new FirsthopError("REFUSED", `${name} is in a switchover already`);
    for (const member of unit) this.#switching.add(member);
    try {
      return await this.#switchUnit(name, unit, testForUs);
    } finally {
      for (const member of unit) this.#switching.delete(member);
    }
  }

  async #switchUnit(
    name: string,
    unit: readonly string[],
    testForUs: number | null,
  ): Promise<SwitchoverReport> {
    const why = testForUs === null ? "switchover by command" : "switchover test";
    const away = await this.#handOver(unit, why);
    const report = {
      name,
      at: new Date(this.#host.wallClockMs()).toISOString(),
      moves: away.map(moveReport),
    };
    if (away.some((move) => !move.done)) this.#takeBack(unit, "nobody took over");
    this.#host.takeCharge(unit, false);
    if (away.some((move) => !move.done)) {
      const who = away.filter((move) => !move.done).map((move) => move.name);
      const detail = `nobody took ${who.join(", ")} over: ${who.length === 1 ? "it stays" : "they stay"} Active here`;
      return { ...report, done: false, detail, back: null };
    }
    const moved = away
      .map((move) => `${unit.length > 1 ? `${move.name}: ` : ""}${followed(move)}`)
      .join("; ");
    if (testForUs === null) return { ...report, done: true, detail: moved, back: null };
    await this.#pause(testForUs);
    const back = await this.#moveBack(unit);
    const done = back.every((move) => move.done);
    const returned = back.map((move) => move.detail).join("; ");
    return { ...report, done, detail: `${moved}; ${returned}`, back };
  }

  /** All of a unit that are Active hand over at once. */
  async #handOver(unit: readonly string[], why: string): Promise<HandOver[]> {
    const active = unit
      .map((name) => this.#host.find(name))
      .filter((one) => one.state.name === "active" && !one.state.resigning);
    for (const name of unit) this.#moving.add(name);
    try {
      for (const one of active) this.order(one.name, { holdsBack: true });
      this.#host.takeCharge(unit, true);
      return await Promise.all(active.map((one) => this.#handOverOne(one, why)));
    } finally {
      for (const name of unit) this.#moving.delete(name);
    }
  }

  #handOverOne(one: VirtualRouter, why: string): Promise<HandOver> {
    return new Promise((resolve) => {
      const startUs = this.#host.now();
      const end = (done: boolean, endUs: number, to: HandOver["to"]): void => {
        cancel();
        this.#watchers.delete(watcher);
        if (!done) this.order(one.name, { holdsBack: false });
        resolve({ name: one.name, done, to, silentUs: Math.max(0, endUs - startUs) });
      };
      let gaveWayUs: number | null = null;
      const watcher: Watcher = (mover, { before, after, reason, atUs }) => {
        if (mover !== one) return;
        // The kernel saw a successor's claim before it was read here; whose it is, the next advertisement tells.
        if (reason === "gave-way") gaveWayUs = atUs;
        if (gaveWayUs !== null) {
          if (after.name !== "backup") end(false, atUs, null);
          else if (after.active !== null) end(true, gaveWayUs, after.active);
        } else if (before.name !== "active") {
          return;
        } else if (after.name === "backup") {
          end(after.active !== null, atUs, after.active);
        } else if (after.name === "initialize" || (before.resigning && !after.resigning)) {
          end(false, atUs, null);
        }
      };
      const limitUs = 2 * one.config.advertisementIntervalUs + MOVE_MARGIN_US;
      const cancel = this.#host.setTimer(limitUs, () => end(false, this.#host.now(), null));
      this.#watchers.add(watcher);
      one.resign(why, true);
    });
  }

  /** Who handed over already although another of its unit could not. */
  #takeBack(unit: readonly string[], why: string): void {
    for (const name of unit) {
      this.order(name, { holdsBack: false });
      this.#host
        .all()
        .find((one) => one.name === name)
        ?.takeOver(why);
    }
  }

  /**
   * Become Active again while the other one still is, so that their claims make it yield. Each is ready before the first
   * one moves, which takes the others of its sync group along.
   */
  #moveBack(unit: readonly string[]): Promise<SwitchoverMove[]> {
    const ways = unit.map((name) => this.#wayBack(name));
    let first: string | null = null;
    const moves = ways.map((way) => {
      if (!("one" in way)) return way;
      const { one } = way;
      const takenAlongBy = one.state.name === "active" ? first : null;
      first ??= one.name;
      if (takenAlongBy === null) one.takeOver("switchover test: moving back");
      return this.#hasYielded(way, takenAlongBy);
    });
    return Promise.all(moves);
  }

  /** Where the other one has a priority that is as good, this one takes one above for as long as the move needs. */
  #wayBack(name: string): WayBack | SwitchoverMove {
    const one = this.#host.all().find((each) => each.name === name);
    const from = one?.state.name === "backup" ? one.state.active : null;
    if (!one || this.ordersOf(name).drained)
      return notBack(name, `${name} did not move back: it was drained or removed`);
    if (one.state.name === "active") {
      const to = ownAs(one);
      const detail = `${name} was Active here again before the time was over`;
      return { name, done: true, detail, to, silentMs: null, outageMs: null };
    }
    if (one.state.name !== "backup")
      return notBack(name, `${name} did not move back: it is ${one.status().state}`);
    const { priority: given } = this.ordersOf(name);
    const { activeAdverIntervalMs, priority, trackedDelta } = one.status();
    const silenceUs = Math.max(SILENT_INTERVALS * activeAdverIntervalMs * 1000, SILENT_MIN_US);
    const way = { one, from, silenceUs, given, above: null };
    if (from === null || from.priority < priority) return way;
    const above = Math.min(254, Math.max(1, from.priority + 1 - trackedDelta));
    this.order(name, { priority: above });
    if (one.status().priority > from.priority) return { ...way, above };
    this.order(name, { priority: given });
    return notBack(name, `${name} did not move back: ${from.address} has priority ${from.priority}`);
  }

  async #hasYielded(
    { one, from, silenceUs, given, above }: WayBack,
    takenAlongBy: string | null,
  ): Promise<SwitchoverMove> {
    const { name } = one;
    await this.#pause(silenceUs);
    const holds = one.state.name === "active";
    const to = ownAs(one);
    // Unless somebody ordered another one meanwhile.
    if (above !== null && this.ordersOf(name).priority === above) this.order(name, { priority: given });
    if (!holds)
      return notBack(name, `${name} did not move back: ${from?.address ?? "another router"} did not yield`);
    const back = takenAlongBy === null ? "back here" : `back here with ${takenAlongBy}`;
    const detail = `${from?.address ?? "the other router"} forwarded until it heard this router's claim and yielded`;
    return { name, done: true, detail: `${back}: ${detail}`, to, silentMs: 0, outageMs: 0 };
  }

  #units(names: readonly string[]): (readonly string[])[] {
    const units = new Map<string, readonly string[]>();
    for (const name of names) {
      const unit = this.#host.unitOf(this.#host.find(name).name);
      units.set([...unit].sort().join(), unit);
    }
    return [...units.values()];
  }

  #pause(us: number): Promise<void> {
    return new Promise((resolve) => this.#host.setTimer(us, resolve));
  }
}

interface HandOver {
  readonly name: string;
  readonly done: boolean;
  readonly to: { readonly address: string; readonly priority: number } | null;
  /** From our release to the successor's claim, or to the end of the wait. */
  readonly silentUs: number;
}

/** A member that can move back. */
interface WayBack {
  readonly one: VirtualRouter;
  /** Who has it meanwhile, as far as known. */
  readonly from: { readonly address: string; readonly priority: number } | null;
  /** So long without a claim of it, and it has yielded. */
  readonly silenceUs: number;
  /** The priority ordered before, and the one that it takes for the move; null: its own will do. */
  readonly given: number | null;
  readonly above: number | null;
}

function notBack(name: string, detail: string): SwitchoverMove {
  return { name, done: false, detail, to: null, silentMs: null, outageMs: null };
}

function followed({ to, silentUs }: HandOver): string {
  const who = to ? `${to.address} (priority ${to.priority})` : "another router";
  return `${who} took over ${describeDuration(silentUs)} after the release; this router forwarded until then`;
}

function moveReport(move: HandOver): SwitchoverMove {
  return {
    name: move.name,
    done: move.done,
    detail: move.done ? followed(move) : "nobody took over",
    to: move.to,
    silentMs: move.silentUs / 1000,
    outageMs: move.done ? 0 : null,
  };
}

function ownAs(one: VirtualRouter): SwitchoverMove["to"] {
  const { primaryAddress, priority } = one.status();
  return primaryAddress === null ? null : { address: primaryAddress, priority };
}
