/**
 * firsthop beside keepalived and FRR on one LAN: each as Active and as Backup, for every version and family they
 * share, with a host's packets counted at the upstream.
 */
import { describe, expect } from "vitest";
import {
  eventually,
  measureFailover,
  netnsTest,
  reach,
  type SpeakerKind,
  type SpeakerOptions,
  startPair,
  startTraffic,
  withLab,
} from "../netns/testbed/index.js";

interface Meeting {
  readonly title: string;
  readonly peer: SpeakerKind;
  readonly options: Omit<SpeakerOptions, "priority">;
}

const MEETINGS: readonly Meeting[] = [
  { title: "keepalived, v2", peer: "keepalived", options: { version: 2, intervalMs: 1000 } },
  {
    title: "keepalived, v2 with a password",
    peer: "keepalived",
    options: { version: 2, intervalMs: 1000, password: "lab-pass" },
  },
  { title: "keepalived, v3 for IPv4", peer: "keepalived", options: { intervalMs: 100 } },
  { title: "keepalived, v3 for IPv6", peer: "keepalived", options: { intervalMs: 100, family: "ipv6" } },
  { title: "FRR, v2", peer: "frr", options: { version: 2, intervalMs: 1000 } },
  { title: "FRR, v3 for IPv4", peer: "frr", options: { intervalMs: 100 } },
  { title: "FRR, v3 for IPv6", peer: "frr", options: { intervalMs: 100, family: "ipv6" } },
];

/** What may pass between the Active_Down_Interval and the first packet. FRR rounds skew away and fires early. */
const EARLY_US: Readonly<Record<SpeakerKind, number>> = { firsthop: 500, keepalived: 1_000, frr: 65_000 };
const LATE_US = 100_000;

describe.each(MEETINGS)("$title", ({ peer, options }) => {
  for (const kinds of [
    ["firsthop", peer],
    [peer, "firsthop"],
  ] as const) {
    netnsTest(
      `${kinds[0]} is Active, ${kinds[1]} stands by: failover, come-back, graceful leave`,
      [peer],
      async () => {
        await withLab({ routers: 2 }, async (lab) => {
          const pair = await startPair(lab, kinds, options);
          const peerStandsBy = kinds[1] !== "firsthop";
          if (peerStandsBy && options.version !== 2 && options.family !== "ipv6") {
            // It can't read RFC 9568's checksum and claims once; from then on it is spoken to in its own form.
            const learned = (): boolean => pair.active.log().includes("checksum-form");
            await eventually("the peer's checksum is learned", 5_000, learned, pair.active.log);
            await reach(pair.backup, "backup", 5_000);
          }
          const traffic = startTraffic(lab, { rate: 1000, family: options.family ?? "ipv4" });
          // A peer's Backup forwards what a switch floods when a port loses its carrier; so the cut is a silent one.
          const kind = peerStandsBy ? "silent" : "line";
          const failover = await measureFailover({ lab, ...pair, traffic, kind });
          expect(failover.advertOverDownIntervalUs).toBeGreaterThan(-EARLY_US[kinds[1]]);
          // Packets are for firsthop to keep back: a peer's Backup also forwards what the switch sends it by mistake.
          if (kinds[1] === "firsthop")
            expect(failover.overDownIntervalUs).toBeGreaterThan(-EARLY_US.firsthop);
          expect(failover.overDownIntervalUs).toBeLessThan(LATE_US);
          await pair.active.stop();
          await reach(pair.backup, "active", 15_000);
          const carried = traffic.carriedBy(pair.backup.router.upstreamMac);
          await eventually("packets come through the successor", 5_000, () => {
            return traffic.carriedBy(pair.backup.router.upstreamMac) > carried;
          });
          await traffic.stop();
          traffic.verify();
          await pair.backup.stop();
        });
      },
      90_000,
    );
  }
});
