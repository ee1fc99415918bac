/** What a sync group knows goes to the process that follows. Members are no more than what the group sees of them. */
import { describe, expect, it } from "vitest";
import type { SyncGroupConfig } from "../../../src/config/index.js";
import type { MemberView } from "../../../src/core/sync-group.js";
import { SyncGroups } from "../../../src/engine/sync-groups.js";
import type { VirtualRouter } from "../../../src/engine/vrrp/virtual-router.js";

const CONFIG = { name: "gate", mode: "all" } as SyncGroupConfig;

function groupOf(names: readonly string[]) {
  const waits = new Map<string, boolean | undefined>();
  const timers: { readonly afterUs: number; readonly run: () => void }[] = [];
  const views = new Map<string, MemberView>(
    names.map((name) => [name, { name, standing: "backup", wants: false, follows: false, resigning: false }]),
  );
  const moves: string[] = [];
  const members = names.map((name) => ({
    name,
    config: { syncGroup: CONFIG.name },
    primaryAddress: "192.0.2.2",
    groupView: () => views.get(name),
    activeDownIntervalMs: () => 300,
    takeOver: () => moves.push(`${name} up`),
    resign: () => moves.push(`${name} down`),
  })) as unknown as VirtualRouter[];
  const groups = new SyncGroups({
    all: () => members,
    order: (name, change) => void waits.set(name, change.waits),
    setTimer: (afterUs, run) => {
      const timer = { afterUs, run };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
    at: () => "",
    changed: () => {},
  });
  groups.apply([CONFIG]);
  const move = (name: string, change: Partial<MemberView>): void => {
    views.set(name, { ...(views.get(name) as MemberView), ...change });
    groups.moved(members.find((one) => one.name === name) as VirtualRouter);
  };
  return { groups, move, moves, timers, names, waits: () => names.map((name) => waits.get(name)) };
}

describe("a group that another router overruled", () => {
  it("waits in the process that follows, too, and is tried again later", () => {
    const before = groupOf(["a", "b"]);
    before.move("a", { standing: "active" });
    expect(before.moves).toEqual(["b up"]);
    // Somebody keeps b.
    before.timers.splice(0).forEach(({ run }) => {
      run();
    });
    expect(before.moves).toEqual(["b up", "a down"]);
    before.move("a", { standing: "backup" });
    expect(before.waits()).toEqual([true, true]);
    const [record] = before.groups.records();
    expect(record).toEqual({ name: "gate", shown: "backup", blocked: true, objections: 1, held: true });

    const after = groupOf(["a", "b"]);
    after.groups.takeCharge(["a", "b"], true);
    after.groups.inherit(JSON.parse(JSON.stringify([record, { ...record, name: "gone" }])));
    after.groups.takeCharge(["a", "b"], false);
    expect(after.waits()).toEqual([true, true]);
    expect(after.groups.status()).toMatchObject([{ blocked: true }]);
    after.move("a", { wants: true });
    expect(after.moves).toEqual([]);
    const [hold] = after.timers;
    expect(hold?.afterUs).toBeGreaterThanOrEqual(300_000);
    hold?.run();
    after.move("b", { wants: true });
    expect(after.moves).toEqual(["a up", "b up"]);
  });

  it("is as new where the process before did not tell", () => {
    const after = groupOf(["a", "b"]);
    after.groups.takeCharge(["a", "b"], true);
    after.groups.inherit([]);
    after.groups.takeCharge(["a", "b"], false);
    expect(after.groups.records()).toMatchObject([{ blocked: false, objections: 0, held: false }]);
    after.move("a", { standing: "active" });
    expect(after.moves).toEqual(["b up"]);
  });
});
