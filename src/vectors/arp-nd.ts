/** ARP and neighbour discovery: announcements, and the answers of an Active router. */
import { canonicalIp, familyOf } from "../core/address.js";
import { answerArp, arpFrame, gratuitousArp, readArp } from "../core/arp.js";
import { readEthernet, readIp } from "../core/ethernet.js";
import {
  advertisementFrame,
  answerSolicitation,
  readNeighbourMessage,
  readSolicitation,
  unsolicitedAdvertisement,
} from "../core/nd.js";
import { virtualMac } from "../core/vrrp/advertisement.js";
import { ethernetFields, hex16, ipFields } from "../core/vrrp/fields.js";
import {
  difference,
  differences,
  frameDifferences,
  hexAt,
  isTransmitted,
  type Json,
  numberAt,
  objectAt,
  stringAt,
  VectorError,
} from "./format.js";

const ARP_REQUEST = 1;
const BROADCAST = "ff:ff:ff:ff:ff:ff";

/**
 * What is not as the vector has it, a line each. `frameOf` finds the frame of another vector of the file.
 * @throws VectorError
 */
export function checkArpNd(vector: Json, frameOf: (id: string) => Uint8Array): string[] {
  const expect = objectAt(vector, "expect");
  const frame = hexAt(vector, "hex");
  const problems = differences(expect.decoded ?? {}, decode(frame), "decoded");
  if (isTransmitted(vector, expect)) {
    return [...problems, ...frameDifferences(frame, build(objectAt(expect, "decoded")), "frame")];
  }
  const wanted = stringAt(expect, "verdict");
  const outcome = hear(frame, objectAt(vector, "receiver"));
  if (wanted === "either") return problems;
  return [
    ...(outcome.verdict === wanted ? [] : [difference("verdict", outcome.verdict, wanted)]),
    ...("reason" in expect ? differences(expect.reason, outcome.reason, "reason") : []),
    ...problems,
    ...checkReply(expect, outcome.reply, frameOf),
  ];
}

/** The fields of a frame, under the vectors' names. */
function decode(frame: Uint8Array): Json {
  const ethernet = readEthernet(frame);
  if (!ethernet) return {};
  const ip = readIp(frame, ethernet.payloadOffset);
  const arp = readArp(frame);
  const message = readNeighbourMessage(frame);
  return {
    eth: ethernetFields(ethernet),
    ...(arp ? { arp } : {}),
    ...(ip && !arp ? { ip: { ...ipFields(ip), nextHeader: ip.headerProtocol } } : {}),
    ...(message ? { icmpv6: { ...message, checksum: hex16(message.checksum) } } : {}),
  };
}

interface Outcome {
  readonly verdict: "accept" | "discard" | "ignore";
  readonly reason: string | null;
  readonly reply: Uint8Array | null;
}

/** What a router in the receiver's state does with a frame. */
function hear(frame: Uint8Array, receiver: Json): Outcome {
  const arp = readArp(frame);
  const asked = arp?.operation === ARP_REQUEST ? arp.targetIp : readSolicitation(frame)?.target;
  const refuse = (verdict: "discard" | "ignore", reason: string): Outcome => ({
    verdict,
    reason,
    reply: null,
  });
  if (asked === undefined) {
    return readNeighbourMessage(frame)?.type === 135
      ? refuse("discard", "invalid")
      : refuse("ignore", "not-a-request");
  }
  const address = canonicalIp(stringAt(receiver, "virtualIp"));
  if (asked !== address) return refuse("ignore", "not-virtual");
  if (stringAt(receiver, "state") !== "active") return refuse("ignore", "not-active");
  const mac = virtualMac(familyOf(address), numberAt(receiver, "vrid"));
  return { verdict: "accept", reason: null, reply: answerArp(frame, mac) ?? answerSolicitation(frame, mac) };
}

/** Where a `reply…` key of the expectation looks in the answer. */
const REPLY_FIELDS: Readonly<Record<string, readonly [layer: string, field: string]>> = {
  replyEthSrc: ["eth", "src"],
  replyEthDst: ["eth", "dst"],
  replyOperation: ["arp", "operation"],
  replySenderMac: ["arp", "senderMac"],
  replySenderIp: ["arp", "senderIp"],
  replyTargetMac: ["arp", "targetMac"],
  replyTargetIp: ["arp", "targetIp"],
  replySrc: ["ip", "src"],
  replyDst: ["ip", "dst"],
  replyTarget: ["icmpv6", "target"],
  replyTargetLinkLayer: ["icmpv6", "targetLinkLayer"],
};

function checkReply(expect: Json, reply: Uint8Array | null, frameOf: (id: string) => Uint8Array): string[] {
  const fields = reply ? decode(reply) : {};
  return Object.entries(expect).flatMap(([key, value]) => {
    if (!key.startsWith("reply")) return [];
    if (key === "reply" && value === null) return reply === null ? [] : ["reply: got a frame, expected none"];
    if (key === "reply") return frameDifferences(frameOf(stringAt(expect, key)), reply, key);
    if (key === "replyFlags") return differences(value, fields.icmpv6, key);
    const place = REPLY_FIELDS[key];
    if (!place) throw new VectorError(`"${key}" asks for something that is not known here`);
    const layer = fields[place[0]] as Json | undefined;
    return differences(value, layer?.[place[1]], key);
  });
}

/** The frame that the fields describe, made by what the router makes it with. */
function build(decoded: Json): Uint8Array {
  const eth = objectAt(decoded, "eth");
  const sourceMac = stringAt(eth, "src");
  const destinationMac = stringAt(eth, "dst");
  if (decoded.arp !== undefined) {
    const fields = objectAt(decoded, "arp");
    const arp = {
      operation: numberAt(fields, "operation"),
      senderMac: stringAt(fields, "senderMac"),
      senderIp: stringAt(fields, "senderIp"),
      targetMac: stringAt(fields, "targetMac"),
      targetIp: stringAt(fields, "targetIp"),
    };
    const gratuitous = arp.operation === ARP_REQUEST && arp.senderIp === arp.targetIp;
    return gratuitous && destinationMac === BROADCAST && arp.senderMac === sourceMac
      ? gratuitousArp(arp.targetIp, sourceMac, arp.targetMac)
      : arpFrame(destinationMac, sourceMac, arp);
  }
  const ip = objectAt(decoded, "ip");
  const fields = objectAt(decoded, "icmpv6");
  const source = stringAt(ip, "src");
  const destination = stringAt(ip, "dst");
  const target = stringAt(fields, "target");
  const targetLinkLayer = stringAt(fields, "targetLinkLayer");
  const router = fields.router === true;
  const solicited = fields.solicited === true;
  const override = fields.override === true;
  const announcement = destination === "ff02::1" && source === target && router && !solicited && override;
  return announcement && targetLinkLayer === sourceMac
    ? unsolicitedAdvertisement(target, sourceMac)
    : advertisementFrame({
        destinationMac,
        sourceMac,
        source,
        destination,
        target,
        targetLinkLayer,
        router,
        solicited,
        override,
      });
}
