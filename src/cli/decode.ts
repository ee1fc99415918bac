/** `firsthop decode`: what an advertisement or a BFD control packet says, and whether a router would take it. */
import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../config/units.js";
import { canonicalIp, familyOf } from "../core/address.js";
import { diagnosticText } from "../core/bfd/fields.js";
import { MESSAGE_TYPE } from "../core/vrrp/packet.js";
import { FirsthopError } from "../errors.js";
import {
  type Capture,
  type CapturedFrame,
  framesFromArguments,
  framesFromText,
  type Layer,
  readCapture,
} from "./capture.js";
import { type AssumedHeader, type AssumedReceiver, type Judgement, judge } from "./judge.js";
import { color, complain, EXIT, print, printJson, shortDuration } from "./output.js";

interface DecodeOptions {
  readonly json?: true;
  readonly pcap?: string;
  readonly layer: Layer;
  readonly protocol: "vrrp" | "bfd";
  readonly source?: string;
  readonly destination?: string;
  readonly vrid?: number;
  readonly vrrpVersion?: 2 | 3;
  readonly priority?: number;
  readonly address?: readonly string[];
  readonly interval?: number;
  readonly password?: string;
  readonly checksum: "either" | "message-only" | "pseudo-header";
}

export function decodeCommand(): Command {
  return new Command("decode")
    .description(
      "Decodes VRRP advertisements and BFD control packets and judges them as a receiving router does. What is not said " +
        "about the receiver is taken from the frame, as if it were configured like the sender.",
    )
    .argument("[hex...]", "frames in hex, with or without spaces or colons; - reads them from standard input")
    .option("-j, --json", "print JSON")
    .option("--pcap <file>", "read a capture file, pcap or pcapng; - for standard input")
    .addOption(
      new Option("--layer <layer>", "what the hex begins with")
        .choices(["ethernet", "ip", "payload"])
        .default("ethernet"),
    )
    .addOption(
      new Option("--protocol <name>", "with --layer payload: what it is")
        .choices(["vrrp", "bfd"])
        .default("vrrp"),
    )
    .option("--source <address>", "with --layer payload: IP source, for the checksum", ipAddress)
    .option("--destination <address>", "with --layer payload: IP destination (default: the group)", ipAddress)
    .option("--vrid <n>", "the receiver's VRID", integer(1, 255))
    .option("--vrrp-version <n>", "the receiver's VRRP version, 2 or 3", integer(2, 3))
    .option("--priority <n>", "the receiver's priority", integer(1, 255))
    .option(
      "--address <address...>",
      "the receiver's virtual addresses",
      (one: string, all: string[] = []) => [...all, ipAddress(one)],
    )
    .option("--interval <duration>", "the receiver's advertisement interval: 10ms, 1s", duration)
    .option("--password <text>", "the receiver's password (v2); empty: no authentication")
    .addOption(
      new Option("--checksum <form>", "which sums of VRRPv3 over IPv4 the receiver takes")
        .choices(["either", "message-only", "pseudo-header"])
        .default("either"),
    )
    .addHelpText(
      "after",
      "\nExit: 0 all accepted, 1 something was not, 2 wrong usage.\n\nExamples:\n" +
        "  firsthop decode --layer payload 210164010001b8fac00002010000000000000000\n" +
        "  tcpdump -i eth0 -w - -c 10 vrrp | firsthop decode --pcap -\n",
    )
    .action(decode);
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
    return value;
  };
}

function ipAddress(text: string): string {
  const address = canonicalIp(text);
  if (address === null) throw new InvalidArgumentError("It must be an IPv4 or IPv6 address.");
  return address;
}

/** @returns microseconds */
function duration(text: string): number {
  const us = parseDuration(text);
  if (typeof us !== "number") throw new InvalidArgumentError("It must be a duration such as 10ms or 1.5s.");
  return us;
}

function decode(words: readonly string[], options: DecodeOptions): void {
  const capture = options.pcap === undefined ? fromHex(words, options.layer) : fromFile(options.pcap, words);
  const receiver = receiverOf(options);
  const header: AssumedHeader = {
    protocol: options.protocol,
    ...(options.source === undefined ? {} : { source: options.source, family: familyOf(options.source) }),
    ...(options.destination === undefined ? {} : { destination: options.destination }),
  };
  const all = capture.frames.map((frame, index) => ({
    index: index + 1,
    frame,
    ...judge(frame, receiver, header),
  }));
  // A capture holds other traffic too: only what was named frame by frame is answered frame by frame.
  const shown = options.pcap === undefined ? all : all.filter((one) => one.reason !== "not-vrrp");
  const count = (verdict: Judgement["verdict"]): number =>
    shown.filter((one) => one.verdict === verdict).length;
  const summary = {
    accepted: count("accept"),
    discarded: count("discard"),
    ignored: count("ignore"),
    other: all.length - shown.length,
  };
  if (options.json) {
    const frames = shown.map(({ frame, ...one }) => ({ ...one, at: stampOf(frame) }));
    printJson({ frames, summary, cutShort: capture.cutShort });
  } else {
    for (const one of shown) print(render(one.index, one.frame, one));
    if (options.pcap !== undefined) {
      const { accepted, discarded, ignored, other } = summary;
      print(`${accepted} accepted, ${discarded} discarded, ${ignored} ignored, ${other} other frames`);
    }
  }
  if (capture.cutShort !== null) complain(`the capture was not read to its end: ${capture.cutShort}`);
  if (shown.length === 0) complain("no advertisement was found");
  const good = shown.length > 0 && summary.accepted === shown.length && capture.cutShort === null;
  process.exitCode = good ? EXIT.ok : EXIT.no;
}

function fromHex(words: readonly string[], layer: Layer): Capture {
  if (words.length === 0) {
    throw new FirsthopError(
      "USAGE",
      "nothing to decode: give frames in hex, - for standard input, or --pcap FILE",
    );
  }
  const frames =
    words.length === 1 && words[0] === "-"
      ? framesFromText(readInput("-").toString("utf8"))
      : framesFromArguments(words);
  return { frames: frames.map((bytes) => ({ bytes, layer, atSeconds: null })), cutShort: null };
}

function fromFile(path: string, words: readonly string[]): Capture {
  if (words.length > 0)
    throw new FirsthopError("USAGE", "give either --pcap FILE or frames in hex, not both");
  return readCapture(readInput(path));
}

function readInput(path: string): Buffer {
  try {
    return readFileSync(path === "-" ? 0 : path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new FirsthopError("USAGE", `cannot read ${path === "-" ? "standard input" : path} (${code})`);
  }
}

function receiverOf(options: DecodeOptions): AssumedReceiver {
  return {
    ...(options.vrid === undefined ? {} : { vrid: options.vrid }),
    ...(options.vrrpVersion === undefined ? {} : { version: options.vrrpVersion }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.address === undefined ? {} : { addresses: options.address }),
    ...(options.interval === undefined ? {} : { intervalUs: options.interval }),
    ...(options.password === undefined ? {} : { password: passwordOctets(options.password) }),
    ipv4Checksum: options.checksum,
  };
}

/** RFC 2338 section 5.3.10: eight octets, filled up with zeros. */
function passwordOctets(text: string): Uint8Array | null {
  const octets = Buffer.from(text, "utf8");
  if (octets.length > 8) throw new FirsthopError("USAGE", "a VRRPv2 password has at most 8 octets");
  return octets.length === 0
    ? null
    : Uint8Array.from(Buffer.concat([octets, Buffer.alloc(8)]).subarray(0, 8));
}

function stampOf(frame: CapturedFrame): string | null {
  return frame.atSeconds === null ? null : new Date(frame.atSeconds * 1000).toISOString();
}

// ---- for people ---------------------------------------------------------------------------------------

function render(index: number, frame: CapturedFrame, judgement: Judgement): string {
  const stamp = stampOf(frame);
  const number = color.dim(stamp === null ? `#${index}` : `#${index} ${stamp}`);
  const head = `${number}  ${verdictText(judgement)}`;
  const lines = [
    ...frameLines(judgement),
    ...judgement.warnings.map((one) => `${color.yellow("warning")} ${one}`),
  ];
  return [head, ...lines.map((line) => `    ${line}`)].join("\n");
}

function verdictText({ verdict, reason, text, section, counter }: Judgement): string {
  switch (verdict) {
    case "accept":
      return color.green("accepted");
    case "ignore":
      return `${color.yellow("ignored")}: ${text}`;
    case "discard": {
      const counted = counter === null ? "" : `, counted as ${counter}`;
      return `${color.red("discarded")}: ${reason}: ${text} (${section}${counted})`;
    }
  }
}

function frameLines({ decoded }: Judgement): string[] {
  const lines: string[] = [];
  const { eth, ip, ah, vrrp, udp, bfd } = decoded;
  if (eth) {
    const vlan = eth.vlan === undefined ? "" : `, VLAN ${[eth.vlan].flat().join(".")}`;
    lines.push(`eth   ${eth.src} -> ${eth.dst}${vlan}`);
  }
  if (ip) {
    const hops = ip.version === 4 ? `TTL ${ip.ttl}` : `hop limit ${ip.hopLimit}`;
    lines.push(`ip    ${ip.src} -> ${ip.dst}, ${hops}`);
  }
  if (ah) lines.push(`ah    SPI ${ah.spi}, sequence ${ah.sequence}, ICV ${ah.icv}`);
  if (vrrp) lines.push(...messageLines(vrrp));
  if (udp) lines.push(`udp   ${udp.srcPort} -> ${udp.dstPort}`);
  if (bfd) lines.push(...controlLines(bfd));
  return lines;
}

function messageLines(vrrp: Readonly<Record<string, unknown>>): string[] {
  const { version, type, vrid, priority, count } = vrrp;
  const addresses = vrrp.addresses as readonly string[];
  const listed = addresses.join(", ") || "none";
  const announced = addresses.length === count ? "" : ` (${count} announced)`;
  const auth = version === 3 ? "" : `, authentication type ${vrrp.authType}`;
  return [
    `vrrp  version ${version}, type ${type}${typeNote(type)}, VRID ${vrid}, priority ${priority}${priorityNote(priority)}`,
    `      every ${intervalText(vrrp)}, checksum ${vrrp.checksum} (${checksumText(vrrp)})${auth}`,
    `      addresses ${listed}${announced}`,
  ];
}

function controlLines(bfd: Readonly<Record<string, unknown>>): string[] {
  const set = Object.entries(bfd.flags as Readonly<Record<string, boolean>>).filter(([, on]) => on);
  const flags = set.length === 0 ? "" : `, flags ${set.map(([name]) => name).join(" ")}`;
  const hex = (value: unknown): string => `0x${Number(value).toString(16)}`;
  const ms = (value: unknown): string => shortDuration(Number(value) / 1000);
  return [
    `bfd   version ${bfd.version}, state ${bfd.state}, ${diagnosticText(Number(bfd.diag))}${flags}`,
    `      discriminators: mine ${hex(bfd.myDiscriminator)}, yours ${hex(bfd.yourDiscriminator)}`,
    `      sends every ${ms(bfd.desiredMinTxUs)} x ${bfd.detectMult}, receives every ${ms(bfd.requiredMinRxUs)}, ` +
      `echo ${bfd.requiredMinEchoRxUs === 0 ? "none" : ms(bfd.requiredMinEchoRxUs)}`,
  ];
}

function typeNote(type: unknown): string {
  return type === MESSAGE_TYPE.backupAdvertisement ? " (backup advertisement)" : "";
}

function priorityNote(priority: unknown): string {
  if (priority === 0) return " (release)";
  return priority === 255 ? " (owner)" : "";
}

function intervalText(vrrp: Readonly<Record<string, unknown>>): string {
  const ms =
    vrrp.version === 3 ? Number(vrrp.maxAdverIntCentiseconds) * 10 : Number(vrrp.adverIntSeconds) * 1000;
  return shortDuration(ms);
}

function checksumText(vrrp: Readonly<Record<string, unknown>>): string {
  const valid = vrrp.checksumValid as { readonly messageOnly: boolean; readonly withPseudoHeader?: boolean };
  const forms = [
    ...(valid.messageOnly ? ["right over the message alone"] : []),
    ...(valid.withPseudoHeader === true ? ["right with the pseudo-header"] : []),
  ];
  if (forms.length > 0) return forms.join(", ");
  return valid.withPseudoHeader === undefined ? "needs --source to be checked" : "wrong";
}
