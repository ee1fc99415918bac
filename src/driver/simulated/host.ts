/**
 * A host of a simulated LAN: knows one gateway address, resolves and remembers its MAC as hosts do, and sends numbered
 * packets to it. For each packet it is on record which machines took it on: one is right, none is a loss, two are a
 * duplicate.
 */
import {
  formatMac,
  ipToBytes,
  ipv6MulticastMac,
  macToBytes,
  solicitedNodeGroup,
} from "../../core/address.js";
import { answerArp, arpFrame, readArp } from "../../core/arp.js";
import { internetChecksum, pseudoHeaderSum } from "../../core/checksum.js";
import { buildEthernet, buildIp, ETHERTYPE_IPV6, putU16 } from "../../core/ethernet.js";
import { readNeighbourMessage } from "../../core/nd.js";
import { encodeHostPacket } from "./host-packet.js";
import type { Cable, SimulatedSegment, Station } from "./segment.js";
import type { SimulatedWorld } from "./world.js";

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ARP_REQUEST = 1;
const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** RFC 4861 section 10: how long a neighbour is believed, and how often and how many times it is asked. */
const REACHABLE_US = 30_000_000;
const ASK_EVERY_US = 1_000_000;
const ASK_TIMES = 3;

export interface HostOptions {
  readonly name: string;
  /** Without prefix length. Its family is that of the gateway. */
  readonly address: string;
  readonly gateway: string;
  /** Default: made from the name. */
  readonly mac?: string;
  /** Time between two packets, microseconds. */
  readonly packetEveryUs: number;
}

export interface SentPacket {
  readonly sequence: number;
  readonly atUs: number;
  /** Null: it had no MAC to send it to, and the packet was dropped in the host. */
  readonly gatewayMac: string | null;
  /** Machines that took it on, in order. */
  readonly forwardedBy: string[];
}

export class SimulatedHost implements Station {
  readonly name: string;
  readonly packets: SentPacket[] = [];
  readonly cable: Cable;
  readonly mac: string;
  readonly #options: HostOptions;
  readonly #world: SimulatedWorld;
  #gatewayMac: string | null = null;
  #confirmedUs = 0;
  #askedUs = Number.NEGATIVE_INFINITY;
  #asked = 0;
  #stopSending: (() => void) | null = null;

  constructor(segment: SimulatedSegment, options: HostOptions) {
    this.name = options.name;
    this.#options = options;
    this.#world = segment.world;
    const octets = this.#world.random.fork(`mac of host ${options.name}`);
    this.mac =
      options.mac ??
      formatMac(Uint8Array.of(0x06, ...Array.from({ length: 5 }, () => octets.integer(0, 255))));
    this.cable = segment.attach(this);
    this.#world.observe((happening) => {
      if (happening.type !== "forwarded" || happening.host !== this.name) return;
      this.packets[happening.sequence]?.forwardedBy.push(happening.machine);
    });
  }

  /** What its table says of the gateway. */
  get gatewayMac(): string | null {
    return this.#gatewayMac;
  }

  start(): void {
    this.#stopSending?.();
    const beat = (): void => {
      this.#send();
      this.#stopSending = this.#world.schedule(this.#options.packetEveryUs, beat);
    };
    beat();
  }

  stop(): void {
    this.#stopSending?.();
    this.#stopSending = null;
  }

  carrierChanged(carrier: boolean): void {
    // Operating systems empty their tables of an interface that loses its carrier.
    if (!carrier) this.#gatewayMac = null;
  }

  receive(frame: Uint8Array): void {
    const destination = formatMac(frame.subarray(0, 6));
    if (((frame[0] as number) & 1) === 0 && destination !== this.mac) return;
    if (this.#options.gateway.includes(":")) this.#hearNeighbour(frame);
    else this.#hearArp(frame);
  }

  #send(): void {
    const nowUs = this.#world.nowUs;
    const sequence = this.packets.length;
    if (this.#gatewayMac !== null && nowUs - this.#confirmedUs > REACHABLE_US) this.#ask(this.#gatewayMac);
    const gatewayMac = this.#gatewayMac;
    this.packets.push({ sequence, atUs: nowUs, gatewayMac, forwardedBy: [] });
    if (gatewayMac === null) {
      this.#ask(null);
      return;
    }
    const { address: source, name: host } = this.#options;
    const [sourceMac, destinationMac] = [macToBytes(this.mac), macToBytes(gatewayMac)];
    this.cable.send(encodeHostPacket({ host, sequence, source, sourceMac, destinationMac }));
  }

  /** Asks for the gateway: the MAC that is known, or everybody; gives up what does not answer. */
  #ask(mac: string | null): void {
    const nowUs = this.#world.nowUs;
    if (nowUs - this.#askedUs < ASK_EVERY_US) return;
    if (mac !== null && this.#asked >= ASK_TIMES) {
      this.#gatewayMac = null;
      this.#asked = 0;
      mac = null;
    }
    this.#askedUs = nowUs;
    this.#asked++;
    const { address, gateway } = this.#options;
    this.cable.send(
      gateway.includes(":")
        ? solicitation(this.mac, address, gateway, mac)
        : arpFrame(mac ?? BROADCAST, this.mac, {
            operation: ARP_REQUEST,
            senderMac: this.mac,
            senderIp: address,
            targetMac: "00:00:00:00:00:00",
            targetIp: gateway,
          }),
    );
  }

  #hearArp(frame: Uint8Array): void {
    const arp = readArp(frame);
    if (!arp) return;
    if (arp.targetIp === this.#options.address) {
      const answer = answerArp(frame, this.mac);
      if (answer) this.cable.send(answer);
    }
    if (arp.senderIp !== this.#options.gateway) return;
    // RFC 826: an entry that is there is updated by whatever comes; one is made when the packet is for this host.
    if (this.#gatewayMac !== null || arp.targetIp === this.#options.address) this.#learn(arp.senderMac);
  }

  #hearNeighbour(frame: Uint8Array): void {
    const message = readNeighbourMessage(frame);
    if (message?.type !== NEIGHBOUR_ADVERTISEMENT || !message.checksumValid || message.hopLimit !== 255)
      return;
    if (message.target !== this.#options.gateway || message.targetLinkLayer === null) return;
    // RFC 4861 section 7.2.5: no entry is made for an advertisement that nobody asked for.
    const waiting = this.#asked > 0;
    if (this.#gatewayMac === null && !waiting) return;
    if (this.#gatewayMac === null || message.override || message.targetLinkLayer === this.#gatewayMac) {
      this.#learn(message.targetLinkLayer);
    }
  }

  #learn(mac: string): void {
    this.#gatewayMac = mac;
    this.#confirmedUs = this.#world.nowUs;
    this.#asked = 0;
  }
}

/** A neighbour solicitation: to the solicited-node group, or to the MAC that is to be confirmed. RFC 4861 4.3. */
function solicitation(mac: string, source: string, target: string, to: string | null): Uint8Array {
  const destination = to === null ? solicitedNodeGroup(target) : target;
  const body = new Uint8Array(32);
  body[0] = NEIGHBOUR_SOLICITATION;
  body.set(ipToBytes(target), 8);
  body.set([1, 1, ...macToBytes(mac)], 24);
  const [from, onto] = [ipToBytes(source), ipToBytes(destination)];
  putU16(body, 2, internetChecksum(body, pseudoHeaderSum(from, onto, ICMPV6, body.length)));
  const destinationMac = macToBytes(to ?? ipv6MulticastMac(destination));
  return buildEthernet(destinationMac, macToBytes(mac), ETHERTYPE_IPV6, buildIp(from, onto, ICMPV6, body));
}
