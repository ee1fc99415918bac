/**
 * A LAN: stations at the ports of a learning switch, and everything that can be wrong with it.
 *
 * The switch learns the source address of each frame, sends frames for known addresses out of one port only, and
 * floods multicast, broadcast and what it does not know. Under a partition it behaves like the several switches that
 * the partition makes of it: each port keeps the table of its own side, taught by the frames that reach that side.
 */
import type { Random } from "./random.js";
import type { SimulatedWorld } from "./world.js";

/** What a cable, or a segment in general, does to frames. Probabilities from 0 to 1, times in microseconds. */
export interface LinkFaults {
  /** Half of it before the switch (nobody gets the frame), half behind it (one station misses it). */
  readonly loss: number;
  readonly duplicate: number;
  /** A frame that later ones overtake: it comes up to eight delays later. */
  readonly reorder: number;
  readonly delayUs: number;
  /** Added to the delay, evenly from 0 to this; frames keep their order all the same. */
  readonly jitterUs: number;
}

export const HEALTHY_LINK: LinkFaults = { loss: 0, duplicate: 0, reorder: 0, delayUs: 20, jitterUs: 5 };

/** What hangs at a cable. */
export interface Station {
  readonly name: string;
  receive(frame: Uint8Array): void;
  carrierChanged(carrier: boolean): void;
}

/** How long a switch remembers where an address is; IEEE 802.1D's default. */
const AGE_US = 300_000_000;
/** How many frames a clogged cable holds in each direction; more are lost. */
const CLOG_CAPACITY = 1000;

interface Learned {
  readonly port: Cable;
  readonly atUs: number;
}

function addressKey(frame: Uint8Array, offset: number): number {
  let key = 0;
  for (let index = 0; index < 6; index++) key = key * 256 + (frame[offset + index] as number);
  return key;
}

/** The cable between a station and its port of the switch. */
export class Cable {
  readonly station: Station;
  readonly segment: SimulatedSegment;
  /** What differs from the segment's faults. */
  faults: Partial<LinkFaults> = {};
  #carrier = true;
  #clogged = false;
  #waitingOut: Uint8Array[] = [];
  #waitingIn: Uint8Array[] = [];
  #lastArrivalUs = 0;

  /** Made by `SimulatedSegment.attach`. */
  constructor(segment: SimulatedSegment, station: Station) {
    this.segment = segment;
    this.station = station;
  }

  get carrier(): boolean {
    return this.#carrier;
  }

  /** A port that goes down forgets what was learned at it, as switches do. */
  set carrier(carrier: boolean) {
    if (carrier === this.#carrier) return;
    this.#carrier = carrier;
    this.#waitingIn = [];
    this.#waitingOut = [];
    if (!carrier) this.segment.forget(this);
    this.segment.world.note({
      type: "fault",
      what: `${this.station.name} carrier ${carrier ? "up" : "down"}`,
    });
    this.station.carrierChanged(carrier);
  }

  get clogged(): boolean {
    return this.#clogged;
  }

  /** While clogged, frames of both directions wait; they go on in order when it ends. */
  set clogged(clogged: boolean) {
    if (clogged === this.#clogged) return;
    this.#clogged = clogged;
    this.segment.world.note({
      type: "fault",
      what: `${this.station.name} ${clogged ? "clogged" : "unclogged"}`,
    });
    if (clogged) return;
    const [out, incoming] = [this.#waitingOut, this.#waitingIn];
    this.#waitingOut = [];
    this.#waitingIn = [];
    for (const frame of out) this.segment.forward(this, frame);
    for (const frame of incoming) this.arrive(frame);
  }

  /** From the station to the switch. */
  send(frame: Uint8Array): void {
    const { world, name } = this.segment;
    world.note({ type: "frame", station: this.station.name, segment: name, frame });
    if (!this.#carrier) return;
    if (!this.#clogged) this.segment.forward(this, frame);
    else if (this.#waitingOut.length < CLOG_CAPACITY) this.#waitingOut.push(frame);
  }

  /** From the switch to the station, after the delay; called by the segment. */
  deliverAfter(delayUs: number, overtaken: boolean, frame: Uint8Array): void {
    const { world } = this.segment;
    let atUs = world.nowUs + delayUs;
    if (!overtaken) {
      atUs = Math.max(atUs, this.#lastArrivalUs);
      this.#lastArrivalUs = atUs;
    }
    world.schedule(atUs - world.nowUs, () => this.arrive(frame));
  }

  private arrive(frame: Uint8Array): void {
    if (!this.#carrier) return;
    if (!this.#clogged) this.station.receive(frame);
    else if (this.#waitingIn.length < CLOG_CAPACITY) this.#waitingIn.push(frame);
  }

  /** What the switch knows as seen from this port. Kept here, looked after by the segment. */
  readonly table = new Map<number, Learned>();
}

export class SimulatedSegment {
  readonly world: SimulatedWorld;
  readonly name: string;
  faults: LinkFaults = HEALTHY_LINK;
  /** MAC by IP address of the machines here. Between routers, address resolution is not simulated. */
  readonly neighbours = new Map<string, string>();
  readonly #random: Random;
  #cables: Cable[] = [];
  /** Pairs that do not hear each other: from -> to. */
  readonly #blocked = new Map<Cable, Set<Cable>>();

  constructor(world: SimulatedWorld, name = "lan") {
    this.world = world;
    this.name = name;
    this.#random = world.random.fork(`segment ${name}`);
  }

  get cables(): readonly Cable[] {
    return this.#cables;
  }

  attach(station: Station): Cable {
    const cable = new Cable(this, station);
    this.#cables.push(cable);
    return cable;
  }

  detach(cable: Cable): void {
    this.#cables = this.#cables.filter((one) => one !== cable);
    this.#blocked.delete(cable);
    for (const deaf of this.#blocked.values()) deaf.delete(cable);
    this.forget(cable);
  }

  // ---- faults -------------------------------------------------------------------------------------------

  /** From now on `to` gets nothing of what `from` sends; the other direction is left alone. */
  block(from: Cable, to: Cable): void {
    const deaf = this.#blocked.get(from) ?? new Set();
    deaf.add(to);
    this.#blocked.set(from, deaf);
    this.world.note({ type: "fault", what: `${from.station.name} not heard by ${to.station.name}` });
  }

  /** Splits the LAN: stations of different groups do not hear each other; who is in no group hears nobody. */
  partition(groups: readonly (readonly Cable[])[]): void {
    this.#blocked.clear();
    const groupOf = (cable: Cable): number => groups.findIndex((group) => group.includes(cable));
    for (const from of this.#cables) {
      for (const to of this.#cables) {
        if (from !== to && (groupOf(from) < 0 || groupOf(from) !== groupOf(to))) this.block(from, to);
      }
    }
  }

  /** Ends all partitions and clogs, and takes all faults away. Carriers stay as they are. */
  heal(): void {
    this.#blocked.clear();
    this.faults = HEALTHY_LINK;
    for (const cable of this.#cables) {
      cable.faults = {};
      cable.clogged = false;
    }
    this.world.note({ type: "fault", what: `${this.name} healed` });
  }

  hears(from: Cable, to: Cable): boolean {
    return !this.#blocked.get(from)?.has(to);
  }

  // ---- the switch ---------------------------------------------------------------------------------------

  /** Forgets what was learned at a port; without one, everything (a topology change). */
  forget(port?: Cable): void {
    for (const { table } of this.#cables) {
      for (const [address, learned] of table) {
        if (port === undefined || learned.port === port) table.delete(address);
      }
    }
    port?.table.clear();
  }

  /** A frame at the switch; called by the cable that it came by. */
  forward(from: Cable, frame: Uint8Array): void {
    if (frame.length < 14 || this.#random.chance(this.#faultsOf(from).loss / 2)) return;
    this.#learn(from, frame);
    const multicast = ((frame[0] as number) & 1) === 1;
    const known = multicast ? undefined : this.#lookUp(from, addressKey(frame, 0));
    for (const to of known ? [known] : this.#cables) {
      if (to !== from && to.carrier && this.hears(from, to)) this.#send(to, frame);
    }
  }

  #learn(from: Cable, frame: Uint8Array): void {
    if (((frame[6] as number) & 1) === 1) return;
    const address = addressKey(frame, 6);
    for (const cable of this.#cables) {
      if (this.hears(from, cable)) cable.table.set(address, { port: from, atUs: this.world.nowUs });
    }
  }

  #lookUp(from: Cable, address: number): Cable | undefined {
    const learned = from.table.get(address);
    if (!learned || this.world.nowUs - learned.atUs > AGE_US) return undefined;
    return learned.port;
  }

  #send(to: Cable, frame: Uint8Array): void {
    const faults = this.#faultsOf(to);
    if (this.#random.chance(faults.loss / 2)) return;
    const copies = this.#random.chance(faults.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const overtaken = this.#random.chance(faults.reorder);
      const jitterUs = faults.jitterUs > 0 ? this.#random.integer(0, faults.jitterUs) : 0;
      const delayUs = faults.delayUs * (overtaken ? this.#random.integer(2, 8) : 1) + jitterUs;
      to.deliverAfter(delayUs, overtaken, frame);
    }
  }

  #faultsOf(cable: Cable): LinkFaults {
    return { ...this.faults, ...cable.faults };
  }
}
