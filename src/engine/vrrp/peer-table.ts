/**
 * The peer table of one virtual router: the other Backups, and which place that leaves for this one when BFD says that
 * the Active failed. Each peer is a session of the heartbeat engine, which hears what it knows and forgets who is
 * silent; JavaScript is told who came, went, or changed its priority.
 */
import type { Operation, PortId } from "../../core/automaton.js";
import {
  type Contender,
  compareContenders,
  PEER_COUNTERS,
  PEER_GONE,
  PEER_TIMERS,
  type PeerEffect,
  type PeerEvent,
  type PeerState,
  type PeerStep,
  rankAmong,
  stepPeer,
} from "../../core/vrrp/peers.js";
import type { Verdict } from "../../core/vrrp/validate.js";
import type { Heartbeat, SessionId } from "../../driver/driver.js";
import { compile, type Foreseen } from "../automaton/compile.js";
import { AutomatonSession, type TransitionReport } from "../automaton/session.js";
import { type KnownFrame, knownPatterns } from "./plan.js";

export interface PeerTableHost {
  readonly heartbeat: Heartbeat;
  /** Where backup advertisements come in; null while the interface is gone. */
  lanPort(): PortId | null;
  /** Reports of this session are the table's, from now on; or no longer. */
  adopt(session: SessionId): void;
  release(session: SessionId): void;
  setTimer(afterUs: number, run: () => void): () => void;
  /** Who is there, or in which order, is another than before. */
  changed(): void;
}

export interface PeerRecord extends Contender {
  readonly intervalUs: number;
}

/** A table between two processes. */
export interface FrozenPeerTable {
  readonly peers: readonly PeerRecord[];
  readonly received: number;
}

type Accepted = Extract<Verdict, { verdict: "accept" }>;

interface Peer {
  readonly address: string;
  readonly automaton: AutomatonSession<PeerState, PeerEvent, PeerStep>;
  /** By checksum form. */
  readonly known: Map<string, KnownFrame>;
  state: PeerState;
}

/** More Backups than this are not told apart: whoever forges them must not cost more than that. */
const PEERS_MAX = 16;
/** A table is complete when everybody had time for an advertisement, and some. */
const LISTENED_INTERVALS = 1.25;

export class PeerTable {
  readonly #host: PeerTableHost;
  readonly #peers = new Map<string, Peer>();
  readonly #bySession = new Map<SessionId, Peer>();
  #kept = false;
  #complete = false;
  #cancelListening: (() => void) | null = null;
  /** Of peers that are gone. */
  #counted = 0;

  constructor(host: PeerTableHost) {
    this.#host = host;
  }

  /** The virtual router runs, and others show themselves within an interval; null: it does not, or they do not. */
  keep(intervalUs: number | null): void {
    const kept = intervalUs !== null;
    if (kept === this.#kept) return;
    this.#kept = kept;
    if (!kept) this.clear();
    else this.#listen(intervalUs);
  }

  #listen(intervalUs: number): void {
    this.#complete = false;
    this.#cancelListening = this.#host.setTimer(Math.ceil(intervalUs * LISTENED_INTERVALS), () => {
      this.#cancelListening = null;
      this.#complete = true;
      this.#host.changed();
    });
  }

  /** A backup advertisement that passed every check, and that the engine did not know. */
  hear({ source, checksumForm, advertisement }: Accepted, frame: Uint8Array, atUs: number): void {
    const { priority, intervalUs } = advertisement;
    const known = this.#peers.get(source);
    if (!this.#kept || (!known && priority === 0)) return;
    if (!known && this.#peers.size >= PEERS_MAX) return;
    const peer = known ?? this.#add(source);
    if (priority !== 0) peer.known.set(checksumForm, { frame, source, priority, intervalUs });
    this.#dispatch(peer, { type: "heard", priority, intervalUs }, atUs);
  }

  /** False when the report is about no peer. */
  onTransition(report: TransitionReport): boolean {
    const peer = this.#bySession.get(report.session);
    if (!peer) return false;
    const before = peer.state;
    peer.state = peer.automaton.read(report).after;
    peer.automaton.retryDeferred();
    this.#settle(peer, before);
    return true;
  }

  /** Other ports. */
  reload(): void {
    for (const peer of this.#peers.values())
      peer.automaton.attempt(() =>
        this.#load(peer, { state: peer.state, effects: [] }, this.#host.heartbeat.now()),
      );
  }

  clear(): void {
    this.#cancelListening?.();
    this.#cancelListening = null;
    for (const peer of [...this.#peers.values()]) this.#remove(peer);
  }

  /** The other Backups, the first one first. `active` is none of them, whatever it was before. */
  backups(active: string | null): readonly PeerRecord[] {
    return [...this.#peers.values()]
      .flatMap(({ address, state }) =>
        state.name === "heard" && address !== active
          ? [{ address, priority: state.priority, intervalUs: state.intervalUs }]
          : [],
      )
      .sort(compareContenders);
  }

  /** This router's place among the Backups; null while others may not have shown themselves yet. */
  rank(own: Contender, active: string | null): number | null {
    return this.#complete ? rankAmong(own, this.backups(active)) : null;
  }

  /** Backup advertisements so far. */
  received(): number {
    return [...this.#peers.values()].reduce((sum, peer) => sum + this.#receivedFrom(peer), this.#counted);
  }

  #receivedFrom({ automaton }: Peer): number {
    return automaton.counters()[PEER_COUNTERS.indexOf("backupAdvertisementRcvd")] ?? 0;
  }

  look(): FrozenPeerTable {
    return { peers: this.backups(null), received: this.received() };
  }

  /** Goes on with what another process knew. Frames are learned again. */
  resume({ peers, received }: FrozenPeerTable): void {
    this.#counted = received - this.received() + this.#counted;
    for (const { address, priority, intervalUs } of peers) {
      const peer = this.#peers.get(address) ?? this.#add(address);
      this.#dispatch(peer, { type: "heard", priority, intervalUs }, this.#host.heartbeat.now());
    }
    this.#kept = true;
    this.#complete = true;
  }

  // ---- one peer -----------------------------------------------------------------------------------------

  #add(address: string): Peer {
    const automaton = new AutomatonSession<PeerState, PeerEvent, PeerStep>(
      this.#host.heartbeat,
      PEER_TIMERS.length,
    );
    const peer: Peer = { address, automaton, known: new Map(), state: PEER_GONE };
    this.#peers.set(address, peer);
    this.#bySession.set(automaton.id, peer);
    this.#host.adopt(automaton.id);
    return peer;
  }

  #remove(peer: Peer): void {
    this.#counted += this.#receivedFrom(peer);
    this.#peers.delete(peer.address);
    this.#bySession.delete(peer.automaton.id);
    this.#host.release(peer.automaton.id);
    peer.automaton.dispose();
  }

  #dispatch(peer: Peer, event: PeerEvent, atUs: number): void {
    const before = peer.state;
    peer.automaton.attempt(() => {
      const made = stepPeer(event);
      if (!this.#load(peer, made, atUs)) return false;
      peer.state = made.state;
      return true;
    });
    this.#settle(peer, before);
  }

  /** Who is gone is forgotten, and what matters to others is told. */
  #settle(peer: Peer, before: PeerState): void {
    const { state } = peer;
    if (state.name === "gone" && peer.automaton.deferred === 0) this.#remove(peer);
    if (priorityOf(before) !== priorityOf(state)) this.#host.changed();
  }

  /** False when the engine made a transition that we have not read yet. */
  #load(peer: Peer, made: PeerStep, atUs: number): boolean {
    const port = this.#host.lanPort();
    const heard = port === null ? [] : foreseen([...peer.known.values()], port);
    const compiled = compile<PeerState, PeerEvent, PeerStep>(
      {
        step: (_, event) => stepPeer(event),
        key: (state) => JSON.stringify(state),
        foresee: (state) =>
          state.name === "gone"
            ? []
            : [{ event: { type: "timer", timer: "aging" }, trigger: { on: "timer", timer: 0 } }, ...heard],
        lower: (_, outcome) => outcome.effects.map(lower),
      },
      made.state,
    );
    return peer.automaton.load(compiled, made.effects.map(lower), atUs);
  }
}

function priorityOf(state: PeerState): number | null {
  return state.name === "heard" ? state.priority : null;
}

function foreseen(known: readonly KnownFrame[], port: PortId): Foreseen<PeerEvent>[] {
  return known
    .flatMap((frame) => knownPatterns(frame, port))
    .map(({ pattern, priority, intervalUs }) => ({
      event: { type: "heard", priority, intervalUs },
      trigger: { on: "pattern", pattern },
    }));
}

function lower(effect: PeerEffect): Operation {
  switch (effect.effect) {
    case "arm":
      return { op: "arm", timer: PEER_TIMERS.indexOf(effect.timer), afterUs: effect.afterUs };
    case "cancel":
      return { op: "cancel", timer: PEER_TIMERS.indexOf(effect.timer) };
    case "count":
      return { op: "count", counter: PEER_COUNTERS.indexOf(effect.counter) };
  }
}
