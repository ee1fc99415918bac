/** Two speakers that share one virtual router. */
import type { Lab } from "../../src/lab/topology.js";
import { startFirsthop } from "./firsthop.js";
import { startFrr } from "./frr.js";
import { startKeepalived } from "./keepalived.js";
import { reach, type Speaker, type SpeakerKind, type SpeakerOptions, type StartSpeaker } from "./speaker.js";

export const START: Readonly<Record<SpeakerKind, StartSpeaker>> = {
  firsthop: startFirsthop,
  keepalived: startKeepalived,
  frr: startFrr,
};

const ELECTION_BOUND_MS = 15_000;

/**
 * Starts two speakers of one make, or of two: `[active, backup]`. Router 1 with priority 150 becomes Active, router 2
 * with 100 Backup; waits until they are.
 */
export async function startPair(
  lab: Lab,
  kinds: SpeakerKind | readonly [SpeakerKind, SpeakerKind],
  options: Omit<SpeakerOptions, "priority">,
): Promise<{ active: Speaker; backup: Speaker }> {
  const [first, second] = typeof kinds === "string" ? [kinds, kinds] : kinds;
  const active = await START[first](lab, lab.routers[0]!, { ...options, priority: 150 });
  const backup = await START[second](lab, lab.routers[1]!, { ...options, priority: 100 });
  await reach(active, "active", ELECTION_BOUND_MS);
  await reach(backup, "backup", ELECTION_BOUND_MS);
  return { active, backup };
}
