/**
 * What the kernel's filter knows of one virtual interface: whether this machine lets its packets in, until when, and
 * whom it gives way to (native/bpf/ownership.bpf.c). Times are the machine's monotonic microseconds.
 */
import { macToBytes } from "../../core/address.js";
import { virtualMac } from "../../core/vrrp/advertisement.js";
import { familyOfPacket, MESSAGE_TYPE, readVrrpFrame } from "../../core/vrrp/packet.js";
import type { Lease, LeaseTerms } from "../driver.js";

export class SimulatedLease implements Lease {
  terms: LeaseTerms = { overdueUs: 0, limitUs: null };
  #claimed = false;
  #gaveWay = false;
  #renewedUs = 0;

  constructor(
    readonly slot: number,
    readonly mac: string,
    /** Called when whether packets are let in may have changed. */
    readonly changed: () => void,
  ) {}

  get gaveWay(): boolean {
    return this.#claimed && this.#gaveWay;
  }

  set(open: boolean, nowUs: number): void {
    this.#claimed = open;
    this.#gaveWay = false;
    this.#renewedUs = nowUs;
    this.changed();
  }

  renew(nowUs: number): void {
    this.#renewedUs = nowUs;
  }

  lets(nowUs: number): boolean {
    const { limitUs } = this.terms;
    return this.#claimed && !this.#gaveWay && (limitUs === null || nowUs - this.#renewedUs <= limitUs);
  }

  /** A frame that comes in. A successor's claim is believed once a renewal is overdue. */
  hear(frame: Uint8Array, nowUs: number): void {
    if (!this.#claimed || this.#gaveWay || nowUs - this.#renewedUs <= this.terms.overdueUs) return;
    const vrrp = readVrrpFrame(frame);
    if (vrrp?.message?.type !== MESSAGE_TYPE.advertisement || vrrp.message.priority === 0) return;
    if (virtualMac(familyOfPacket(vrrp.ip), vrrp.message.vrid) !== this.mac) return;
    this.#gaveWay = true;
    this.changed();
  }

  /** Whether a frame that goes out has this virtual interface's address as its source. */
  sent(frame: Uint8Array): boolean {
    return macToBytes(this.mac).every((octet, index) => frame[6 + index] === octet);
  }
}
