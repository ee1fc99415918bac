/**
 * The fields of a control packet under the names of the wire, for people and for comparison with test vectors. As far
 * as the packet can be read: what is not there is missing.
 */
import { type BfdFrame, type BfdStateName, type ControlPacket, readBfdFrame } from "./packet.js";

export interface BfdFields {
  readonly udp?: Readonly<Record<string, number>>;
  readonly bfd?: Readonly<Record<string, unknown>>;
}

const STATE_TEXT: Readonly<Record<BfdStateName, string>> = {
  adminDown: "AdminDown",
  down: "Down",
  init: "Init",
  up: "Up",
};

const DIAGNOSTIC_TEXT: readonly string[] = [
  "no diagnostic",
  "control detection time expired",
  "echo function failed",
  "neighbour signalled session down",
  "forwarding plane reset",
  "path down",
  "concatenated path down",
  "administratively down",
  "reverse concatenated path down",
  "mis-connectivity defect",
];

export function stateText(state: BfdStateName): string {
  return STATE_TEXT[state];
}

export function diagnosticText(diagnostic: number): string {
  return DIAGNOSTIC_TEXT[diagnostic] ?? `diagnostic ${diagnostic}`;
}

/** What an Ethernet frame says of UDP and BFD; empty for another one. */
export function decodeBfdFrame(frame: Uint8Array): BfdFields {
  const read = readBfdFrame(frame);
  return read ? bfdFields(read) : {};
}

export function bfdFields({ udp, control }: Pick<BfdFrame, "udp" | "control">): BfdFields {
  const ports = { srcPort: udp.sourcePort, dstPort: udp.destinationPort };
  return { udp: ports, ...(control ? { bfd: controlFields(control) } : {}) };
}

export function controlFields(packet: ControlPacket): Readonly<Record<string, unknown>> {
  return {
    version: packet.version,
    diag: packet.diagnostic,
    state: stateText(packet.state),
    flags: packet.flags,
    detectMult: packet.detectMult,
    length: packet.length,
    myDiscriminator: packet.myDiscriminator,
    yourDiscriminator: packet.yourDiscriminator,
    desiredMinTxUs: packet.desiredMinTxUs,
    requiredMinRxUs: packet.requiredMinRxUs,
    requiredMinEchoRxUs: packet.requiredMinEchoRxUs,
    ...(packet.authentication.length === 0
      ? {}
      : { authType: packet.authentication[0], authKeyId: packet.authentication[2] }),
  };
}
