/**
 * Backup advertisements in a group with routers that do not know them: neither state nor log of those tells of them,
 * whether they are Active or Backup.
 */
import { describe, expect } from "vitest";
import {
  captureLan,
  netnsTest,
  pause,
  reach,
  readAdverts,
  type SpeakerKind,
  START,
  withLab,
} from "../netns/testbed/index.js";

const BOUND_MS = 15_000;
const INTERVAL_MS = 100;
const WATCHED_MS = 4_000;
/** One for each packet would be 40 for each Backup. */
const LINES_MAX = 5;
const SHOWING = { bfd: { interval: "50ms", backupAdvertisements: true } };

/** Without those about its announcements, which keepalived repeats five seconds later. */
const linesOf = (log: string): string[] => log.split("\n").filter((line) => !/gratuitous ARP/.test(line));

describe.each(["keepalived", "frr"] as const)("backup advertisements beside %s", (kind: SpeakerKind) => {
  for (const [role, priority] of [
    ["active", 200],
    ["backup", 50],
  ] as const) {
    netnsTest(
      `as ${role}: it stays what it is and does not complain`,
      [kind],
      async () => {
        await withLab({ routers: 3 }, async (lab) => {
          const [one, two, three] = lab.routers as [
            (typeof lab.routers)[0],
            (typeof lab.routers)[0],
            (typeof lab.routers)[0],
          ];
          const common = { intervalMs: INTERVAL_MS };
          const peer = await START[kind](lab, one, { ...common, priority });
          const first = await START.firsthop(lab, two, { ...common, priority: 150, more: SHOWING });
          const second = await START.firsthop(lab, three, { ...common, priority: 100, more: SHOWING });
          const settled = async (): Promise<void> => {
            await reach(peer, role, BOUND_MS);
            await reach(first, role === "active" ? "backup" : "active", BOUND_MS);
            await reach(second, "backup", BOUND_MS);
          };
          await settled();
          await settled();
          const capture = captureLan(lab);
          const before = linesOf(peer.log()).length;
          await pause(WATCHED_MS);
          const said = linesOf(peer.log()).slice(before - 1);
          await capture.stop();
          const shown = readAdverts(capture.frames()).filter((advert) => advert.type === 2);
          expect(shown.length).toBeGreaterThan((WATCHED_MS / INTERVAL_MS) * 0.5);
          expect(said.length, said.slice(0, 3).join(" | ")).toBeLessThan(LINES_MAX);
          await settled();
          for (const speaker of [second, first, peer]) await speaker.stop();
        });
      },
      90_000,
    );
  }
});
