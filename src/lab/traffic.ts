/** A host's packets through a lab, and the frames on its LAN: the native instruments, placed. */
import { FirsthopError } from "../errors.js";
import type { FrameCaptureOptions } from "../native/traffic.js";
import { loadNative } from "../native.js";
import { reportTraffic, type TrafficColumns, type TrafficReport } from "./statistics.js";
import { LAB_ADDRESSES, type Lab, type LabFamily, type LabNode, UPSTREAM_INTERFACE } from "./topology.js";
import { pause } from "./wait.js";

export interface TrafficOptions {
  /** Packets a second, default 1,000. */
  readonly rate?: number;
  /** Default "ipv4". */
  readonly family?: LabFamily;
  /** Default: the first host. */
  readonly from?: LabNode;
  /** Longest run in seconds, default 600. */
  readonly capacitySeconds?: number;
  /** UDP port, default 40000; streams that run at once need one each. */
  readonly port?: number;
}

/** The clock of all instruments: CLOCK_MONOTONIC, in microseconds. */
export const instrumentNowUs = (): number => loadNative().trafficNowUs();

/** A running stream of numbered packets from a host to the upstream. */
export interface Traffic {
  readonly rate: number;
  /** Packets sent so far; also the next sequence number. */
  sent(): number;
  /** Packets [from, to) as they stand; without `to`: all sent so far. */
  columns(from?: number, to?: number): TrafficColumns;
  report(from?: number, to?: number): TrafficReport;
  /** Packets that came through a router so far, copies included, by the MAC of its upstream leg. Cheap. */
  carriedBy(mac: string): number;
  /** Whether the measurement itself lost nothing. Throws a FirsthopError that says what it lost. */
  verify(): void;
  /** Ends the sending, waits for what is under way, and ends the receiving. Columns stay readable. */
  stop(): Promise<void>;
}

const DEFAULT_PORT = 40_000;
const DEFAULT_SECONDS = 600;
/** Frames wait in the receive ring for some milliseconds at most. */
const SETTLE_MS = 30;

/** Starts a stream. Packets go by the host's own routing, ARP and ND. */
export function startTraffic(lab: Lab, options: TrafficOptions = {}): Traffic {
  const native = loadNative();
  const rate = options.rate ?? 1000;
  const port = options.port ?? DEFAULT_PORT;
  const capacity = Math.ceil(rate * (options.capacitySeconds ?? DEFAULT_SECONDS));
  const sink = new native.TrafficSink({
    namespace: lab.upstream.path,
    interface: UPSTREAM_INTERFACE,
    port,
    capacity,
  });
  const source = new native.TrafficSource({
    namespace: (options.from ?? lab.hosts[0]!).path,
    destination: LAB_ADDRESSES[options.family ?? "ipv4"].upstream,
    packetsPerSecond: rate,
    port,
    capacity,
  });
  const columns = (from = 0, to = source.status().sent): TrafficColumns => {
    const sentUs = source.stamps(from, to);
    const senders = sink.status().senders.map((sender) => sender.mac);
    return { from, sentUs, ...sink.arrivals(from, from + sentUs.length), senders };
  };
  return {
    rate,
    sent: () => source.status().sent,
    columns,
    report: (from, to) => reportTraffic(columns(from, to)),
    carriedBy: (mac) => sink.status().senders.find((sender) => sender.mac === mac)?.packets ?? 0,
    verify: () => {
      const { droppedByKernel, outOfRange } = sink.status();
      if (droppedByKernel + outOfRange > 0) {
        throw new FirsthopError(
          "LAB_FAILED",
          `the measurement itself lost ${droppedByKernel + outOfRange} packets: use a lower rate`,
        );
      }
    },
    stop: async () => {
      source.stop();
      await pause(SETTLE_MS);
      sink.stop();
    },
  };
}

/** A captured frame. */
export interface SeenFrame {
  readonly atUs: number;
  /** Where it came in: on the LAN's switch "r1", "h1" …; "br0" for the switch's own copy of a multicast frame. */
  readonly port: string;
  /** It left there instead; only with `outgoing`. */
  readonly outgoing: boolean;
  readonly length: number;
  /** Its first octets. */
  readonly octets: Uint8Array;
}

export interface Capture {
  /** Frames in order of capture, from index `from`. */
  frames(from?: number): SeenFrame[];
  count(): number;
  /** Frames that were lost to the measurement. */
  lost(): number;
  /** Throws when there are any. */
  verify(): void;
  /** Waits for what is under way, and ends. Frames stay readable. */
  stop(): Promise<void>;
}

export interface CaptureOptions {
  /** Default: VRRP of both families. */
  readonly filter?: FrameCaptureOptions["filter"];
  /** Whether frames that leave there count too. Default false. */
  readonly outgoing?: boolean;
  readonly snapLength?: number;
  /** How long a frame may wait before it is counted, default 4 ms. The longer, the later may the reader be. */
  readonly waitMs?: number;
  /** Frames in all, default 1,000,000. */
  readonly capacity?: number;
}

const PACKET_OUTGOING = 4;

const VRRP_FILTER = [
  { etherType: 0x0800, protocol: 112 },
  { etherType: 0x86dd, protocol: 112 },
] as const;

/** Captures what comes in to one port of the LAN's switch ("r1"), or to all of them. */
export function captureLan(lab: Lab, port?: string, options: CaptureOptions = {}): Capture {
  const names = new Map([...lab.lanPorts].map(([name, index]) => [index, name]));
  return capture(lab.lan, port, options, (ifindex) => names.get(ifindex) ?? "?");
}

/** Captures what comes in to one interface of a node. */
export function captureAt(node: LabNode, port: string, options: CaptureOptions = {}): Capture {
  return capture(node, port, options, () => port);
}

function capture(
  node: LabNode,
  port: string | undefined,
  options: CaptureOptions,
  nameOf: (ifindex: number) => string,
): Capture {
  const native = new (loadNative().FrameCapture)({
    namespace: node.path,
    interface: port,
    filter: options.filter ?? VRRP_FILTER,
    outgoing: options.outgoing ?? false,
    snapLength: options.snapLength ?? 128,
    ...(options.waitMs ? { waitMs: options.waitMs } : {}),
    capacity: options.capacity ?? 1_000_000,
  });
  const lost = (): number => {
    const { overflowed, droppedByKernel } = native.status();
    return overflowed + droppedByKernel;
  };
  return {
    count: () => native.status().captured,
    frames: (from = 0) => {
      const batch = native.frames(from);
      return Array.from(batch.atUs, (atUs, at) => ({
        atUs,
        port: nameOf(batch.ifindex[at]!),
        outgoing: batch.packetType[at] === PACKET_OUTGOING,
        length: batch.length[at]!,
        octets: batch.octets.subarray(at * batch.snapLength, at * batch.snapLength + batch.captured[at]!),
      }));
    },
    lost,
    verify: () => {
      if (lost() > 0) throw new FirsthopError("LAB_FAILED", `the capture lost ${lost()} frames`);
    },
    stop: async () => {
      await pause(SETTLE_MS + (options.waitMs ?? 0));
      native.stop();
    },
  };
}

/** What an advertisement on the LAN says, as far as the lab needs it. */
export interface SeenAdvert {
  readonly atUs: number;
  readonly port: string;
  readonly outgoing: boolean;
  readonly family: LabFamily;
  readonly version: number;
  /** 1: an advertisement; 2: a backup advertisement. */
  readonly type: number;
  readonly vrid: number;
  readonly priority: number;
}

/** Reads captured frames as advertisements; the switch's own copies and other frames are left out. */
export function readAdverts(frames: readonly SeenFrame[]): SeenAdvert[] {
  return frames.flatMap((frame) => {
    const { octets, port, atUs, outgoing } = frame;
    const ipv6 = octets[12] === 0x86 && octets[13] === 0xdd;
    const payload = ipv6 ? 14 + 40 : 14 + 4 * (octets[14]! & 0x0f);
    if (port === "br0" || octets[ipv6 ? 20 : 23] !== 112 || octets.length < payload + 3) return [];
    return [
      {
        atUs,
        port,
        outgoing,
        family: ipv6 ? "ipv6" : "ipv4",
        version: octets[payload]! >> 4,
        type: octets[payload]! & 0x0f,
        vrid: octets[payload + 1]!,
        priority: octets[payload + 2]!,
      },
    ];
  });
}
