/**
 * The two readings of the VRRPv3 checksum over IPv4 meet. keepalived drops RFC 9568's; so a keepalived Backup that joins
 * a firsthop Active takes over once, is heard, and is answered in its own form at once.
 */
import { describe, expect } from "vitest";
import {
  captureLan,
  eventually,
  netnsTest,
  reach,
  readAdverts,
  START,
  startFirsthop,
  withLab,
} from "../netns/testbed/index.js";

const INTERVAL_MS = 100;

describe.each([
  { checksum: "auto", claims: 1 },
  { checksum: "pseudo-header", claims: 0 },
])("checksum: $checksum", ({ checksum, claims }) => {
  netnsTest(
    `a keepalived Backup that joins claims the virtual router ${claims === 0 ? "never" : "once, and steps back at once"}`,
    ["keepalived"],
    async () => {
      await withLab({ routers: 2 }, async (lab) => {
        const [first, second] = lab.routers;
        const common = { intervalMs: INTERVAL_MS };
        const ours = await startFirsthop(lab, first!, { ...common, priority: 150, more: { checksum } });
        await reach(ours, "active", 8_000);
        const capture = captureLan(lab);
        const peer = await START.keepalived(lab, second!, { ...common, priority: 100 });
        await reach(peer, "backup", 8_000);
        const heard = capture.count();
        await eventually("twenty intervals have passed", 10_000, () => capture.count() > heard + 20);
        await capture.stop();
        expect(readAdverts(capture.frames()).filter((advert) => advert.port === "r2")).toHaveLength(claims);
        expect(await ours.state()).toBe("active");
        expect(await peer.state()).toBe("backup");
        await peer.stop();
        await ours.stop();
      });
    },
    60_000,
  );
});
