/**
 * Where `decode` gets frames from: hex text in the forms people paste, and capture files (pcap and pcapng).
 */
import { FirsthopError } from "../errors.js";

export type Layer = "ethernet" | "ip" | "payload";

export interface CapturedFrame {
  readonly bytes: Uint8Array;
  readonly layer: Layer;
  /** Seconds since 1970; null where there is no stamp. */
  readonly atSeconds: number | null;
}

export interface Capture {
  readonly frames: readonly CapturedFrame[];
  /** Why reading ended before the file did; null when it did not. */
  readonly cutShort: string | null;
}

/** Octets below which an argument is a piece of a frame rather than one: no message is shorter. */
const SMALLEST_FRAME = 8;

/**
 * Frames from command-line arguments: each one is a frame, unless one of them is too short to be one; then
 * they are the pieces of one frame.
 * @throws FirsthopError USAGE
 */
export function framesFromArguments(words: readonly string[]): Uint8Array[] {
  const pieces = words.map(parseHex);
  if (pieces.every((piece) => piece.length >= SMALLEST_FRAME)) return pieces;
  return [Uint8Array.from(Buffer.concat(pieces))];
}

/** A line of `tcpdump -xx` or `-XX`: the offset, the octets, and perhaps what they look like as text. */
const DUMP_LINE = /^0x([0-9a-f]{4}):\s+((?:[0-9a-f]{2,4} ?)+)/i;

/** One frame a line (`#` begins a comment), or what tcpdump prints: there an offset of 0 begins a frame. */
export function framesFromText(text: string): Uint8Array[] {
  const lines = text.split("\n").map((line) => line.trim());
  const dumped = lines.map((line) => DUMP_LINE.exec(line)).filter((match) => match !== null);
  if (dumped.length === 0) return lines.filter((line) => line !== "" && !line.startsWith("#")).map(parseHex);
  const frames: string[][] = [];
  for (const [, offset, octets] of dumped) {
    if (frames.length === 0 || Number.parseInt(offset as string, 16) === 0) frames.push([]);
    frames.at(-1)?.push(octets as string);
  }
  return frames.map((pieces) => parseHex(pieces.join(" ")));
}

/** Hex digits with or without 0x, with spaces, colons, dots or dashes between octets. */
export function parseHex(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, "").replace(/[\s:.-]/g, "");
  if (digits === "" || /[^0-9a-f]/i.test(digits)) {
    const shown = text.length > 24 ? `${text.slice(0, 24)}…` : text;
    throw new FirsthopError(
      "USAGE",
      `${JSON.stringify(shown)} is not hex: give octets such as 45c00020 or 45:c0:00:20`,
    );
  }
  if (digits.length % 2 === 1) {
    throw new FirsthopError(
      "USAGE",
      `an odd number of hex digits (${digits.length}) makes no whole octets: is one missing?`,
    );
  }
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

// ---- capture files ------------------------------------------------------------------------------------

/** Octets of one captured frame; more means that the file is damaged. */
const FRAME_MAX = 256 * 1024;

/** LINKTYPE_ numbers: how many octets stand in front of the frame, and which layer follows. */
const LINK_TYPES: Readonly<Record<number, { readonly layer: Layer; readonly skip: number }>> = {
  1: { layer: "ethernet", skip: 0 },
  12: { layer: "ip", skip: 0 },
  14: { layer: "ip", skip: 0 },
  101: { layer: "ip", skip: 0 },
  113: { layer: "ip", skip: 16 },
  228: { layer: "ip", skip: 0 },
  229: { layer: "ip", skip: 0 },
  276: { layer: "ip", skip: 20 },
};

const PCAP_MICROSECONDS = 0xa1b2c3d4;
const PCAP_NANOSECONDS = 0xa1b23c4d;
const PCAPNG_SECTION = 0x0a0d0d0a;
const PCAPNG_BYTE_ORDER = 0x1a2b3c4d;

/** Numbers of a file that was written on a machine of either byte order. */
interface Numbers {
  u16(offset: number): number;
  u32(offset: number): number;
}

function numbersOf(bytes: Uint8Array, littleEndian: boolean): Numbers {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    u16: (offset) => view.getUint16(offset, littleEndian),
    u32: (offset) => view.getUint32(offset, littleEndian),
  };
}

/**
 * Reads a capture file.
 * @throws FirsthopError USAGE when it is none, or holds frames of a kind that carries no VRRP.
 */
export function readCapture(bytes: Uint8Array): Capture {
  if (bytes.length >= 4) {
    for (const littleEndian of [true, false]) {
      const magic = numbersOf(bytes, littleEndian).u32(0);
      if (magic === PCAP_MICROSECONDS) return readPcap(bytes, littleEndian, 1e6);
      if (magic === PCAP_NANOSECONDS) return readPcap(bytes, littleEndian, 1e9);
      if (magic === PCAPNG_SECTION) return readPcapng(bytes);
    }
  }
  throw new FirsthopError("USAGE", "this is no capture file: pcap and pcapng are read (tcpdump -w FILE)");
}

function frameOf(bytes: Uint8Array, linkType: number, atSeconds: number | null): CapturedFrame {
  const known = LINK_TYPES[linkType];
  if (known === undefined) {
    throw new FirsthopError(
      "USAGE",
      `frames of link type ${linkType} are not read: capture on an Ethernet interface`,
    );
  }
  return { bytes: bytes.subarray(known.skip), layer: known.layer, atSeconds };
}

function readPcap(bytes: Uint8Array, littleEndian: boolean, perSecond: number): Capture {
  if (bytes.length < 24) return { frames: [], cutShort: "the file ends within its header" };
  const numbers = numbersOf(bytes, littleEndian);
  const linkType = numbers.u32(20) & 0xffff;
  const frames: CapturedFrame[] = [];
  let offset = 24;
  while (offset < bytes.length) {
    if (offset + 16 > bytes.length) return { frames, cutShort: "the file ends within the header of a frame" };
    const captured = numbers.u32(offset + 8);
    if (captured > FRAME_MAX)
      return { frames, cutShort: `a frame of ${captured} octets: the file is damaged` };
    const start = offset + 16;
    if (start + captured > bytes.length) return { frames, cutShort: "the file ends within a frame" };
    const atSeconds = numbers.u32(offset) + numbers.u32(offset + 4) / perSecond;
    frames.push(frameOf(bytes.subarray(start, start + captured), linkType, atSeconds));
    offset = start + captured;
  }
  return { frames, cutShort: null };
}

interface PcapngInterface {
  readonly linkType: number;
  /** Units of a time stamp in a second. */
  readonly perSecond: number;
}

function readPcapng(bytes: Uint8Array): Capture {
  const frames: CapturedFrame[] = [];
  let interfaces: PcapngInterface[] = [];
  let numbers = numbersOf(bytes, true);
  let offset = 0;
  while (offset < bytes.length) {
    if (offset + 12 > bytes.length) return { frames, cutShort: "the file ends within a block" };
    if (numbers.u32(offset) === PCAPNG_SECTION) {
      // A section has its own byte order, and its own interfaces.
      numbers = numbersOf(bytes, numbersOf(bytes, true).u32(offset + 8) === PCAPNG_BYTE_ORDER);
      interfaces = [];
    }
    const type = numbers.u32(offset);
    const length = numbers.u32(offset + 4);
    if (length < 12 || length % 4 !== 0)
      return { frames, cutShort: `a block of ${length} octets: the file is damaged` };
    if (offset + length > bytes.length) return { frames, cutShort: "the file ends within a block" };
    const body = { start: offset + 8, end: offset + length - 4 };
    if (type === 1) interfaces.push(readInterfaceBlock(numbers, bytes, body));
    else if (type === 3 || type === 6) {
      const frame = readPacketBlock(numbers, bytes, body, type, interfaces);
      if (typeof frame === "string") return { frames, cutShort: frame };
      frames.push(frame);
    }
    offset += length;
  }
  return { frames, cutShort: null };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Interface Description Block: the link type, and option 9 (if_tsresol) for the unit of time stamps. */
function readInterfaceBlock(numbers: Numbers, bytes: Uint8Array, { start, end }: Span): PcapngInterface {
  let perSecond = 1e6;
  let offset = start + 8;
  while (offset + 4 <= end) {
    const [code, length] = [numbers.u16(offset), numbers.u16(offset + 2)];
    if (code === 0) break;
    if (code === 9 && length === 1 && offset + 4 < end) {
      const resolution = bytes[offset + 4] as number;
      perSecond = resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
    }
    offset += 4 + Math.ceil(length / 4) * 4;
  }
  return { linkType: start + 2 <= end ? numbers.u16(start) : -1, perSecond };
}

/** Enhanced (6) and Simple (3) Packet Blocks. */
function readPacketBlock(
  numbers: Numbers,
  bytes: Uint8Array,
  { start, end }: Span,
  type: 3 | 6,
  interfaces: readonly PcapngInterface[],
): CapturedFrame | string {
  const header = type === 6 ? 20 : 4;
  if (start + header > end) return "a packet block is too short: the file is damaged";
  const captured = Math.min(
    numbers.u32(type === 6 ? start + 12 : start),
    type === 6 ? FRAME_MAX : end - start - 4,
  );
  const from = interfaces[type === 6 ? numbers.u32(start) : 0];
  if (from === undefined) return "a packet of an interface that is not described: the file is damaged";
  if (start + header + captured > end) return "a packet is longer than its block: the file is damaged";
  const stamp =
    type === 6 ? (numbers.u32(start + 4) * 2 ** 32 + numbers.u32(start + 8)) / from.perSecond : null;
  return frameOf(bytes.subarray(start + header, start + header + captured), from.linkType, stamp);
}
