import { describe, expect, it } from "vitest";
import type { LearnedForms } from "../../../../src/core/vrrp/checksum-policy.js";
import { formsToSend, learnForm, refreshForm } from "../../../../src/core/vrrp/checksum-policy.js";

const PEER = "192.0.2.2";

/** Strangers by the dozen, each with the other form. */
function forged(learned: LearnedForms, keep: string | null, count = 40): LearnedForms {
  let after = learned;
  for (let host = 0; host < count; host++) {
    after = learnForm(after, `198.51.100.${host}`, "message-only", keep);
  }
  return after;
}

describe("learned checksum forms", () => {
  const known = learnForm(new Map(), PEER, "pseudo-header");

  it("forget who was not heard for the longest time", () => {
    const crowded = forged(known, null);
    expect(crowded.size).toBe(16);
    expect(crowded.has(PEER)).toBe(false);
  });

  it("do not forget the current Active, whoever else is heard", () => {
    const crowded = forged(known, PEER);
    expect(crowded.size).toBe(16);
    expect(formsToSend("auto", crowded)).toContain("pseudo-header");
  });

  it("keep who is heard again and again", () => {
    const some = forged(known, null, 15);
    const refreshed = refreshForm(some, PEER);
    expect(learnForm(refreshed, "203.0.113.1", "message-only").has(PEER)).toBe(true);
    expect(learnForm(some, "203.0.113.1", "message-only").has(PEER)).toBe(false);
    expect(refreshForm(refreshed, PEER)).toBe(refreshed);
  });
});
