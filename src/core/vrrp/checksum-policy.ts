/**
 * Which form of the VRRPv3/IPv4 checksum to send (`checksum: auto`). RFC 9568 sums the message only; keepalived
 * and FRR send, and insist on, the pseudo-header. A mismatch is a silent double Active, so the form follows what
 * the peers use. Both forms are always accepted.
 */
import type { ChecksumForm } from "./advertisement.js";

export type ChecksumMode = "auto" | ChecksumForm;

/** Forms each sender (by source address) was seen to use. */
export type LearnedForms = ReadonlyMap<string, ReadonlySet<ChecksumForm>>;

/** How many senders are remembered; who was not heard for the longest time is forgotten first. */
const SENDERS_MAX = 16;

/** What to send, in order. A sender that uses both forms accepts both, and asks for neither. */
export function formsToSend(mode: ChecksumMode, learned: LearnedForms): readonly ChecksumForm[] {
  if (mode !== "auto") return [mode];
  const wanted = new Set<ChecksumForm>();
  for (const forms of learned.values()) {
    if (forms.size === 1) for (const form of forms) wanted.add(form);
  }
  return wanted.size === 0
    ? ["message-only"]
    : (["message-only", "pseudo-header"] as const).filter((form) => wanted.has(form));
}

/**
 * Notes the form of an accepted advertisement; the same object when nothing is new. `keep` is not forgotten whoever
 * else is heard: strangers with many addresses must not talk the current Active's form away.
 */
export function learnForm(
  learned: LearnedForms,
  source: string,
  form: ChecksumForm,
  keep: string | null = null,
): LearnedForms {
  const known = learned.get(source);
  if (known?.has(form)) return learned;
  const next = new Map(learned);
  next.delete(source);
  next.set(source, new Set([...(known ?? []), form]));
  for (const oldest of next.keys()) {
    if (next.size <= SENDERS_MAX) break;
    if (oldest !== keep && oldest !== source) next.delete(oldest);
  }
  return next;
}

/** Somebody was heard again, with a form that is known: the last to be forgotten now. */
export function refreshForm(learned: LearnedForms, source: string): LearnedForms {
  const known = learned.get(source);
  if (!known || [...learned.keys()].at(-1) === source) return learned;
  const next = new Map(learned);
  next.delete(source);
  return next.set(source, known);
}
