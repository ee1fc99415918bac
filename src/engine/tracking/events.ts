/** A tracker's change as an event. */
import type { TrackerConfig } from "../../config/index.js";
import type { RouterHappening } from "../status.js";
import type { TrackerChange } from "./tracker.js";

export function trackEvent(
  at: string,
  { name }: TrackerConfig,
  { from, to, evidence }: TrackerChange,
  followers: readonly { readonly name: string }[],
): RouterHappening {
  return { type: "track", at, name, from, to, detail: evidence, trackedBy: followers.map((one) => one.name) };
}
