/** Sections about the daemon itself. */
import { z } from "zod";
import { duration, oneOf, text } from "./fields.js";
import { section } from "./section.js";
import type { LogFormat } from "./types.js";
import { parseDuration } from "./units.js";

export const controlTimeout = section({
  schema: duration(
    {
      description: "How long a router stays Active without its control plane, 100ms to 1h.",
      examples: ["10s"],
    },
    { minUs: 100_000, maxUs: 3_600_000_000 },
  ).default("5s"),
  normalize: (checked) => ({ controlTimeoutUs: parseDuration(checked) as number }),
});

/** sockaddr_un has 108 octets, the last of them NUL. */
const SOCKET_PATH_MAX = 107;

function socketPathFlaw(path: string): string | null {
  if (!path.startsWith("/")) return `'${path}' is no absolute path`;
  if (path.endsWith("/")) return `'${path}' is a directory: name the socket in it`;
  const octets = new TextEncoder().encode(path).length;
  return octets > SOCKET_PATH_MAX
    ? `the path of a socket has at most ${SOCKET_PATH_MAX} octets, this one has ${octets}`
    : null;
}

export const control = section({
  schema: z
    .strictObject({
      socket: text("path", "the path of a socket", socketPathFlaw)
        .meta({ description: "Path of the control socket.", examples: ["/run/firsthop/edge.sock"] })
        .default("/run/firsthop/control.sock"),
    })
    .prefault({})
    .meta({ description: "How commands reach the daemon." }),
  normalize: (checked) => ({ control: checked }),
});

export const log = section({
  schema: z
    .strictObject({
      level: oneOf(["trace", "debug", "info", "warn", "error"], {
        description: "The least that is logged.",
        examples: ["debug"],
      }).default("info"),
      format: oneOf(["pretty", "json"], {
        description: "Default: pretty on a terminal, else json.",
        examples: ["json"],
      }).optional(),
    })
    .prefault({})
    .meta({ description: "The daemon's log, on standard output." }),
  normalize: (checked) => ({
    log: { level: checked.level, format: (checked.format ?? null) as LogFormat | null },
  }),
});
