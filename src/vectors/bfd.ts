/** BFD frames: what a session's receiver makes of each. */
import { createHash } from "node:crypto";
import { canonicalIp } from "../core/address.js";
import {
  AUTHENTICATION_TYPES,
  type BfdAuthentication,
  type BfdAuthenticationType,
} from "../core/bfd/authentication.js";
import { decodeBfdFrame } from "../core/bfd/fields.js";
import { encodeControlFrame, readBfdFrame } from "../core/bfd/packet.js";
import { type BfdReceiver, receive, type SessionSelector } from "../core/bfd/validate.js";
import { decodeFrame } from "../core/vrrp/fields.js";
import {
  difference,
  differences,
  frameDifferences,
  hexAt,
  type Json,
  numberAt,
  objectAt,
  optionalNumber,
  stringAt,
  VectorError,
} from "./format.js";

/** What is not as the vector has it, a line each. @throws VectorError */
export function checkBfd(vector: Json): string[] {
  const expect = objectAt(vector, "expect");
  const frame = hexAt(vector, "hex");
  const { vrrp: _none, ...below } = decodeFrame(frame);
  const decoded = { ...below, ...decodeBfdFrame(frame) };
  const wanted = stringAt(expect, "verdict");
  const read = readBfdFrame(frame);
  const verdict = read ? receive(read, selectorOf(objectAt(vector, "receiver"))) : null;
  const reason = verdict && verdict.verdict !== "accept" ? verdict.reason : null;
  return [
    ...(wanted === "either" || verdict?.verdict === wanted
      ? []
      : [difference("verdict", verdict?.verdict ?? "none", wanted)]),
    ...("reason" in expect ? differences(expect.reason, reason, "reason") : []),
    ...differences(expect.decoded ?? {}, decoded, "decoded"),
    ...(verdict?.verdict === "accept" ? frameDifferences(frame, encodedAgain(frame), "encoded again") : []),
  ];
}

/** An accepted frame, built from what was read of it. */
function encodedAgain(frame: Uint8Array): Uint8Array | null {
  const { eth, ip } = decodeFrame(frame);
  const read = readBfdFrame(frame);
  if (!eth || !ip || !read?.control) return null;
  const { authentication, ...content } = read.control;
  const built = encodeControlFrame(
    { ...content, ...(authentication.length > 0 ? { authentication } : {}) },
    {
      source: String(ip.src),
      sourcePort: read.udp.sourcePort,
      destination: String(ip.dst),
      sourceMac: eth.src,
      destinationMac: eth.dst,
    },
  );
  return built.subarray(0, Math.max(frame.length, 14 + Number(ip.totalLength)));
}

function selectorOf(given: Json): SessionSelector<BfdReceiver> {
  const session = { authentication: authenticationOf(given), lastSequence: null };
  const remote = canonicalIp(stringAt(given, "remoteAddress"));
  const local = numberAt(given, "localDiscriminator");
  const tail = given.mode === "multipoint-tail";
  return {
    byDiscriminator: (discriminator) => (!tail && discriminator === local ? session : null),
    bySource: (source) => (!tail && source === remote ? session : null),
    byHead: (source, discriminator) =>
      tail &&
      source === canonicalIp(stringAt(given, "headAddress")) &&
      discriminator === numberAt(given, "headDiscriminator")
        ? session
        : null,
  };
}

function authenticationOf(given: Json): BfdAuthentication | null {
  const number = numberAt(given, "authType");
  if (number === 0) return null;
  const type = Object.entries(AUTHENTICATION_TYPES).find(([, value]) => value === number)?.[0];
  if (type === undefined) throw new VectorError(`the receiver's authType is ${number}`);
  return {
    type: type as BfdAuthenticationType,
    keyId: optionalNumber(given, "authKeyId") ?? 0,
    key: Uint8Array.from(Buffer.from(stringAt(given, "authKey"), "utf8")),
    digest: (algorithm, octets) => createHash(algorithm).update(octets).digest(),
  };
}
