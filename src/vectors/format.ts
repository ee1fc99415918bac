/**
 * The format of test vector files (test/vectors/README.md): what is read from them, and how results are
 * compared.
 */
import { canonicalIp } from "../core/address.js";

/** A JSON object whose keys have not been looked at yet. */
export type Json = Readonly<Record<string, unknown>>;

/** The vector itself is not what its format promises. */
export class VectorError extends Error {}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws VectorError */
export function objectAt(parent: Json, key: string): Json {
  const value = parent[key];
  if (!isObject(value)) throw new VectorError(`the vector has no object "${key}"`);
  return value;
}

/** @throws VectorError */
export function stringAt(parent: Json, key: string): string {
  const value = parent[key];
  if (typeof value !== "string") throw new VectorError(`the vector has no text "${key}"`);
  return value;
}

/** @throws VectorError */
export function numberAt(parent: Json, key: string): number {
  const value = parent[key];
  if (typeof value !== "number") throw new VectorError(`the vector has no number "${key}"`);
  return value;
}

export function optionalNumber(parent: Json, key: string): number | undefined {
  return parent[key] === undefined ? undefined : numberAt(parent, key);
}

/** Addresses in canonical form. @throws VectorError */
export function addressesAt(parent: Json, key: string): readonly string[] {
  const value = parent[key];
  if (!Array.isArray(value)) throw new VectorError(`the vector has no list "${key}"`);
  return value.map((one) => {
    const address = typeof one === "string" ? canonicalIp(one) : null;
    if (address === null) throw new VectorError(`${JSON.stringify(one)} in "${key}" is no address`);
    return address;
  });
}

/** @throws VectorError */
export function hexAt(parent: Json, key: string): Uint8Array {
  return fromHex(stringAt(parent, key), key);
}

/** @throws VectorError */
export function fromHex(text: string, what: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new VectorError(`"${what}" is not hexadecimal`);
  return Uint8Array.from(digits.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));
}

/**
 * Where `got` is not what `expected` asks for, a line each. Only what is expected is compared: a missing key
 * asks for nothing. An expected null is met by a missing key.
 */
export function differences(expected: unknown, got: unknown, path: string): string[] {
  if (isObject(expected)) {
    if (!isObject(got)) return [difference(path, got, expected)];
    return Object.entries(expected).flatMap(([key, value]) => differences(value, got[key], `${path}.${key}`));
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(got) || got.length !== expected.length) return [difference(path, got, expected)];
    return expected.flatMap((value, index) => differences(value, got[index], `${path}[${index}]`));
  }
  return sameValue(expected, got) ? [] : [difference(path, got, expected)];
}

function sameValue(expected: unknown, got: unknown): boolean {
  if (typeof expected === "string" && typeof got === "string") {
    const address = canonicalIp(expected);
    return expected.toLowerCase() === got.toLowerCase() || (address !== null && address === canonicalIp(got));
  }
  return expected === (got ?? null);
}

export function difference(path: string, got: unknown, expected: unknown): string {
  return `${path}: got ${JSON.stringify(got) ?? "nothing"}, expected ${JSON.stringify(expected)}`;
}

/** Two frames, with the place where they part. */
export function frameDifferences(expected: Uint8Array, got: Uint8Array | null, path: string): string[] {
  const want = Buffer.from(expected).toString("hex");
  if (got === null) return [`${path}: got no frame, expected ${want}`];
  const have = Buffer.from(got).toString("hex");
  if (want === have) return [];
  const shorter = Math.min(expected.length, got.length);
  let offset = 0;
  while (offset < shorter && expected[offset] === got[offset]) offset++;
  return [`${path}: differs from octet ${offset} on`, `  got      ${have}`, `  expected ${want}`];
}

/** Whether the vector is a frame that the router sends itself. */
export function isTransmitted(vector: Json, expect: Json): boolean {
  return (expect.direction ?? vector.direction) === "transmit";
}
