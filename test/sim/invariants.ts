/**
 * What must hold, checked from outside: frames on the wire, what the kernels forward, what hosts' packets meet, and
 * what routers say. The letters are used in messages, so that a failing run names the promise that it broke.
 *
 *  a  after healing exactly one router is Active for each virtual router
 *  b  while nothing is wrong, two routers forward for one virtual router no longer than detection needs
 *  d  without preemption, a working lower-priority Active is never pushed aside
 *  e  a release (priority 0) is followed by a take-over within the skew time
 *  f  the owner of the addresses wins; with preemption, the highest priority does
 *  g  who begins to forward advertises, then announces each address, and never before it forwards
 *  h  the timers that are armed are those that the state waits for; Initialize waits for none
 *  i  the recorded events lead to the same states again
 *  j  after healing, hosts' packets meet exactly one router, one advertisement interval after the last change
 *  k  when all has settled, nothing changes any more
 */

import { formatMac } from "../../src/core/address.js";
import { readArp } from "../../src/core/arp.js";
import { readNeighbourMessage } from "../../src/core/nd.js";
import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import { readVrrpFrame } from "../../src/core/vrrp/packet.js";
import type { Happening } from "../../src/driver/simulated/index.js";
import type { Faults } from "./faults.js";
import type { Lan, LanRouter } from "./lan.js";
import { type Group, ownerKey, routerName } from "./scenario.js";

/** A refused preparation is tried again every 2 s; an IPv6 address is tentative for 1 s. */
export const READY_US = 3_200_000;
/** From a frame at a station until everything that follows from it natively, or in JavaScript, is done. */
export const REACTION_US = 10_000;

/** Hosts ask once a second for a gateway that they do not know. */
const RESOLVED_US = 1_200_000;
/** The machine refreshes hosts' tables this long after a contender's claim, and once more when that is silent. */
const REFRESH_US = 40_000;

/** A frame of a virtual router, as far as the checks need it. */
type Spoken =
  | {
      readonly kind: "advertisement";
      readonly group: Group;
      readonly priority: number;
      readonly intervalUs: number;
    }
  | { readonly kind: "announcement"; readonly group: Group; readonly address: string };

interface Track {
  readonly group: Group;
  /** Who forwards, and since when. */
  readonly open: Map<LanRouter, number>;
  /** Frames that are still expected after an opening. */
  readonly opening: Map<LanRouter, string[]>;
  /** The last advertisement of each router. */
  readonly lastAdvertisement: Map<
    LanRouter,
    { readonly atUs: number; readonly priority: number; readonly intervalUs: number }
  >;
  /** Since when a router speaks that does not forward. */
  readonly speaksSinceUs: Map<LanRouter, number>;
  /** Since when each router is Backup. */
  readonly backupSinceUs: Map<LanRouter, number>;
  /** When somebody began or ceased to forward last. */
  changedUs: number;
  overlapSinceUs: number | null;
  /** Somebody said goodbye, and by then somebody else must forward, if nothing comes in between. */
  release: { readonly dueUs: number; readonly turns: number } | null;
}

export class Invariants {
  readonly #lan: Lan;
  readonly #faults: Faults;
  readonly #tracks: readonly Track[];
  /** When a step of the kernel lane failed last. */
  readonly #failedUs = new Map<LanRouter, number>();
  #lastStateChange = "";
  #lastStateChangeUs = 0;

  constructor(lan: Lan, faults: Faults) {
    this.#lan = lan;
    this.#faults = faults;
    this.#tracks = lan.scenario.groups.map((group) => ({
      group,
      open: new Map(),
      opening: new Map(),
      lastAdvertisement: new Map(),
      speaksSinceUs: new Map(),
      backupSinceUs: new Map(),
      changedUs: 0,
      overlapSinceUs: null,
      release: null,
    }));
    lan.world.observe((happening) => this.#see(happening));
    lan.onEvent = (router, event) => {
      if (event.type === "stateChange") this.#stateChanged(router, event.name, event.to, event.reason);
    };
  }

  #see(happening: Happening): void {
    for (const track of this.#tracks) this.#checkOverlap(track);
    switch (happening.type) {
      case "forwarding":
        this.#forwarding(happening);
        break;
      case "kernelStep": {
        const router = this.#lan.routers.find((one) => one.plan.name === happening.machine);
        if (router && happening.errno !== null) this.#failedUs.set(router, happening.atUs);
        break;
      }
      case "frame":
        this.#frame(happening.station, happening.frame);
        break;
      case "session": {
        const orphans = happening.armed.filter((timer) => !happening.awaited.includes(timer));
        const forgotten = happening.awaited.filter((timer) => !happening.armed.includes(timer));
        if (orphans.length > 0)
          this.#fail("h", `${happening.machine}: timers ${orphans} armed, but not waited for`);
        if (forgotten.length > 0)
          this.#fail("h", `${happening.machine}: timers ${forgotten} waited for, but not armed`);
        break;
      }
    }
  }

  #fail(invariant: string, what: string): void {
    this.#lan.fail(`(${invariant}) ${what}`);
  }

  /** Nothing wrong now, nor for so long that what was wrong before can't have consequences any more. */
  #calmFor(us: number): boolean {
    return this.#faults.quiet && this.#lan.world.nowUs - this.#faults.quietSinceUs >= us;
  }

  // ---- (b) ----------------------------------------------------------------------------------------------

  #forwarding(happening: Extract<Happening, { type: "forwarding" }>): void {
    const track = this.#tracks.find((one) => ownerKey(one.group) === happening.owner);
    const router = this.#lan.routers.find((one) => one.plan.name === happening.machine);
    if (!track || !router) return;
    // What a dead process left is taken away while the next one opens; that changes nothing for the others.
    if (happening.open || router.router) track.changedUs = happening.atUs;
    if (happening.open) {
      track.open.set(router, happening.atUs);
      track.speaksSinceUs.delete(router);
      track.opening.set(router, ["advertisement", ...track.group.addresses]);
      track.release = null;
    } else {
      track.open.delete(router);
      track.opening.delete(router);
    }
  }

  #checkOverlap(track: Track): void {
    const { nowUs } = this.#lan.world;
    // A closing that failed is done again together with the next preparation.
    const live = [...track.open.keys()].filter(
      (router) => router.machine.running && nowUs - (this.#failedUs.get(router) ?? -READY_US) >= READY_US,
    );
    if (live.length < 2 || !this.#faults.quiet) {
      track.overlapSinceUs = null;
      return;
    }
    track.overlapSinceUs ??= Math.max(nowUs, this.#faults.quietSinceUs);
    const limitUs = this.#lan.longestIntervalUs(track.group) + REACTION_US;
    if (nowUs - track.overlapSinceUs <= limitUs) return;
    const names = live.map((router) => router.plan.name).join(" and ");
    this.#fail(
      "b",
      `${names} both forward for ${ownerKey(track.group)} for ${nowUs - track.overlapSinceUs} us`,
    );
    track.overlapSinceUs = nowUs + 1_000_000_000;
  }

  // ---- (e), (g) -----------------------------------------------------------------------------------------

  #frame(station: string, frame: Uint8Array): void {
    const router = this.#lan.routers.find((one) => one.plan.name === station);
    const spoken = router && this.#understand(frame, router);
    if (!router || !spoken) return;
    const track = this.#tracks.find((one) => one.group === spoken.group) as Track;
    const { nowUs } = this.#lan.world;
    if (spoken.kind === "advertisement") {
      if (spoken.priority === 0) this.#released(track, router);
      track.lastAdvertisement.set(router, {
        atUs: nowUs,
        priority: spoken.priority,
        intervalUs: spoken.intervalUs,
      });
    }
    this.#checkOrder(track, router, spoken);
  }

  #checkOrder(track: Track, router: LanRouter, spoken: Spoken): void {
    const key = `${router.plan.name} ${ownerKey(track.group)}`;
    const release = spoken.kind === "advertisement" && spoken.priority === 0;
    const openedUs = track.open.get(router);
    if (openedUs === undefined && !release) this.#spokeUnheard(track, router, spoken);
    const expected = track.opening.get(router);
    const atOnce = this.#lan.world.nowUs - (openedUs ?? 0) <= REACTION_US;
    if (!expected || expected.length === 0 || release || !atOnce) {
      track.opening.delete(router);
      return;
    }
    const [next] = expected;
    if (spoken.kind === "advertisement") {
      // Copies in both checksum forms, and to each unicast peer, are one advertisement.
      if (next === "advertisement") expected.shift();
      return;
    }
    if (next === spoken.address) expected.shift();
    else this.#fail("g", `${key}: ${spoken.address} announced where ${next} was due`);
  }

  /**
   * Frames that lead hosts here, although packets are not taken in. An answer to another claim may come while the
   * kernel is about to open; an announcement never may.
   */
  #spokeUnheard(track: Track, router: LanRouter, spoken: Spoken): void {
    const { nowUs } = this.#lan.world;
    if (nowUs - (this.#failedUs.get(router) ?? -READY_US) <= READY_US) return;
    const sinceUs = track.speaksSinceUs.get(router) ?? nowUs;
    track.speaksSinceUs.set(router, sinceUs);
    if (spoken.kind === "announcement" || nowUs - sinceUs > REACTION_US) {
      this.#fail(
        "g",
        `${router.plan.name} ${ownerKey(track.group)}: ${spoken.kind} sent while not forwarding`,
      );
    }
  }

  /** An opening is followed by all that is due, unless something was wrong, or it was the interface that came up. */
  #checkAnnounced(track: Track): void {
    for (const [router, missing] of track.opening) {
      const openedUs = track.open.get(router) ?? 0;
      if (this.#lan.world.nowUs - openedUs <= REACTION_US) continue;
      track.opening.delete(router);
      if (missing.length === 0 || !router.machine.running || !this.#faults.quiet) continue;
      if (openedUs - this.#faults.quietSinceUs < REACTION_US) continue;
      this.#fail(
        "g",
        `${router.plan.name} ${ownerKey(track.group)}: opened, but ${missing.join(", ")} not sent`,
      );
    }
  }

  #released(track: Track, leaving: LanRouter): void {
    const { group } = track;
    const calmUs = 4 * this.#lan.longestIntervalUs(group) + 1_000_000;
    if (!this.#calmFor(calmUs)) return;
    if ([...track.open.keys()].some((router) => router !== leaving)) return;
    const skews = this.#lan.routers
      .filter((router) => router !== leaving && router.machine.running)
      .flatMap((router) => router.status(group) ?? [])
      .filter((status) => status.state === "backup")
      .map((status) => status.skewTimeMs * 1000);
    const dueUs = this.#lan.world.nowUs + Math.min(...skews) + REACTION_US;
    if (skews.length > 0) track.release = { dueUs, turns: this.#faults.turns };
  }

  /** To be called now and then, so that what does not happen is noticed. */
  checkOverdue(): void {
    for (const track of this.#tracks) {
      this.#checkOverlap(track);
      this.#checkAnnounced(track);
      const { release } = track;
      if (release && release.turns !== this.#faults.turns) track.release = null;
      else if (release && this.#lan.world.nowUs > release.dueUs) {
        this.#fail("e", `nobody took over ${ownerKey(track.group)} within the skew time of a release`);
        track.release = null;
      }
    }
  }

  // ---- (d) ----------------------------------------------------------------------------------------------

  #stateChanged(router: LanRouter, name: string, to: string, reason: string): void {
    const { groups } = this.#lan.scenario;
    const group = groups.find((one) => routerName(one, groups) === name);
    const track = this.#tracks.find((one) => one.group === group);
    if (!group || !track) return;
    this.#lastStateChange = `${router.plan.name} ${name} became ${to} (${reason})`;
    this.#lastStateChangeUs = this.#lan.world.nowUs;
    const backupSinceUs = track.backupSinceUs.get(router) ?? Number.POSITIVE_INFINITY;
    if (to === "backup") track.backupSinceUs.set(router, this.#lan.world.nowUs);
    else track.backupSinceUs.delete(router);
    if (to === "active") this.#checkPreemption(track, router, reason, backupSinceUs);
  }

  #checkPreemption(track: Track, router: LanRouter, reason: string, backupSinceUs: number): void {
    const { preempt, priority } = router.member(track.group);
    if (preempt || priority === 255) return;
    if (reason === "preempted-lower-priority")
      this.#fail("d", `${router.plan.name} preempts, although it must not`);
    for (const [other, last] of track.lastAdvertisement) {
      const aliveUs = 3 * last.intervalUs;
      if (other === router || last.priority === 0 || !this.#calmFor(aliveUs + REACTION_US)) continue;
      // Who came after the last advertisement did not hear it, and waits as its own interval has it.
      if (last.atUs < backupSinceUs || !other.machine.running || !track.open.has(other)) continue;
      // What answers the take-over was not there before it.
      if (last.atUs > (track.open.get(router) ?? Number.POSITIVE_INFINITY)) continue;
      // Who became Active in the same moment is not pushed aside.
      if (this.#lan.world.nowUs - (track.open.get(other) ?? 0) < REACTION_US) continue;
      // Reports reach JavaScript late: the change itself was earlier.
      if (this.#lan.world.nowUs - last.atUs >= aliveUs - REACTION_US) continue;
      this.#fail("d", `${router.plan.name} took over from ${other.plan.name}, which advertised`);
    }
  }

  // ---- frames -------------------------------------------------------------------------------------------

  #understand(frame: Uint8Array, router: LanRouter): Spoken | null {
    const etherType = ((frame[12] as number) << 8) | (frame[13] as number);
    const protocol = etherType === 0x0800 ? frame[23] : etherType === 0x86dd ? frame[20] : null;
    if (protocol === 112) return this.#understandAdvertisement(frame);
    const multicast = ((frame[0] as number) & 1) === 1;
    if (!multicast || (etherType !== 0x0806 && protocol !== 58)) return null;
    const arp = readArp(frame);
    const address = arp && arp.senderIp === arp.targetIp ? arp.targetIp : readNeighbourMessage(frame)?.target;
    const group = this.#lan.scenario.groups.find(
      (one) => address !== undefined && one.addresses.includes(address),
    );
    if (!group || address === undefined) return null;
    // Not what the kernel answers, nor a host's question: what the virtual router announces, from its own MAC.
    const mac = group.virtualMac ? virtualMac(group.family, group.vrid) : router.mac;
    if (formatMac(frame.subarray(6, 12)) !== mac) return null;
    return { kind: "announcement", group, address };
  }

  #understandAdvertisement(frame: Uint8Array): Spoken | null {
    const read = readVrrpFrame(frame);
    const { message, ip } = read ?? {};
    if (!message || !ip) return null;
    const family = ip.version === 4 ? "ipv4" : "ipv6";
    const group = this.#lan.scenario.groups.find((one) => one.vrid === message.vrid && one.family === family);
    const intervalUs = message.interval * (message.version === 3 ? 10_000 : 1_000_000);
    return group ? { kind: "advertisement", group, priority: message.priority, intervalUs } : null;
  }

  // ---- after healing ------------------------------------------------------------------------------------

  /** (a), (f): one Active, the right one, and only that one forwards. */
  checkConverged(): void {
    for (const group of this.#lan.scenario.groups) {
      const actives = this.#lan.actives(group);
      const forwarding = this.#lan.routers.filter((router) => router.forwards(group));
      const names = (list: readonly LanRouter[]): string =>
        list.map((one) => one.plan.name).join(", ") || "nobody";
      if (actives.length !== 1) {
        const states = this.#lan.routers.map(
          (one) => `${one.plan.name} ${one.status(group)?.state} (${one.status(group)?.causes})`,
        );
        this.#fail("a", `Active for ${ownerKey(group)}: ${names(actives)}; ${states.join(", ")}`);
        continue;
      }
      const idle = this.#lan.routers.filter(
        (one) => !["active", "backup"].includes(one.status(group)?.state ?? ""),
      );
      if (idle.length > 0) {
        const why = idle.map(
          (one) => `${one.plan.name} ${one.status(group)?.state} (${one.status(group)?.causes})`,
        );
        this.#fail("a", `${why.join(", ")} for ${ownerKey(group)} although nothing is wrong`);
      }
      const [active] = actives as [LanRouter];
      if (forwarding.length !== 1 || forwarding[0] !== active) {
        this.#fail(
          "a",
          `Active for ${ownerKey(group)} is ${names(actives)}, but ${names(forwarding)} forwards`,
        );
      }
      this.#checkWinner(group, active);
    }
  }

  #checkWinner(group: Group, active: LanRouter): void {
    const won = active.member(group).priority;
    for (const router of this.#lan.routers) {
      const { priority, preempt } = router.member(group);
      if (priority <= won || (!preempt && priority !== 255)) continue;
      const names = `${router.plan.name} (${priority}) is not Active for ${ownerKey(group)}`;
      this.#fail("f", `${names}, but ${active.plan.name} (${won}) is`);
    }
  }

  /** (k): nothing changed since `sinceUs`. */
  checkStable(sinceUs: number): void {
    if (this.#lastStateChangeUs > sinceUs) this.#fail("k", `no rest: ${this.#lastStateChange}`);
  }

  /**
   * (j): each packet met the Active and nobody else, since one advertisement interval after the last change. At first
   * hosts may still look for their gateway.
   */
  checkHosts(healedUs: number): void {
    const earliestUs = healedUs + RESOLVED_US;
    const untilUs = this.#lan.world.nowUs - REACTION_US;
    for (const { group, host } of this.#lan.hosts) {
      const changedUs = this.#tracks.find((one) => one.group === group)?.changedUs ?? 0;
      const settledUs = changedUs + this.#lan.longestIntervalUs(group) + REFRESH_US + REACTION_US;
      // Where advertisements do not come from the MAC that hosts are told, announcements alone lead them back, and
      // those of a change under faults may all be lost.
      if ((group.unicast || !group.virtualMac) && changedUs < healedUs) continue;
      const sinceUs = Math.max(settledUs, earliestUs);
      const [active] = this.#lan.actives(group);
      const wrong = host.packets.filter(
        (packet) =>
          packet.atUs >= sinceUs &&
          packet.atUs < untilUs &&
          (packet.gatewayMac !== null || packet.atUs >= changedUs + RESOLVED_US) &&
          (packet.forwardedBy.length !== 1 || packet.forwardedBy[0] !== active?.plan.name),
      );
      const [first] = wrong;
      if (!first) continue;
      const met = first.forwardedBy.join(" and ") || "nobody";
      this.#fail(
        "j",
        `${wrong.length} packets of ${host.name} went wrong, the first at ${first.atUs} us met ${met}` +
          ` (gateway MAC ${first.gatewayMac}, Active for ${ownerKey(group)} is ${active?.plan.name})`,
      );
    }
  }
}
