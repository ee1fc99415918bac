/**
 * The VRRP state machine: RFC 9568 section 6.4 and RFC 3768 section 6.4, one machine for each (interface,
 * VRID, address family).
 *
 * `step` is a function of its arguments and nothing else: no clock, no socket, no randomness, no logging. All
 * times are relative to the moment of the event, so states hold no time at all and compare equal whenever they
 * behave alike; `engine/compile.ts` relies on that to evaluate the machine ahead of time.
 *
 * Beyond the RFC's tables there are seven things, each marked where it is done: the preempt delay (ietf-vrrp
 * `hold-time`), the hand-over (an Active that leaves goes on forwarding until its successor is heard), the
 * repetition of gratuitous ARP / unsolicited NA, the refresh after a contest (an Active that heard another
 * speaker claim its virtual router announces its addresses again once it is alone; where its advertisements alone
 * can't lead the hosts back, who yields makes itself heard before), and the way given by the kernel (this router was
 * silent for so long that the kernel's filter let a successor have the virtual router); an Active says another
 * priority of its own at once; an Active may be seen to fail by BFD before its advertisements are missed, and Backups
 * may show themselves to each other for that (backup advertisements); and orders: `resign` hands over like a leaving
 * Active but stays in the election, `takeOver` is an Active_Down_Timer that fires now, and a router that `waits` (for
 * the others of its sync group) takes note of that timer instead of following it.
 */
import { compareAddresses } from "../address.js";
import { type IpFamily, PRIORITY_OWNER, PRIORITY_RELEASE, type VrrpVersion } from "./advertisement.js";
import { arm, cancel, count, type VrrpEffect, type VrrpTimer } from "./effects.js";
import { activeDownIntervalUs, skewTimeUs } from "./timing.js";

export * from "./effects.js";

/** What one router knows about itself. Priority is the effective one, after tracking. */
export interface VrrpSettings {
  readonly version: VrrpVersion;
  readonly family: IpFamily;
  readonly priority: number;
  readonly addresses: readonly string[];
  /** Source address of our advertisements; decides a tie of priorities (section 6.4.3). */
  readonly primaryAddress: string;
  /** Advertisement_Interval, own configuration. */
  readonly intervalUs: number;
  /** Preempt_Mode. */
  readonly preempt: boolean;
  /** How long a lower-priority Active is tolerated after it was first heard; 0 for none. */
  readonly preemptDelayUs: number;
  /**
   * Advertisements do not leave from the MAC that hosts are told (unicast, or no virtual MAC), so the survivor of a
   * contest moves no table back with them. Who yields then claims the virtual router once more, for it to hear.
   */
  readonly yieldsAloud?: boolean;
  /** Does not become Active by itself: somebody else tells it when (`takeOver`). */
  readonly waits?: boolean;
  /** A Backup shows itself to the others as the Active does (draft-ietf-rtgwg-vrrp-bfd-p2p). */
  readonly backupAdvertisements?: boolean;
}

export interface InitializeState {
  readonly name: "initialize";
  /** The router left as Active and goes on forwarding until its successor is heard. */
  readonly handingOver: boolean;
}

export interface BackupState {
  readonly name: "backup";
  /** Active_Adver_Interval: learned from the Active (v3), own configuration until then and in v2. */
  readonly activeAdverIntervalUs: number;
  /** Whom we wait for; null until somebody is heard. */
  readonly active: { readonly address: string; readonly priority: number } | null;
  /** Preempt delay: not started, running, or over. */
  readonly preemptHold: "none" | "running" | "over";
  /** BFD said that the Active failed, and a Backup of a better rank has its turn first. */
  readonly activeFailed?: true;
  /** Would be Active by now, but `waits`. */
  readonly wants?: true;
}

export interface ActiveState {
  readonly name: "active";
  /** How many of ANNOUNCE_REPEATS_US are done. */
  readonly announced: number;
  /** Another speaker claims the virtual router: not, just now, or still although we announced ourselves. */
  readonly contest: "none" | "fresh" | "answered";
  /** The last interval a contender named; meaningful while contested. */
  readonly contenderIntervalUs: number;
  /**
   * Released the virtual router and forwards until a successor is heard. Where none is, it `returns`: goes on as
   * before; or `leaves`: becomes Backup all the same.
   */
  readonly resigning?: "returns" | "leaves";
}

export type VrrpState = InitializeState | BackupState | ActiveState;

export const INITIAL_STATE: InitializeState = { name: "initialize", handingOver: false };

export type VrrpEvent =
  | { readonly type: "startup" }
  /** `handOver`: the line works and others may follow, so say priority 0 and forward until one does. */
  | { readonly type: "shutdown"; readonly handOver: boolean }
  | { readonly type: "timer"; readonly timer: VrrpTimer }
  /** Hand over and stay as Backup; `returns`: unless nobody takes over. */
  | { readonly type: "resign"; readonly returns: boolean }
  /** Become Active now. */
  | { readonly type: "takeOver" }
  /** The kernel ceased to forward for this router and in favour of a successor that it heard. */
  | { readonly type: "gaveWay" }
  /** The effective priority is another one: `settings` has it. */
  | { readonly type: "priority" }
  /**
   * The BFD session to this address was Up and fell silent. `waitUs`: how long Backups of a better rank are given to
   * take over, 0 for the first.
   */
  | { readonly type: "bfdDown"; readonly address: string; readonly waitUs: number }
  /** An advertisement that passed every check of section 7.1. */
  | {
      readonly type: "advertisement";
      readonly source: string;
      readonly priority: number;
      readonly intervalUs: number;
    };

/** Why a state was left; the words that `events` and `explain` build on. */
export type VrrpReason =
  | "startup"
  | "startup-owner"
  | "shutdown"
  | "active-down"
  | "bfd-down"
  | "active-released"
  | "preempted-lower-priority"
  | "higher-priority-heard"
  | "tie-lost"
  | "handed-over"
  | "no-successor"
  | "taken-over"
  | "gave-way";

export interface VrrpStep {
  readonly state: VrrpState;
  readonly effects: readonly VrrpEffect[];
  /** Set when the RFC's state changed. */
  readonly reason: VrrpReason | null;
}

/** Gaps between the repetitions of the announcement after becoming Active; the first one is immediate. */
export const ANNOUNCE_REPEATS_US: readonly number[] = [20_000, 80_000, 900_000, 4_000_000];
/** How soon after a contender's claim the hosts' tables are refreshed for the first time. */
const CONTEST_REFRESH_US = 20_000;
/** What a leaving Active grants beyond the largest Skew_Time (that of priority 1) to a successor. */
const HAND_OVER_MARGIN_US = 100_000;

const stay = (state: VrrpState, effects: readonly VrrpEffect[] = []): VrrpStep => ({
  state,
  effects,
  reason: null,
});

function advertise(priority: number): VrrpEffect[] {
  const effects = [{ effect: "sendAdvertisement", priority } as const, count("advertisementSent")];
  return priority === PRIORITY_RELEASE ? [...effects, count("priorityZeroPktsSent")] : effects;
}

/** Says that this Backup is there, and when it will say so again. */
function advertiseAsBackup(settings: VrrpSettings, priority = settings.priority): VrrpEffect[] {
  if (!settings.backupAdvertisements) return [];
  const sent = [{ effect: "sendBackupAdvertisement", priority } as const, count("backupAdvertisementSent")];
  return [...sent, priority === PRIORITY_RELEASE ? cancel("adver") : arm("adver", settings.intervalUs)];
}

function announceAll(settings: VrrpSettings): VrrpEffect[] {
  return settings.addresses.map((address) => ({ effect: "announce", address }));
}

/** Skew_Time as this router computes it now. */
export function currentSkewTimeUs(settings: VrrpSettings, activeAdverIntervalUs: number): number {
  return skewTimeUs(settings.version, settings.priority, activeAdverIntervalUs);
}

/** Active_Down_Interval as this router computes it now. */
export function currentActiveDownIntervalUs(settings: VrrpSettings, activeAdverIntervalUs: number): number {
  return activeDownIntervalUs(settings.version, settings.priority, activeAdverIntervalUs);
}

/** How long a leaving Active waits for a successor: Skew_Time of priority 1, and a margin. */
export function handOverLimitUs(settings: VrrpSettings): number {
  return skewTimeUs(settings.version, 1, settings.intervalUs) + HAND_OVER_MARGIN_US;
}

/** Whether the virtual router was released and is still forwarded for, until a successor is heard. */
export function handsOver(state: VrrpState): boolean {
  if (state.name === "active") return state.resigning !== undefined;
  return state.name === "initialize" && state.handingOver;
}

/** Timers that may be running in a state: what the machine can be woken by. */
export function timersOf(settings: VrrpSettings, state: VrrpState): readonly VrrpTimer[] {
  switch (state.name) {
    case "initialize":
      return state.handingOver ? ["handOver"] : [];
    case "backup":
      return [
        ...(state.wants ? [] : (["activeDown"] as const)),
        ...(state.preemptHold === "running" ? (["preemptDelay"] as const) : []),
        ...(state.activeFailed ? (["rank"] as const) : []),
        ...(settings.backupAdvertisements ? (["adver"] as const) : []),
      ];
    case "active":
      if (state.resigning) return ["handOver"];
      return [
        "adver",
        ...(state.announced < ANNOUNCE_REPEATS_US.length ? (["announce"] as const) : []),
        ...(state.contest !== "none" ? (["refresh"] as const) : []),
      ];
  }
}

/** One step of the machine. */
export function step(settings: VrrpSettings, state: VrrpState, event: VrrpEvent): VrrpStep {
  switch (state.name) {
    case "initialize":
      return stepInitialize(settings, state, event);
    case "backup":
      return stepBackup(settings, state, event);
    case "active":
      return stepActive(settings, state, event);
  }
}

// Section 6.4.1 (both RFCs): Initialize
function stepInitialize(settings: VrrpSettings, state: InitializeState, event: VrrpEvent): VrrpStep {
  const ceaseForwarding: VrrpEffect[] = state.handingOver
    ? [cancel("handOver"), { effect: "ownership", open: false }]
    : [];
  switch (event.type) {
    case "startup":
      // Row 1: the owner of the addresses starts as Active. Row 2: anyone else listens first.
      if (settings.priority === PRIORITY_OWNER) {
        return becomeActive(settings, "startup-owner", state.handingOver ? [cancel("handOver")] : []);
      }
      return startAsBackup(settings, ceaseForwarding);
    case "advertisement":
      // Row 3: ignored by the RFC. While handing over (ours): the successor is there, so stop forwarding.
      return state.handingOver && event.priority !== PRIORITY_RELEASE
        ? stay(INITIAL_STATE, ceaseForwarding)
        : stay(state);
    case "timer":
      return event.timer === "handOver" && state.handingOver
        ? stay(INITIAL_STATE, ceaseForwarding)
        : stay(state);
    case "bfdDown":
      return stay(state);
    case "gaveWay":
      return state.handingOver ? stay(INITIAL_STATE, ceaseForwarding) : stay(state);
    case "shutdown":
      return event.handOver ? stay(state) : stay(INITIAL_STATE, ceaseForwarding);
    case "priority":
    case "resign":
    case "takeOver":
      return stay(state);
  }
}

function startAsBackup(settings: VrrpSettings, before: readonly VrrpEffect[]): VrrpStep {
  const backup = becomeBackup(
    settings,
    { activeAdverIntervalUs: settings.intervalUs, active: null },
    "startup",
  );
  return { ...backup, effects: [...before, ...backup.effects] };
}

// Section 6.4.2: Backup
function stepBackup(settings: VrrpSettings, state: BackupState, event: VrrpEvent): VrrpStep {
  switch (event.type) {
    case "shutdown": // Row 4
      return {
        state: INITIAL_STATE,
        effects: [
          cancel("activeDown"),
          ...cancelHold(state),
          // As an Active's release: whoever comes next is the first of the Backups from now on.
          ...advertiseAsBackup(settings, PRIORITY_RELEASE),
        ],
        reason: "shutdown",
      };
    case "timer":
      if (event.timer === "activeDown") {
        if (settings.waits) return stay({ ...state, wants: true });
        return becomeActive(settings, activeDownReason(settings, state), cancelHold(state));
      }
      if (event.timer === "rank" && state.activeFailed) return followFailed(settings, trusted(state));
      if (event.timer === "preemptDelay") return stay({ ...state, preemptHold: "over" });
      if (event.timer === "adver") return stay(state, advertiseAsBackup(settings));
      return stay(state);
    case "advertisement":
      return withoutRank(state, hearAsBackup(settings, trusted(state), event));
    case "bfdDown":
      return missByBfd(settings, state, event);
    case "takeOver":
      return becomeActive(settings, "taken-over", [cancel("activeDown"), ...cancelHold(state)]);
    case "gaveWay":
    case "startup":
    case "resign":
      return stay(state);
    case "priority": // It counts from the next advertisement on, which re-arms the timer with its Skew_Time.
      return stay(state, advertiseAsBackup(settings));
  }
}

/** Not in the RFC (draft-ietf-rtgwg-vrrp-bfd-p2p): as when Active_Down_Timer passes; others of our rank or below wait. */
function missByBfd(
  settings: VrrpSettings,
  state: BackupState,
  missed: Extract<VrrpEvent, { type: "bfdDown" }>,
): VrrpStep {
  // An Active that released the virtual router is awaited no longer than Skew_Time already.
  if (state.active?.address !== missed.address || state.active.priority === PRIORITY_RELEASE)
    return stay(state);
  if (missed.waitUs === 0 && settings.waits) return stay({ ...state, wants: true }, [cancel("activeDown")]);
  // A timer of its own: an advertisement that came in before this was known still calls the turn off.
  return missed.waitUs === 0
    ? followFailed(settings, state)
    : stay({ ...state, activeFailed: true }, [arm("rank", missed.waitUs)]);
}

function followFailed(settings: VrrpSettings, state: BackupState): VrrpStep {
  if (settings.waits) return stay({ ...state, wants: true }, [cancel("activeDown")]);
  return becomeActive(settings, "bfd-down", [cancel("activeDown"), ...cancelHold(state)]);
}

function withoutRank(before: BackupState, made: VrrpStep): VrrpStep {
  return before.activeFailed ? { ...made, effects: [cancel("rank"), ...made.effects] } : made;
}

/** An advertisement, whoever sent it, outweighs what BFD said before. */
function trusted({ activeFailed: _, ...state }: BackupState): BackupState {
  return state;
}

function cancelHold(state: BackupState): VrrpEffect[] {
  return [
    ...(state.preemptHold === "running" ? [cancel("preemptDelay")] : []),
    ...(state.activeFailed ? [cancel("rank")] : []),
  ];
}

function activeDownReason(settings: VrrpSettings, state: BackupState): VrrpReason {
  if (state.active === null) return "active-down";
  if (state.activeFailed) return "bfd-down";
  if (state.active.priority === PRIORITY_RELEASE) return "active-released";
  return mayPreempt(settings) && state.active.priority < settings.priority
    ? "preempted-lower-priority"
    : "active-down";
}

/** Preempt_Mode; the address owner preempts whatever it says (section 6.1). */
function mayPreempt(settings: VrrpSettings): boolean {
  return settings.preempt || settings.priority === PRIORITY_OWNER;
}

function hearAsBackup(
  settings: VrrpSettings,
  state: BackupState,
  heard: Extract<VrrpEvent, { type: "advertisement" }>,
): VrrpStep {
  const active = { address: heard.source, priority: heard.priority };
  if (heard.priority === PRIORITY_RELEASE) {
    // Row 6: wait for Skew_Time with the interval known already; a release teaches no interval.
    return stay({ ...waiting(state), active }, [
      count("advertisementRcvd"),
      count("priorityZeroPktsRcvd"),
      arm("activeDown", currentSkewTimeUs(settings, state.activeAdverIntervalUs)),
    ]);
  }
  const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
  const rearm = arm("activeDown", currentActiveDownIntervalUs(settings, activeAdverIntervalUs));
  if (!mayPreempt(settings) || heard.priority >= settings.priority) {
    // Row 7: somebody better, or nobody whom we may push aside, is Active. v3 learns its interval.
    return stay({ ...waiting(state), active, activeAdverIntervalUs, preemptHold: "none" }, [
      count("advertisementRcvd"),
      ...cancelHold(state),
      rearm,
    ]);
  }
  // Row 8: a lower priority is discarded, so that Active_Down_Timer runs out and we take over ...
  if (settings.preemptDelayUs === 0 || state.preemptHold === "over") {
    return stay({ ...state, active }, [count("advertisementRcvd")]);
  }
  // ... but within the preempt delay (hold-time, not in the RFC's table) it is followed like any other.
  return stay({ ...waiting(state), active, activeAdverIntervalUs, preemptHold: "running" }, [
    count("advertisementRcvd"),
    rearm,
    ...(state.preemptHold === "none" ? [arm("preemptDelay", settings.preemptDelayUs)] : []),
  ]);
}

/** The Active_Down_Timer is armed again: there is nothing to want any more. */
function waiting({ wants: _, ...state }: BackupState): BackupState {
  return state;
}

// Section 6.4.3: Active
function stepActive(settings: VrrpSettings, state: ActiveState, event: VrrpEvent): VrrpStep {
  switch (event.type) {
    case "shutdown": // Row 9
      return leave(settings, state, event.handOver);
    case "timer":
      return activeTimer(settings, state, event.timer);
    case "advertisement":
      return state.resigning ? hearSuccessor(settings, state, event) : hearAsActive(settings, state, event);
    case "gaveWay":
      return giveWay(settings, state);
    case "resign":
      return resign(settings, state, event.returns ? "returns" : "leaves");
    case "takeOver":
      return state.resigning ? goOn(settings) : stay(state);
    case "priority": // Ours: said at once, because Backups wait for three intervals from then on.
      if (state.resigning) return stay(state);
      return stay(state, [...advertise(settings.priority), arm("adver", settings.intervalUs)]);
    case "bfdDown":
    case "startup":
      return stay(state);
  }
}

function activeTimer(settings: VrrpSettings, state: ActiveState, timer: VrrpTimer): VrrpStep {
  switch (timer) {
    case "adver": // Row 10
      return stay(state, [...advertise(settings.priority), arm("adver", settings.intervalUs)]);
    case "announce": {
      const announced = state.announced + 1;
      const nextGapUs = ANNOUNCE_REPEATS_US[announced];
      return stay({ ...state, announced }, [
        ...announceAll(settings),
        ...(nextGapUs === undefined ? [] : [arm("announce", nextGapUs)]),
      ]);
    }
    case "refresh":
      // A contender was heard. Its claim has moved switches and hosts to it: move them back at once, and
      // again when it has been silent for longer than its interval.
      return state.contest === "fresh"
        ? stay({ ...state, contest: "answered" }, [
            ...announceAll(settings),
            arm("refresh", Math.ceil((state.contenderIntervalUs * 3) / 2)),
          ])
        : stay({ ...state, contest: "none", contenderIntervalUs: 0 }, announceAll(settings));
    case "handOver":
      if (state.resigning === "returns") return goOn(settings);
      return state.resigning ? yieldTo(settings, settings.intervalUs, null, "no-successor") : stay(state);
    default:
      return stay(state);
  }
}

// Not in the RFC: as row 9, but the router stays in the election.
function resign(settings: VrrpSettings, state: ActiveState, resigning: "returns" | "leaves"): VrrpStep {
  if (state.resigning) return stay({ ...state, resigning });
  const announced = ANNOUNCE_REPEATS_US.length;
  return stay({ name: "active", announced, contest: "none", contenderIntervalUs: 0, resigning }, [
    ...cancelActiveTimers(settings, state),
    ...advertise(PRIORITY_RELEASE),
    arm("handOver", handOverLimitUs(settings)),
  ]);
}

function hearSuccessor(
  settings: VrrpSettings,
  state: ActiveState,
  heard: Extract<VrrpEvent, { type: "advertisement" }>,
): VrrpStep {
  const received = count("advertisementRcvd");
  if (heard.priority === PRIORITY_RELEASE) return stay(state, [received, count("priorityZeroPktsRcvd")]);
  const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
  const active = { address: heard.source, priority: heard.priority };
  const yielded = yieldTo(settings, activeAdverIntervalUs, active, "handed-over");
  return { ...yielded, effects: [received, cancel("handOver"), ...yielded.effects] };
}

function yieldTo(
  settings: VrrpSettings,
  activeAdverIntervalUs: number,
  active: BackupState["active"],
  reason: VrrpReason,
): VrrpStep {
  const backup = becomeBackup(settings, { activeAdverIntervalUs, active }, reason);
  return { ...backup, effects: [{ effect: "ownership", open: false }, ...backup.effects] };
}

/** Nobody followed, or it is to be Active after all: hosts and Backups are told as if it had just become that. */
function goOn(settings: VrrpSettings): VrrpStep {
  return stay({ name: "active", announced: 0, contest: "none", contenderIntervalUs: 0 }, [
    cancel("handOver"),
    ...advertise(settings.priority),
    ...announceAll(settings),
    arm("adver", settings.intervalUs),
    arm("announce", ANNOUNCE_REPEATS_US[0] as number),
  ]);
}

function hearAsActive(
  settings: VrrpSettings,
  state: ActiveState,
  heard: Extract<VrrpEvent, { type: "advertisement" }>,
): VrrpStep {
  const received = count("advertisementRcvd");
  if (heard.priority === PRIORITY_RELEASE) {
    // Row 11
    const contested = contest(settings, state, heard.intervalUs);
    return stay(contested.state, [
      received,
      count("priorityZeroPktsRcvd"),
      ...advertise(settings.priority),
      arm("adver", settings.intervalUs),
      ...contested.effects,
    ]);
  }
  const wins =
    heard.priority > settings.priority ||
    (heard.priority === settings.priority && compareAddresses(heard.source, settings.primaryAddress) > 0);
  if (wins) {
    // Row 12
    const activeAdverIntervalUs = settings.version === 3 ? heard.intervalUs : settings.intervalUs;
    const backup = becomeBackup(
      settings,
      { activeAdverIntervalUs, active: { address: heard.source, priority: heard.priority } },
      heard.priority > settings.priority ? "higher-priority-heard" : "tie-lost",
    );
    return {
      ...backup,
      effects: [
        received,
        ...cancelActiveTimers(settings, state),
        // Ours: often the loser is the first to hear, and the winner would never know that hosts were led away.
        ...(settings.yieldsAloud ? advertise(settings.priority) : []),
        { effect: "ownership", open: false },
        ...backup.effects,
      ],
    };
  }
  // Row 13. v3 (new in RFC 9568) asserts itself at once, which also turns learning bridges back; v2 discards.
  const contested = contest(settings, state, heard.intervalUs);
  return stay(contested.state, [
    received,
    ...(settings.version === 3 ? advertise(settings.priority) : []),
    ...contested.effects,
  ]);
}

/** Another speaker claims what is ours: arrange for the hosts' tables to be refreshed (see `activeTimer`). */
function contest(
  settings: VrrpSettings,
  state: ActiveState,
  heardIntervalUs: number,
): { state: ActiveState; effects: VrrpEffect[] } {
  const contenderIntervalUs = settings.version === 3 ? heardIntervalUs : settings.intervalUs;
  if (state.contest === "fresh") return { state: { ...state, contenderIntervalUs }, effects: [] };
  // A contender that speaks again has led hosts away again since; no more often than it advertises.
  const afterUs =
    state.contest === "none" ? CONTEST_REFRESH_US : Math.max(CONTEST_REFRESH_US, contenderIntervalUs);
  return { state: { ...state, contest: "fresh", contenderIntervalUs }, effects: [arm("refresh", afterUs)] };
}

function cancelActiveTimers(settings: VrrpSettings, state: ActiveState): VrrpEffect[] {
  return timersOf(settings, state).map(cancel);
}

/** Not in the RFC: there is a successor, whose advertisements tell more. Until then it is waited for as at the start. */
function giveWay(settings: VrrpSettings, state: ActiveState): VrrpStep {
  const backup = becomeBackup(
    settings,
    { activeAdverIntervalUs: settings.intervalUs, active: null },
    "gave-way",
  );
  return {
    ...backup,
    effects: [
      ...cancelActiveTimers(settings, state),
      { effect: "ownership", open: false },
      ...backup.effects,
    ],
  };
}

function leave(settings: VrrpSettings, state: ActiveState, handOver: boolean): VrrpStep {
  if (!handOver) {
    // The line is gone or the addresses are: nobody would hear a release (section 6.4.3 sends one all the same).
    return {
      state: INITIAL_STATE,
      effects: [
        ...cancelActiveTimers(settings, state),
        ...advertise(PRIORITY_RELEASE),
        { effect: "ownership", open: false },
      ],
      reason: "shutdown",
    };
  }
  return {
    state: { name: "initialize", handingOver: true },
    effects: [
      ...cancelActiveTimers(settings, state),
      ...advertise(PRIORITY_RELEASE),
      arm("handOver", handOverLimitUs(settings)),
    ],
    reason: "shutdown",
  };
}

// Rows 1 and 5. Ownership first, so that no host is pointed here before packets are let in.
function becomeActive(settings: VrrpSettings, reason: VrrpReason, before: readonly VrrpEffect[]): VrrpStep {
  const firstGapUs = ANNOUNCE_REPEATS_US[0];
  return {
    state: { name: "active", announced: 0, contest: "none", contenderIntervalUs: 0 },
    effects: [
      ...before,
      count("masterTransitions"),
      { effect: "ownership", open: true },
      ...advertise(settings.priority),
      ...announceAll(settings),
      arm("adver", settings.intervalUs),
      ...(firstGapUs === undefined ? [] : [arm("announce", firstGapUs)]),
    ],
    reason,
  };
}

function becomeBackup(
  settings: VrrpSettings,
  heard: Pick<BackupState, "activeAdverIntervalUs" | "active">,
  reason: VrrpReason,
): VrrpStep {
  return {
    state: { name: "backup", ...heard, preemptHold: "none" },
    effects: [
      arm("activeDown", currentActiveDownIntervalUs(settings, heard.activeAdverIntervalUs)),
      ...advertiseAsBackup(settings),
    ],
    reason,
  };
}
