/** Lease tables of a test's own, and frames run through the programs that look into them (BPF_PROG_TEST_RUN). */
import { afterAll, beforeEach, expect } from "vitest";
import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import type { NativeOwnership, OwnershipGroup } from "../../src/native/ownership.js";
import { loadNative } from "../../src/native.js";

/** Whether this machine lets a test load programs; says so where it does not. */
export function canLoadPrograms(): boolean {
  const possible = process.platform === "linux" && process.getuid?.() === 0;
  if (!possible) console.warn("skipped: BPF programs need Linux and root");
  return possible;
}

export const V4 = virtualMac("ipv4", 10);
export const V6 = virtualMac("ipv6", 10);
export const OVERDUE_US = 15_000;
/** What is there before each test, by slot. */
export const GROUPS: Readonly<Record<number, OwnershipGroup>> = {
  1: { ifindex: 1, mac: V4, addresses: ["192.0.2.1", "192.0.2.2"], overdueUs: OVERDUE_US, limitUs: 0 },
  2: { ifindex: 1, mac: V6, addresses: ["fe80::1", "2001:db8::1"], overdueUs: OVERDUE_US, limitUs: 0 },
};
export const NOTHING = { owned: 0, notOwned: 0, unanswered: 0, keptIn: 0 };

const PASS = { xdp: 2, ingress: -1, egress: -1 } as const;
const DROP = { xdp: 1, ingress: 2, egress: 2 } as const;
export const WAYS_IN = ["xdp", "ingress"] as const;
export type WayIn = (typeof WAYS_IN)[number];

type Run = NonNullable<Parameters<NativeOwnership["testRun"]>[2]>;

/** To be called in a `describe`. */
export function openTables() {
  const { openOwnership, trafficNowUs } = loadNative();
  const tables = openOwnership({ token: 1 });
  afterAll(() => tables.close());
  beforeEach(() => {
    for (const { slot } of tables.groups()) tables.removeGroup(slot);
    for (const [slot, group] of Object.entries(GROUPS)) tables.setGroup(Number(slot), group);
  });
  return {
    tables,
    /** Runs the frame through; fails when it was changed. */
    verdict(program: keyof typeof PASS, frame: Uint8Array, options: Run = {}): "pass" | "drop" | number {
      const result = tables.testRun(program, frame, options);
      expect(result.frame).toEqual(frame);
      if (result.verdict === PASS[program]) return "pass";
      return result.verdict === DROP[program] ? "drop" : result.verdict;
    },
    counted: (slot: number) => tables.counters(slot),
    /** Opens a lease whose renewal is overdue. */
    overdue: (slot: number): void => tables.setLease(slot, true, trafficNowUs() - OVERDUE_US - 50_000),
    nowUs: trafficNowUs,
  };
}
