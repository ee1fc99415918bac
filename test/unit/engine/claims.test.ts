/** What a Backup does about claims that nobody made yet is what the state machine would do about each of them. */
import { describe, expect, it } from "vitest";
import type { Operation } from "../../../src/core/automaton.js";
import {
  type BackupState,
  step,
  VRRP_TIMERS,
  type VrrpSettings,
  type VrrpState,
} from "../../../src/core/vrrp/machine.js";
import { encodeAdvertisementFrame, readVrrpFrame } from "../../../src/core/vrrp/packet.js";
import { Claims, type ClaimsInput } from "../../../src/engine/vrrp/claims.js";
import { SETTINGS } from "./settings.js";

const BACKUP: BackupState = {
  name: "backup",
  activeAdverIntervalUs: 10_000,
  active: { address: "192.0.2.2", priority: 140 },
  preemptHold: "none",
};

function input(settings: Partial<VrrpSettings> = {}, more: Partial<ClaimsInput> = {}): ClaimsInput {
  return {
    settings: { ...SETTINGS, ...settings },
    vrid: 7,
    interfaceMac: "02:00:00:00:00:07",
    authType: 0,
    authData: new Uint8Array(8),
    lanPort: 3,
    unicast: null,
    bfd: null,
    ...more,
  };
}

function known(addresses: readonly string[], intervalUs: number): { frame: Uint8Array; intervalUs: number } {
  const frame = encodeAdvertisementFrame({
    advertisement: {
      version: 3,
      family: "ipv4",
      vrid: 7,
      priority: 140,
      addresses,
      intervalUs,
      authType: 0,
      authData: new Uint8Array(0),
    },
    sourceMac: "02:00:00:00:00:02",
    destinationMac: "01:00:5e:00:00:12",
    source: "192.0.2.2",
    destination: "224.0.0.18",
    checksumForm: "message-only",
  });
  return { frame, intervalUs };
}

/** The one pattern that there is, as far as it matters; null for none. */
function foreseen(from: ClaimsInput, state: VrrpState, heard: Parameters<typeof known>[] = []) {
  return new Claims(
    from,
    heard.map((one) => known(...one)),
  )
    .foresee(state)
    .map((one) => {
      if (one.trigger.on !== "pattern") throw new Error("not a claim");
      const { bytes, guards = [], port } = one.trigger.pattern;
      const read = readVrrpFrame(bytes);
      const priority = guards.find((guard) => guard.guard === "octet");
      return {
        port,
        least: priority?.guard === "octet" ? priority.least : null,
        message: read?.message,
        ip: read?.ip,
        meanwhile: one.meanwhile,
        until: one.until,
      };
    });
}

const STATES: readonly (readonly [string, BackupState])[] = [
  ["that hears an Active", BACKUP],
  ["that heard nobody yet", { ...BACKUP, active: null }],
  ["whose Active released", { ...BACKUP, active: { address: "192.0.2.2", priority: 0 } }],
  ["that tolerates a lower priority", { ...BACKUP, preemptHold: "running" }],
  ["that tolerates it no longer", { ...BACKUP, preemptHold: "over" }],
  ["that waits for its turn", { ...BACKUP, activeFailed: true }],
  ["that would be Active", { ...BACKUP, wants: true }],
];

describe.each(STATES)("a Backup %s", (_, state) => {
  for (const preempt of [true, false])
    for (const priority of [1, 100, 254, 255])
      for (const preemptDelayUs of [0, 50_000])
        it(`of priority ${priority}, ${preempt ? "" : "no "}preemption, delay ${preemptDelayUs}`, () => {
          const from = input({ priority, preempt, preemptDelayUs });
          const [claim, ...more] = foreseen(from, state);
          expect(more).toEqual([]);
          // Where more than the deadline moves, JavaScript alone answers.
          const simple = state.preemptHold !== "running" && !state.wants;
          expect(claim !== undefined).toBe(simple);
          if (!claim) return;
          for (let heard = 0; heard <= 255; heard++) {
            const made = step(from.settings, state, {
              type: "advertisement",
              source: "192.0.2.77",
              priority: heard,
              intervalUs: 10_000,
            });
            const moved = made.effects.flatMap((effect): Operation[] => {
              if (effect.effect === "arm")
                return [{ op: "arm", timer: VRRP_TIMERS.indexOf(effect.timer), afterUs: effect.afterUs }];
              return effect.effect === "cancel"
                ? [{ op: "cancel", timer: VRRP_TIMERS.indexOf(effect.timer) }]
                : [];
            });
            const same = JSON.stringify(moved) === JSON.stringify(claim.meanwhile);
            expect(heard >= (claim.least ?? 0)).toBe(same);
          }
        });
});

it("the failure of who was Active matters no more once somebody else is", () => {
  const watching = input({}, { bfd: { address: "192.0.2.2" } });
  const failed: BackupState = { ...BACKUP, activeFailed: true };
  for (const state of [BACKUP, failed]) {
    const [claim] = foreseen(watching, state);
    expect(claim?.until).toEqual({ ...BACKUP, active: null });
    const ops = claim?.meanwhile.map((operation) => operation.op);
    expect(ops).toEqual(state === failed ? ["cancel", "arm"] : ["arm"]);
  }
  expect(foreseen(watching, { ...BACKUP, active: null })[0]?.until).toBeNull();
  expect(foreseen(input(), BACKUP)[0]?.until).toBeNull();
});

it("whoever forges peers does not multiply what is expected, nor push aside what this router says itself", () => {
  const forged = Array.from(
    { length: 6 },
    (_, index): Parameters<typeof known> => [
      Array.from({ length: index + 2 }, () => "192.0.2.1"),
      10_000 * (index + 2),
    ],
  );
  const claims = foreseen(input(), BACKUP, forged);
  expect(claims.map(({ message }) => [message?.count, message?.interval])).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

it("an Active answers claims of strangers in JavaScript, and who does not run does not at all", () => {
  const active = { name: "active", announced: 4, contest: "none", contenderIntervalUs: 0 } as const;
  for (const state of [active, { name: "initialize", handingOver: true } as const])
    expect(foreseen(input(), state)).toEqual([]);
});

it("claims are expected with the intervals and as many addresses as peers have, each once", () => {
  const two = ["192.0.2.1", "192.0.2.2"];
  const claims = foreseen(input(), BACKUP, [
    [["192.0.2.1"], 10_000],
    [two, 10_000],
    [two, 20_000],
    [two, 20_000],
  ]);
  expect(claims.map(({ message }) => [message?.count, message?.interval])).toEqual([
    [1, 1],
    [2, 1],
    [2, 2],
  ]);
  const [own, , slow] = claims;
  expect(own?.meanwhile).toMatchObject([{ op: "arm", afterUs: 30_000 + Math.round((156 * 10_000) / 256) }]);
  expect(slow?.meanwhile).toMatchObject([{ op: "arm", afterUs: 60_000 + Math.round((156 * 20_000) / 256) }]);
});

it("version 2 learns no interval, so it expects its own only", () => {
  const v2 = input({ version: 2, intervalUs: 1_000_000 });
  const claims = foreseen(v2, BACKUP, [[["192.0.2.1", "192.0.2.2"], 3_000_000]]);
  expect(claims.map(({ message }) => [message?.version, message?.count, message?.interval])).toEqual([
    [2, 1, 1],
    [2, 2, 1],
  ]);
});

it("with unicast peers, a claim is one of theirs, to this router", () => {
  const claims = foreseen(input({}, { unicast: { peers: ["192.0.2.2", "192.0.2.3"] } }), BACKUP);
  expect(claims.map(({ ip }) => [ip?.source, ip?.destination].map((one) => one?.join(".")))).toEqual([
    ["192.0.2.2", "192.0.2.10"],
    ["192.0.2.3", "192.0.2.10"],
  ]);
});
