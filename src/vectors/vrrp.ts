/** VRRP frames: what a receiver makes of each, and frames that the router sends itself. */
import { familyOf } from "../core/address.js";
import { readIp } from "../core/ethernet.js";
import type { Advertisement, ChecksumForm } from "../core/vrrp/advertisement.js";
import { decodeFrame, packetFields } from "../core/vrrp/fields.js";
import { encodeAdvertisementFrame, readMessage, readVrrpFrame } from "../core/vrrp/packet.js";
import { REJECT_REASONS, receive, type Verdict, type VrrpReceiver } from "../core/vrrp/validate.js";
import { verifyAuthenticationHeader } from "./authentication-header.js";
import {
  addressesAt,
  difference,
  differences,
  frameDifferences,
  fromHex,
  hexAt,
  isTransmitted,
  type Json,
  numberAt,
  objectAt,
  stringAt,
  VectorError,
} from "./format.js";

/** What is not as the vector has it, a line each. @throws VectorError */
export function checkVrrp(vector: Json): string[] {
  const expect = objectAt(vector, "expect");
  const bytes = hexAt(vector, "hex");
  const layer = vector.layer ?? "ethernet";
  if (layer !== "ethernet" && layer !== "ip")
    throw new VectorError(`layer ${JSON.stringify(layer)} is unknown`);
  const ip = layer === "ip" ? readIp(bytes) : null;
  const decoded = layer === "ethernet" ? decodeFrame(bytes) : ip ? packetFields(ip) : {};
  const problems = differences(expect.decoded ?? {}, decoded, "decoded");
  if (isTransmitted(vector, expect)) {
    const built = encodeFields(objectAt(expect, "decoded"));
    return [...problems, ...frameDifferences(bytes, built, "frame")];
  }
  const read = layer === "ethernet" ? readVrrpFrame(bytes) : ip && { ip, message: readMessage(ip) };
  const verdict: Verdict = read
    ? receive(read.ip, read.message, receiverOf(objectAt(vector, "receiver")))
    : { verdict: "ignore", reason: "not-vrrp" };
  return [...checkVerdict(expect, verdict), ...problems];
}

function checkVerdict(expect: Json, verdict: Verdict): string[] {
  const wanted = stringAt(expect, "verdict");
  if (wanted === "either") return [];
  const reason = verdict.verdict === "accept" ? null : verdict.reason;
  const warnings = verdict.verdict === "accept" ? [...verdict.warnings].sort() : [];
  const expectedWarnings = Array.isArray(expect.warnings) ? [...expect.warnings].sort() : [];
  return [
    ...(verdict.verdict === wanted ? [] : [difference("verdict", verdict.verdict, wanted)]),
    ...("reason" in expect ? differences(expect.reason, reason, "reason") : []),
    ...("counter" in expect ? differences(expect.counter, counterOf(verdict), "counter") : []),
    ...differences(expectedWarnings, warnings, "warnings"),
  ];
}

/** The statistics leaf that tells most: a release also counts as an advertisement. */
function counterOf(verdict: Verdict): string | null {
  switch (verdict.verdict) {
    case "accept":
      return verdict.advertisement.priority === 0 ? "priority-zero-pkts-rcvd" : "advertisement-rcvd";
    case "discard":
      return REJECT_REASONS[verdict.reason].counter;
    case "ignore":
      return null;
  }
}

function receiverOf(given: Json): VrrpReceiver {
  const version = numberAt(given, "version");
  if (version !== 2 && version !== 3) throw new VectorError(`the receiver's version is ${version}`);
  const authType = given.authType === undefined ? 0 : numberAt(given, "authType");
  const authKey = given.authKey === undefined ? "" : stringAt(given, "authKey");
  const authData = new Uint8Array(8);
  if (authType === 1) authData.set(Buffer.from(authKey, "utf8").subarray(0, 8));
  return {
    version,
    family: oneOf(given, "family", ["ipv4", "ipv6"]),
    vrid: numberAt(given, "vrid"),
    priority: numberAt(given, "priority"),
    primaryAddress: stringAt(given, "primaryAddress"),
    addresses: addressesAt(given, "addresses"),
    intervalUs: intervalUsOf(given, version),
    authType,
    authData,
    ...(authType === 2
      ? { verifyAuthenticationHeader: (ip) => verifyAuthenticationHeader(ip, authKey) }
      : {}),
    checkAddressList: given.checkAddressList === true,
    ipv4Checksum: oneOf(given, "ipv4Checksum", ["either", "message-only", "pseudo-header"]),
    ownerReceive: oneOf(given, "ownerReceive", ["process", "discard"]),
  };
}

/** One of the allowed words; the first where none is given. */
function oneOf<Word extends string>(given: Json, key: string, words: readonly [Word, ...Word[]]): Word {
  const value = given[key] ?? words[0];
  const word = words.find((one) => one === value);
  if (word === undefined)
    throw new VectorError(`"${key}" is ${JSON.stringify(value)}, not ${words.join(" or ")}`);
  return word;
}

/** A receiver that once was of the other version may have both; its own unit counts. */
function intervalUsOf(given: Json, version: 2 | 3): number {
  const seconds = given.advertisementIntervalSeconds;
  const centiseconds = given.advertisementIntervalCentiseconds;
  if (seconds !== undefined && (version === 2 || centiseconds === undefined)) {
    return numberAt(given, "advertisementIntervalSeconds") * 1_000_000;
  }
  return numberAt(given, "advertisementIntervalCentiseconds") * 10_000;
}

/** The frame that the fields describe, as the router would build it. */
function encodeFields(decoded: Json): Uint8Array {
  const eth = objectAt(decoded, "eth");
  const ip = objectAt(decoded, "ip");
  const fields = objectAt(decoded, "vrrp");
  const source = stringAt(ip, "src");
  const version = numberAt(fields, "version") === 2 ? 2 : 3;
  const advertisement: Advertisement = {
    version,
    family: familyOf(source),
    vrid: numberAt(fields, "vrid"),
    priority: numberAt(fields, "priority"),
    addresses: addressesAt(fields, "addresses"),
    intervalUs:
      version === 2
        ? numberAt(fields, "adverIntSeconds") * 1_000_000
        : numberAt(fields, "maxAdverIntCentiseconds") * 10_000,
    authType: version === 2 ? numberAt(fields, "authType") : 0,
    authData: fromHex(typeof fields.authData === "string" ? fields.authData : "", "authData"),
  };
  return encodeAdvertisementFrame({
    advertisement,
    sourceMac: stringAt(eth, "src"),
    destinationMac: stringAt(eth, "dst"),
    source,
    destination: stringAt(ip, "dst"),
    checksumForm: formOf(fields),
  });
}

function formOf(fields: Json): ChecksumForm {
  const valid = fields.checksumValid as Json | undefined;
  return valid?.withPseudoHeader === true ? "pseudo-header" : "message-only";
}
