/**
 * A port of the simulated heartbeat engine: a packet socket with its filter and buffer, or one for whole datagrams;
 * the frames that programs expect on it; and how many of the others JavaScript is to be troubled with.
 */
import { formatIp, formatMac } from "../../core/address.js";
import type { FrameGuard, FramePattern } from "../../core/automaton.js";
import { readIp } from "../../core/ethernet.js";
import type { DatagramPortOptions, PortCounters, PortOptions, SessionId } from "../driver.js";
import { guardsHold } from "./guards.js";
import type { NetworkStack, Tap } from "./network-stack.js";
import { socketFilter } from "./socket-filter.js";

/** Frames for JavaScript: 200 a second from one sender in bursts of 64, 2,000 a second from a port. */
const SENDER_RATE = { costUs: 5_000, burst: 64 };
const PORT_RATE = { costUs: 500, burst: 512 };
/** What a socket's buffer holds. */
const BUFFER_FRAMES = 8192;

export interface Received {
  readonly frame: Uint8Array;
  /** The kernel's stamp. */
  readonly atUs: number;
}

/** A pattern of a program, and whose. */
export interface Expectation {
  readonly session: SessionId;
  /** Index in the program. */
  readonly pattern: number;
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
  /** Null for a frame that is known. */
  readonly guards: readonly FrameGuard[] | null;
}

/** A token bucket, as a moment: how far it is used up. */
class Bucket {
  #usedUntilUs = Number.NEGATIVE_INFINITY;

  take(nowUs: number, rate: { readonly costUs: number; readonly burst: number }): boolean {
    const levelUs = Math.max(this.#usedUntilUs, nowUs - rate.costUs * rate.burst);
    if (levelUs + rate.costUs > nowUs) return false;
    this.#usedUntilUs = levelUs + rate.costUs;
    return true;
  }
}

export interface PortHost {
  readonly stack: NetworkStack;
  now(): number;
  /** Something is to be read. */
  wake(): void;
}

export class Port {
  readonly counts: { -readonly [key in keyof PortCounters]: number } = {
    received: 0,
    matched: 0,
    delivered: 0,
    droppedUnread: 0,
    droppedByKernel: 0,
    sent: 0,
    sendErrors: 0,
  };
  readonly #options: PortOptions | DatagramPortOptions;
  readonly #host: PortHost;
  readonly #close: () => void;
  #received: Received[] = [];
  #error: string | null = null;
  /** By frame length. */
  readonly #expected = new Map<number, Expectation[]>();
  readonly #guarded: Expectation[] = [];
  readonly #all = new Bucket();
  readonly #senders = new Map<string, Bucket>();

  /** @throws Error with `code` ENODEV */
  constructor(options: PortOptions | DatagramPortOptions, host: PortHost) {
    this.#options = options;
    this.#host = host;
    this.#close = options.kind === "packet" ? this.#listen(options) : () => undefined;
  }

  get readable(): boolean {
    return this.#received.length > 0 || this.#error !== null;
  }

  takeReceived(): Received[] {
    const received = this.#received;
    this.#received = [];
    this.counts.received += received.length;
    return received;
  }

  takeError(): string | null {
    const error = this.#error;
    this.#error = null;
    return error;
  }

  send(frame: Uint8Array): void {
    if (this.#transmit(frame) === null) this.counts.sent++;
    else this.counts.sendErrors++;
  }

  close(): void {
    this.#close();
  }

  // ---- expected frames ----------------------------------------------------------------------------------

  expect(session: SessionId, pattern: number, { bytes, mask, guards }: FramePattern): void {
    if (guards && guards.length > 0) {
      this.#guarded.push({ session, pattern, bytes, mask, guards });
      return;
    }
    const known = this.#expected.get(mask.length) ?? [];
    this.#expected.set(mask.length, [...known, { session, pattern, bytes, mask, guards: null }]);
  }

  forget(session: SessionId): void {
    for (const [length, known] of this.#expected) {
      const others = known.filter((one) => one.session !== session);
      this.#expected.set(length, others);
    }
    const guarded = this.#guarded.filter((one) => one.session !== session);
    this.#guarded.splice(0, this.#guarded.length, ...guarded);
  }

  /** The patterns that a frame fits; those with guards last. */
  matches(frame: Uint8Array): Expectation[] {
    const known = (this.#expected.get(frame.length) ?? []).filter((one) => equalsUnderMask(frame, one));
    const others = this.#guarded.filter(
      ({ guards, ...one }) =>
        frame.length >= one.mask.length && equalsUnderMask(frame, one) && guardsHold(guards ?? [], frame),
    );
    return [...known, ...others];
  }

  /** Whether JavaScript may be troubled with another frame of this sender. */
  admits(frame: Uint8Array, nowUs: number): boolean {
    const sender = formatMac(frame.subarray(6, 12));
    const bucket = this.#senders.get(sender) ?? new Bucket();
    this.#senders.set(sender, bucket);
    const admitted = bucket.take(nowUs, SENDER_RATE) && this.#all.take(nowUs, PORT_RATE);
    if (!admitted) this.counts.droppedUnread++;
    return admitted;
  }

  // ---- the socket ---------------------------------------------------------------------------------------

  #listen(options: PortOptions): () => void {
    const link = this.#host.stack.interfaces.get(options.ifindex);
    if (!link)
      throw Object.assign(new Error("a packet socket can't be opened: no such device"), { code: "ENODEV" });
    const filter = socketFilter(options.filter);
    const tap: Tap = {
      ifindex: options.ifindex,
      memberships: new Set(options.memberships.map(formatMac)),
      frame: (frame) => {
        if (!filter.accepts(frame)) return;
        if (this.#received.length >= BUFFER_FRAMES) this.counts.droppedByKernel++;
        else this.#received.push({ frame, atUs: this.#host.now() });
        this.#host.wake();
      },
      error: (errno) => {
        this.#error = errno;
        this.#host.wake();
      },
    };
    link.taps.add(tap);
    return () => void link.taps.delete(tap);
  }

  /** An errno where a frame can't leave. */
  #transmit(frame: Uint8Array): string | null {
    const { stack } = this.#host;
    const { kind, ifindex } = this.#options;
    if (kind === "packet") return stack.transmit(ifindex, frame);
    const ip = readIp(frame);
    return ip ? stack.transmitDatagram(ifindex, frame, formatIp(ip.destination)) : "EINVAL";
  }
}

function equalsUnderMask(frame: Uint8Array, { bytes, mask }: Pick<Expectation, "bytes" | "mask">): boolean {
  for (let index = 0; index < mask.length; index++) {
    if ((((frame[index] as number) ^ (bytes[index] as number)) & (mask[index] as number)) !== 0) return false;
  }
  return true;
}
