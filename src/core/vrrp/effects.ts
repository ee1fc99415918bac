/** What a step of the VRRP machine asks for: timers, counters, frames, ownership. */

export const VRRP_TIMERS = [
  "adver",
  "activeDown",
  "preemptDelay",
  "announce",
  "refresh",
  "handOver",
  "rank",
] as const;
export type VrrpTimer = (typeof VRRP_TIMERS)[number];

/** Counters of ietf-vrrp that a step itself moves. */
export const VRRP_COUNTERS = [
  "masterTransitions",
  "advertisementRcvd",
  "advertisementSent",
  "priorityZeroPktsRcvd",
  "priorityZeroPktsSent",
  "backupAdvertisementSent",
] as const;
export type VrrpCounter = (typeof VRRP_COUNTERS)[number];

export type VrrpEffect =
  /** Become, or cease to be, the router that forwards and answers for the virtual addresses. */
  | { readonly effect: "ownership"; readonly open: boolean }
  | { readonly effect: "sendAdvertisement"; readonly priority: number }
  /** To the other Backups: this router is one, too; with priority 0: is one no longer. */
  | { readonly effect: "sendBackupAdvertisement"; readonly priority: number }
  /** Gratuitous ARP (IPv4) or unsolicited neighbour advertisement (IPv6) for one virtual address. */
  | { readonly effect: "announce"; readonly address: string }
  /** `afterUs` counts from the event: the passed deadline, or the frame's arrival. */
  | { readonly effect: "arm"; readonly timer: VrrpTimer; readonly afterUs: number }
  | { readonly effect: "cancel"; readonly timer: VrrpTimer }
  | { readonly effect: "count"; readonly counter: VrrpCounter };

export const arm = (timer: VrrpTimer, afterUs: number): VrrpEffect => ({ effect: "arm", timer, afterUs });
export const cancel = (timer: VrrpTimer): VrrpEffect => ({ effect: "cancel", timer });
export const count = (counter: VrrpCounter): VrrpEffect => ({ effect: "count", counter });
