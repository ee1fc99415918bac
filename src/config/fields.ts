/**
 * The kinds of values that sections are made of: how each is checked, what is said about a wrong one, and what
 * editors and the reference page show of it (title, pattern, examples).
 */
import { z } from "zod";
import { canonicalIp, familyOf } from "../core/address.js";
import type { Path, Report } from "./section.js";
import { closest } from "./suggest.js";
import { formatDuration, parseDuration } from "./units.js";

/** What the reference page says about a key. */
export type About = {
  readonly description: string;
  readonly examples?: readonly unknown[];
};

function shown(input: unknown): string {
  const text = typeof input === "object" && input !== null ? null : (JSON.stringify(input) ?? null);
  if (text === null) return Array.isArray(input) ? "a list" : "a block of keys";
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

/** For texts: most wrong ones are numbers that YAML made of an unquoted text. */
function wantedText(what: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) =>
    typeof input === "number" || typeof input === "boolean"
      ? `${what} is expected: ${shown(input)} needs quotes to be a text`
      : `${what} is expected`;
}

/** A text for which `flaw` finds nothing wrong. */
export function text(kind: string, what: string, flaw: (value: string) => string | null, pattern?: string) {
  return z
    .string({ error: wantedText(what) })
    .superRefine((value, context) => {
      const message = flaw(value);
      if (message !== null) context.addIssue({ code: "custom", message });
    })
    .meta({ title: kind, ...(pattern === undefined ? {} : { pattern }) });
}

export function duration(about: About, range?: { readonly minUs: number; readonly maxUs: number }) {
  return z
    .string({ error: ({ input }) => durationFlaw(input) ?? "a duration is written like 10ms" })
    .superRefine((value, context) => {
      const message = durationFlaw(value, range);
      if (message !== null) context.addIssue({ code: "custom", message });
    })
    .meta({ title: "duration", pattern: "^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h)$", ...about });
}

function durationFlaw(
  input: unknown,
  range?: { readonly minUs: number; readonly maxUs: number },
): string | null {
  const parsed = parseDuration(input);
  if (typeof parsed !== "number") return parsed.error;
  if (!range || (parsed >= range.minUs && parsed <= range.maxUs)) return null;
  return `${input} is out of range: ${formatDuration(range.minUs)} to ${formatDuration(range.maxUs)}`;
}

export function integer(min: number, max: number, about: About, hint = "") {
  const error = ({ input }: { readonly input?: unknown }): string =>
    `${shown(input)} is not a whole number from ${min} to ${max}${hint}`;
  return z.int({ error }).min(min, { error }).max(max, { error }).meta(about);
}

export function yesNo(about: About) {
  return z.boolean({ error: "true or false is expected" }).meta(about);
}

export function oneOf<const T extends readonly [string, ...string[]]>(words: T, about: About) {
  const list = words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  const error = ({ input }: { readonly input?: unknown }): string => {
    const meant = typeof input === "string" ? closest(input, words) : null;
    return `${list} is expected${meant === null ? "" : `: did you mean ${meant}?`}`;
  };
  return z.enum(words, { error }).meta(about);
}

/** A command line where the path of a command is expected. `key` takes its arguments. */
export function warnOfBlank(command: unknown, key: string, path: Path, report: Report): void {
  if (typeof command === "string" && /\s/.test(command))
    report("warning", path, `a path with a blank: arguments are given as ${key}: [...]`);
}

/** Addresses that name one host on a LAN. */
function addressFlaw(value: string): string | null {
  const address = canonicalIp(value);
  if (address === null) return `'${value}' is no IP address`;
  if (familyOf(address) === "ipv4") {
    const first = Number(address.split(".")[0]);
    if (first === 0) return `${address} names no host`;
    if (first === 127) return `${address} is a loopback address`;
    if (first >= 224) return `${address} is ${first < 240 ? "a multicast" : "a reserved"} address`;
    return null;
  }
  if (address === "::") return `${address} names no host`;
  if (address === "::1") return `${address} is a loopback address`;
  if (address.startsWith("::ffff:")) return `${address} stands for an IPv4 address: write that`;
  return address.startsWith("ff") ? `${address} is a multicast address` : null;
}

export const address = text("address", "an IP address", addressFlaw);

/** Addresses of a network that belong to no host: the first and the last; /31 has none (RFC 3021). */
function placeFlaw(host: string, length: number): string | null {
  if (familyOf(host) !== "ipv4" || length > 30) return null;
  const size = 2 ** (32 - length);
  const place = host.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0) % size;
  if (place === 0) return `${host} is the address of the network, not of a host in it`;
  return place === size - 1 ? `${host} is the broadcast address of its network` : null;
}

export const addressWithLength = text(
  "address or address/length",
  "an address like 192.0.2.1/24",
  (value) => {
    const [host = "", length, ...rest] = value.split("/");
    if (rest.length > 0) return `'${value}' is no address with a prefix length`;
    const flaw = addressFlaw(host);
    if (flaw !== null || length === undefined) return flaw;
    const max = familyOf(host) === "ipv4" ? 32 : 128;
    const fits = /^\d{1,3}$/.test(length) && Number(length) >= 1 && Number(length) <= max;
    return fits ? placeFlaw(host, Number(length)) : `/${length} is no prefix length: 1 to ${max}`;
  },
);

/** The kernel takes a percent sign for the place of a number. */
function interfaceFlaw(value: string): string | null {
  const fits =
    /^[^\s/:%]+$/.test(value) &&
    value !== "." &&
    value !== ".." &&
    new TextEncoder().encode(value).length <= 15;
  return fits
    ? null
    : `'${value}' is no interface name: 1 to 15 characters without slash, colon, percent sign or space`;
}

function interfaceField(flaw: (value: string) => string | null) {
  return text("interface", "the name of an interface", flaw, "^[^\\s/:%]{1,15}$");
}

export const interfaceName = interfaceField(interfaceFlaw);

/** An interface with hosts behind it. */
export const lanInterfaceName = interfaceField((value) =>
  value === "lo" ? "lo is the loopback interface, behind which are no hosts" : interfaceFlaw(value),
);
