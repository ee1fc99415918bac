/** http: a request is answered with a right status. */
import { z } from "zod";
import { canonicalIp } from "../../core/address.js";
import { oneOf, text, yesNo } from "../fields.js";
import { checkLeaving, type Leaving, leaving, leavingOf, trackerKind } from "./kind.js";

export interface HttpSpec extends Leaving {
  readonly kind: "http";
  readonly secure: boolean;
  readonly address: string;
  readonly port: number;
  /** Path and query. */
  readonly path: string;
  readonly host: string | null;
  readonly method: "GET" | "HEAD";
  /** Closed ranges of status codes that are right. */
  readonly status: readonly (readonly [number, number])[];
  readonly verify: boolean;
}

type Place = Pick<HttpSpec, "secure" | "address" | "port" | "path">;

/** What is wrong with an address of the web, or what it says. A name would make the verdict depend on a name server. */
export function parseUrl(value: string): Place | string {
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    return `'${value}' is no URL like http://203.0.113.1/health`;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return "only http:// and https:// are spoken here";
  if (url.username || url.password) return "a URL with a password would end up in logs";
  const address = canonicalIp(url.hostname.replace(/^\[|\]$/g, ""));
  if (address === null) return `${url.hostname} is a name: write an address, and give the name as host`;
  const secure = url.protocol === "https:";
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  return { secure, address, port, path: url.pathname + url.search };
}

/** 200, 2xx or 200-399. Null: it is none. */
function statusRange(value: string | number): readonly [number, number] | null {
  const match = /^([1-5])xx$|^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(value));
  if (!match) return null;
  if (match[1]) return [Number(match[1]) * 100, Number(match[1]) * 100 + 99];
  const [from, to] = [Number(match[2]), Number(match[3] ?? match[2])];
  return from <= to ? [from, to] : null;
}

const flaw = (value: string): string | null => {
  const parsed = parseUrl(value);
  return typeof parsed === "string" ? parsed : null;
};

export const httpKind = trackerKind({
  keys: {
    http: text("URL", "a URL like http://203.0.113.1/health", flaw)
      .optional()
      .meta({
        description: "Kind: this URL is answered. Its host is an address.",
        examples: ["https://203.0.113.1/health"],
      }),
    status: z
      .array(
        z.union([z.int(), z.string()]).refine((value) => statusRange(value) !== null, {
          error: "a status is written 200, 2xx or 200-399",
        }),
        { error: "a list of status codes is expected" },
      )
      .min(1, { error: "at least one status is needed" })
      .optional()
      .meta({
        title: "list of codes",
        description: "http: the status codes that are right; default: 2xx and 3xx.",
        examples: [["2xx", 404]],
      }),
    method: oneOf(["GET", "HEAD"], { description: "http: default GET.", examples: ["HEAD"] }).optional(),
    host: text("host name", "a host name", (value) =>
      /^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$/.test(value) ? null : `'${value}' is no host name`,
    )
      .optional()
      .meta({
        description:
          "http: the name that is asked for, and that a certificate must be for; default: the address.",
        examples: ["www.example.net"],
      }),
    verify: yesNo({
      description: "http: whether a certificate has to be valid; default true.",
      examples: [false],
    }).optional(),
    ...leaving,
  },
  polling: { interval: "1s", fall: 3, rise: 2 },
  check(written, at, report) {
    const to = typeof written.http === "string" ? parseUrl(written.http) : null;
    if (!to || typeof to === "string") return;
    checkLeaving(to.address, written, at, report);
    if (written.verify !== undefined && !to.secure)
      report("warning", at("verify"), "no effect without https");
  },
  normalize: (checked): HttpSpec => ({
    kind: "http",
    ...(parseUrl(checked.http as string) as Place),
    host: checked.host ?? null,
    method: checked.method ?? "GET",
    status: (checked.status ?? ["2xx", "3xx"]).map((one) => statusRange(one) as readonly [number, number]),
    verify: checked.verify ?? true,
    ...leavingOf(checked),
  }),
  target: ({ secure, address, port, path }) =>
    `${secure ? "https" : "http"}://${address.includes(":") ? `[${address}]` : address}:${port}${path}`,
});
