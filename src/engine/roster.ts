/** The virtual routers of a router: by name, and by the engine's sessions that are theirs. */
import type { SessionId } from "../driver/driver.js";
import { FirsthopError } from "../errors.js";
import type { VirtualRouter } from "./vrrp/virtual-router.js";

export class Roster {
  readonly #byName = new Map<string, VirtualRouter>();
  readonly #bySession = new Map<SessionId, VirtualRouter>();

  add(one: VirtualRouter): void {
    this.#byName.set(one.name, one);
    this.#bySession.set(one.session, one);
  }

  remove(one: VirtualRouter): void {
    this.#byName.delete(one.name);
    this.#bySession.delete(one.session);
  }

  /** In the order in which they came. */
  all(): VirtualRouter[] {
    return [...this.#byName.values()];
  }

  names(): string[] {
    return [...this.#byName.keys()];
  }

  get(name: string): VirtualRouter | undefined {
    return this.#byName.get(name);
  }

  /** @throws FirsthopError NOT_FOUND */
  find(name: string): VirtualRouter {
    const found = this.#byName.get(name);
    if (found) return found;
    throw new FirsthopError(
      "NOT_FOUND",
      `no virtual router ${name}; there is ${this.names().join(", ") || "none"}`,
    );
  }

  /** Whom a report of this session concerns. */
  ofSession(session: SessionId): VirtualRouter | undefined {
    return this.#bySession.get(session);
  }

  /** Reports of `session` concern the virtual router with session `own`, too; until it is released. */
  adopt(session: SessionId, own: SessionId): void {
    const one = this.#bySession.get(own);
    if (one) this.#bySession.set(session, one);
  }

  release(session: SessionId): void {
    this.#bySession.delete(session);
  }

  followersOf(tracker: string): VirtualRouter[] {
    return this.all().filter((one) => one.config.track.some((tracked) => tracked.tracker === tracker));
  }

  interfaceNames(): string[] {
    return [...new Set(this.all().map((one) => one.config.interface))];
  }
}
