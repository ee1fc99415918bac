/**
 * Seeds that once found something, and what. A seed tells the same story only as long as the scenarios are drawn the
 * same way; what was found has a test of its own in promises.test.ts where it could be told in one.
 */
export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 15, found: "a take-over whose kernel steps failed stayed Active and forwarded nothing, for ever" },
  { seed: 30, found: "timers of the former state went on running when an interface went away" },
  {
    seed: 116,
    found: "an attempt to prepare, left over from before, parked a healthy Active's device two seconds later",
  },
  { seed: 228, found: "a shutdown that had to wait for the engine was carried out after its cause was gone" },
  {
    seed: 508,
    found: "without virtual MAC, a winner that never heard the loser left the hosts with the loser",
  },
  { seed: 1336, found: "an interface that vanished before the news of it ended the daemon (ENODEV)" },
  {
    seed: 3436,
    found: "a router that had just heard a slow Active took over from it, by its own shorter interval",
  },
  {
    seed: 3587,
    found:
      "a virtual address of another virtual router was taken as source: two Actives that took each other for themselves",
  },
  {
    seed: 5367,
    found:
      "a contender that announced itself again after the survivor's refresh kept the hosts for 1.5 intervals",
  },
];
