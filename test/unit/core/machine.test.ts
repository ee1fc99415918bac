/** The state tables of RFC 9568 section 6.4 and RFC 3768 section 6.4, row by row. */
import { describe, expect, it } from "vitest";
import {
  type ActiveState,
  ANNOUNCE_REPEATS_US,
  type BackupState,
  handOverLimitUs,
  INITIAL_STATE,
  step,
  timersOf,
  type VrrpEffect,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
} from "../../../src/core/vrrp/machine.js";

const V3: VrrpSettings = {
  version: 3,
  family: "ipv4",
  priority: 100,
  addresses: ["192.0.2.1", "192.0.2.254"],
  primaryAddress: "192.0.2.10",
  intervalUs: 1_000_000,
  preempt: true,
  preemptDelayUs: 0,
};
const V2: VrrpSettings = { ...V3, version: 2 };

const BACKUP: BackupState = {
  name: "backup",
  activeAdverIntervalUs: 1_000_000,
  active: null,
  preemptHold: "none",
};
const ACTIVE: ActiveState = {
  name: "active",
  announced: ANNOUNCE_REPEATS_US.length,
  contest: "none",
  contenderIntervalUs: 0,
};

function heard(priority: number, source = "192.0.2.20", intervalUs = 1_000_000): VrrpEvent {
  return { type: "advertisement", source, priority, intervalUs };
}

/**
 * Effects as a reader writes them: send(100) announce(192.0.2.1) arm(adver 1000000) cancel(adver) open
 * close.
 */
function words(effects: readonly VrrpEffect[]): string[] {
  return effects.filter((effect) => effect.effect !== "count").map(word);
}

function word(effect: Exclude<VrrpEffect, { effect: "count" }>): string {
  switch (effect.effect) {
    case "sendAdvertisement":
      return `send(${effect.priority})`;
    case "sendBackupAdvertisement":
      return `sendBackup(${effect.priority})`;
    case "announce":
      return `announce(${effect.address})`;
    case "arm":
      return `arm(${effect.timer} ${effect.afterUs})`;
    case "cancel":
      return `cancel(${effect.timer})`;
    case "ownership":
      return effect.open ? "open" : "close";
  }
}

const BECOME_ACTIVE = [
  "open",
  "send(100)",
  "announce(192.0.2.1)",
  "announce(192.0.2.254)",
  "arm(adver 1000000)",
  "arm(announce 20000)",
];

interface Row {
  readonly row: string;
  readonly settings?: Partial<VrrpSettings>;
  readonly version?: 2 | 3;
  readonly from: VrrpState;
  readonly event: VrrpEvent;
  readonly to: VrrpState["name"];
  readonly effects: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    row: "1 Initialize, Startup, owner: advertise, announce, Adver_Timer, Active",
    settings: { priority: 255 },
    from: INITIAL_STATE,
    event: { type: "startup" },
    to: "active",
    effects: BECOME_ACTIVE.map((word) => word.replace("send(100)", "send(255)")),
  },
  {
    row: "2 Initialize, Startup, not owner: Active_Down_Timer, Backup",
    from: INITIAL_STATE,
    event: { type: "startup" },
    to: "backup",
    effects: ["arm(activeDown 3609375)"],
  },
  {
    row: "3 Initialize, advertisement: ignored",
    from: INITIAL_STATE,
    event: heard(200),
    to: "initialize",
    effects: [],
  },
  {
    row: "4 Backup, Shutdown: cancel, say nothing",
    from: BACKUP,
    event: { type: "shutdown", handOver: true },
    to: "initialize",
    effects: ["cancel(activeDown)"],
  },
  {
    row: "5 Backup, Active_Down_Timer: take over",
    from: BACKUP,
    event: { type: "timer", timer: "activeDown" },
    to: "active",
    effects: BECOME_ACTIVE,
  },
  {
    row: "6 Backup, priority 0: wait for Skew_Time of the interval known, learn none",
    from: { ...BACKUP, activeAdverIntervalUs: 200_000 },
    event: heard(0, "192.0.2.20", 40_000_000),
    to: "backup",
    effects: ["arm(activeDown 121875)"],
  },
  {
    row: "7 Backup, equal priority: learn the interval, re-arm",
    from: BACKUP,
    event: heard(100, "192.0.2.20", 200_000),
    to: "backup",
    effects: ["arm(activeDown 721875)"],
  },
  {
    row: "7 Backup, lower priority without preemption: re-arm",
    settings: { preempt: false },
    from: BACKUP,
    event: heard(50),
    to: "backup",
    effects: ["arm(activeDown 3609375)"],
  },
  {
    row: "8 Backup, lower priority with preemption: discard",
    from: BACKUP,
    event: heard(50),
    to: "backup",
    effects: [],
  },
  {
    row: "8 Backup, lower priority, the owner preempts although preempt is off",
    settings: { preempt: false, priority: 255 },
    from: BACKUP,
    event: heard(254),
    to: "backup",
    effects: [],
  },
  {
    row: "9 Active, Shutdown: priority 0, and forward until the successor is heard",
    from: ACTIVE,
    event: { type: "shutdown", handOver: true },
    to: "initialize",
    effects: ["cancel(adver)", "send(0)", "arm(handOver 1096094)"],
  },
  {
    row: "9 Active, Shutdown with the line gone: close at once",
    from: ACTIVE,
    event: { type: "shutdown", handOver: false },
    to: "initialize",
    effects: ["cancel(adver)", "send(0)", "close"],
  },
  {
    row: "10 Active, Adver_Timer: advertise and re-arm",
    from: ACTIVE,
    event: { type: "timer", timer: "adver" },
    to: "active",
    effects: ["send(100)", "arm(adver 1000000)"],
  },
  {
    row: "10 Active, own interval, never the learned one",
    settings: { intervalUs: 10_000 },
    from: ACTIVE,
    event: { type: "timer", timer: "adver" },
    to: "active",
    effects: ["send(100)", "arm(adver 10000)"],
  },
  {
    row: "11 Active, priority 0: advertise at once, Adver_Timer anew",
    from: ACTIVE,
    event: heard(0),
    to: "active",
    effects: ["send(100)", "arm(adver 1000000)", "arm(refresh 20000)"],
  },
  {
    row: "12 Active, higher priority: close, learn, Backup",
    from: ACTIVE,
    event: heard(200, "192.0.2.2", 200_000),
    to: "backup",
    effects: ["cancel(adver)", "close", "arm(activeDown 721875)"],
  },
  {
    row: "12 Active, same priority, higher address: Backup",
    from: ACTIVE,
    event: heard(100, "192.0.2.11"),
    to: "backup",
    effects: ["cancel(adver)", "close", "arm(activeDown 3609375)"],
  },
  {
    row: "13 Active, same priority, lower address: assert at once (RFC 9568)",
    from: ACTIVE,
    event: heard(100, "192.0.2.9"),
    to: "active",
    effects: ["send(100)", "arm(refresh 20000)"],
  },
  {
    row: "13 Active, lower priority: assert at once (RFC 9568)",
    from: ACTIVE,
    event: heard(99, "192.0.2.200"),
    to: "active",
    effects: ["send(100)", "arm(refresh 20000)"],
  },
  {
    row: "13 Active, lower priority in v2: discard (RFC 3768)",
    version: 2,
    from: ACTIVE,
    event: heard(99, "192.0.2.200"),
    to: "active",
    effects: ["arm(refresh 20000)"],
  },
  {
    row: "6 Backup, priority 0 in v2: skew of a second's parts, whatever the interval",
    version: 2,
    settings: { intervalUs: 3_000_000 },
    from: { ...BACKUP, activeAdverIntervalUs: 3_000_000 },
    event: heard(0),
    to: "backup",
    effects: ["arm(activeDown 609375)"],
  },
  {
    row: "7 Backup in v2 learns nothing",
    version: 2,
    settings: { intervalUs: 3_000_000 },
    from: { ...BACKUP, activeAdverIntervalUs: 3_000_000 },
    event: heard(100, "192.0.2.20", 3_000_000),
    to: "backup",
    effects: ["arm(activeDown 9609375)"],
  },
];

describe("state table", () => {
  it.each(ROWS.map((row) => [row.row, row] as const))("%s", (_, row) => {
    const settings = { ...(row.version === 2 ? V2 : V3), ...row.settings };
    const result = step(settings, row.from, row.event);
    expect(words(result.effects)).toEqual(row.effects);
    expect(result.state.name).toBe(row.to);
    expect(result.reason !== null).toBe(row.from.name !== row.to);
  });
});

describe("preempt delay", () => {
  const settings = { ...V3, preemptDelayUs: 5_000_000 };

  it("follows a lower Active until the delay is over, then lets the timer run out", () => {
    const first = step(settings, BACKUP, heard(50));
    expect(words(first.effects)).toEqual(["arm(activeDown 3609375)", "arm(preemptDelay 5000000)"]);
    const second = step(settings, first.state, heard(50));
    expect(words(second.effects)).toEqual(["arm(activeDown 3609375)"]);
    const over = step(settings, second.state, { type: "timer", timer: "preemptDelay" });
    expect(words(step(settings, over.state, heard(50)).effects)).toEqual([]);
  });

  it("starts anew after a better Active was heard", () => {
    const running = step(settings, BACKUP, heard(50)).state;
    const better = step(settings, running, heard(200));
    expect(words(better.effects)).toEqual(["cancel(preemptDelay)", "arm(activeDown 3609375)"]);
    expect(words(step(settings, better.state, heard(50)).effects)).toContain("arm(preemptDelay 5000000)");
  });
});

describe("announcements", () => {
  it("are repeated, with growing gaps, and then end", () => {
    let state = step(V3, BACKUP, { type: "timer", timer: "activeDown" }).state;
    const gaps: string[] = [];
    for (let round = 0; round < ANNOUNCE_REPEATS_US.length; round++) {
      expect(timersOf(V3, state)).toContain("announce");
      const result = step(V3, state, { type: "timer", timer: "announce" });
      expect(words(result.effects).slice(0, 2)).toEqual(["announce(192.0.2.1)", "announce(192.0.2.254)"]);
      gaps.push(...words(result.effects).slice(2));
      state = result.state;
    }
    expect(gaps).toEqual(["arm(announce 80000)", "arm(announce 900000)", "arm(announce 4000000)"]);
    expect(timersOf(V3, state)).toEqual(["adver"]);
  });

  it("follow a contest: soon, with each further claim, and again when the contender has been silent", () => {
    const contested = step(V3, ACTIVE, heard(50, "192.0.2.3", 200_000)).state;
    const soon = step(V3, contested, { type: "timer", timer: "refresh" });
    expect(words(soon.effects)).toEqual([
      "announce(192.0.2.1)",
      "announce(192.0.2.254)",
      "arm(refresh 300000)",
    ]);
    const again = step(V3, soon.state, heard(50, "192.0.2.3", 200_000));
    expect(words(again.effects)).toContain("arm(refresh 200000)");
    const answered = step(V3, again.state, { type: "timer", timer: "refresh" });
    expect(answered).toEqual(soon);
    const alone = step(V3, answered.state, { type: "timer", timer: "refresh" });
    expect(words(alone.effects)).toEqual(["announce(192.0.2.1)", "announce(192.0.2.254)"]);
    expect(alone.state).toEqual(ACTIVE);
  });
});

describe("hand-over", () => {
  const leaving = step(V3, ACTIVE, { type: "shutdown", handOver: true }).state;

  it("ends with the successor's advertisement", () => {
    const result = step(V3, leaving, heard(50));
    expect(words(result.effects)).toEqual(["cancel(handOver)", "close"]);
    expect(result.state).toEqual(INITIAL_STATE);
  });

  it("is not ended by another release", () => {
    expect(step(V3, leaving, heard(0)).effects).toEqual([]);
  });

  it("ends by itself after the Skew_Time of priority 1 and 100 ms", () => {
    expect(handOverLimitUs({ ...V3, intervalUs: 10_000 })).toBe(9961 + 100_000);
    expect(words(step(V3, leaving, { type: "timer", timer: "handOver" }).effects)).toContain("close");
  });

  it("closes before a new start listens", () => {
    const result = step(V3, leaving, { type: "startup" });
    expect(words(result.effects)).toEqual(["cancel(handOver)", "close", "arm(activeDown 3609375)"]);
  });
});

describe("every state and event", () => {
  const states: VrrpState[] = [INITIAL_STATE, { name: "initialize", handingOver: true }, BACKUP, ACTIVE];
  const events: VrrpEvent[] = [
    { type: "startup" },
    { type: "shutdown", handOver: true },
    { type: "shutdown", handOver: false },
    ...[0, 1, 100, 254, 255].map((priority) => heard(priority)),
    ...(["adver", "activeDown", "preemptDelay", "announce", "refresh", "handOver"] as const).map(
      (timer): VrrpEvent => ({ type: "timer", timer }),
    ),
  ];

  it("opens before it advertises, closes before it leaves, and arms nothing in Initialize but the hand-over", () => {
    const showing = { ...V3, backupAdvertisements: true };
    for (const settings of [V3, V2, { ...V3, priority: 255 }, showing]) {
      for (const state of states) {
        for (const event of events) {
          const result = step(settings, state, event);
          const said = words(result.effects);
          if (result.state.name === "active" && state.name !== "active") {
            expect(said.indexOf("open")).toBeLessThan(said.findIndex((word) => word.startsWith("send")));
          }
          if (result.state.name === "backup" && state.name === "active") expect(said).toContain("close");
          if (result.state.name === "initialize") {
            expect(said.filter((word) => word.startsWith("arm") && !word.startsWith("arm(handOver"))).toEqual(
              [],
            );
          }
          for (const word of said.filter((one) => one.startsWith("arm"))) {
            expect(timersOf(settings, result.state)).toContain(/\((\w+)/.exec(word)?.[1]);
          }
        }
      }
    }
  });
});

describe("the Active's failure by BFD (draft-ietf-rtgwg-vrrp-bfd-p2p)", () => {
  const following: BackupState = { ...BACKUP, active: { address: "192.0.2.20", priority: 200 } };
  const down = (waitUs: number, address = "192.0.2.20"): VrrpEvent => ({ type: "bfdDown", address, waitUs });

  it("is Active_Down_Timer's passing for the Backup of the first rank", () => {
    const made = step(V3, following, down(0));
    expect(made).toMatchObject({ state: { name: "active" }, reason: "bfd-down" });
    expect(words(made.effects).slice(0, 3)).toEqual(["cancel(activeDown)", "open", "send(100)"]);
  });

  it("gives Backups of better ranks their turn, and the Active's next advertisement outweighs it", () => {
    const waiting = step(V3, following, down(30_000));
    expect(words(waiting.effects)).toEqual(["arm(rank 30000)"]);
    expect(step(V3, waiting.state, { type: "timer", timer: "rank" }).reason).toBe("bfd-down");
    const followed = step(V3, waiting.state, heard(150, "192.0.2.30"));
    expect(followed.state).toEqual({ ...following, active: { address: "192.0.2.30", priority: 150 } });
    expect(words(followed.effects)).toEqual(["cancel(rank)", "arm(activeDown 3609375)"]);
  });

  it("says nothing of another Active, of one that released the virtual router, or in another state", () => {
    expect(step(V3, following, down(0, "192.0.2.21"))).toEqual({
      state: following,
      effects: [],
      reason: null,
    });
    const released: BackupState = { ...following, active: { address: "192.0.2.20", priority: 0 } };
    expect(step(V3, released, down(0)).state).toBe(released);
    for (const state of [ACTIVE, INITIAL_STATE, BACKUP]) expect(step(V3, state, down(0)).effects).toEqual([]);
  });
});

describe("backup advertisements (draft-ietf-rtgwg-vrrp-bfd-p2p)", () => {
  const showing: VrrpSettings = { ...V3, backupAdvertisements: true };
  const shows = ["sendBackup(100)", "arm(adver 1000000)"];

  it("leave when a Backup starts, then each interval, and at once with another priority", () => {
    expect(words(step(showing, INITIAL_STATE, { type: "startup" }).effects).slice(1)).toEqual(shows);
    expect(words(step(showing, BACKUP, { type: "timer", timer: "adver" }).effects)).toEqual(shows);
    expect(words(step(showing, BACKUP, { type: "priority" }).effects)).toEqual(shows);
    expect(timersOf(showing, BACKUP)).toEqual(["activeDown", "adver"]);
    expect(timersOf(V3, BACKUP)).toEqual(["activeDown"]);
    expect(words(step(V3, BACKUP, { type: "timer", timer: "adver" }).effects)).toEqual([]);
  });

  it("begin where an Active yields, and end where a Backup follows; who leaves says so", () => {
    const yielded = words(step(showing, ACTIVE, heard(200)).effects);
    expect(yielded.slice(0, 2)).toEqual(["cancel(adver)", "close"]);
    expect(yielded.slice(-2)).toEqual(shows);
    const followed = words(step(showing, BACKUP, { type: "timer", timer: "activeDown" }).effects);
    expect(followed).toEqual(BECOME_ACTIVE);
    const left = words(step(showing, BACKUP, { type: "shutdown", handOver: true }).effects);
    expect(left).toEqual(["cancel(activeDown)", "sendBackup(0)", "cancel(adver)"]);
  });
});

describe("orders", () => {
  const resign = (returns: boolean): VrrpEvent => ({ type: "resign", returns });
  const resigned = (returns: boolean) => step(V3, ACTIVE, resign(returns));

  it("resign: releases, forwards until a successor is heard, and stays in the election as Backup", () => {
    const first = resigned(true);
    expect(words(first.effects)).toEqual(["cancel(adver)", "send(0)", "arm(handOver 1096094)"]);
    expect(first).toMatchObject({ state: { name: "active", resigning: "returns" }, reason: null });
    expect(timersOf(V3, first.state)).toEqual(["handOver"]);
    const released = step(V3, first.state, heard(0));
    expect(words(released.effects)).toEqual([]);
    // Whatever its priority: it was asked to.
    const heardIt = step(V3, first.state, heard(50));
    expect(words(heardIt.effects)).toEqual(["cancel(handOver)", "close", "arm(activeDown 3609375)"]);
    expect(heardIt).toMatchObject({
      state: { name: "backup", active: { address: "192.0.2.20", priority: 50 } },
      reason: "handed-over",
    });
  });

  it("resign: without a successor it returns as Active, or leaves, as asked", () => {
    const back = step(V3, resigned(true).state, { type: "timer", timer: "handOver" });
    expect(back).toMatchObject({ state: { name: "active", announced: 0 }, reason: null });
    expect(back.state).not.toHaveProperty("resigning");
    expect(words(back.effects)).toEqual([
      "cancel(handOver)",
      "send(100)",
      "announce(192.0.2.1)",
      "announce(192.0.2.254)",
      "arm(adver 1000000)",
      "arm(announce 20000)",
    ]);
    const gone = step(V3, resigned(false).state, { type: "timer", timer: "handOver" });
    expect(gone).toMatchObject({ state: { name: "backup", active: null }, reason: "no-successor" });
    expect(words(gone.effects)).toEqual(["close", "arm(activeDown 3609375)"]);
  });

  it("resign: says nothing of its priority while it lasts, and a takeOver ends it", () => {
    expect(words(step(V3, resigned(true).state, { type: "priority" }).effects)).toEqual([]);
    expect(words(step(V3, resigned(true).state, { type: "takeOver" }).effects)).toContain("send(100)");
    expect(step(V3, BACKUP, resign(true)).state).toBe(BACKUP);
    expect(step(V3, INITIAL_STATE, resign(true)).state).toBe(INITIAL_STATE);
  });

  it("takeOver: a Backup becomes Active as if its timer had run out", () => {
    const taken = step(V3, BACKUP, { type: "takeOver" });
    const timer = step(V3, BACKUP, { type: "timer", timer: "activeDown" });
    expect(taken).toMatchObject({ state: timer.state, reason: "taken-over" });
    expect(words(taken.effects)).toEqual(["cancel(activeDown)", ...words(timer.effects)]);
    expect(step(V3, ACTIVE, { type: "takeOver" }).state).toBe(ACTIVE);
  });

  it("who waits takes note of its Active_Down_Timer, until somebody is heard whom it follows", () => {
    const settings = { ...V3, waits: true };
    const wants = step(settings, BACKUP, { type: "timer", timer: "activeDown" });
    expect(wants).toMatchObject({ state: { name: "backup", wants: true }, effects: [], reason: null });
    expect(timersOf(settings, wants.state)).toEqual([]);
    expect(step(settings, wants.state, heard(50)).state).toHaveProperty("wants");
    const follows = step(settings, wants.state, heard(200));
    expect(follows.state).not.toHaveProperty("wants");
    expect(words(follows.effects)).toEqual(["arm(activeDown 3609375)"]);
    expect(step(settings, wants.state, heard(0)).state).not.toHaveProperty("wants");
    expect(step(settings, wants.state, { type: "takeOver" }).state.name).toBe("active");
  });
});
