/**
 * A sync group: virtual routers of one router that move together. Each member has its own election and its own
 * automaton, which acts without asking; this machine follows what a member did by moving the others, in the sense of
 * keepalived's vrrp_sync_group. Pure, like the VRRP machine: what happened and how the members stand comes in, what
 * the members are told goes out.
 *
 * Mode `all`:
 *  - A member in fault takes all to fault; they come back, as Backup, when the last one is well again.
 *  - A member that becomes Active takes all along. Nobody moves before all members run.
 *  - A member that goes Backup takes all along: the others hand over.
 *  - Where another router has the better claim to a member that was taken along, the group gives way as a whole: it
 *    goes Backup and is `blocked`: from then on no member becomes Active before all of them could. So a group whose
 *    line is cut on one side only does not tear the others from a router that is well, and two groups never fight.
 *  - After each attempt that failed so, it waits for a while that doubles, and differs from router to router.
 * Mode `any`: members elect and fail by themselves; the group is Active while any of them is, and in fault only when
 * all are.
 */
export type GroupMode = "all" | "any";

export interface MemberView {
  readonly name: string;
  /** `preparing`: it may run, but does not yet. Its group's fault is no fault of its own. */
  readonly standing: "fault" | "preparing" | "backup" | "active";
  /** Backup that would be Active by now, had it not been told to wait. */
  readonly wants: boolean;
  /** Backup that hears somebody whom it follows. */
  readonly follows: boolean;
  /** Active that released the virtual router already. */
  readonly resigning: boolean;
}

export interface GroupSettings {
  readonly mode: GroupMode;
  /** The longest Active_Down_Interval of its members: how long they may take to agree. */
  readonly settleUs: number;
  /** 0..255, another one on each router. */
  readonly seed: number;
}

/** What a group knows that its members' states don't tell. */
export interface GroupMemory {
  readonly blocked: boolean;
  /** Failed attempts in a row. */
  readonly objections: number;
  /** Waits before it tries again. */
  readonly held: boolean;
}

export interface GroupState extends GroupMemory {
  readonly role: "backup" | "active" | "fault";
  /** Who became Active first, while the others are being taken along. */
  readonly leader: string | null;
  /** All follow another router since a while. */
  readonly calm: boolean;
}

export const INITIAL_GROUP: GroupState = {
  role: "backup",
  leader: null,
  blocked: false,
  objections: 0,
  held: false,
  calm: false,
};

export const GROUP_TIMERS = ["settle", "hold", "calm"] as const;
export type GroupTimer = (typeof GROUP_TIMERS)[number];

export type GroupEvent =
  /** A member's view is another one; `before` it was this, null for a new member. */
  | { readonly type: "moved"; readonly member: string; readonly before: MemberView["standing"] | null }
  | { readonly type: "timer"; readonly timer: GroupTimer };

export type GroupEffect =
  | { readonly effect: "takeOver"; readonly member: string; readonly because: string }
  | { readonly effect: "resign"; readonly member: string; readonly because: string }
  | { readonly effect: "arm"; readonly timer: GroupTimer; readonly afterUs: number }
  | { readonly effect: "cancel"; readonly timer: GroupTimer };

export interface GroupStep {
  readonly state: GroupState;
  readonly effects: readonly GroupEffect[];
}

/** What holds for a member as long as nothing else is said. */
export interface MemberOrders {
  /** Why the group keeps it out; null: it does not. */
  readonly fault: string | null;
  /** It must not become Active by itself. */
  readonly waits: boolean;
}

/** Beyond Active_Down_Interval, for the routers' own pace. */
const SETTLE_MARGIN_US = 100_000;
const PAUSE_MAX_US = 60_000_000;

/** One step of the group's machine. `members` as they are after the event. */
export function stepGroup(
  settings: GroupSettings,
  state: GroupState,
  members: readonly MemberView[],
  event: GroupEvent,
): GroupStep {
  if (settings.mode === "any" || members.length < 2) return { state: INITIAL_GROUP, effects: [] };
  const faulty = members.some((one) => one.standing === "fault");
  if (faulty)
    return { state: { ...INITIAL_GROUP, role: "fault" }, effects: state.role === "fault" ? [] : CANCEL };
  if (state.role === "fault") return { state: INITIAL_GROUP, effects: [] };
  const next =
    state.role === "active"
      ? stepActive(settings, state, members, event)
      : stepBackup(settings, state, members, event);
  return next.state.role === "active" ? next : startWanting(settings, next, members);
}

/**
 * Where a group is whose members somebody else moved: where they are. Those that are not where the others are have as long
 * as after any move; what failed before stays known.
 */
export function groupAsFound(
  settings: GroupSettings,
  before: GroupMemory,
  members: readonly MemberView[],
): GroupStep {
  if (settings.mode === "any") return { state: INITIAL_GROUP, effects: CANCEL };
  const active = members.filter((one) => one.standing === "active");
  const leader = active.find((one) => !one.resigning) ?? active[0];
  if (!leader) {
    const { blocked, objections, held } = before;
    const state = { ...INITIAL_GROUP, blocked, objections, held };
    return { state, effects: held ? [...CANCEL, armHold(settings, objections)] : CANCEL };
  }
  if (active.length === members.length)
    return { state: { ...INITIAL_GROUP, role: "active" }, effects: CANCEL };
  const { blocked, objections } = before;
  return {
    state: { ...INITIAL_GROUP, role: "active", leader: leader.name, blocked, objections },
    effects: [...CANCEL, armSettle(settings)],
  };
}

const CANCEL: readonly GroupEffect[] = GROUP_TIMERS.map((timer) => ({ effect: "cancel", timer }));

const armSettle = ({ settleUs }: GroupSettings): GroupEffect => ({
  effect: "arm",
  timer: "settle",
  afterUs: settleUs + SETTLE_MARGIN_US,
});

const armHold = (settings: GroupSettings, objections: number): GroupEffect => ({
  effect: "arm",
  timer: "hold",
  afterUs: pauseUs(settings, objections),
});

/** What each member is told now: to stay out, or to wait. */
export function ordersOf(
  state: GroupState,
  settings: GroupSettings,
  members: readonly MemberView[],
): MemberOrders[] {
  const faulty = members.find((one) => one.standing === "fault");
  const together = settings.mode === "all" && members.length > 1;
  return members.map((one) => ({
    fault:
      together && faulty && one.standing !== "fault" ? `${faulty.name} of its sync group is in fault` : null,
    waits: together && state.role !== "active" && mustWait(state, members, one),
  }));
}

function mustWait(state: GroupState, members: readonly MemberView[], one: MemberView): boolean {
  const others = members.filter((other) => other.name !== one.name);
  if (state.held || others.some((other) => other.standing === "preparing")) return true;
  return state.blocked && others.some((other) => !other.wants && other.standing !== "active");
}

function stepBackup(
  settings: GroupSettings,
  state: GroupState,
  members: readonly MemberView[],
  event: GroupEvent,
): GroupStep {
  if (event.type === "timer") {
    if (event.timer === "hold") return { state: { ...state, held: false }, effects: [] };
    const over = event.timer === "calm" && state.calm;
    return { state: over ? { ...state, blocked: false, objections: 0, calm: false } : state, effects: [] };
  }
  const mover = members.find((one) => one.name === event.member);
  if (mover?.standing === "active" && event.before !== "active" && mustWait(state, members, mover)) {
    // It acted before it was told to wait.
    const because = "its sync group can't become Active";
    return { state, effects: [{ effect: "resign", member: mover.name, because }] };
  }
  return calmDown(settings, state, members);
}

/** A line that works only now and then shall not be tried each time: what failed is forgotten when all follow for long. */
function calmDown(settings: GroupSettings, state: GroupState, members: readonly MemberView[]): GroupStep {
  const calm = state.blocked && members.every((one) => one.follows);
  if (calm === state.calm) return { state, effects: [] };
  const afterUs = pauseUs(settings, state.objections + 1);
  return {
    state: { ...state, calm },
    effects: [calm ? { effect: "arm", timer: "calm", afterUs } : { effect: "cancel", timer: "calm" }],
  };
}

/** Doubles with each attempt that failed; no two routers take the same. */
function pauseUs({ settleUs, seed }: GroupSettings, objections: number): number {
  return Math.round(Math.min(settleUs * 2 ** (objections - 1) * (1 + seed / 256), PAUSE_MAX_US));
}

/** Whoever is Active, or wants to be and need not wait, takes all along. */
function startWanting(
  settings: GroupSettings,
  { state, effects }: GroupStep,
  members: readonly MemberView[],
): GroupStep {
  const leader = members.find(
    (one) => (one.wants || (one.standing === "active" && !one.resigning)) && !mustWait(state, members, one),
  );
  if (!leader || effects.some((one) => one.effect === "resign")) return { state, effects };
  const taken = members.filter((one) => one.standing === "backup");
  return {
    state: { ...state, role: "active", leader: leader.name, calm: false },
    effects: [
      ...effects,
      ...(state.calm ? [{ effect: "cancel", timer: "calm" } as const] : []),
      ...taken.map((one): GroupEffect => {
        const because =
          one.name === leader.name ? "all of its sync group can" : `${leader.name} became Active`;
        return { effect: "takeOver", member: one.name, because };
      }),
      armSettle(settings),
    ],
  };
}

function stepActive(
  settings: GroupSettings,
  state: GroupState,
  members: readonly MemberView[],
  event: GroupEvent,
): GroupStep {
  if (event.type === "timer")
    return event.timer === "settle" ? settle(settings, state, members) : { state, effects: [] };
  const mover = members.find((one) => one.name === event.member);
  if (mover?.standing !== "backup") return { state, effects: [] };
  if (event.before === "active") {
    // While the others are being taken along, whoever had them may object for as long as it takes to hear of it.
    if (state.leader !== null && mover.name !== state.leader) return { state, effects: [] };
    return giveWay(settings, state, members, `${mover.name} went Backup`);
  }
  if (event.before === "backup") return { state, effects: [] };
  // It runs again: the group is Active already.
  const leader = state.leader ?? members.find((one) => one.standing === "active")?.name ?? null;
  return {
    state: { ...state, leader },
    effects: [
      { effect: "takeOver", member: mover.name, because: "its sync group is Active" },
      armSettle(settings),
    ],
  };
}

function settle(settings: GroupSettings, state: GroupState, members: readonly MemberView[]): GroupStep {
  const left = members.find((one) => one.standing === "backup");
  if (left) return giveWay(settings, state, members, `another router keeps ${left.name}`);
  return { state: { ...state, leader: null, blocked: false, objections: 0 }, effects: [] };
}

/** All go Backup. If this was an attempt that failed, the next one has to wait. */
function giveWay(
  settings: GroupSettings,
  state: GroupState,
  members: readonly MemberView[],
  because: string,
): GroupStep {
  const failed = state.leader !== null;
  const objections = failed ? state.objections + 1 : state.objections;
  return {
    state: { role: "backup", leader: null, blocked: true, objections, held: failed, calm: false },
    effects: [
      ...members
        .filter((one) => one.standing === "active" && !one.resigning)
        .map((one): GroupEffect => ({ effect: "resign", member: one.name, because })),
      { effect: "cancel", timer: "settle" },
      ...(failed ? [armHold(settings, objections)] : []),
    ],
  };
}

/** The group's state as others see it: what all members are; null while they are on their way. */
export function stateOfGroup(
  mode: GroupMode,
  members: readonly MemberView[],
): "active" | "backup" | "fault" | null {
  const any = (standing: MemberView["standing"]): boolean => members.some((one) => one.standing === standing);
  if (mode === "any") {
    if (any("active")) return "active";
    if (any("backup")) return "backup";
    return any("preparing") ? null : "fault";
  }
  if (any("fault")) return "fault";
  if (members.every((one) => one.standing === "active")) return "active";
  return members.every((one) => one.standing === "backup") ? "backup" : null;
}
