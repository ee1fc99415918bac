/**
 * The interfaces that virtual routers are on: keeps what the kernel says of them, the sockets there and the devices
 * that were made on them, and shows each virtual router what concerns it.
 */
import type { Config } from "../../config/index.js";
import { familyOf } from "../../core/address.js";
import type { PortId } from "../../core/automaton.js";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import type {
  AddressInfo,
  Heartbeat,
  Kernel,
  KernelNews,
  LinkInfo,
  VirtualInterface,
} from "../../driver/driver.js";
import { SHORTAGE_ADVICE } from "../../shortage-advice.js";
import type { BfdPorts } from "../bfd/session.js";
import type { BfdSessions } from "../bfd/sessions.js";
import type { GlobalStatistics, InterfaceStatus } from "../status.js";
import type { VirtualRouter } from "../vrrp/virtual-router.js";
import { Devices } from "./devices.js";
import { type LanFacts, lanFactsOf, type VirtualAddresses, virtualAddressesOf } from "./facts.js";
import { FrameIntake } from "./intake.js";
import { NetworkCache } from "./network.js";
import { Ports } from "./ports.js";

export interface InterfacesHost {
  readonly heartbeat: Heartbeat;
  readonly kernel: Kernel;
  bfd(): BfdSessions;
  setTimer(afterUs: number, run: () => void): () => void;
  notice(level: "warning" | "info", name: string | null, code: string, detail: string): void;
}

export class Interfaces {
  readonly #host: InterfacesHost;
  readonly network = new NetworkCache();
  readonly #intake: FrameIntake;
  readonly #ports: Ports;
  readonly #devices: Devices;
  /** Under which name the virtual routers were shown an interface. */
  readonly #shownAs = new Map<number, string>();
  #facts: (name: string) => LanFacts;
  #virtualAddresses: VirtualAddresses;

  constructor(config: Config, host: InterfacesHost) {
    this.#host = host;
    this.#facts = lanFactsOf(config);
    this.#virtualAddresses = virtualAddressesOf(config);
    this.#intake = new FrameIntake(
      host.heartbeat,
      (level, name, reason, detail) => host.notice(level, name, reason, detail),
      (name, packet, frame, atUs) => host.bfd().frame(name, packet, frame, atUs),
    );
    this.#ports = new Ports({
      heartbeat: host.heartbeat,
      needs: (name) => ({
        ...this.#facts(name),
        bfd: this.#facts(name).bfd || host.bfd().interfaces().has(name),
      }),
      opened: (port, name) => this.#intake.setPort(port, name),
      closing: (port) => this.#intake.removePort(port),
      closed: (name) => {
        for (const one of this.#intake.routersOn(name)) one.portChanged();
        host.bfd().networkChanged();
      },
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
      refused: (ifindex, errno, first) => this.#socketRefused(ifindex, errno, first),
      retry: (ifindex) => {
        this.#showAll(ifindex);
        host.bfd().networkChanged();
      },
    });
    this.#devices = new Devices({
      link: (ifindex) => this.network.linkByIndex(ifindex),
      addressesOf: (ifindex) => this.network.addressesOf(ifindex),
      usersOf: (ifindex) => this.#intake.routersOn(this.#shownAs.get(ifindex) ?? ""),
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
    });
  }

  // ---- virtual routers ----------------------------------------------------------------------------------

  add(one: VirtualRouter): void {
    this.#intake.addRouter(one);
    this.#show(one);
  }

  /** These are no more. `used`: names of the interfaces that others are on. */
  remove(routers: readonly VirtualRouter[], used: readonly string[]): void {
    for (const one of routers) this.#intake.removeRouter(one);
    this.#devices.forget(routers);
    this.#ports.closeUnused(new Set([...used, ...this.#host.bfd().interfaces()]));
  }

  /** A device was made for a virtual router. */
  made({ ifindex }: VirtualInterface, owner: VirtualRouter): void {
    this.#devices.made(ifindex, owner);
  }

  #show(one: VirtualRouter): void {
    const { interface: name } = one.config;
    const link = this.network.linkByName(name);
    if (link) this.#shownAs.set(link.ifindex, name);
    this.#ports.dropStale(name, link?.ifindex);
    const source = link ? this.network.sourceOf(one.config, link.ifindex, this.#facts(name).borrowed) : null;
    one.setNetwork({ link, primaryAddress: source, socketsRefused: !!link && !this.#opened(one, link) });
  }

  #showAll(ifindex: number): void {
    const name = this.#shownAs.get(ifindex);
    if (name !== undefined) for (const one of this.#intake.routersOn(name)) this.#show(one);
  }

  /** Opens what a virtual router will send by and listen to, early: it learns of others before it starts. */
  #opened({ config }: VirtualRouter, link: LinkInfo): boolean {
    this.#ports.lan(link);
    if (config.unicast) this.#ports.datagram(config.family, link.ifindex);
    return !this.#ports.isRefused(link.ifindex);
  }

  #socketRefused(ifindex: number, errno: string, first: boolean): void {
    // Whoever asked for the socket is in the middle of something.
    this.#host.setTimer(0, () => this.#showAll(ifindex));
    if (!first) return;
    const name = this.network.linkByIndex(ifindex)?.name ?? `interface ${ifindex}`;
    const detail = `${name}: could not open a socket: ${errno}: ${SHORTAGE_ADVICE[errno]}; trying again every second`;
    this.#host.notice("warning", null, "socket-refused", detail);
  }

  // ---- what is heard ------------------------------------------------------------------------------------

  load(snapshot: { readonly links: readonly LinkInfo[]; readonly addresses: readonly AddressInfo[] }): void {
    this.network.load(snapshot);
  }

  /** Another configuration. Those that stay are shown the network when it changes. */
  configure(config: Config): void {
    this.#facts = lanFactsOf(config);
    this.#virtualAddresses = virtualAddressesOf(config);
  }

  onNews(news: KernelNews): void {
    const changed = this.network.apply(news);
    if (news.type === "linkGone") this.#devices.gone(changed);
    else this.#devices.changed(changed);
    const names = new Set([this.#shownAs.get(changed), this.network.linkByIndex(changed)?.name]);
    for (const name of names) {
      if (name !== undefined) for (const one of this.#intake.routersOn(name)) this.#show(one);
    }
    if (news.type === "linkGone") this.#shownAs.delete(changed);
  }

  onFrame(port: PortId, frame: Uint8Array, atUs: number): void {
    this.#intake.frame(port, frame, atUs);
  }

  onPortError(port: PortId, errno: string): void {
    const name = this.#ports.interfaceOf(port);
    if (name !== null) this.#host.notice("info", null, "port-error", `${name}: ${errno}`);
  }

  // ---- what is asked ------------------------------------------------------------------------------------

  /** Null: the interface went away, and the news of it is on its way; or the socket was refused. */
  lanPort(link: LinkInfo): PortId | null {
    return this.#ports.lan(link);
  }

  /** The port for whole datagrams; null as above. */
  datagramPort(family: IpFamily, ifindex: number): PortId | null {
    return this.#ports.datagram(family, ifindex);
  }

  /** Where packets of a BFD session come in and leave. */
  bfdPorts(name: string, family: IpFamily): BfdPorts | null {
    const link = this.network.linkByName(name);
    const lanPort = link && this.#ports.lan(link);
    const sendPort = link && this.#ports.datagram(family, link.ifindex);
    return lanPort === null || sendPort === null ? null : { lanPort, sendPort };
  }

  isOnLink(name: string, address: string): boolean {
    const link = this.network.linkByName(name);
    return link !== null && this.network.isOnLink(link.ifindex, address);
  }

  /** Where probes to a target leave from. */
  sourceOn(name: string, target: string): string | null {
    const link = this.network.linkByName(name);
    const { borrowed } = this.#virtualAddresses;
    return link && this.network.ownAddress(link.ifindex, familyOf(target), [target], borrowed);
  }

  /** Whether an address is on this machine, or a virtual one of its configuration. */
  isOwn(address: string): boolean {
    return this.#virtualAddresses.all.has(address) || this.network.has(address);
  }

  statistics(): GlobalStatistics {
    return this.#intake.statistics(this.#ports.counters());
  }

  status(name: string): InterfaceStatus {
    const link = this.network.linkByName(name);
    const judged = link && this.#host.kernel.ownership(link.ifindex);
    return {
      name,
      ifindex: link?.ifindex ?? null,
      up: link?.adminUp ?? false,
      carrier: link?.carrier ?? false,
      mac: link?.mac ?? null,
      hook: judged?.hook ?? "off",
      hookDetail: judged?.detail ?? null,
      counters: this.#ports.countersOf(name),
    };
  }
}
