/**
 * BFD with FRR's bfdd and BIRD, 50 ms x 3: sessions that we open and sessions that they open, what each side says
 * after a cut, and what AdminDown means.
 */
import { describe, expect, it } from "vitest";
import { type LabDaemon, startDaemon } from "../../src/lab/daemon.js";
import { eventually, LAB_ADDRESSES, type Lab, netnsTest, withLab } from "../netns/testbed/index.js";
import {
  type BfdPeerKind,
  type BfdPeerOptions,
  captureBfd,
  controlsOf,
  downAfterUs,
  PEER_INSTALLED,
  startBfdPeer,
} from "./bfd-peers.js";

const INTERVAL_MS = 50;
const MULTIPLIER = 3;
const DETECTION_US = INTERVAL_MS * MULTIPLIER * 1000;
/** What the machine may add on both sides. */
const LATE_US = 30_000;
const UP_BOUND_MS = 10_000;

type Family = "ipv4" | "ipv6";
/** We open the session for a tracker, or answer as the Active router. */
type Opener = "firsthop" | "peer";

async function startOurs(
  lab: Lab,
  family: Family,
  opener: Opener,
  authentication?: BfdPeerOptions["authentication"],
): Promise<LabDaemon> {
  const [us, them] = lab.routers as [Lab["routers"][0], Lab["routers"][0]];
  const bfd = {
    interval: `${INTERVAL_MS}ms`,
    multiplier: MULTIPLIER,
    ...(authentication ? { authentication } : {}),
  };
  const remote = family === "ipv4" ? them.addresses.ipv4 : them.linkLocal;
  const tracker = { name: "peer", bfd: remote, interface: "lan0", ...bfd, weight: -50 };
  const config = {
    virtualRouters: [
      {
        interface: "lan0",
        vrid: 10,
        addresses: LAB_ADDRESSES[family].virtual,
        advertisementInterval: "100ms",
        ...(opener === "peer" ? { bfd } : { track: ["peer"] }),
      },
    ],
    ...(opener === "firsthop" ? { trackers: [tracker] } : {}),
    log: { format: "json" },
  };
  const daemon = await startDaemon(lab, us, JSON.stringify(config));
  await daemon.reach("active", UP_BOUND_MS);
  return daemon;
}

const sessionOf = async (daemon: LabDaemon) => (await daemon.status()).bfdSessions[0];

interface Meeting {
  readonly lab: Lab;
  readonly ours: LabDaemon;
  readonly theirs: Awaited<ReturnType<typeof startBfdPeer>>;
}

/** Both sides are up. */
async function meet(
  kind: BfdPeerKind,
  family: Family,
  opener: Opener,
  use: (meeting: Meeting) => Promise<void>,
  authentication?: BfdPeerOptions["authentication"],
): Promise<void> {
  await withLab({ routers: 2 }, async (lab) => {
    const [us, them] = lab.routers as [Lab["routers"][0], Lab["routers"][0]];
    const addressOf = (router: typeof us): string =>
      family === "ipv4" ? router.addresses.ipv4 : router.linkLocal;
    const ours = await startOurs(lab, family, opener, authentication);
    const theirs = await startBfdPeer(kind, lab, them, {
      intervalMs: INTERVAL_MS,
      multiplier: MULTIPLIER,
      remote: addressOf(us),
      local: addressOf(them),
      // A passive BIRD is silent when its session is down: what it says would not be seen.
      passive: opener === "firsthop" && kind !== "bird",
      ...(authentication ? { authentication } : {}),
    });
    try {
      await eventually(
        "both sides are up at the agreed pace",
        UP_BOUND_MS,
        async () => {
          const session = await sessionOf(ours);
          return (
            (await theirs.state()) === "up" &&
            session?.state === "up" &&
            session.detectionTimeMs === DETECTION_US / 1000
          );
        },
        () => `${theirs.log().slice(-500)} ${ours.process.output().slice(-500)}`,
      );
      await use({ lab, ours, theirs });
    } finally {
      theirs.kill();
      await ours.stop();
    }
  });
}

function peerTest(kind: BfdPeerKind, name: string, run: () => Promise<void>): void {
  if (PEER_INSTALLED[kind]()) {
    netnsTest(name, [], run, 60_000);
    return;
  }
  it(name, (context) => {
    if (process.env.FIRSTHOP_REQUIRE_PEERS === "1") throw new Error(`required, but ${kind} is not installed`);
    console.warn(`skipped: ${name}: ${kind} is not installed`);
    context.skip(`${kind} is not installed`);
  });
}

const PEERS = [
  ["FRR's bfdd", "frr"],
  ["BIRD", "bird"],
] as const;

describe.each(PEERS)("%s", (_name, kind) => {
  for (const [opener, family] of [
    ["firsthop", "ipv4"],
    ["peer", "ipv4"],
    ["peer", "ipv6"],
  ] as const) {
    const title =
      opener === "firsthop" ? "answers a session of ours" : "opens a session to our Active router";
    peerTest(kind, `${title} over ${family}; after a cut each side says Down in time`, () =>
      meet(kind, family, opener, async ({ lab, ours, theirs }) => {
        const [us, them] = lab.routers as [Lab["routers"][0], Lab["routers"][0]];
        const captures = [captureBfd(us), captureBfd(them)] as const;
        await eventually("packets pass", UP_BOUND_MS, () =>
          captures.every((capture) => controlsOf(capture).length > 20),
        );
        const session = await sessionOf(ours);
        expect(session).toMatchObject({
          role: opener === "peer" ? "passive" : "active",
          transmitIntervalMs: INTERVAL_MS,
        });
        await lab.cut(us, "lan", "silent");
        await eventually("both sides said Down", UP_BOUND_MS, () =>
          captures.every((capture) => downAfterUs(controlsOf(capture)) !== null),
        );
        await eventually("we say so", UP_BOUND_MS, async () => (await sessionOf(ours))?.state === "down");
        await eventually("they say so", UP_BOUND_MS, async () => (await theirs.state()) === "down");
        for (const capture of captures) await capture.stop();
        const [here, there] = captures.map((capture) => downAfterUs(controlsOf(capture)) as number);
        console.log(
          `${kind}, ${opener} opens, ${family}: Down after the last packet: firsthop ${((here as number) / 1000).toFixed(1)} ms, ` +
            `${kind} ${((there as number) / 1000).toFixed(1)} ms (detection time ${DETECTION_US / 1000} ms)`,
        );
        for (const afterUs of [here, there]) {
          expect(afterUs).toBeGreaterThan(DETECTION_US - 2_000);
          expect(afterUs).toBeLessThan(DETECTION_US + LATE_US);
        }
        // Our packets: a port that stays, jitter downwards only (RFC 5880 section 6.8.7).
        const sent = controlsOf(captures[0]).filter((one) => one.outgoing && one.state === "up");
        expect(new Set(sent.map((one) => one.sourcePort)).size).toBe(1);
        expect(sent[0]?.sourcePort).toBeGreaterThanOrEqual(49_152);
        const gaps = sent.slice(1).map((one, index) => one.atUs - (sent[index]?.atUs ?? 0));
        const middle = [...gaps].sort((a, b) => a - b)[gaps.length >> 1] as number;
        expect(middle).toBeGreaterThan(0.75 * INTERVAL_MS * 1000);
        expect(middle).toBeLessThan(INTERVAL_MS * 1000);
      }),
    );
  }

  // BIRD just ends a session that is disabled.
  if (kind === "frr")
    peerTest(kind, "takes its session down on purpose: no failure, and it comes back", () =>
      meet(kind, "ipv4", "firsthop", async ({ ours, theirs }) => {
        await theirs.shutdown(true);
        await eventually("we know", UP_BOUND_MS, async () => (await sessionOf(ours))?.state !== "up");
        expect((await ours.status()).tracks).toMatchObject([{ name: "peer", state: "up" }]);
        expect((await ours.virtualRouter())?.priority).toBe(100);
        await theirs.shutdown(false);
        await eventually("it is up again", UP_BOUND_MS, async () => (await sessionOf(ours))?.state === "up");
      }),
    );

  peerTest(kind, "falls silent: a tracker's weight counts", () =>
    meet(kind, "ipv4", "firsthop", async ({ ours, theirs }) => {
      theirs.kill();
      await eventually(
        "the priority is lower",
        UP_BOUND_MS,
        async () => (await ours.virtualRouter())?.priority === 50,
      );
      const [track] = (await ours.status()).tracks;
      expect(track).toMatchObject({
        state: "down",
        evidence: expect.stringContaining("BFD heard nothing from"),
      });
    }),
  );
});

describe("BIRD, authenticated", () => {
  for (const [type, opener, family] of [
    ["simple", "firsthop", "ipv4"],
    ["keyed-md5", "peer", "ipv4"],
    ["meticulous-keyed-md5", "firsthop", "ipv4"],
    ["keyed-sha1", "firsthop", "ipv4"],
    ["meticulous-keyed-sha1", "firsthop", "ipv4"],
    ["meticulous-keyed-sha1", "peer", "ipv6"],
  ] as const) {
    const authentication = { type, keyId: 7, key: "a secret" };
    peerTest(
      "bird",
      `${type}, opened by ${opener} over ${family}: up, stays up without JavaScript, down in time`,
      () =>
        meet(
          "bird",
          family,
          opener,
          async ({ lab, ours }) => {
            const [us] = lab.routers as [Lab["routers"][0]];
            const capture = captureBfd(us);
            const before = await ours.status();
            const from = before.bfdSessions[0];
            await eventually("packets pass", UP_BOUND_MS, () => controlsOf(capture).length > 120);
            const after = await ours.status();
            const to = after.bfdSessions[0];
            expect(to).toMatchObject({ state: "up", authentication: type });
            expect(to?.statistics).toMatchObject({ sessionUp: 1, sessionDown: 0 });
            expect((to?.statistics.packetsRcvd ?? 0) - (from?.statistics.packetsRcvd ?? 0)).toBeGreaterThan(
              40,
            );
            // What the engine knows by itself never reaches JavaScript.
            const delivered = (status: typeof before) => status.interfaces[0]?.counters?.delivered ?? 0;
            expect(delivered(after) - delivered(before)).toBeLessThan(5);
            expect(after.bfdRejected).toEqual({});
            const sent = controlsOf(capture).filter((one) => one.outgoing);
            if (type === "simple") expect(sent.every((one) => one.sequence === null)).toBe(true);
            else
              sent.slice(1).forEach((one, index) => {
                expect(((one.sequence ?? 0) - (sent[index]?.sequence ?? 0)) >>> 0).toBe(1);
              });
            await lab.cut(us, "lan", "silent");
            await eventually("we say Down", UP_BOUND_MS, () => downAfterUs(controlsOf(capture)) !== null);
            await capture.stop();
            const afterUs = downAfterUs(controlsOf(capture)) as number;
            expect(afterUs).toBeLessThan(DETECTION_US + LATE_US);
            await lab.restore(us, "lan", "silent");
            await eventually(
              "both are up again",
              UP_BOUND_MS,
              async () => (await sessionOf(ours))?.state === "up",
            );
          },
          authentication,
        ),
    );
  }

  peerTest("bird", "another key, or none: the session stays down, and the packets are counted", () =>
    withLab({ routers: 2 }, async (lab) => {
      const [us, them] = lab.routers as [Lab["routers"][0], Lab["routers"][0]];
      const authentication = { type: "meticulous-keyed-sha1", keyId: 7, key: "a secret" } as const;
      const ours = await startOurs(lab, "ipv4", "firsthop", authentication);
      const theirs = await startBfdPeer("bird", lab, them, {
        intervalMs: INTERVAL_MS,
        multiplier: MULTIPLIER,
        remote: us.addresses.ipv4,
        local: them.addresses.ipv4,
        passive: false,
        authentication: { ...authentication, key: "another" },
      });
      try {
        await eventually(
          "packets were rejected",
          UP_BOUND_MS,
          async () => ((await ours.status()).bfdRejected["auth-failure"] ?? 0) >= 3,
        );
        expect(await sessionOf(ours)).toMatchObject({ state: "down" });
        expect(await theirs.state()).not.toBe("up");
      } finally {
        theirs.kill();
        await ours.stop();
      }
    }),
  );
});
