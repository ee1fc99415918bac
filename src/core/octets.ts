/** Octets within JSON: `{"octets": "00ff…"}`, hexadecimal, wherever a Uint8Array was. */
const DIGITS = /^[0-9a-f]*$/;

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The same value as JSON can hold it. */
export function packOctets(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    let text = "";
    for (const octet of value) text += octet.toString(16).padStart(2, "0");
    return { octets: text };
  }
  if (Array.isArray(value)) return value.map(packOctets);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, packOctets(inner)]));
}

/** What was packed. */
export function unpackOctets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpackOctets);
  if (!isPlain(value)) return value;
  const { octets } = value;
  if (typeof octets === "string" && octets.length % 2 === 0 && DIGITS.test(octets)) {
    return Uint8Array.from({ length: octets.length / 2 }, (_, at) =>
      Number.parseInt(octets.slice(2 * at, 2 * at + 2), 16),
    );
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unpackOctets(inner)]));
}
