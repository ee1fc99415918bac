/** What steps of several states share: entering Backup or Active (RFC 9568 section 6.4), and what a router says. */
import { PRIORITY_RELEASE } from "../advertisement.js";
import { arm, cancel, count, type VrrpEffect } from "../effects.js";
import {
  ANNOUNCE_REPEATS_US,
  type BackupState,
  currentActiveDownIntervalUs,
  type VrrpReason,
  type VrrpSettings,
  type VrrpState,
  type VrrpStep,
} from "../state.js";

export const stay = (state: VrrpState, effects: readonly VrrpEffect[] = []): VrrpStep => ({
  state,
  effects,
  reason: null,
});

export function advertise(priority: number): VrrpEffect[] {
  const effects = [{ effect: "sendAdvertisement", priority } as const, count("advertisementSent")];
  return priority === PRIORITY_RELEASE ? [...effects, count("priorityZeroPktsSent")] : effects;
}

/** Says that this Backup is there, and when it will say so again. */
export function advertiseAsBackup(settings: VrrpSettings, priority = settings.priority): VrrpEffect[] {
  if (!settings.backupAdvertisements) return [];
  const sent = [{ effect: "sendBackupAdvertisement", priority } as const, count("backupAdvertisementSent")];
  return [...sent, priority === PRIORITY_RELEASE ? cancel("adver") : arm("adver", settings.intervalUs)];
}

export function announceAll(settings: VrrpSettings): VrrpEffect[] {
  return settings.addresses.map((address) => ({ effect: "announce", address }));
}

/** Rows 1 and 5. Ownership first, so that no host is pointed here before packets are let in. */
export function becomeActive(
  settings: VrrpSettings,
  reason: VrrpReason,
  before: readonly VrrpEffect[],
): VrrpStep {
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

/** Rows 2 and 12, and where this router yields for other reasons: it waits for the Active as long as the RFC says. */
export function becomeBackup(
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
