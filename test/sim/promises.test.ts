/** What firsthop promises, one by one, on a LAN where nothing else goes wrong. Production code, virtual time. */
import { describe, expect, it } from "vitest";
import type { FramePattern } from "../../src/core/automaton.js";
import { readVrrpFrame } from "../../src/core/vrrp/packet.js";
import type { Random, SentPacket, SimulatedHost } from "../../src/driver/simulated/index.js";
import { fits, reseal } from "../unit/core/frames.js";
import { Lan, type LanRouter } from "./lan.js";
import { type Group, type Member, PREFIX_OF, routerAddress, type Scenario } from "./scenario.js";

type MemberInput = Partial<Omit<Member, "group">>;

function scenario(
  members: readonly MemberInput[],
  group: Partial<Group> = {},
  controlTimeoutMs = 5_000,
  ownership: "auto" | "off" = "auto",
): Scenario {
  const whole: Group = {
    vrid: 10,
    family: "ipv4",
    version: 3,
    addresses: [group.family === "ipv6" ? "fe80::1" : "192.0.2.1"],
    virtualMac: true,
    accept: true,
    unicast: false,
    password: null,
    ...group,
  };
  const { family } = whole;
  return {
    groups: [whole],
    faultKinds: [],
    faults: 0,
    faultyForUs: 0,
    routers: members.map((member, index) => ({
      name: `r${index + 1}`,
      controlTimeoutMs,
      ownership,
      addresses: [`${routerAddress(family, index)}/${PREFIX_OF[family]}`].concat(
        member.priority === 255 ? whole.addresses.map((one) => `${one}/${PREFIX_OF[family]}`) : [],
      ),
      members: [
        {
          group: whole,
          priority: 100,
          intervalMs: 100,
          preempt: true,
          preemptDelayMs: 0,
          checksum: "auto",
          ...member,
        },
      ],
    })),
  };
}

interface Stage {
  readonly lan: Lan;
  readonly group: Group;
  readonly r1: LanRouter;
  readonly r2: LanRouter;
  readonly host: SimulatedHost;
  /** Advertisements by sender: when, and with which priority. */
  readonly spoken: { readonly by: string; readonly atUs: number; readonly priority: number }[];
  state(router: LanRouter): string | undefined;
  /** Packets that did not meet exactly one router, of those sent since `sinceUs`. */
  wrong(sinceUs: number): SentPacket[];
  changes(router: LanRouter, sinceUs?: number): string[];
}

/** All routers run and have settled; the host has sent for a second. */
async function stage(what: Scenario, startSecond = true): Promise<Stage> {
  const lan = new Lan(1, () => what);
  const [r1, r2] = lan.routers as [LanRouter, LanRouter];
  const [{ group, host }] = lan.hosts as [{ group: Group; host: SimulatedHost }];
  const spoken: Stage["spoken"] = [];
  lan.world.observe((happening) => {
    if (happening.type !== "frame") return;
    const message = readVrrpFrame(happening.frame)?.message;
    if (message) spoken.push({ by: happening.station, atUs: happening.atUs, priority: message.priority });
  });
  for (const router of lan.routers) if (startSecond || router !== r2) router.start();
  await lan.world.runFor(5_000_000);
  host.start();
  await lan.world.runFor(1_000_000);
  return {
    lan,
    group,
    r1,
    r2,
    host,
    spoken,
    state: (router) => router.status(group)?.state,
    wrong: (sinceUs) =>
      host.packets.filter(
        (one) => one.atUs >= sinceUs && one.atUs < lan.world.nowUs - 5_000 && one.forwardedBy.length !== 1,
      ),
    changes: (router, sinceUs = 0) =>
      router.events.flatMap(({ atUs, event }) =>
        event.type === "stateChange" && atUs >= sinceUs ? [`${event.from} -> ${event.to}`] : [],
      ),
  };
}

const PAIR: readonly MemberInput[] = [{ priority: 200 }, { priority: 100 }];
const SKEW_US = (156 * 100_000) / 256;

describe.each(["ipv4", "ipv6"] as const)("a pair over %s", (family) => {
  it("a cut line: the Backup takes over after three intervals and its skew time, not earlier, not later", async () => {
    const { lan, r1, r2, spoken, state } = await stage(scenario(PAIR, { family }));
    const cable = r1.machine.cable("eth0");
    if (cable) cable.carrier = false;
    const cutUs = lan.world.nowUs;
    await lan.world.runFor(1_000_000);
    const lastUs = spoken.filter(({ by, atUs }) => by === "r1" && atUs < cutUs).at(-1)?.atUs ?? 0;
    const firstUs = spoken.find(({ by, atUs }) => by === "r2" && atUs > cutUs)?.atUs ?? 0;
    expect(firstUs - lastUs - 300_000 - SKEW_US).toBeGreaterThan(0);
    expect(firstUs - lastUs - 300_000 - SKEW_US).toBeLessThan(600);
    expect([state(r1), state(r2)]).toEqual(["fault", "active"]);
  });

  it("a graceful stop and a come-back with preemption lose no packet and double none", async () => {
    const { lan, r1, r2, spoken, state, wrong } = await stage(scenario(PAIR, { family }));
    const beginUs = lan.world.nowUs;
    r1.close();
    await lan.world.runFor(1_000_000);
    const released = spoken.find(({ priority }) => priority === 0)?.atUs ?? 0;
    const taken = spoken.find(({ by, atUs }) => by === "r2" && atUs > released)?.atUs ?? 0;
    expect(taken - released).toBeGreaterThan(SKEW_US);
    expect(taken - released).toBeLessThan(SKEW_US + 600);
    r1.start();
    await lan.world.runFor(3_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
    expect(wrong(beginUs)).toEqual([]);
  });

  it.each([
    ["and no longer, with the kernel's filter", "auto", [false, true]],
    ["and beyond, without it", "off", [true, true]],
  ] as const)(
    "a killed daemon goes on forwarding until the other one does, %s",
    async (_, how, forwarding) => {
      const { lan, r1, r2, group, wrong } = await stage(scenario(PAIR, { family }, 5_000, how));
      const beginUs = lan.world.nowUs;
      r1.kill();
      await lan.world.runFor(1_000_000);
      expect([r1.forwards(group), r2.forwards(group)]).toEqual(forwarding);
      r1.start();
      await lan.world.runFor(100_000);
      expect(r1.forwards(group)).toBe(false);
      expect(r1.events.map(({ event }) => event.type === "info" && event.code)).toContain("recovered");
      await lan.world.runFor(2_000_000);
      expect([r1.forwards(group), r2.forwards(group)]).toEqual([true, false]);
      expect(wrong(beginUs)).toEqual([]);
    },
  );

  it("blocked JavaScript: an Active misses no advertisement, a Backup takes over on time", async () => {
    const fast = PAIR.map((one) => ({ ...one, intervalMs: 10 }));
    const { lan, r1, r2, spoken, group } = await stage(scenario(fast, { family }));
    const beginUs = lan.world.nowUs;
    r1.machine.pauseJavaScript();
    r2.machine.pauseJavaScript();
    await lan.world.runFor(2_000_000);
    expect(spoken.filter(({ by, atUs }) => by === "r1" && atUs > beginUs)).toHaveLength(200);
    expect(spoken.filter(({ by, atUs }) => by === "r2" && atUs > beginUs)).toEqual([]);
    const cable = r1.machine.cable("eth0");
    if (cable) cable.carrier = false;
    await lan.world.runFor(37_000);
    expect(r2.forwards(group)).toBe(true);
  });

  it("JavaScript blocked for longer than controlTimeout: resigns, and comes back by itself", async () => {
    const { lan, r1, r2, spoken, state, changes } = await stage(scenario(PAIR, { family }, 500));
    const beginUs = lan.world.nowUs;
    r1.machine.pauseJavaScript();
    await lan.world.runFor(1_000_000);
    expect(spoken.find(({ by, atUs }) => by === "r1" && atUs > beginUs + 500_000 - 70_000)).toBeDefined();
    expect(spoken.filter(({ by, priority }) => by === "r1" && priority === 0)).toHaveLength(1);
    expect(state(r2)).toBe("active");
    r1.machine.resumeJavaScript();
    await lan.world.runFor(1_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
    expect(changes(r1, beginUs)).toEqual(["active -> fault", "fault -> backup", "backup -> active"]);
  });

  it("after a short time with two Actives, hosts on both sides meet the survivor again at once", async () => {
    const { lan, r1, r2, state, wrong } = await stage(scenario(PAIR, { family }));
    const [one, two] = lan.hosts.map(({ host }) => host) as [SimulatedHost, SimulatedHost];
    two.start();
    const [a, b] = [r1.machine.cable("eth0"), r2.machine.cable("eth0")];
    if (!a || !b) throw new Error("a cable is missing");
    lan.segment.partition([
      [a, one.cable],
      [b, two.cable],
    ]);
    await lan.world.runFor(2_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "active"]);
    lan.segment.heal();
    await lan.world.runFor(150_000);
    const sinceUs = lan.world.nowUs;
    await lan.world.runFor(2_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
    expect(wrong(sinceUs)).toEqual([]);
    expect(two.packets.filter(({ atUs, forwardedBy }) => atUs > sinceUs && forwardedBy[0] === "r2")).toEqual(
      [],
    );
  });

  it("a machine that stood still doubles no packet for longer than it takes to hear the successor", async () => {
    const { lan, r1, r2, state, wrong, changes } = await stage(scenario(PAIR, { family }));
    r1.machine.freeze();
    await lan.world.runFor(3_000_000);
    expect(state(r2)).toBe("active");
    const thawedUs = lan.world.nowUs;
    r1.machine.thaw();
    await lan.world.runFor(2_000_000);
    // The kernel gave way meanwhile; the router comes back as any other that preempts.
    expect(changes(r1, thawedUs)).toEqual(["active -> backup", "backup -> active"]);
    expect(changes(r2, thawedUs)).toEqual(["active -> backup"]);
    expect(wrong(thawedUs).filter(({ forwardedBy }) => forwardedBy.length > 1)).toEqual([]);
  });

  it("a kernel that refuses to open: the router resigns, the other one takes over, and later it is well again", async () => {
    const { lan, r1, r2, group, state } = await stage(scenario(PAIR, { family }), false);
    r2.start();
    await lan.world.runFor(1_000_000);
    r2.machine.failStep = (step) => (step.step === "send" ? null : "EBUSY");
    const cable = r1.machine.cable("eth0");
    if (cable) cable.carrier = false;
    await lan.world.runFor(500_000);
    expect([state(r2), r2.forwards(group)]).toEqual(["fault", false]);
    r2.machine.failStep = null;
    await lan.world.runFor(4_000_000);
    expect([state(r2), r2.forwards(group)]).toEqual(["active", true]);
  });
});

it("a kernel that refuses to close where there is no filter is asked again at once, and ever less often", async () => {
  const members = [{ priority: 100 }, { priority: 200 }];
  const { lan, r1, r2, group, state } = await stage(scenario(members, {}, 5_000, "off"), false);
  r1.start();
  await lan.world.runFor(1_000_000);
  expect([state(r1), r1.forwards(group)]).toEqual(["active", true]);
  let refusals = 0;
  r1.machine.failStep = (step) => {
    if (step.step === "send") return null;
    refusals++;
    return "EBUSY";
  };
  r1.machine.refusePrepare = "EBUSY";
  r2.start();
  for (let waitedMs = 0; refusals === 0 && waitedMs < 5_000; waitedMs++) await lan.world.runFor(1_000);
  expect([state(r1), r1.forwards(group), refusals]).toEqual(["fault", true, expect.any(Number)]);
  r1.machine.failStep = null;
  // Refused once more, then granted: 10 ms and 20 ms.
  await lan.world.runFor(15_000);
  expect(r1.forwards(group)).toBe(true);
  r1.machine.refusePrepare = null;
  await lan.world.runFor(40_000);
  expect(r1.forwards(group)).toBe(false);
  await lan.world.runFor(1_000_000);
  expect([state(r1), r1.forwards(group)]).toEqual(["backup", false]);
  expect([state(r2), r2.forwards(group)]).toEqual(["active", true]);
});

describe.each([
  ["without virtual MAC", { virtualMac: false }],
  ["with unicast advertisements", { unicast: true }],
] as const)("a pair %s", (_, group) => {
  it.each(["ipv4", "ipv6"] as const)(
    "heals hosts although the winner never heard the loser, over %s",
    async (family) => {
      const { lan, r1, r2, state, wrong } = await stage(scenario(PAIR, { family, ...group }));
      for (const { host } of lan.hosts) host.start();
      const [a, b] = [r1.machine.cable("eth0"), r2.machine.cable("eth0")];
      if (!a || !b) throw new Error("a cable is missing");
      lan.segment.block(a, b);
      lan.segment.block(b, a);
      await lan.world.runFor(8_000_000);
      expect([state(r1), state(r2)]).toEqual(["active", "active"]);
      // The loser hears first, just before it would have spoken itself.
      lan.segment.heal();
      await lan.world.runFor(150_000);
      const sinceUs = lan.world.nowUs;
      await lan.world.runFor(2_000_000);
      expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
      expect(wrong(sinceUs)).toEqual([]);
      const meet = lan.hosts.flatMap(({ host }) => host.packets.filter(({ atUs }) => atUs > sinceUs));
      expect(new Set(meet.flatMap(({ forwardedBy }) => forwardedBy))).toEqual(new Set(["r1"]));
    },
  );
});

describe("a process that stood still", () => {
  it("goes on where its interface went down and came back meanwhile", async () => {
    const { lan, r2, state } = await stage(scenario(PAIR));
    r2.machine.stop();
    r2.machine.setUp("eth0", false);
    await lan.world.runFor(1_000_000);
    r2.machine.setUp("eth0", true);
    r2.machine.continue();
    await lan.world.runFor(2_000_000);
    expect(state(r2)).toBe("backup");
  });
});

describe("an interface that vanishes", () => {
  it("and returns soon is used again, and no attempt from before disturbs it later", async () => {
    const { lan, r1, group, state, changes } = await stage(scenario(PAIR));
    for (const refusal of ["out of memory", null]) {
      r1.machine.refusePrepare = refusal;
      r1.machine.removeInterface("eth0");
      await lan.world.runFor(50_000);
      r1.machine.returnInterface("eth0");
      await lan.world.runFor(50_000);
    }
    await lan.world.runFor(1_000_000);
    expect([state(r1), r1.forwards(group)]).toEqual(["active", true]);
    const sinceUs = lan.world.nowUs;
    for (let step = 0; step < 400; step++) {
      await lan.world.runFor(10_000);
      expect(r1.forwards(group)).toBe(true);
    }
    expect(changes(r1, sinceUs)).toEqual([]);
  });
});

describe("too few descriptors for the sockets of an interface", () => {
  it.each([false, true])("are a fault that ends by itself, unicast %s", async (unicast) => {
    const { lan, r1, r2, group, state, changes } = await stage(
      scenario([{ priority: 200 }, { priority: 100 }], { unicast }),
    );
    r1.machine.refuseSockets = "EMFILE";
    r1.machine.removeInterface("eth0");
    await lan.world.runFor(1_000_000);
    r1.machine.returnInterface("eth0");
    await lan.world.runFor(5_000_000);
    expect([state(r1), r1.forwards(group)]).toEqual(["fault", false]);
    expect([state(r2), r2.forwards(group)]).toEqual(["active", true]);
    expect(r1.router?.status().virtualRouters[0]?.causes).toEqual(["kernel-refused"]);
    const told = r1.router?.recentEvents().filter((one) => JSON.stringify(one).includes("EMFILE"));
    expect(told).toHaveLength(1);
    r1.machine.refuseSockets = null;
    await lan.world.runFor(2_500_000);
    expect([state(r1), r1.forwards(group)]).toEqual(["active", true]);
    expect([state(r2), r2.forwards(group)]).toEqual(["backup", false]);
    expect(changes(r2).length).toBeGreaterThan(0);
  });

  it("end nothing where the router starts or gets another configuration", async () => {
    const { lan, r1, state } = await stage(scenario(PAIR), false);
    r1.kill();
    r1.machine.refuseSockets = "ENOMEM";
    r1.start();
    await lan.world.runFor(1_000_000);
    expect(state(r1)).toBe("fault");
    r1.reload(undefined);
    await lan.world.runFor(1_000_000);
    expect(state(r1)).toBe("fault");
    r1.machine.refuseSockets = null;
    await lan.world.runFor(3_000_000);
    expect(state(r1)).toBe("active");
  });
});

describe("the election", () => {
  it("the owner of the addresses takes over from whoever is Active, whatever preempt says", async () => {
    const members = [{ priority: 254 }, { priority: 255, preempt: false }];
    const { lan, r1, r2, state } = await stage(scenario(members), false);
    expect(state(r1)).toBe("active");
    r2.start();
    await lan.world.runFor(300_000);
    expect([state(r1), state(r2)]).toEqual(["backup", "active"]);
  });

  it("without preemption a higher priority waits until it is needed", async () => {
    const members = [{ priority: 100 }, { priority: 200, preempt: false }];
    const { lan, r1, r2, state, changes } = await stage(scenario(members), false);
    r2.start();
    await lan.world.runFor(10_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
    expect(changes(r1)).toHaveLength(2);
    r1.close();
    await lan.world.runFor(100_000);
    expect(state(r2)).toBe("active");
  });

  it("without preemption, a slow Active that was heard before the start is not taken for dead", async () => {
    const members = [
      { priority: 100, intervalMs: 1_000 },
      { priority: 200, intervalMs: 100, preempt: false },
    ];
    const { lan, r1, r2, spoken, state, changes } = await stage(scenario(members), false);
    const lastUs = (): number => spoken.at(-1)?.atUs ?? 0;
    // So that the next advertisement is heard while r2 listens, and the one after that comes after 360 ms.
    await lan.world.runUntil(lastUs() + 950_000);
    r2.start();
    await lan.world.runFor(5_000_000);
    expect([state(r1), state(r2)]).toEqual(["active", "backup"]);
    expect(changes(r2)).toEqual(["initialize -> backup"]);
  });

  it("sources of advertisements are no addresses that come and go with another virtual router", async () => {
    const one = scenario(PAIR, { family: "ipv6", virtualMac: false });
    const [group] = one.groups as [Group];
    const other: Group = { ...group, vrid: 20, addresses: ["fe80::2"] };
    const both: Scenario = {
      ...one,
      groups: [group, other],
      routers: one.routers.map((router) => ({
        ...router,
        members: [...router.members, ...router.members.map((member) => ({ ...member, group: other }))],
      })),
    };
    const { r1 } = await stage(both);
    expect(r1.status(group)?.primaryAddress).toBe(routerAddress("ipv6", 0));
    expect(r1.status(other)?.primaryAddress).toBe(routerAddress("ipv6", 0));
  });

  it("the preempt delay passes before a higher priority takes over", async () => {
    const members = [{ priority: 100 }, { priority: 200, preemptDelayMs: 3_000 }];
    const { lan, r2, state } = await stage(scenario(members), false);
    r2.start();
    await lan.world.runFor(3_000_000);
    expect(state(r2)).toBe("backup");
    await lan.world.runFor(800_000);
    expect(state(r2)).toBe("active");
  });

  it.each([
    [2, "ipv4", 1_000],
    [3, "ipv4", 10],
    [3, "ipv6", 10],
  ] as const)(
    "five routers of equal priority over v%i %s agree on the highest address",
    async (version, family, intervalMs) => {
      const members = Array.from({ length: 5 }, () => ({ priority: 100, intervalMs }));
      const { lan, group } = await stage(scenario(members, { version, family }));
      await lan.world.runFor(6_000_000);
      expect(lan.actives(group).map((router) => router.plan.name)).toEqual(["r5"]);
    },
  );

  it("a peer of the other checksum reading joins without a second Active", async () => {
    const members = [
      { priority: 200, checksum: "auto" },
      { priority: 100, checksum: "pseudo-header" },
    ] as const;
    const { lan, r1, r2, group, changes } = await stage(scenario(members), false);
    r2.start();
    await lan.world.runFor(5_000_000);
    expect(changes(r1)).toEqual(["initialize -> backup", "backup -> active"]);
    expect(changes(r2)).toEqual(["initialize -> backup"]);
    expect(r2.forwards(group)).toBe(false);
  });
});

describe("three routers", () => {
  it.each([
    ["over IPv4", {}],
    ["over IPv6", { family: "ipv6" }],
    ["without virtual MAC", { virtualMac: false }],
    ["with unicast advertisements", { unicast: true }],
    ["with unicast advertisements over IPv6", { unicast: true, family: "ipv6" }],
  ] as const)(
    "%s: who hears for the first time that another one was faster stays Backup",
    async (_, group) => {
      const members = [140, 120, 100].map((priority) => ({ priority, intervalMs: 10 }));
      const { lan, r1, r2, state, changes } = await stage(scenario(members, group));
      const [, , r3] = lan.routers as [LanRouter, LanRouter, LanRouter];
      // Far more than what lies between the two deadlines.
      r3.machine.latencies = { ...r3.machine.latencies, reportUs: [8_000, 8_000] };
      const sinceUs = lan.world.nowUs;
      const cable = r1.machine.cable("eth0");
      if (cable) cable.carrier = false;
      await lan.world.runFor(1_000_000);
      expect([state(r2), state(r3)]).toEqual(["active", "backup"]);
      expect(changes(r3, sinceUs)).toEqual([]);
    },
  );
});

describe("claims that nobody made before", () => {
  it.each([
    ["version 3 over IPv4", {}],
    ["version 3 over IPv6", { family: "ipv6" }],
    ["version 2", { version: 2 }],
    ["version 2 with a password", { version: 2, password: "secret" }],
    ["unicast", { unicast: true }],
  ] as const)("%s: what puts a deadline off natively is heard by JavaScript, too", async (_, group) => {
    const members = PAIR.map((one) => ({ ...one, intervalMs: 1_000 }));
    const all = await stage(scenario(members, group));
    const { lan, r2, spoken } = all;
    const random = lan.world.random.fork("claims");
    const forger = lan.segment.attach({
      name: "forger",
      receive: () => undefined,
      carrierChanged: () => undefined,
    });
    let original: Uint8Array | null = null;
    lan.world.observe((happening) => {
      if (happening.type === "frame" && happening.station === "r1" && readVrrpFrame(happening.frame))
        original = happening.frame;
    });
    await lan.world.runFor(1_000_000);
    if (!original) throw new Error("no advertisement");
    const heard = (): number => r2.status(all.group)?.statistics.advertisementRcvd ?? 0;
    const patterns = (): FramePattern[] =>
      r2.machine.sessions().flatMap(({ program }) => program?.patterns.filter(({ guards }) => guards) ?? []);
    let fitting = 0;
    for (let round = 0; round < 400; round++) {
      const frame = forged(original, random);
      const fit = patterns().some((pattern) => fits(pattern, frame));
      const others = (): number => spoken.filter(({ by }) => by !== "forger").length;
      const [before, othersBefore] = [heard(), others()];
      forger.send(frame);
      await lan.world.runFor(4_000);
      if (others() !== othersBefore || !fit) continue;
      fitting++;
      expect(heard() - before).toBe(1);
    }
    expect(fitting).toBeGreaterThan(20);
  });

  /** Another sender, and one octet changed that the checks or the choice of the router look at, or none. */
  function forged(original: Uint8Array, random: Random): Uint8Array {
    const copy = original.slice();
    copy.set([2, 0, 0, 0, random.integer(0, 255), random.integer(0, 255)], 6);
    const v6 = copy[12] === 0x86;
    const [source, end] = v6 ? [22, 78] : [26, 46];
    if (random.chance(0.7)) copy[random.integer(12, end - 1)] = random.pick([0, 1, 127, 224, 254, 255]);
    if (random.chance(0.8)) copy[source + (v6 ? 15 : 3)] = random.integer(0, 255);
    return random.chance(0.8) ? reseal(copy) : copy;
  }
});

describe("bad input", () => {
  it("mutilated advertisements in masses change nothing and delay nothing", async () => {
    const fast = PAIR.map((one) => ({ ...one, intervalMs: 10 }));
    const { lan, r1, r2, spoken, changes } = await stage(scenario(fast));
    const random = lan.world.random.fork("mutations");
    const forger = lan.segment.attach({
      name: "forger",
      receive: () => undefined,
      carrierChanged: () => undefined,
    });
    const heard: Uint8Array[] = [];
    lan.world.observe((happening) => {
      if (happening.type === "frame" && happening.station === "r1") heard.push(happening.frame);
    });
    await lan.world.runFor(100_000);
    const originals = heard.filter((frame) => readVrrpFrame(frame) !== null);
    const beginUs = lan.world.nowUs;
    const forge = (): void => {
      const frame = random.pick(originals).slice();
      // What the checks cover: the IP header but for its identification, and the message.
      const offset = random.pick([...Array.from({ length: 12 }, (_, index) => 34 + index), 22, 23]);
      frame[offset] = (frame[offset] as number) ^ (1 << random.integer(0, 7));
      frame.set([2, 0, 0, 0, 0, 9], 6);
      forger.send(random.chance(0.2) ? frame.slice(0, random.integer(20, 44)) : frame);
      if (lan.world.nowUs < beginUs + 2_000_000) lan.world.schedule(200, forge);
    };
    forge();
    await lan.world.runFor(2_000_000);
    expect([changes(r1, beginUs), changes(r2, beginUs)]).toEqual([[], []]);
    expect(spoken.filter(({ by, atUs }) => by === "r1" && atUs > beginUs).length).toBeGreaterThanOrEqual(199);
    const { droppedUnread, checksumErrors, ipTtlErrors } = r2.router?.status().statistics ?? {};
    expect(droppedUnread).toBeGreaterThan(8_000);
    expect((checksumErrors ?? 0) + (ipTtlErrors ?? 0)).toBeGreaterThan(100);
  });
});
