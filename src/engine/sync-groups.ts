/** Sync groups at run time: what members do goes to the group's machine (core/sync-group.ts), what it says to them. */
import type { SyncGroupConfig } from "../config/index.js";
import {
  type GroupEffect,
  type GroupEvent,
  type GroupMemory,
  type GroupSettings,
  type GroupState,
  type GroupTimer,
  groupAsFound,
  INITIAL_GROUP,
  type MemberView,
  ordersOf,
  stateOfGroup,
  stepGroup,
} from "../core/sync-group.js";
import type { Orders } from "./orders.js";
import type { GroupChange, SyncGroupStatus } from "./status.js";
import type { Mover } from "./vrrp/host.js";
import type { VirtualRouter } from "./vrrp/virtual-router.js";

export interface SyncGroupsHost {
  all(): readonly VirtualRouter[];
  order(name: string, change: Partial<Orders>): void;
  setTimer(afterUs: number, run: () => void): () => void;
  at(): string;
  changed(group: SyncGroupConfig, change: GroupChange): void;
}

/** A sync group between two processes. JSON. */
export interface SyncGroupRecord extends GroupMemory {
  readonly name: string;
  /** What was told of it last. */
  readonly shown: GroupChange["to"];
}

interface Group {
  readonly config: SyncGroupConfig;
  state: GroupState;
  shown: GroupChange["to"];
  /** Views that were acted on, by name. */
  readonly views: Map<string, MemberView>;
  readonly timers: Map<GroupTimer, () => void>;
  /** Somebody else moves its members now. */
  inCharge: boolean;
}

export class SyncGroups {
  readonly #host: SyncGroupsHost;
  readonly #groups = new Map<string, Group>();
  readonly #queue: { readonly group: Group; readonly event: GroupEvent }[] = [];
  #working = false;
  /** The members are on their way from another process. */
  #arriving = false;

  constructor(host: SyncGroupsHost) {
    this.#host = host;
  }

  /** Takes over a configuration. A group that stays keeps its state. */
  apply(configs: readonly SyncGroupConfig[]): void {
    const names = new Set(configs.map((one) => one.name));
    for (const [name, group] of this.#groups) {
      if (names.has(name)) continue;
      for (const cancel of group.timers.values()) cancel();
      this.#groups.delete(name);
    }
    for (const config of configs) {
      const known = this.#groups.get(config.name);
      if (known && known.config.mode !== config.mode) known.state = INITIAL_GROUP;
      const fresh = {
        state: INITIAL_GROUP,
        shown: "initialize",
        views: new Map(),
        timers: new Map(),
      } as const;
      this.#groups.set(config.name, { ...fresh, inCharge: false, ...known, config });
    }
    for (const group of this.#groups.values()) {
      const members = new Set(this.#members(group).map((one) => one.name));
      for (const name of group.views.keys()) if (!members.has(name)) group.views.delete(name);
    }
    for (const one of this.#host.all()) {
      if (one.config.syncGroup === null) this.#host.order(one.name, { groupFault: null, waits: false });
      else this.moved(one);
    }
  }

  /** Once all members of a new configuration are there: who left, or another mode, matters to those that did not move. */
  reconsiderAll(): void {
    for (const group of this.#groups.values()) this.#reconsider(group);
  }

  #reconsider(group: Group): void {
    const [first] = this.#viewsOf(group);
    if (first) this.#process(group, { type: "moved", member: first.name, before: first.standing });
  }

  /** A virtual router made a step, or what keeps it from running changed. */
  moved(one: Mover): void {
    const group = this.#groups.get(one.config.syncGroup ?? "");
    const view = group && one.groupView();
    if (!group || !view) return;
    const before = group.views.get(one.name);
    if (before && sameView(before, view)) return;
    group.views.set(one.name, view);
    this.#process(group, { type: "moved", member: one.name, before: before?.standing ?? null });
  }

  /** A virtual router is no more. */
  removed(name: string): void {
    for (const group of this.#groups.values()) group.views.delete(name);
  }

  /** Names of those that move together with this one, itself included. */
  unitOf(name: string): readonly string[] {
    const one = this.#host.all().find((each) => each.name === name);
    const group = this.#groups.get(one?.config.syncGroup ?? "");
    return group?.config.mode === "all" ? this.#members(group).map((member) => member.name) : [name];
  }

  takeCharge(unit: readonly string[], inCharge: boolean): void {
    this.#arriving &&= inCharge;
    for (const group of this.#groups.values()) {
      if (!this.#members(group).some((one) => unit.includes(one.name))) continue;
      group.inCharge = inCharge;
      if (inCharge) continue;
      const views = this.#viewsOf(group);
      const { state, effects } = groupAsFound(this.#settings(group), group.state, views);
      group.state = state;
      for (const effect of effects) this.#carryOut(group, effect);
      for (const view of views) group.views.set(view.name, view);
      this.#reconsider(group);
    }
  }

  /** What another process needs to know, which learns from the members how they stand. */
  records(): SyncGroupRecord[] {
    return [...this.#groups.values()].map(({ config, shown, state: { blocked, objections, held } }) => ({
      name: config.name,
      shown,
      blocked,
      objections,
      held,
    }));
  }

  /** Before members come from another process: they are left alone, and nothing is told, until `takeCharge` ends that. */
  inherit(records: readonly SyncGroupRecord[]): void {
    this.#arriving = true;
    for (const group of this.#groups.values()) group.inCharge = true;
    for (const { name, shown, ...memory } of records) {
      const group = this.#groups.get(name);
      if (group) Object.assign(group, { shown, state: { ...INITIAL_GROUP, ...memory } });
    }
  }

  status(): SyncGroupStatus[] {
    return [...this.#groups.values()].map((group) => ({
      name: group.config.name,
      mode: group.config.mode,
      state: group.shown,
      blocked: group.state.blocked,
      members: this.#members(group).map((one) => one.name),
    }));
  }

  /** One at a time: what a step says to members makes them move, which is the next event. */
  #process(group: Group, event: GroupEvent): void {
    this.#queue.push({ group, event });
    if (this.#working) return;
    this.#working = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift())
        this.#step(next.group, next.event);
    } finally {
      this.#working = false;
    }
  }

  #step(group: Group, event: GroupEvent): void {
    const views = this.#viewsOf(group);
    const settings = this.#settings(group);
    if (!group.inCharge) {
      const { state, effects } = stepGroup(settings, group.state, views, event);
      group.state = state;
      for (const effect of effects) this.#carryOut(group, effect);
      ordersOf(state, settings, views).forEach(({ fault, waits }, index) => {
        this.#host.order((views[index] as MemberView).name, { groupFault: fault, waits });
      });
    }
    this.#show(group, views, event);
  }

  #show(group: Group, views: readonly MemberView[], event: GroupEvent): void {
    const to = stateOfGroup(group.config.mode, views);
    if (to === null || to === group.shown || views.length === 0 || this.#arriving) return;
    const mover = event.type === "moved" ? views.find((view) => view.name === event.member) : undefined;
    const detail = mover ? `${mover.name} is ${mover.standing}, and so is the group` : `all are ${to}`;
    const change: GroupChange = { at: this.#host.at(), from: group.shown, to, reason: "sync-group", detail };
    group.shown = to;
    this.#host.changed(group.config, change);
  }

  #carryOut(group: Group, effect: GroupEffect): void {
    switch (effect.effect) {
      case "takeOver":
        this.#find(effect.member)?.takeOver(`sync group ${group.config.name}: ${effect.because}`);
        break;
      case "resign":
        this.#find(effect.member)?.resign(`sync group ${group.config.name}: ${effect.because}`, false);
        break;
      case "cancel":
        this.#disarm(group, effect.timer);
        break;
      case "arm": {
        const { timer, afterUs } = effect;
        this.#disarm(group, timer);
        const run = (): void => {
          group.timers.delete(timer);
          this.#process(this.#groups.get(group.config.name) ?? group, { type: "timer", timer });
        };
        group.timers.set(timer, this.#host.setTimer(afterUs, run));
        break;
      }
    }
  }

  #disarm(group: Group, timer: GroupTimer): void {
    group.timers.get(timer)?.();
    group.timers.delete(timer);
  }

  #settings(group: Group): GroupSettings {
    const members = this.#members(group);
    const downMs = members.map((one) => one.activeDownIntervalMs());
    const address = members[0]?.primaryAddress ?? "";
    const seed = [...address].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 256, 7);
    return { mode: group.config.mode, settleUs: Math.ceil(Math.max(...downMs) * 1000), seed };
  }

  #viewsOf(group: Group): MemberView[] {
    return this.#members(group).flatMap((one) => one.groupView() ?? []);
  }

  #members(group: Group): VirtualRouter[] {
    return this.#host.all().filter((one) => one.config.syncGroup === group.config.name);
  }

  #find(name: string): VirtualRouter | undefined {
    return this.#host.all().find((one) => one.name === name);
  }
}

function sameView(a: MemberView, b: MemberView): boolean {
  return (Object.keys(a) as (keyof MemberView)[]).every((key) => a[key] === b[key]);
}
