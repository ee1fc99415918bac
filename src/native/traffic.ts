/**
 * The part of the addon's surface in native/traffic_addon.cc: the lab's and the tests' measuring instruments.
 * Each instrument runs on a thread of its own inside a network namespace, from construction until `stop`. Times are
 * CLOCK_MONOTONIC microseconds (with fractions); those of received frames are the kernel's.
 * Constructors throw a TypeError for wrong options, and an Error with `errno` when the kernel refuses.
 */

export interface TrafficPlace {
  /** Path of a network namespace ("/run/netns/NAME"); the process's own without it. */
  readonly namespace?: string | undefined;
  /** SCHED_FIFO priority where allowed; 0 for the normal class. Default: source 20, others 5. */
  readonly realtimePriority?: number | undefined;
}

interface TrafficSchedule extends TrafficPlace {
  /** 1..1,000,000 */
  readonly packetsPerSecond: number;
  /** Packets in all; the source stops there. Memory is used as packets are sent: 8 octets each. */
  readonly capacity: number;
  /** Stops by itself after so many packets; 0 or nothing: at `capacity`. */
  readonly limit?: number;
}

/** Numbered UDP packets by the namespace's own routing, ARP and ND. */
export interface NumberedTrafficOptions extends TrafficSchedule {
  readonly destination: string;
  readonly port: number;
  /** Octets of UDP payload, 24..1472, default 64. */
  readonly payloadSize?: number;
}

/** Ethernet frames, in turn, out of one interface. */
export interface FrameTrafficOptions extends TrafficSchedule {
  readonly interface: string;
  readonly frames: readonly Uint8Array[];
}

export interface TrafficSourceStatus {
  readonly sent: number;
  /** Packets that the kernel refused (counted as sent). */
  readonly errors: number;
  readonly lastErrno: number;
  readonly realtime: boolean;
}

export interface NativeTrafficSource {
  status(): TrafficSourceStatus;
  /** When packets [from, to) were handed to the kernel. */
  stamps(from?: number, to?: number): Float64Array;
  stop(): void;
}

export interface TrafficSinkOptions extends TrafficPlace {
  /** Where packets arrive; all interfaces of the namespace without it (a bridge then counts twice). */
  readonly interface?: string;
  readonly port: number;
  /** Sequence numbers that have a place; 12 octets each, used as they come. */
  readonly capacity: number;
}

export interface TrafficSinkStatus {
  /** All copies. */
  readonly received: number;
  readonly outOfRange: number;
  /** Frames that the receive ring had no place for: the measurement is not sound when this isn't 0. */
  readonly droppedByKernel: number;
  /** Source MACs in order of appearance, with all copies that each brought. */
  readonly senders: readonly { readonly mac: string; readonly packets: number }[];
}

/** For packets [from, to): index 0 is `from`. */
export interface TrafficArrivals {
  /** Arrival of the first copy; NaN when none came. */
  readonly firstUs: Float64Array;
  readonly copies: Uint32Array;
  /** Index into `senders` of who brought the first copy. */
  readonly via: Uint8Array;
}

export interface NativeTrafficSink {
  status(): TrafficSinkStatus;
  arrivals(from: number, to: number): TrafficArrivals;
  stop(): void;
}

export interface FrameCaptureOptions extends TrafficPlace {
  /** One interface; all of the namespace without it. */
  readonly interface?: string | undefined;
  /**
   * A classic BPF program (struct sock_filter, 8 octets each, returning the octets to keep), or what to keep by
   * EtherType and IP protocol (every protocol without it); an empty list keeps everything.
   */
  readonly filter: Uint8Array | readonly { readonly etherType: number; readonly protocol?: number }[];
  /** Whether frames that leave by the interface are captured too. Default false. */
  readonly outgoing?: boolean;
  /** Octets kept of each frame, 14..2048, default 128. */
  readonly snapLength?: number;
  /** How long a frame may wait before it is read, 1..1000 ms, default 4. The longer, the later may the reader be. */
  readonly waitMs?: number;
  /** Frames in all; later ones are counted as overflowed. */
  readonly capacity: number;
}

/** Frames [from, to) as columns; `octets` holds `snapLength` octets for each, of which `captured` are filled. */
export interface FrameBatch {
  readonly atUs: Float64Array;
  readonly ifindex: Uint32Array;
  readonly length: Uint32Array;
  readonly captured: Uint16Array;
  /** PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3, OUTGOING 4. */
  readonly packetType: Uint8Array;
  readonly snapLength: number;
  readonly octets: Uint8Array;
}

export interface FrameCaptureStatus {
  readonly captured: number;
  readonly overflowed: number;
  readonly droppedByKernel: number;
}

export interface NativeFrameCapture {
  status(): FrameCaptureStatus;
  frames(from?: number, to?: number): FrameBatch;
  /** Takes what is still in the ring's finished blocks, and ends. Frames stay readable. */
  stop(): void;
}

export interface NativeTrafficApi {
  TrafficSource: new (options: NumberedTrafficOptions | FrameTrafficOptions) => NativeTrafficSource;
  TrafficSink: new (options: TrafficSinkOptions) => NativeTrafficSink;
  FrameCapture: new (options: FrameCaptureOptions) => NativeFrameCapture;
  /** CLOCK_MONOTONIC now. */
  trafficNowUs(): number;
}
