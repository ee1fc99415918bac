/**
 * All BFD sessions of a router. One session serves everybody who wants to know of the same neighbour. Who watches a
 * neighbour takes the active role; where a virtual router is Active, its Backups are answered: those sessions come
 * with the first packet, are few, and go when they lead nowhere, whoever sends such packets.
 */
import type { BfdAuthenticationConfig } from "../../config/index.js";
import { formatIp } from "../../core/address.js";
import type { BfdAuthentication } from "../../core/bfd/authentication.js";
import type { BfdState, BfdStep } from "../../core/bfd/machine.js";
import { isOfHead } from "../../core/bfd/multipoint.js";
import { BFD_SOURCE_PORT_MIN, BFD_SOURCE_PORTS, type BfdFrame } from "../../core/bfd/packet.js";
import {
  type BfdReceiver,
  type BfdRejectReason,
  receive,
  type SessionSelector,
} from "../../core/bfd/validate.js";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import type { Heartbeat } from "../../driver/driver.js";
import type { TransitionReport } from "../automaton/session.js";
import type { BfdSessionStatus } from "../status.js";
import { authenticationOf } from "./authentication.js";
import { type BfdPeer, type BfdTerms, isTail, keyOf, settingsFor } from "./peer.js";
import type { BfdSubscriber } from "./plan.js";
import { type BfdPorts, BfdSession, type FrozenBfdSession } from "./session.js";
import { describeDown, statusOf } from "./session-status.js";

/** Somebody who wants to know whether a neighbour is there. */
export interface BfdWatcher {
  /** For `show`: a virtual router, a tracker. */
  readonly user: string;
  readonly terms: BfdTerms;
  /** Told in the engine when the neighbour falls silent. */
  readonly subscriber?: BfdSubscriber;
  /** Told each change; not the state that was there before. */
  readonly changed?: (state: BfdState, reason: BfdStep["reason"]) => void;
}

export interface BfdWatch {
  readonly state: BfdState;
  /** Ends it. The session ends with its last watcher, as AdminDown. */
  close(): void;
}

export interface BfdHost {
  readonly heartbeat: Heartbeat;
  /** Null while the interface is gone. */
  ports(interfaceName: string, family: IpFamily): BfdPorts | null;
  /** Whether an address is a neighbour's, by the interface's prefixes. */
  isOnLink(interfaceName: string, address: string): boolean;
  /** 32 random bits. */
  draw(): number;
  setTimer(afterUs: number, run: () => void): () => void;
  notice(level: "warning" | "info", name: string | null, code: string, detail: string): void;
}

interface Entry {
  readonly peer: BfdPeer;
  readonly session: BfdSession;
  readonly receiver: EntryReceiver;
  /** What `receiver.authentication` is made of. */
  authentication: BfdAuthenticationConfig | null;
  readonly watchers: Set<BfdWatcher>;
  /** The ports that its program was made with. */
  ports: BfdPorts | null;
  sinceUs: number;
  /** Why it is down; null before it was ever up. */
  lastDown: string | null;
}

/** A session between two processes; JSON, but for octets. */
export interface BfdRecord {
  readonly peer: BfdPeer;
  readonly authentication: BfdAuthenticationConfig | null;
  readonly session: FrozenBfdSession;
  readonly sinceUs: number;
  readonly lastDown: string | null;
}

interface EntryReceiver extends BfdReceiver {
  readonly entry: Entry;
  authentication: BfdAuthentication | null;
}

interface Offer {
  readonly interface: string;
  readonly local: string;
  readonly user: string;
  readonly terms: BfdTerms;
}

/** Sessions that strangers may open at one address. More Backups than this have no use for a virtual router. */
const ANSWERED_MAX = 16;
/** How long a session that somebody else opened may stay without being Up. */
const ANSWERED_IDLE_US = 30_000_000;
/** Beyond the time in which a head says that it ends. */
const RETIRED_MARGIN_US = 100_000;
/** A session that flaps is told this often. */
const NOTICE_EVERY_US = 1_000_000;

export class BfdSessions {
  readonly #host: BfdHost;
  readonly #entries = new Map<string, Entry>();
  readonly #byDiscriminator = new Map<number, Entry>();
  readonly #bySession = new Map<number, Entry>();
  readonly #offers = new Set<Offer>();
  readonly #rejected: Partial<Record<BfdRejectReason, number>> = {};
  readonly #noticedAtUs = new Map<string, number>();
  #closing = false;
  #nextPort = 0;
  #cancelSweep: (() => void) | null = null;
  /** Another process runs the same sessions: whoever ends here does so without a word. */
  #shared = false;
  #frozen: readonly (readonly [Entry, FrozenBfdSession])[] = [];

  constructor(host: BfdHost) {
    this.#host = host;
  }

  /** Watches a neighbour; the session is made if there is none. */
  watch(peer: BfdPeer, watcher: BfdWatcher): BfdWatch {
    const entry = this.#entries.get(keyOf(peer)) ?? this.#open(peer, watcher.terms, false);
    entry.watchers.add(watcher);
    this.#settle(entry);
    return {
      get state() {
        return entry.session.state;
      },
      close: () => {
        if (!entry.watchers.delete(watcher)) return;
        if (this.#isWanted(entry)) this.#settle(entry);
        else this.#close(entry);
      },
    };
  }

  /** Answers neighbours that open sessions to one of our addresses. The function returned ends it. */
  answer(at: Omit<BfdPeer, "remote">, user: string, terms: BfdTerms): () => void {
    const offer: Offer = { ...at, user, terms };
    this.#offers.add(offer);
    for (const entry of this.#entries.values()) if (offers(offer, entry.peer)) this.#settle(entry);
    return () => {
      if (!this.#offers.delete(offer)) return;
      for (const entry of [...this.#entries.values()]) {
        if (!offers(offer, entry.peer)) continue;
        if (this.#isWanted(entry)) this.#settle(entry);
        else this.#close(entry);
      }
    };
  }

  /** Interfaces on which packets may come in. */
  interfaces(): ReadonlySet<string> {
    return new Set([...this.#entries.values()].map(({ peer }) => peer.interface));
  }

  /** A control packet from the LAN that the engine did not know. */
  frame(interfaceName: string, frame: BfdFrame, octets: Uint8Array, atUs: number): void {
    const verdict = receive(frame, this.#selector(interfaceName, frame));
    if (verdict.verdict === "accept") {
      // An octet copy: the frame outlives the batch that it came in.
      const { packet, sequence } = verdict;
      verdict.session.entry.session.hear(packet, octets.slice(), sequence, atUs);
    } else if (verdict.verdict === "discard") {
      this.#rejected[verdict.reason] = (this.#rejected[verdict.reason] ?? 0) + 1;
    }
  }

  /** False when the report is about no session of ours. */
  onTransition(report: TransitionReport): boolean {
    const entry = this.#bySession.get(report.session);
    entry?.session.onTransition(report);
    return entry !== undefined;
  }

  /** Ports or links changed. What has to be done is done later: a port may be about to be opened. */
  networkChanged(): void {
    if (this.#entries.size > 0) this.#host.setTimer(0, () => this.#adoptPorts());
  }

  /** JavaScript is back after a silence in which the engine took the sessions down. */
  onControlRestored(): void {
    // One whose interface is gone starts when that is back.
    for (const { session, ports } of this.#entries.values()) if (ports) session.start();
  }

  /** For the process that goes on with them. `freeze`: they cease to act here. */
  look(freeze: boolean): BfdRecord[] {
    const entries = [...this.#entries.values()];
    const records = entries.map(({ peer, authentication, session, sinceUs, lastDown }) => ({
      peer,
      authentication,
      session: session.look(freeze),
      sinceUs,
      lastDown,
    }));
    if (freeze) {
      this.#shared = true;
      this.#frozen = entries.map((entry, index) => [entry, (records[index] as BfdRecord).session]);
    }
    return records;
  }

  /** The other process is gone: they go on here. */
  thaw(): void {
    for (const [entry, frozen] of this.#frozen) entry.session.resume(frozen);
    this.#frozen = [];
    this.#shared = false;
  }

  /**
   * Goes on with the sessions of another process, which runs them as well until `catchUp`: both say and hear the same.
   * Those whose interface is not there begin anew.
   */
  resume(records: readonly BfdRecord[]): void {
    this.#shared = true;
    for (const record of records) {
      const { peer, authentication, session } = record;
      const { desiredMinTxUs: intervalUs, detectMult: multiplier, passive } = session.settings;
      const entry = this.#make(peer, { intervalUs, multiplier, authentication }, passive, session);
      entry.ports = this.#portsOf(peer);
      if (!entry.ports) {
        this.#close(entry);
        continue;
      }
      entry.sinceUs = record.sinceUs;
      entry.lastDown = record.lastDown;
      entry.session.resume(session);
      this.#nextPort = Math.max(this.#nextPort, session.sourcePort - BFD_SOURCE_PORT_MIN + 1);
    }
    if (records.length > 0) this.#sweepLater();
  }

  /** The other process is about to cease. */
  overtake(records: readonly BfdRecord[]): void {
    this.#count(records, true);
  }

  #count(records: readonly BfdRecord[], ahead: boolean): void {
    for (const { peer, session } of records) this.#entries.get(keyOf(peer))?.session.catchUp(session, ahead);
  }

  /** The other process has ceased, where these records say. What nobody asked for here ends. */
  catchUp(records: readonly BfdRecord[]): void {
    this.#shared = false;
    this.#count(records, false);
    for (const entry of [...this.#entries.values()]) if (!this.#isWanted(entry)) this.#close(entry);
  }

  close(): void {
    this.#closing = true;
    this.#cancelSweep?.();
    this.#offers.clear();
    for (const entry of [...this.#entries.values()]) this.#close(entry);
  }

  /** Packets discarded, by reason. */
  rejected(): Readonly<Partial<Record<BfdRejectReason, number>>> {
    return { ...this.#rejected };
  }

  status(): BfdSessionStatus[] {
    return [...this.#entries.values()].map((entry) => this.#statusOf(entry));
  }

  // ---- sessions -----------------------------------------------------------------------------------------

  #open(peer: BfdPeer, terms: BfdTerms, passive: boolean): Entry {
    const entry = this.#make(peer, terms, passive, null);
    // Only now: which frames the port lets in depends on whose sessions there are.
    entry.ports = this.#portsOf(peer);
    if (entry.ports) entry.session.start();
    return entry;
  }

  #portsOf({ interface: name, local }: BfdPeer): BfdPorts | null {
    return this.#host.ports(name, local.includes(":") ? "ipv6" : "ipv4");
  }

  #make(peer: BfdPeer, terms: BfdTerms, passive: boolean, from: FrozenBfdSession | null): Entry {
    const ports = (): BfdPorts | null => this.#portsOf(peer);
    const sourcePort = from?.sourcePort ?? BFD_SOURCE_PORT_MIN + (this.#nextPort++ % BFD_SOURCE_PORTS);
    const endpoints = { source: peer.local, sourcePort, destination: peer.remote };
    const settings = from?.settings ?? settingsFor(this.#drawDiscriminator(), peer, terms, passive);
    const session = new BfdSession(
      this.#host.heartbeat,
      { settings, endpoints, ports, authentication: () => receiver.authentication },
      (before, made, atUs) => this.#stepped(entry, before, made, atUs),
    );
    const receiver: EntryReceiver = {
      authentication: authenticationOf(terms.authentication),
      get lastSequence() {
        return session.lastSequence;
      },
      get entry() {
        return entry;
      },
    };
    const entry: Entry = {
      peer,
      session,
      receiver,
      authentication: terms.authentication,
      watchers: new Set(),
      ports: null,
      sinceUs: this.#host.heartbeat.now(),
      lastDown: null,
    };
    this.#entries.set(keyOf(peer), entry);
    this.#byDiscriminator.set(settings.localDiscriminator, entry);
    this.#bySession.set(session.id, entry);
    return entry;
  }

  #close(entry: Entry): void {
    this.#entries.delete(keyOf(entry.peer));
    this.#byDiscriminator.delete(entry.session.settings.localDiscriminator);
    if (entry.session.isHead && entry.session.state.name === "up" && !this.#shared && !this.#closing) {
      // Another head may begin meanwhile: its discriminator is another one.
      this.#host.setTimer(entry.session.retire() + RETIRED_MARGIN_US, () => this.#end(entry, true));
    } else this.#end(entry, this.#shared);
  }

  #end(entry: Entry, silent: boolean): void {
    entry.session.close(silent);
    this.#bySession.delete(entry.session.id);
  }

  /** Watched, or answered and not idle for too long. */
  #isWanted(entry: Entry): boolean {
    return entry.watchers.size > 0 || this.#offersFor(entry.peer).length > 0;
  }

  #offersFor(peer: BfdPeer): Offer[] {
    return [...this.#offers].filter((offer) => offers(offer, peer));
  }

  /** The fastest that anybody asks for; and who is told in the engine. */
  #settle(entry: Entry): void {
    const { session, watchers } = entry;
    const asked = [...watchers, ...this.#offersFor(entry.peer)].map(({ terms }) => terms);
    const fastest = asked.reduce((best, one) =>
      one.intervalUs * one.multiplier < best.intervalUs * best.multiplier ? one : best,
    );
    const { localDiscriminator } = session.settings;
    const settings = settingsFor(localDiscriminator, entry.peer, fastest, watchers.size === 0);
    if (JSON.stringify(settings) !== JSON.stringify(session.settings)) session.retune(settings);
    const authentication = asked.find((one) => one.authentication)?.authentication ?? null;
    if (JSON.stringify(authentication) !== JSON.stringify(entry.authentication)) {
      entry.authentication = authentication;
      entry.receiver.authentication = authenticationOf(authentication);
      session.forget();
    }
    session.subscribe([...watchers].flatMap(({ subscriber }) => (subscriber ? [subscriber] : [])));
  }

  #drawDiscriminator(): number {
    for (;;) {
      const drawn = this.#host.draw() >>> 0;
      if (drawn !== 0 && !this.#byDiscriminator.has(drawn)) return drawn;
    }
  }

  #adoptPorts(): void {
    for (const entry of this.#entries.values()) {
      const ports = this.#portsOf(entry.peer);
      const was = entry.ports;
      entry.ports = ports;
      if (ports === null) {
        if (was !== null) entry.session.halt();
      } else if (was === null) {
        entry.session.start();
      } else if (was.lanPort !== ports.lanPort || was.sendPort !== ports.sendPort) {
        entry.session.reload();
      }
    }
  }

  // ---- packets ------------------------------------------------------------------------------------------

  #selector(interfaceName: string, { ip }: BfdFrame): SessionSelector<EntryReceiver> {
    const local = formatIp(ip.destination);
    const from = formatIp(ip.source);
    const here = (entry: Entry | undefined): EntryReceiver | null =>
      entry?.peer.interface === interfaceName && entry.peer.remote === from && entry.peer.local === local
        ? entry.receiver
        : null;
    return {
      byDiscriminator: (discriminator) => here(this.#byDiscriminator.get(discriminator)),
      bySource: (source) => {
        const peer = { interface: interfaceName, local, remote: source };
        return here(this.#entries.get(keyOf(peer)) ?? this.#answerNew(peer));
      },
      byHead: (source, discriminator) => {
        const tail = this.#entries.get(keyOf({ interface: interfaceName, local, remote: source }));
        const follows = tail && isTail(tail.peer) && isOfHead(tail.session.state, discriminator);
        return follows ? tail.receiver : null;
      },
    };
  }

  /** A session for a neighbour that opened one. */
  #answerNew(peer: BfdPeer): Entry | undefined {
    const [offer] = this.#offersFor(peer);
    if (!offer || peer.remote === peer.local || !this.#host.isOnLink(peer.interface, peer.remote))
      return undefined;
    const answered = [...this.#entries.values()].filter(
      (one) => one.watchers.size === 0 && offers(offer, one.peer),
    );
    if (answered.length >= ANSWERED_MAX) {
      // Who got as far as Up keeps its place.
      const idle = answered
        .filter((one) => one.session.state.name !== "up")
        .sort((a, b) => a.sinceUs - b.sinceUs)[0];
      if (!idle) return undefined;
      this.#close(idle);
    }
    this.#sweepLater();
    const entry = this.#open(peer, offer.terms, true);
    this.#settle(entry);
    return entry;
  }

  #sweepLater(): void {
    this.#cancelSweep ??= this.#host.setTimer(ANSWERED_IDLE_US, () => {
      this.#cancelSweep = null;
      const beforeUs = this.#host.heartbeat.now() - ANSWERED_IDLE_US;
      const answered = [...this.#entries.values()].filter((one) => one.watchers.size === 0);
      for (const entry of answered) {
        if (entry.session.state.name !== "up" && entry.sinceUs <= beforeUs) this.#close(entry);
      }
      if (answered.length > 0) this.#sweepLater();
    });
  }

  // ---- what is told -------------------------------------------------------------------------------------

  #stepped(entry: Entry, before: BfdState, made: BfdStep, atUs: number): void {
    if (made.reason === null) return;
    if (before.name !== made.state.name) entry.sinceUs = atUs;
    if (entry.session.isHead) return; // It is up because we say so.
    if (before.name === "up" && made.state.name !== "up") {
      entry.lastDown = describeDown(before, made);
      this.#tell("warning", entry, "bfd-down", entry.lastDown);
    } else if (made.state.name === "up") {
      this.#tell(
        "info",
        entry,
        "bfd-up",
        isTail(entry.peer) ? "up: the head is heard" : "up: the neighbour hears us and is heard",
      );
    }
    for (const watcher of [...entry.watchers]) watcher.changed?.(made.state, made.reason);
  }

  #tell(level: "warning" | "info", entry: Entry, code: string, detail: string): void {
    const { interface: name, remote } = entry.peer;
    const nowUs = this.#host.heartbeat.now();
    const key = `${code} ${keyOf(entry.peer)}`;
    if (nowUs - (this.#noticedAtUs.get(key) ?? Number.NEGATIVE_INFINITY) < NOTICE_EVERY_US) return;
    this.#noticedAtUs.set(key, nowUs);
    this.#host.notice(level, null, code, `BFD session to ${remote} on ${name}: ${detail}`);
  }

  #statusOf({ peer, session, authentication, watchers, lastDown, sinceUs }: Entry): BfdSessionStatus {
    const users = [...watchers, ...this.#offersFor(peer)].map(({ user }) => user);
    const forUs = this.#host.heartbeat.now() - sinceUs;
    return statusOf({ peer, session, authentication, users, forUs, lastDown });
  }
}

function offers(offer: Offer, peer: BfdPeer): boolean {
  return offer.interface === peer.interface && offer.local === peer.local;
}
