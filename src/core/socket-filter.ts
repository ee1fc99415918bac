/**
 * The classic BPF program of a LAN port: what the kernel lets through to the heartbeat engine. Everything else
 * costs a dozen instructions on the way by.
 *
 * Let through, untagged only (a tag means another VLAN's interface, but for VLAN 0, which only carries a priority and
 * which some adapters put on every frame): VRRP (IP protocol 112 and, for RFC 2338
 * authentication, AH) over IPv4 unless a later fragment; the same over IPv6, also behind extension headers when
 * sent to ff02::12; where this router answers itself, ARP requests and neighbour solicitations for its addresses; and
 * where it is asked for, single-hop BFD from neighbours (RFC 5881: UDP to port 3784, TTL or hop limit 255).
 */
import { ipToBytes } from "./address.js";
import { BFD_CONTROL_PORT } from "./bfd/packet.js";
import { UDP_PROTOCOL } from "./udp.js";
import { VRRP_PROTOCOL } from "./vrrp/advertisement.js";

const LD_W_ABS = 0x20;
const LD_H_ABS = 0x28;
const LD_B_ABS = 0x30;
const JEQ_K = 0x15;
const JSET_K = 0x45;
const RET_K = 0x06;
/** SKF_AD_OFF + SKF_AD_VLAN_TAG and SKF_AD_VLAN_TAG_PRESENT: the tag that the kernel took out of the frame. */
const VLAN_TAG = 0xfffff000 + 44;
const VLAN_TAG_PRESENT = 0xfffff000 + 48;
const VLAN_ID_MASK = 0x0fff;

const IP_PROTOCOL_AH = 51;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_ARP = 0x0806;

const JA = 0x05;

/** More answered addresses than this are not told apart in the kernel: all requests are let through. */
const ANSWERED_MAX = 1000;

/** A conditional jump names its targets; without a name it falls through. */
interface Instruction {
  readonly code: number;
  readonly k: number;
  readonly yes?: string;
  readonly no?: string;
  readonly label?: string;
  /** Target of an unconditional jump, which alone reaches any distance. */
  readonly to?: string;
}

const DROP: Instruction = { code: RET_K, k: 0 };
const PASS: Instruction = { code: RET_K, k: 0xffff };

/**
 * @param answered addresses (IPv4 or IPv6 text) whose ARP requests and neighbour solicitations are wanted.
 * @returns struct sock_filter instructions, 8 octets each, little-endian (both supported architectures are).
 */
export function lanPortFilter(
  answered: readonly string[],
  options: { readonly bfd?: boolean } = {},
): Uint8Array {
  const v4 = answered.filter((address) => !address.includes(":"));
  const v6 = answered.filter((address) => address.includes(":"));
  return assemble([
    { code: LD_B_ABS, k: VLAN_TAG_PRESENT },
    { code: JEQ_K, k: 0, yes: "untagged" },
    // Only of a tag that is there: kernels do not clear the number of one that they took away.
    { code: LD_H_ABS, k: VLAN_TAG },
    { code: JSET_K, k: VLAN_ID_MASK, yes: "drop" },
    { label: "untagged", code: LD_H_ABS, k: 12 },
    { code: JEQ_K, k: ETHERTYPE_IPV4, yes: "ipv4" },
    { code: JEQ_K, k: ETHERTYPE_IPV6, yes: "ipv6" },
    { code: JEQ_K, k: ETHERTYPE_ARP, yes: "to-arp", no: "drop" },
    { label: "ipv4", code: LD_H_ABS, k: 20 },
    { code: JSET_K, k: 0x1fff, yes: "drop" },
    { code: LD_B_ABS, k: 23 },
    { code: JEQ_K, k: VRRP_PROTOCOL, yes: "pass" },
    ...(options.bfd ? [{ code: JEQ_K, k: UDP_PROTOCOL, yes: "to-udp4" }] : []),
    { code: JEQ_K, k: IP_PROTOCOL_AH, yes: "pass", no: "drop" },
    { label: "ipv6", code: LD_B_ABS, k: 20 },
    { code: JEQ_K, k: VRRP_PROTOCOL, yes: "pass" },
    ...(options.bfd ? [{ code: JEQ_K, k: UDP_PROTOCOL, yes: "to-udp6" }] : []),
    // Extension headers in front of VRRP: only where the destination is ff02::12.
    { code: JEQ_K, k: 0, yes: "group6" },
    { code: JEQ_K, k: 60, yes: "group6" },
    { code: JEQ_K, k: 58, yes: "to-icmp6", no: "drop" },
    { label: "group6", code: LD_W_ABS, k: 38 },
    { code: JEQ_K, k: 0xff020000, no: "drop" },
    { code: LD_W_ABS, k: 50 },
    { code: JEQ_K, k: 0x00000012, yes: "pass" },
    { label: "drop", ...DROP },
    { label: "pass", ...PASS },
    { label: "to-arp", code: JA, k: 0, to: "arp" },
    { label: "to-icmp6", code: JA, k: 0, to: "icmp6" },
    ...(options.bfd ? BFD : []),
    // ARP: operation request, then the target address.
    { label: "arp", code: LD_H_ABS, k: 20 },
    ...equals(1),
    { code: LD_W_ABS, k: 38 },
    ...anyOf(v4, 0),
    // ICMPv6: neighbour solicitation, then the last four octets of the target; whoever answers compares all.
    { label: "icmp6", code: LD_B_ABS, k: 54 },
    ...equals(135),
    { code: LD_W_ABS, k: 74 },
    ...anyOf(v6, 12),
  ]);
}

/** From neighbours only, and without IP options, which nobody sends. */
const BFD: readonly Instruction[] = [
  { label: "to-udp4", code: LD_B_ABS, k: 14 },
  { code: JEQ_K, k: 0x45, no: "no-bfd" },
  { code: LD_B_ABS, k: 22 },
  { code: JEQ_K, k: 255, no: "no-bfd" },
  { code: LD_H_ABS, k: 36 },
  { code: JEQ_K, k: BFD_CONTROL_PORT, yes: "bfd", no: "no-bfd" },
  { label: "to-udp6", code: LD_B_ABS, k: 21 },
  { code: JEQ_K, k: 255, no: "no-bfd" },
  { code: LD_H_ABS, k: 56 },
  { code: JEQ_K, k: BFD_CONTROL_PORT, yes: "bfd", no: "no-bfd" },
  { label: "no-bfd", ...DROP },
  { label: "bfd", ...PASS },
];

/** Drops unless the accumulator is `value`. */
function equals(value: number): Instruction[] {
  const label = `is-${value}`;
  return [{ code: JEQ_K, k: value, yes: label }, DROP, { label, code: JA, k: 0 }];
}

/** Passes when the accumulator is the word at `offset` of one of the addresses, else drops. */
function anyOf(addresses: readonly string[], offset: number): Instruction[] {
  if (addresses.length > ANSWERED_MAX) return [PASS];
  return [
    ...addresses.flatMap((address, index): Instruction[] => {
      const next = `not-${offset}-${index}`;
      return [
        { code: JEQ_K, k: word(ipToBytes(address), offset), no: next },
        PASS,
        { label: next, code: JA, k: 0 },
      ];
    }),
    DROP,
  ];
}

function word(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset);
}

/** Resolves labels. Conditional jumps reach 255 instructions, unconditional ones any distance. */
function assemble(program: readonly Instruction[]): Uint8Array {
  const labels = new Map(program.flatMap((one, index) => (one.label ? [[one.label, index] as const] : [])));
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach((one, index) => {
    const distance = (label: string | undefined): number => {
      if (label === undefined) return 0;
      const target = labels.get(label);
      if (target === undefined || target <= index) throw new Error(`socket filter: no label ${label} ahead`);
      return target - index - 1;
    };
    view.setUint16(index * 8, one.code, true);
    const near = (label: string | undefined): number => {
      const jump = distance(label);
      if (jump > 255) throw new RangeError(`socket filter: conditional jump over ${jump} instructions`);
      return jump;
    };
    view.setUint8(index * 8 + 2, near(one.yes));
    view.setUint8(index * 8 + 3, near(one.no));
    view.setUint32(index * 8 + 4, one.to === undefined ? one.k >>> 0 : distance(one.to), true);
  });
  return bytes;
}
