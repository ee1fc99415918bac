/**
 * The kernel of a simulated machine: links, addresses, virtual interfaces, who answers ARP and neighbour
 * solicitations, and who forwards. It outlives the processes that configure it; only `powerOff` empties it.
 *
 * Modelled after what Linux was measured to do: a parked virtual interface (macvlan mode "source") takes in nothing,
 * an open one everything to its address; an interface that goes down keeps its IPv4 and loses its IPv6 addresses,
 * which are tentative for a while when it comes back; macvlans go with their parent.
 */
import { formatMac, macToBytes } from "../../core/address.js";
import { answerArp, readArp } from "../../core/arp.js";
import { buildEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../../core/ethernet.js";
import { answerSolicitation, readSolicitation } from "../../core/nd.js";
import { GROUP_ADDRESS, GROUP_MAC } from "../../core/vrrp/advertisement.js";
import type { AddressInfo, KernelNews, LinkInfo } from "../driver.js";
import { SimulatedLease } from "./lease.js";
import type { Cable, SimulatedSegment } from "./segment.js";
import type { SimulatedWorld } from "./world.js";

/** Duplicate address detection: how long a new IPv6 address of an interface is tentative. */
const DAD_US = 1_000_000;
/** What the kernel takes to answer ARP. */
const ANSWER_US = 15;

/** The Ethernet address of VRRP's group; null for another destination. */
function groupMac(destination: string): string | null {
  if (destination === GROUP_ADDRESS.ipv4) return GROUP_MAC.ipv4;
  return destination === GROUP_ADDRESS.ipv6 ? GROUP_MAC.ipv6 : null;
}

/** An interface of the machine, on a segment. */
export interface SimulatedInterface {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: string;
  readonly cable: Cable;
  adminUp: boolean;
  readonly taps: Set<Tap>;
}

/** A packet socket: is shown each frame that comes in by an interface. */
export interface Tap {
  readonly ifindex: number;
  /** Ethernet multicast addresses that it asks for, as text. */
  readonly memberships: ReadonlySet<string>;
  frame(frame: Uint8Array): void;
  error(errno: string): void;
}

/** Where one virtual router's addresses live; see VirtualInterface in ../driver.ts. */
export interface VirtualPlace {
  readonly owner: string;
  readonly family: "ipv4" | "ipv6";
  readonly parentIfindex: number;
  /** The macvlan; null when the addresses go on the parent itself. */
  readonly device: { readonly ifindex: number; readonly name: string; readonly mac: string } | null;
  /** Number of the process whose it is. */
  maker: number;
  mode: "source" | "private";
  ipv6Enabled: boolean;
  /** Addresses that are on it now. */
  readonly addresses: Map<string, number>;
  /** Null where the device itself is closed instead of filtered. */
  lease: SimulatedLease | null;
  /** What observers were told last. */
  shownOpen: boolean;
}

export interface StackHost {
  readonly name: string;
  readonly world: SimulatedWorld;
  /** The machine's monotonic clock, microseconds. */
  now(): number;
  /** A frame at an interface; to be handed to `NetworkStack.receive` when the machine gets to it. */
  intake(ifindex: number, frame: Uint8Array): void;
  /** A frame that this machine takes on, to send it to where it wants to go. */
  forward(frame: Uint8Array): void;
}

export class NetworkStack {
  readonly #host: StackHost;
  readonly interfaces = new Map<number, SimulatedInterface>();
  readonly places = new Map<string, VirtualPlace>();
  #addresses: AddressInfo[] = [];
  #nextIfindex = 2;
  readonly #listeners = new Set<(news: KernelNews) => void>();
  /** IPv6 addresses by interface that come back when it goes up again. */
  readonly #lostWhenDown = new Map<number, AddressInfo[]>();

  constructor(host: StackHost) {
    this.#host = host;
  }

  listen(listener: (news: KernelNews) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // ---- interfaces and addresses -------------------------------------------------------------------------

  addInterface(name: string, segment: SimulatedSegment, mac: string): SimulatedInterface {
    if (this.find(name)) throw new RangeError(`${this.#host.name} has an interface ${name} already`);
    const ifindex = this.#nextIfindex++;
    const cable: Cable = segment.attach({
      name: this.#host.name,
      receive: (frame) => this.#host.intake(ifindex, frame),
      carrierChanged: () => this.#linkNews(ifindex),
    });
    const added: SimulatedInterface = { name, ifindex, mac, cable, adminUp: true, taps: new Set() };
    this.interfaces.set(ifindex, added);
    this.#linkNews(ifindex);
    return added;
  }

  find(name: string): SimulatedInterface | null {
    for (const one of this.interfaces.values()) if (one.name === name) return one;
    return null;
  }

  /** The interface, what stands on it, and its addresses are gone. */
  removeInterface(name: string): void {
    const gone = this.find(name);
    if (!gone) return;
    for (const place of [...this.places.values()]) {
      if (place.parentIfindex === gone.ifindex) this.removePlace(place.owner);
    }
    for (const address of this.addressesOf(gone.ifindex)) this.#dropAddress(address, false);
    this.interfaces.delete(gone.ifindex);
    gone.cable.segment.detach(gone.cable);
    for (const tap of gone.taps) tap.error("ENODEV");
    this.#tell({ type: "linkGone", ifindex: gone.ifindex, name });
  }

  setUp(name: string, up: boolean): void {
    const link = this.find(name);
    if (!link || link.adminUp === up) return;
    link.adminUp = up;
    if (!up) {
      for (const tap of link.taps) tap.error("ENETDOWN");
      for (const one of this.addressesOf(link.ifindex))
        if (one.family === "ipv6") this.#dropAddress(one, true);
    }
    this.#linkNews(link.ifindex);
    if (up) {
      // The kernel makes the link-local address anew; other IPv6 addresses come from whoever configured them.
      for (const one of this.#lostWhenDown.get(link.ifindex) ?? [])
        this.addAddress(name, one.address, one.prefixLength);
      this.#lostWhenDown.delete(link.ifindex);
    }
    this.#showPlaces();
  }

  addAddress(name: string, address: string, prefixLength: number, tentative = address.includes(":")): void {
    const link = this.find(name);
    if (!link) return;
    if (this.addressesOf(link.ifindex).some((one) => one.address === address)) return;
    const family = address.includes(":") ? "ipv6" : "ipv4";
    const secondary = this.addressesOf(link.ifindex).some(
      (one) => one.family === family && family === "ipv4",
    );
    const info: AddressInfo = { ifindex: link.ifindex, address, prefixLength, family, tentative, secondary };
    this.#addresses = this.#addresses.filter(
      (one) => one.ifindex !== link.ifindex || one.address !== address,
    );
    this.#addresses.push(info);
    link.cable.segment.neighbours.set(address, link.mac);
    this.#tell({ type: "address", address: info });
    if (!tentative) return;
    this.#host.world.schedule(DAD_US, () => {
      if (!this.#addresses.includes(info)) return;
      const settled = { ...info, tentative: false };
      this.#addresses[this.#addresses.indexOf(info)] = settled;
      this.#tell({ type: "address", address: settled });
    });
  }

  removeAddress(name: string, address: string): void {
    const link = this.find(name);
    const info = this.#addresses.find((one) => one.ifindex === link?.ifindex && one.address === address);
    if (info) this.#dropAddress(info, false);
  }

  #dropAddress(info: AddressInfo, comesBack: boolean): void {
    this.#addresses = this.#addresses.filter((one) => one !== info);
    if (comesBack) {
      this.#lostWhenDown.set(info.ifindex, [...(this.#lostWhenDown.get(info.ifindex) ?? []), info]);
    }
    this.#tell({ type: "addressGone", address: info });
  }

  addressesOf(ifindex: number): AddressInfo[] {
    return this.#addresses.filter((one) => one.ifindex === ifindex);
  }

  snapshot(): { readonly links: readonly LinkInfo[]; readonly addresses: readonly AddressInfo[] } {
    const links = [...this.interfaces.values()].map(linkInfo);
    const addresses = [...this.#addresses];
    for (const place of this.places.values()) {
      const info = this.#deviceInfo(place);
      if (info) links.push(info);
      for (const [address, length] of place.addresses) addresses.push(placeAddress(place, address, length));
    }
    return { links, addresses };
  }

  // ---- virtual interfaces -------------------------------------------------------------------------------

  addPlace(
    request: Omit<VirtualPlace, "device" | "mode" | "ipv6Enabled" | "addresses" | "lease" | "shownOpen"> & {
      readonly device: { readonly name: string; readonly mac: string } | null;
      /** Whether a filter keeps out what is not owned, so that the device may stand open. */
      readonly filtered: boolean;
    },
  ): VirtualPlace {
    const { filtered, ...rest } = request;
    const device = request.device && { ...request.device, ifindex: this.#nextIfindex++ };
    const place: VirtualPlace = {
      ...rest,
      device,
      mode: filtered ? "private" : "source",
      ipv6Enabled: filtered,
      lease:
        filtered && device ? new SimulatedLease(device.ifindex, device.mac, () => this.changed(place)) : null,
      addresses: new Map(),
      shownOpen: false,
    };
    this.places.set(place.owner, place);
    this.#placeNews(place);
    return place;
  }

  removePlace(owner: string): void {
    const place = this.places.get(owner);
    if (!place) return;
    for (const address of [...place.addresses.keys()]) this.removePlaceAddress(place, address);
    this.places.delete(owner);
    if (place.shownOpen)
      this.#host.world.note({ type: "forwarding", machine: this.#host.name, owner, open: false });
    if (place.device)
      this.#tell({ type: "linkGone", ifindex: place.device.ifindex, name: place.device.name });
  }

  setMode(place: VirtualPlace, mode: VirtualPlace["mode"]): void {
    if (place.mode === mode) return;
    place.mode = mode;
    this.#placeNews(place);
  }

  addPlaceAddress(place: VirtualPlace, address: string, prefixLength: number): void {
    place.addresses.set(address, prefixLength);
    this.#tell({ type: "address", address: placeAddress(place, address, prefixLength) });
  }

  /** False when it is not there. */
  removePlaceAddress(place: VirtualPlace, address: string): boolean {
    const prefixLength = place.addresses.get(address);
    if (prefixLength === undefined) return false;
    place.addresses.delete(address);
    this.#tell({ type: "addressGone", address: placeAddress(place, address, prefixLength) });
    return true;
  }

  /** After any change of a place, or of what it stands on. */
  changed(place: VirtualPlace): void {
    const open = this.isOpen(place);
    if (open === place.shownOpen) return;
    place.shownOpen = open;
    this.#host.world.note({ type: "forwarding", machine: this.#host.name, owner: place.owner, open });
  }

  /** Whether it takes in, forwards and answers. */
  isOpen(place: VirtualPlace): boolean {
    const parent = this.interfaces.get(place.parentIfindex);
    if (!parent?.adminUp || this.places.get(place.owner) !== place) return false;
    if (!place.device) return place.mode === "private";
    if (place.lease && !place.lease.lets(this.#host.now())) return false;
    return place.mode === "private" && (place.family === "ipv4" || place.ipv6Enabled);
  }

  #showPlaces(): void {
    for (const place of this.places.values()) this.changed(place);
  }

  // ---- frames -------------------------------------------------------------------------------------------

  /** A frame at an interface: sockets first, then the kernel's own protocols. */
  receive(ifindex: number, frame: Uint8Array): void {
    const link = this.interfaces.get(ifindex);
    if (!link?.adminUp || frame.length < 14) return;
    const destination = formatMac(frame.subarray(0, 6));
    for (const place of this.places.values()) {
      if (place.parentIfindex === ifindex) place.lease?.hear(frame, this.#host.now());
    }
    if (!this.#accepts(link, frame, destination)) return;
    for (const tap of [...link.taps]) tap.frame(frame);
    if (((frame[0] as number) & 1) === 1) {
      this.#answer(link, frame);
      return;
    }
    if (destination === link.mac) this.#takeIn(link, frame);
    for (const place of this.places.values()) {
      if (place.parentIfindex !== ifindex || place.device?.mac !== destination || !this.isOpen(place))
        continue;
      this.#takeIn(link, frame);
      return;
    }
  }

  /** The interface's own filter: its addresses, those of macvlans on it, broadcast, groups that somebody joined. */
  #accepts(link: SimulatedInterface, frame: Uint8Array, destination: string): boolean {
    if (((frame[0] as number) & 1) === 0) {
      if (destination === link.mac) return true;
      for (const place of this.places.values()) {
        if (place.parentIfindex === link.ifindex && place.device?.mac === destination) return true;
      }
      return false;
    }
    if (destination === "ff:ff:ff:ff:ff:ff" || destination === "33:33:00:00:00:01") return true;
    if (destination.startsWith("33:33:ff")) return true;
    for (const tap of link.taps) if (tap.memberships.has(destination)) return true;
    return false;
  }

  #takeIn(link: SimulatedInterface, frame: Uint8Array): void {
    if (!this.#answer(link, frame)) this.#host.forward(frame);
  }

  /** ARP and neighbour solicitations for addresses that the kernel has; true when the frame was one of those. */
  #answer(link: SimulatedInterface, frame: Uint8Array): boolean {
    const target = readArp(frame)?.targetIp ?? readSolicitation(frame)?.target;
    if (target === undefined) return false;
    const mac = this.#answeringMac(link, target);
    const answer = mac && (answerArp(frame, mac) ?? answerSolicitation(frame, mac));
    if (answer) this.#host.world.schedule(ANSWER_US, () => this.transmit(link.ifindex, answer));
    return true;
  }

  /** An address that a virtual router holds is answered for by that one, not by the parent that may have it too. */
  #answeringMac(link: SimulatedInterface, target: string): string | null {
    for (const place of this.places.values()) {
      if (place.parentIfindex !== link.ifindex || !this.isOpen(place)) continue;
      if (place.addresses.has(target)) return place.device?.mac ?? link.mac;
    }
    const own = this.addressesOf(link.ifindex).some((one) => one.address === target && !one.tentative);
    return own ? link.mac : null;
  }

  /** Sends a frame out of an interface; an errno where that is not possible. */
  transmit(ifindex: number, frame: Uint8Array): string | null {
    const link = this.interfaces.get(ifindex);
    if (!link) return "ENXIO";
    if (!link.adminUp) return "ENETDOWN";
    for (const place of this.places.values()) {
      if (place.parentIfindex !== ifindex || !place.lease?.sent(frame)) continue;
      if (!place.lease.lets(this.#host.now())) return "ENOBUFS";
    }
    link.cable.send(frame);
    return null;
  }

  /** Sends a datagram by the routing table: to the interface whose subnet holds the destination. */
  transmitDatagram(ifindex: number, datagram: Uint8Array, destination: string): string | null {
    for (const link of this.interfaces.values()) {
      if (ifindex !== 0 && link.ifindex !== ifindex) continue;
      const mac = groupMac(destination) ?? link.cable.segment.neighbours.get(destination);
      if (!mac) continue;
      const etherType = destination.includes(":") ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
      const frame = buildEthernet(macToBytes(mac), macToBytes(link.mac), etherType, datagram);
      return this.transmit(link.ifindex, frame);
    }
    return "EHOSTUNREACH";
  }

  // ---- news ---------------------------------------------------------------------------------------------

  #linkNews(ifindex: number): void {
    const link = this.interfaces.get(ifindex);
    if (!link) return;
    this.#tell({ type: "link", link: linkInfo(link) });
    for (const place of this.places.values()) if (place.parentIfindex === ifindex) this.#placeNews(place);
  }

  #placeNews(place: VirtualPlace): void {
    const link = this.#deviceInfo(place);
    if (link) this.#tell({ type: "link", link });
  }

  #deviceInfo(place: VirtualPlace): LinkInfo | null {
    const parent = this.interfaces.get(place.parentIfindex);
    if (!place.device || !parent) return null;
    return {
      ...linkInfo(parent),
      ...place.device,
      adminUp: true,
      carrier: parent.adminUp && parent.cable.carrier,
      kind: "macvlan",
      parentIfindex: place.parentIfindex,
      alias: `firsthop:${place.owner}`,
      macvlanMode: place.mode,
    };
  }

  #tell(news: KernelNews): void {
    for (const listener of [...this.#listeners]) listener(news);
  }
}

function placeAddress(place: VirtualPlace, address: string, prefixLength: number): AddressInfo {
  const ifindex = place.device?.ifindex ?? place.parentIfindex;
  // On the parent it comes after the interface's own.
  const secondary = place.device === null && place.family === "ipv4";
  return { ifindex, address, prefixLength, family: place.family, tentative: false, secondary };
}

function linkInfo(link: SimulatedInterface): LinkInfo {
  return {
    ifindex: link.ifindex,
    name: link.name,
    mac: link.mac,
    mtu: 1500,
    adminUp: link.adminUp,
    carrier: link.adminUp && link.cable.carrier,
    kind: null,
    parentIfindex: null,
    masterIfindex: null,
    alias: null,
    macvlanMode: null,
  };
}
