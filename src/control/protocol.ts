/**
 * What goes over the control socket: one JSON document a line. A request is `{id, method, params}`; its
 * answer is `{id, result}` or `{id, error: {code, message}}`. `events` sends `{id, event}` lines before its
 * answer, and `{id, dropped: N}` where the reader was too slow for N of them.
 */
import { ERROR_CODES, type ErrorCode, FirsthopError } from "../errors.js";

export const DEFAULT_SOCKET = "/run/firsthop/control.sock";

/** Octets of one request; the largest real one is an interface name. */
export const REQUEST_MAX_BYTES = 64 * 1024;
/** Octets of one answer: the flight recorder's dump is the largest. */
export const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

export const METHODS = [
  "hello",
  "status",
  "events",
  "explain",
  "drain",
  "undrain",
  "priority",
  "switchover",
  "mask",
  "reload",
  "stop",
  "recorder",
  "handover",
] as const;
export type Method = (typeof METHODS)[number];

export interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Who answers. */
export interface Hello {
  readonly pid: number;
  readonly version: string;
  readonly startedAt: string;
  /** null where the configuration came from a command line. */
  readonly configFile: string | null;
}

export type Answer =
  | { readonly id: number | null; readonly result: unknown }
  | { readonly id: number | null; readonly error: { readonly code: string; readonly message: string } }
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly dropped: number };

/**
 * Cuts a stream of octets into lines of bounded length.
 * The line that is too long is reported once by `onOverflow`; nothing is read after it.
 */
export function lineReader(
  maxBytes: number,
  onLine: (line: string) => void,
  onOverflow: () => void,
): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let held = 0;
  let overflowed = false;
  return (chunk) => {
    let rest = chunk;
    while (!overflowed) {
      const end = rest.indexOf(0x0a);
      const piece = end < 0 ? rest : rest.subarray(0, end);
      if (held + piece.length > maxBytes) {
        overflowed = true;
        parts = [];
        onOverflow();
        return;
      }
      if (end < 0) {
        if (piece.length > 0) parts.push(piece);
        held += piece.length;
        return;
      }
      const line = parts.length === 0 ? piece : Buffer.concat([...parts, piece]);
      parts = [];
      held = 0;
      rest = rest.subarray(end + 1);
      onLine(line.toString("utf8"));
    }
  };
}

/** @returns the request, or in a sentence why it is none. */
export function parseRequest(line: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "a request is one JSON object on one line";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return "a request is a JSON object";
  const { id, method, params = {} } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(id)) return "a request needs an integer `id`";
  if (typeof method !== "string") return `a request needs a \`method\`, one of ${METHODS.join(", ")}`;
  if (typeof params !== "object" || params === null || Array.isArray(params))
    return "`params` is a JSON object";
  return { id: id as number, method, params: params as Record<string, unknown> };
}

export function errorAnswer(id: number | null, error: unknown): Answer {
  const code = error instanceof FirsthopError ? error.code : "INTERNAL";
  const message = error instanceof Error ? error.message : String(error);
  return { id, error: { code, message } };
}

/** The error that an answer carries, as the caller throws it. */
export function answeredError(error: { readonly code?: unknown; readonly message?: unknown }): FirsthopError {
  const known = ERROR_CODES.find((code): code is ErrorCode => code === error.code);
  return new FirsthopError(known ?? "DAEMON_UNREACHABLE", String(error.message ?? "the daemon failed"));
}
