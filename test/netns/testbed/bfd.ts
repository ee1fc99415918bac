/**
 * Routers with BFD between them: their start, and what tests wait for. Advertisements are a second apart, so that only
 * BFD can be fast.
 */
import { daemonConfig, type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import type { Lab, LabFamily, LabRouter } from "../../../src/lab/topology.js";
import { eventually } from "../../../src/lab/wait.js";

const BOUND_MS = 10_000;
const ADVERTISEMENT_INTERVAL_MS = 1000;
/** A session that is slower than this has not agreed on its pace yet. */
const FAST_MS = 500;

/** As `bfd` of a virtual router has it. */
export interface BfdKeys {
  readonly interval: string;
  readonly multiplier?: number;
  readonly backupAdvertisements?: boolean;
  readonly multipoint?: boolean;
  readonly authentication?: { readonly type: string; readonly key: string };
}

export interface BfdMember {
  readonly router: LabRouter;
  readonly daemon: LabDaemon;
}

/** The file of one of the routers, from 1 on: falling priorities and, where they are needed, rising ranks. */
export function bfdConfig(index: number, bfd: BfdKeys, family: LabFamily = "ipv4"): string {
  const rank = Math.max(1, index - 1);
  return daemonConfig({
    vrid: 10,
    family,
    version: 3,
    priority: 210 - 10 * index,
    intervalMs: ADVERTISEMENT_INTERVAL_MS,
    more: { bfd: bfd.backupAdvertisements ? bfd : { ...bfd, rank } },
  });
}

/** A daemon on each router of the lab; the first is Active, and all sessions are up. */
export async function startBfd(lab: Lab, bfd: BfdKeys, family: LabFamily = "ipv4"): Promise<BfdMember[]> {
  const members: BfdMember[] = [];
  for (const router of lab.routers) {
    const daemon = await startDaemon(lab, router, bfdConfig(router.index, bfd, family));
    await daemon.reach(router.index === 1 ? "active" : "backup", BOUND_MS);
    members.push({ router, daemon });
  }
  await followed(members, members[0] as BfdMember);
  return members;
}

export const sessionsOf = async ({ daemon }: Pick<BfdMember, "daemon">) =>
  (await daemon.status()).bfdSessions;

/** Everybody else follows this one, and by BFD, at the pace that was asked for. */
export async function followed(members: readonly BfdMember[], active: BfdMember): Promise<void> {
  await active.daemon.reach("active", BOUND_MS);
  const address = (await active.daemon.virtualRouter())?.primaryAddress;
  for (const member of members.filter((one) => one !== active)) {
    await member.daemon.reach("backup", BOUND_MS);
    let seen: readonly unknown[] = [];
    const settled = async (): Promise<boolean> => {
      const sessions = (await sessionsOf(member)).filter(({ role }) => role === "active" || role === "tail");
      seen = sessions;
      const [session, ...others] = sessions;
      if (!session || others.length > 0 || session.state !== "up") return false;
      return session.remoteAddress === address && (session.detectionTimeMs ?? FAST_MS) < FAST_MS;
    };
    await eventually("the session is up and fast", BOUND_MS, settled, () => JSON.stringify(seen));
  }
}

/** Everybody knows its turn; null: it is no Backup. */
export async function turns(
  members: readonly BfdMember[],
  wanted: readonly (number | null)[],
): Promise<void> {
  let seen: readonly (number | null)[] = [];
  const settled = async (): Promise<boolean> => {
    const all = await Promise.all(members.map(({ daemon }) => daemon.virtualRouter()));
    seen = all.map((one) => one?.bfd?.turn?.rank ?? null);
    return JSON.stringify(seen) === JSON.stringify(wanted);
  };
  await eventually("the Backups know their turns", BOUND_MS, settled, () => JSON.stringify(seen));
}

/**
 * Waits until a router that took over has been Active for an advertisement interval. An Active that is back at once (within
 * five detection times) had not failed, as far as a Backup can know, and BFD's word is worth less from then on.
 */
export async function unrefuted({ daemon }: Pick<BfdMember, "daemon">): Promise<void> {
  const sent = async (): Promise<number> => (await daemon.virtualRouter())?.statistics.advertisementSent ?? 0;
  const before = await sent();
  await eventually("it advertised again", BOUND_MS, async () => (await sent()) > before);
}

/** Who becomes Active from now on, and why ("r2 bfd-down"). The function returned tells it anew from its last call on. */
export async function takeovers(members: readonly BfdMember[]): Promise<() => string[]> {
  const seen: string[] = [];
  for (const { router, daemon } of members) {
    const last = (await daemon.virtualRouter())?.lastChange;
    let caughtUp = false;
    await daemon.follow((event) => {
      if (event.type !== "stateChange") return;
      if (caughtUp && event.to === "active") seen.push(`r${router.index} ${event.reason}`);
      caughtUp ||= event.at === last?.at && event.to === last.to;
    });
    await eventually("the history is read", BOUND_MS, () => caughtUp);
  }
  return () => seen.splice(0);
}
