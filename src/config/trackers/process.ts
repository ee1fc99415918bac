/** process: a program runs. */
import { integer, text } from "../fields.js";
import { trackerKind } from "./kind.js";

export interface ProcessSpec {
  readonly kind: "process";
  /** Name of the process, or absolute path of the file that holds its number. */
  readonly process: string;
  readonly minimum: number;
}

const processName = text("name or path", "the name of a process, or the path of its pid file", (value) => {
  if (value.includes("\0")) return "no name holds a NUL";
  if (value.startsWith("/")) return value.length > 1 ? null : "the path of a pid file is expected";
  return value !== "" && !value.includes("/")
    ? null
    : `'${value}' is neither a name nor an absolute path of a pid file`;
});

export const processKind = trackerKind({
  keys: {
    process: processName.optional().meta({
      description:
        "Kind: a process of this name runs (the name of its program; no zombie counts), or the one whose number is in this file.",
      examples: ["bgpd", "/run/frr/bgpd.pid"],
    }),
    minimum: integer(1, 10_000, {
      description: "process: so many have to run; default 1.",
      examples: [2],
    }).optional(),
  },
  polling: { interval: "1s", fall: 1, rise: 1 },
  check(written, at, report) {
    if (
      typeof written.process === "string" &&
      written.process.startsWith("/") &&
      written.minimum !== undefined
    )
      report("error", at("minimum"), "a pid file names one process");
  },
  covers: () => ["router-software"],
  normalize: (checked): ProcessSpec => ({
    kind: "process",
    process: checked.process as string,
    minimum: checked.minimum ?? 1,
  }),
  target: (spec) => spec.process,
});
