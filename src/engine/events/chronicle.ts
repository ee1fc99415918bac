/**
 * What a router tells of what happens: events with their time, for those who follow them, and the notify commands that
 * changes of state set off.
 */
import type { SyncGroupConfig } from "../../config/index.js";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import type { Driver, LinkInfo, OwnershipStatus } from "../../driver/driver.js";
import { forwardingOffText, unfilteredText } from "../lan/forwarding-text.js";
import type { GroupChange, RouterEvent, RouterHappening, StateChange } from "../status.js";
import type { VirtualRouter } from "../vrrp/virtual-router.js";
import { EventLog } from "./event-log.js";
import { Notifier } from "./notifier.js";

export class Chronicle {
  readonly #driver: Driver;
  readonly #notifier: Notifier;
  /** Interfaces of which it was told that no filter stands on them. */
  readonly #unfiltered = new Set<number>();
  /** Interfaces and families whose forwarding was looked at. */
  readonly #forwarding = new Set<string>();
  readonly events: EventLog;

  /** `inherited`: events of the process that went before. */
  constructor(driver: Driver, inherited?: readonly RouterEvent[]) {
    this.#driver = driver;
    this.events = new EventLog(inherited);
    this.#notifier = new Notifier({
      driver,
      notice: (level, name, code, detail) => this.notice(level, name, code, detail),
    });
    if (!inherited) return;
    this.events.hold();
    this.#notifier.hold();
  }

  /** In the heir, when it has everything; `told`: by the predecessor, since what was inherited. */
  catchUp(told: readonly RouterEvent[]): void {
    this.events.catchUp(told);
    this.#notifier.release();
  }

  /** The time of an event, as users read it. */
  at(): string {
    return new Date(this.#driver.wallClockMs()).toISOString();
  }

  tell(happened: RouterHappening): RouterEvent {
    return this.events.add(happened);
  }

  notice(level: "warning" | "info", name: string | null, code: string, detail: string): void {
    this.tell({ type: level, at: this.at(), name, code, detail });
  }

  /** `one`: the virtual router of this name, once it is one of the router's. */
  stateChanged(name: string, change: StateChange, one: VirtualRouter | undefined): void {
    const event = this.tell({ type: "stateChange", name, ...change });
    const notify = one?.config.notify;
    if (!notify) return;
    const { priority } = one.status();
    this.#notifier.notify(notify, { type: "INSTANCE", name, state: change.to, priority, change: event });
  }

  groupChanged({ name, notify }: SyncGroupConfig, change: GroupChange): void {
    const event = this.tell({ type: "groupChange", name, ...change });
    if (!notify) return;
    this.#notifier.notify(notify, { type: "GROUP", name, state: change.to, priority: 0, change: event });
  }

  /** Says once for each interface and family that hosts' packets end here. `setting`: which one keeps them. */
  notForwarding({ ifindex, name }: LinkInfo, family: IpFamily, setting: () => string | null): void {
    const key = `${ifindex} ${family}`;
    if (this.#forwarding.has(key)) return;
    this.#forwarding.add(key);
    const off = setting();
    if (off !== null) this.notice("info", null, "forwarding-off", forwardingOffText(name, family, off));
  }

  /** Says once for each interface which promise is missing, and why. */
  unfiltered(link: LinkInfo, { detail }: OwnershipStatus): void {
    if (detail === null || this.#unfiltered.has(link.ifindex)) return;
    this.#unfiltered.add(link.ifindex);
    this.notice("warning", null, "ownership-off", unfilteredText(link.name, detail));
  }

  /** Notify commands that run. */
  get commands(): number {
    return this.#notifier.running;
  }

  /** Resolves when no notify command waits or runs, or after this time, when the rest is given up; null: no time. */
  drain(boundUs: number | null): Promise<void> {
    return this.#notifier.drain(boundUs);
  }
}
