/** The sockets of a router, by what they are for: opened on first use, shared, closed when nobody uses them. */
import type { PortId } from "../../core/automaton.js";
import { BFD_CONTROL_PORT } from "../../core/bfd/packet.js";
import { socketGroups } from "../../core/lan-groups.js";
import { lanPortFilter } from "../../core/socket-filter.js";
import type {
  DatagramPortOptions,
  Heartbeat,
  LinkInfo,
  PortCounters,
  PortOptions,
} from "../../driver/driver.js";
import { isShortage } from "../../shortage-advice.js";

interface LanPort {
  readonly port: PortId;
  readonly ifindex: number;
  /** What it was opened for, as text. */
  readonly key: string;
}

/** What an interface's LAN port has to let in beside VRRP. */
export interface LanNeeds {
  /** Addresses that this router answers ARP and ND for itself. */
  readonly answered: readonly string[];
  readonly bfd: boolean;
  readonly backupAdvertisements: boolean;
}

export interface PortsHost {
  readonly heartbeat: Heartbeat;
  needs(interfaceName: string): LanNeeds;
  opened(port: PortId, interfaceName: string): void;
  /** Called before the port is closed. */
  closing(port: PortId): void;
  /** Programs that were made with the port need another one. */
  closed(interfaceName: string): void;
  setTimer(afterUs: number, run: () => void): () => void;
  /** There is too little of something (errno) for a socket; `first`: there was enough before. */
  refused(ifindex: number, errno: string, first: boolean): void;
  /** What was refused is to be asked for again. */
  retry(ifindex: number): void;
}

/** Until sockets that there was too little for are tried again. */
const RETRY_AFTER_US = 1_000_000;

export class Ports {
  readonly #host: PortsHost;
  readonly #lan = new Map<string, LanPort>();
  readonly #datagram = new Map<string, PortId>();
  /** Interfaces whose sockets were refused, and whether they wait for another attempt. */
  readonly #refused = new Map<number, boolean>();

  constructor(host: PortsHost) {
    this.#host = host;
  }

  /** Null: the interface went away, and the news of it is on its way; or it was refused. */
  lan(link: LinkInfo): PortId | null {
    const { answered, bfd, backupAdvertisements } = this.#host.needs(link.name);
    const key = [...answered, ...(bfd ? ["bfd"] : []), ...(backupAdvertisements ? ["backup"] : [])].join();
    const known = this.#lan.get(link.name);
    if (known && known.ifindex === link.ifindex && known.key === key) return known.port;
    if (known) this.#replaceLan(link.name, known, link.ifindex);
    this.#dropFormerName(link);
    const port = this.#open({
      kind: "packet",
      ifindex: link.ifindex,
      filter: lanPortFilter(answered, { bfd }),
      ...socketGroups(answered, { backupAdvertisements }),
      ...(bfd ? { udpPorts: [BFD_CONTROL_PORT] } : {}),
    });
    if (port === null) return null;
    this.#lan.set(link.name, { port, ifindex: link.ifindex, key });
    this.#host.opened(port, link.name);
    return port;
  }

  /** The port for whole datagrams; null as above. */
  datagram(family: "ipv4" | "ipv6", ifindex: number): PortId | null {
    const key = `${family}/${ifindex}`;
    const known = this.#datagram.get(key);
    if (known !== undefined) return known;
    const port = this.#open({ kind: "datagram", family, ifindex });
    if (port !== null) this.#datagram.set(key, port);
    return port;
  }

  /** Whether there is too little of something for the sockets of an interface. */
  isRefused(ifindex: number): boolean {
    return this.#refused.get(ifindex) === true;
  }

  #open(options: PortOptions | DatagramPortOptions): PortId | null {
    if (this.isRefused(options.ifindex)) return null;
    try {
      const port = this.#host.heartbeat.openPort(options);
      this.#refused.delete(options.ifindex);
      return port;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (["ENODEV", "ENXIO"].includes(code)) return null;
      if (!isShortage(error)) throw error;
      this.#refuse(options.ifindex, code);
      return null;
    }
  }

  #refuse(ifindex: number, errno: string): void {
    const first = !this.#refused.has(ifindex);
    this.#refused.set(ifindex, true);
    this.#host.refused(ifindex, errno, first);
    this.#host.setTimer(RETRY_AFTER_US, () => {
      this.#refused.set(ifindex, false);
      this.#host.retry(ifindex);
    });
  }

  /** The interface is another one now. */
  dropStale(interfaceName: string, ifindex: number | undefined): void {
    const known = this.#lan.get(interfaceName);
    if (known && known.ifindex !== ifindex) this.#replaceLan(interfaceName, known, ifindex);
  }

  /** An interface that is gone takes along the sockets that send by it: its number does not come back. */
  #replaceLan(interfaceName: string, known: LanPort, ifindex: number | undefined): void {
    this.dropLan(interfaceName);
    if (known.ifindex === ifindex) return;
    for (const family of ["ipv4", "ipv6"]) {
      const key = `${family}/${known.ifindex}`;
      const port = this.#datagram.get(key);
      this.#datagram.delete(key);
      if (port !== undefined) this.#host.heartbeat.closePort(port);
    }
  }

  /** An interface that has another name now: nobody asks for the port of its former one any more. */
  #dropFormerName({ name, ifindex }: LinkInfo): void {
    for (const [other, one] of [...this.#lan])
      if (other !== name && one.ifindex === ifindex) this.dropLan(other);
  }

  dropLan(interfaceName: string): void {
    const known = this.#lan.get(interfaceName);
    if (!known) return;
    this.#lan.delete(interfaceName);
    this.#host.closing(known.port);
    this.#host.heartbeat.closePort(known.port);
    this.#host.closed(interfaceName);
  }

  closeUnused(used: ReadonlySet<string>): void {
    for (const name of [...this.#lan.keys()]) if (!used.has(name)) this.dropLan(name);
  }

  interfaceOf(port: PortId): string | null {
    return [...this.#lan].find(([, one]) => one.port === port)?.[0] ?? null;
  }

  countersOf(interfaceName: string): PortCounters | null {
    const lan = this.#lan.get(interfaceName);
    return lan ? this.#host.heartbeat.portCounters(lan.port) : null;
  }

  counters(): PortCounters[] {
    return [...this.#lan.values()].map((one) => this.#host.heartbeat.portCounters(one.port));
  }
}
