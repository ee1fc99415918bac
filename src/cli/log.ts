/**
 * The daemon's log: pino, as lines for people or as JSON. Lines are written behind the event loop's back, so
 * that a log reader that stands still cannot stop a router; what waits is bounded, and flushed when the
 * process ends.
 */
import { pino } from "pino";
import { prettyFactory } from "pino-pretty";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
export type LogFormat = "pretty" | "json";

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}

/** Octets that wait for a slow reader; more are left out. */
const WAITING_MAX_BYTES = 1024 * 1024;

export function createLogger(level: LogLevel, format: LogFormat): Logger {
  const destination = pino.destination({ fd: 1, sync: false, maxLength: WAITING_MAX_BYTES });
  survive(destination);
  const options = { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` };
  if (format === "json") {
    return pino({ ...options, formatters: { level: (label: string) => ({ level: label }) } }, destination);
  }
  const render = prettyFactory({
    colorize: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
    // What the fields tell a machine, the message tells in words.
    hideObject: true,
    translateTime: false,
    timestampKey: "time",
    ignore: "pid,hostname,name",
  });
  return pino(options, { write: (line: string) => destination.write(render(line) as string) });
}

/**
 * A full disk, or whatever else refuses the log, ends nothing: what waits is tried again with the next line. The last
 * flush would try for ever, so it is left out while nothing can be written.
 */
function survive(destination: ReturnType<typeof pino.destination>): void {
  let refused = false;
  destination.on("error", () => {
    refused = true;
  });
  destination.on("write", () => {
    refused = false;
  });
  const flush = destination.flushSync.bind(destination);
  // Pino calls it as well, when the process ends.
  destination.flushSync = () => {
    if (!refused) flush();
  };
  process.on("exit", () => {
    try {
      destination.flushSync();
    } catch {
      // Standard output is closed.
    }
  });
}

/** Pretty for a terminal, JSON for whatever collects logs. */
export function defaultFormat(): LogFormat {
  return process.stdout.isTTY ? "pretty" : "json";
}
