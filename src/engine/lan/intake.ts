/**
 * Frames that no automaton knew: finds the virtual router a frame is for, passes it through the RFC's checks,
 * counts what is wrong with it, and hands what is right to the virtual router. Answers ARP and ND where the
 * kernel does not.
 */

import type { VirtualRouterConfig } from "../../config/index.js";
import { formatIp, namesOneHost } from "../../core/address.js";
import { answerArp, readArp } from "../../core/arp.js";
import type { PortId } from "../../core/automaton.js";
import { type BfdFrame, readBfdFrame } from "../../core/bfd/packet.js";
import type { IpPacket } from "../../core/ethernet.js";
import { answerSolicitation, readSolicitation } from "../../core/nd.js";
import { type Advertisement, BACKUP_GROUP_ADDRESS, GROUP_ADDRESS } from "../../core/vrrp/advertisement.js";
import { familyOfPacket, MESSAGE_TYPE, type RawMessage, readVrrpFrame } from "../../core/vrrp/packet.js";
import {
  REJECT_REASONS,
  type ReceiveWarning,
  type RejectCounter,
  type RejectReason,
  receive,
  rejectCounter,
  type Verdict,
  type VrrpReceiver,
} from "../../core/vrrp/validate.js";
import type { Heartbeat, PortCounters } from "../../driver/driver.js";
import { describeDuration } from "../duration.js";
import type { GlobalStatistics } from "../status.js";
import type { VirtualRouter } from "../vrrp/virtual-router.js";

type Accepted = Extract<Verdict, { verdict: "accept" }>;
type Countable = Exclude<keyof GlobalStatistics, "droppedUnread">;

const NODE_COUNTERS: ReadonlySet<RejectCounter> = new Set<Countable>([
  "checksumErrors",
  "versionErrors",
  "vridErrors",
  "ipTtlErrors",
]);

/** At most one log line a reason and virtual router in this time. */
const NOTICE_EVERY_US = 10_000_000;

/** What nobody who wants a failover would configure beside us. */
const LONG_INTERVAL_US = 5_000_000;
const LONG_INTERVAL_TIMES = 5;

type Tell = (level: "warning" | "info", name: string | null, reason: string, detail: string) => void;

export class FrameIntake {
  readonly #heartbeat: Heartbeat;
  readonly #tell: Tell;
  /** Virtual routers of others, `IFNAME/VRID`, that were told of. */
  readonly #strangers = new Set<string>();
  readonly #bfd: (interfaceName: string, packet: BfdFrame, frame: Uint8Array, atUs: number) => void;
  readonly #interfaceOf = new Map<PortId, string>();
  /** By `IFNAME/VRID/FAMILY`. */
  readonly #routers = new Map<string, VirtualRouter>();
  readonly #byInterface = new Map<string, Set<VirtualRouter>>();
  #closedUnread = 0;
  readonly #counters: Record<Countable, number> = {
    checksumErrors: 0,
    versionErrors: 0,
    vridErrors: 0,
    ipTtlErrors: 0,
  };
  readonly #noticedAtUs = new Map<string, number>();

  constructor(
    heartbeat: Heartbeat,
    tell: Tell,
    onBfd: (interfaceName: string, packet: BfdFrame, frame: Uint8Array, atUs: number) => void,
  ) {
    this.#heartbeat = heartbeat;
    this.#tell = tell;
    this.#bfd = onBfd;
  }

  addRouter(router: VirtualRouter): void {
    this.#routers.set(router.owner, router);
    const name = router.config.interface;
    this.#byInterface.set(name, (this.#byInterface.get(name) ?? new Set()).add(router));
  }

  removeRouter(router: VirtualRouter): void {
    this.#routers.delete(router.owner);
    this.#byInterface.get(router.config.interface)?.delete(router);
  }

  routersOn(interfaceName: string): Iterable<VirtualRouter> {
    return this.#byInterface.get(interfaceName) ?? [];
  }

  setPort(port: PortId, interfaceName: string): void {
    this.#interfaceOf.set(port, interfaceName);
  }

  /** Keeps what a port that closes had to leave out. */
  removePort(port: PortId): void {
    const counters = this.#heartbeat.portCounters(port);
    this.#closedUnread += counters.droppedUnread + counters.droppedByKernel;
    this.#interfaceOf.delete(port);
  }

  statistics(ports: readonly PortCounters[]): GlobalStatistics {
    const droppedUnread = ports.reduce(
      (sum, one) => sum + one.droppedUnread + one.droppedByKernel,
      this.#closedUnread,
    );
    return { ...this.#counters, droppedUnread };
  }

  /** One frame from the LAN. */
  frame(port: PortId, frame: Uint8Array, atUs: number): void {
    const interfaceName = this.#interfaceOf.get(port);
    if (interfaceName === undefined) return;
    const vrrp = readVrrpFrame(frame);
    if (vrrp) {
      this.#vrrp(interfaceName, vrrp.ip, vrrp.message, frame, atUs);
      return;
    }
    const bfd = readBfdFrame(frame);
    if (bfd) this.#bfd(interfaceName, bfd, frame, atUs);
    else this.#answer(port, interfaceName, frame);
  }

  #vrrp(
    interfaceName: string,
    ip: IpPacket,
    message: RawMessage | null,
    frame: Uint8Array,
    atUs: number,
  ): void {
    const family = familyOfPacket(ip);
    const router =
      this.#routers.get(`${interfaceName}/${message?.vrid ?? ip.payload[1] ?? 0}/${family}`) ?? null;
    const source = formatIp(ip.source);
    if (!namesOneHost(ip.source)) {
      this.#notice(router, "no-host", `advertisement from ${source}, which names no host, ignored`, atUs);
      return;
    }
    if (router && !isAddressedTo(router, source, formatIp(ip.destination))) {
      this.#notice(
        router,
        "not-for-us",
        `advertisement from ${source} to ${formatIp(ip.destination)} ignored`,
        atUs,
      );
      return;
    }
    const verdict = receive(
      ip,
      message,
      router?.receiver ?? STRANGERS[family][message?.version === 2 ? 2 : 3],
    );
    switch (verdict.verdict) {
      case "accept":
        if (router) this.#accept(router, verdict, frame, atUs);
        break;
      case "discard":
        this.#count(router, verdict.reason);
        if (verdict.reason === "vrid" && message) {
          this.#meet(interfaceName, message.vrid, source);
          break;
        }
        if (isUnwantedBackupAdvertisement(verdict.reason, message)) break;
        this.#notice(
          router,
          verdict.reason,
          `advertisement from ${source} on ${interfaceName} discarded: ${REJECT_REASONS[verdict.reason].text}`,
          atUs,
        );
        break;
      case "ignore":
        if (verdict.reason === "own" && router) {
          this.#notice(
            router,
            "own-address",
            `an advertisement with our own address ${source} came in: another router has it, too, or the LAN has a loop`,
            atUs,
          );
        }
        break;
    }
  }

  #accept(router: VirtualRouter, verdict: Accepted, frame: Uint8Array, atUs: number): void {
    const { advertisement, source, checksumForm } = verdict;
    // An octet copy: the frame outlives the batch that it came in.
    if (verdict.fromBackup) router.peers.hear(verdict, frame.slice(), atUs);
    else router.onAdvertisement(advertisement, source, checksumForm, frame.slice(), atUs);
    this.#judgeInterval(router, source, advertisement.intervalUs, atUs);
    for (const warning of verdict.warnings) this.#warn(router, warning, verdict, atUs);
  }

  /** Something about an advertisement that counts all the same. */
  #warn(
    router: VirtualRouter,
    warning: ReceiveWarning,
    { source, advertisement }: Accepted,
    atUs: number,
  ): void {
    if (warning === "interval-mismatch") router.reject("intervalErrors");
    if (warning === "address-list-mismatch") router.reject("addressListErrors");
    const text = warningText(warning, router.config, advertisement);
    if (text !== null) this.#notice(router, warning, `${source} ${text}`, atUs);
  }

  /**
   * A Backup learns the Active's interval and waits three of it (RFC 9568 section 6.4.2): one frame, forged or of a
   * router set up wrongly, may keep it waiting for minutes.
   */
  #judgeInterval(router: VirtualRouter, source: string, intervalUs: number, atUs: number): void {
    const ownUs = router.config.advertisementIntervalUs;
    if (intervalUs < LONG_INTERVAL_US || intervalUs < LONG_INTERVAL_TIMES * ownUs) return;
    const text =
      `${source} announces an interval of ${intervalUs / 1e6} s where ${ownUs / 1e6} s are configured: ` +
      `a Backup that believes it waits ${Math.round((3 * intervalUs) / 1e6)} s and more before it takes over`;
    this.#notice(router, "long-interval", text, atUs);
  }

  /** Counters of the node, or of the virtual router whose VRID it is; where nobody has it, of nobody. */
  #count(router: VirtualRouter | null, reason: RejectReason): void {
    const counter = rejectCounter(reason);
    if (counter === null) return;
    if (isOfNode(counter)) this.#counters[counter]++;
    else router?.reject(counter);
  }

  #notice(router: VirtualRouter | null, reason: string, detail: string, atUs: number): void {
    const key = `${router?.name ?? ""} ${reason}`;
    const lastUs = this.#noticedAtUs.get(key);
    if (lastUs !== undefined && atUs - lastUs < NOTICE_EVERY_US) return;
    this.#noticedAtUs.set(key, atUs);
    this.#tell("warning", router?.name ?? null, reason, detail);
  }

  /** Other virtual routers on a LAN are nothing to worry about, but a VRID mistyped is one of them. */
  #meet(interfaceName: string, vrid: number, source: string): void {
    const name = `${interfaceName}/${vrid}`;
    if (this.#strangers.has(name)) return;
    this.#strangers.add(name);
    this.#tell(
      "info",
      null,
      "vrid",
      `${source} advertises VRID ${vrid} on ${interfaceName}, which is not configured here`,
    );
  }

  /** ARP requests and neighbour solicitations for addresses that the kernel does not answer for. */
  #answer(port: PortId, interfaceName: string, frame: Uint8Array): void {
    const target = readArp(frame)?.targetIp ?? readSolicitation(frame)?.target;
    if (target === undefined) return;
    for (const router of this.routersOn(interfaceName)) {
      if (router.mac === null || !router.answersFor(target)) continue;
      const answer = answerArp(frame, router.mac) ?? answerSolicitation(frame, router.mac);
      if (answer) this.#heartbeat.send(port, answer);
    }
  }
}

/** What follows the sender's address; null: nobody has to do anything about it. */
function warningText(
  warning: ReceiveWarning,
  { vrid, addresses, advertisementIntervalUs }: VirtualRouterConfig,
  heard: Advertisement,
): string | null {
  switch (warning) {
    case "legacy-pseudo-header-checksum":
      return null;
    case "duplicate-owner":
      return "says that it owns the addresses (priority 255), as this router does: only one of them can";
    case "address-list-mismatch": {
      const [theirs, own] = [heard.addresses, addresses.map(({ address }) => address)].map(fewOf);
      return (
        `advertises ${theirs} under VRID ${vrid}, where ${own} is configured here: give one of ` +
        "the two groups another VRID, or all routers of the group the same addresses"
      );
    }
    case "interval-mismatch": {
      const [theirs, ours] = [heard.intervalUs, advertisementIntervalUs].map(describeDuration);
      return `advertises every ${theirs}, where ${ours} is configured here: Backups wait for as long as the Active says`;
    }
  }
}

const ADDRESSES_TOLD = 4;

function fewOf(addresses: readonly string[]): string {
  const more = addresses.length - ADDRESSES_TOLD;
  const told = addresses.slice(0, ADDRESSES_TOLD).join(", ");
  return more > 0 ? `${told} and ${more} more` : told;
}

/** Not for this router, but nothing is wrong with it, and the next one comes within the interval. */
function isUnwantedBackupAdvertisement(reason: RejectReason, message: RawMessage | null): boolean {
  return reason === "type" && message?.version === 3 && message.type === MESSAGE_TYPE.backupAdvertisement;
}

/** To one of the groups; or, where unicast peers are configured, from one of them. The RFCs leave this open. */
function isAddressedTo(router: VirtualRouter, source: string, destination: string): boolean {
  const { unicast, family } = router.config;
  if (unicast) return unicast.peers.includes(source);
  return destination === GROUP_ADDRESS[family] || destination === BACKUP_GROUP_ADDRESS[family];
}

function isOfNode(counter: RejectCounter): counter is Countable {
  return NODE_COUNTERS.has(counter);
}

/** For a VRID that nobody has here: every check up to that one is made, so that the right counter moves. */
const STRANGERS: Readonly<Record<"ipv4" | "ipv6", Readonly<Record<2 | 3, VrrpReceiver>>>> = {
  ipv4: { 2: stranger("ipv4", 2), 3: stranger("ipv4", 3) },
  ipv6: { 2: stranger("ipv6", 2), 3: stranger("ipv6", 3) },
};

function stranger(family: "ipv4" | "ipv6", version: 2 | 3): VrrpReceiver {
  return {
    family,
    version,
    vrid: 0,
    priority: 100,
    primaryAddress: "",
    addresses: [],
    intervalUs: 0,
    authType: 0,
    authData: new Uint8Array(8),
    checkAddressList: false,
    ipv4Checksum: "either",
    ownerReceive: "process",
  };
}
