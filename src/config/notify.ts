/** `notify`: the command that is run for each change of state. */
import { z } from "zod";
import { duration, text, warnOfBlank } from "./fields.js";
import { isBlock, type Path, type Report } from "./section.js";
import type { NotifyConfig } from "./types.js";
import { parseDuration } from "./units.js";

const command = text("path", "the path of a command", (value) =>
  value.startsWith("/")
    ? null
    : `'${value}' is no absolute path: arguments go into args, and there is no shell`,
);

export const notifySchema = z
  .strictObject(
    {
      command: command.meta({
        description:
          "Executable file that belongs to root or the daemon's user and that nobody else may write to. It gets `args`, then INSTANCE or GROUP, the name, the new state in the words of keepalived's notify scripts (MASTER, BACKUP, FAULT, STOP) and the priority; the change as JSON on standard input.",
        examples: ["/usr/local/bin/on-change"],
      }),
      args: z
        .array(z.string({ error: "a text is expected" }), { error: "a list of arguments is expected" })
        .meta({ description: "Arguments before those of the change.", examples: [["--site", "north"]] })
        .default([]),
      timeout: duration(
        {
          description: "After this time it is ended, with all processes that it started.",
          examples: ["30s"],
        },
        { minUs: 10_000, maxUs: 3_600_000_000 },
      ).default("10s"),
    },
    { error: ({ code }) => (code === "invalid_type" ? "a block of keys is expected" : undefined) },
  )
  .optional()
  .meta({
    description:
      "A command for each change of state: in order, one at a time, exactly once for each change. No shell; what it prints goes to the log.",
  });

export function checkNotify(written: unknown, path: Path, report: Report): void {
  if (isBlock(written)) warnOfBlank(written.command, "args", [...path, "command"], report);
}

export function normalizeNotify(checked: z.output<typeof notifySchema>): NotifyConfig | null {
  if (!checked) return null;
  return {
    command: checked.command,
    args: checked.args,
    timeoutUs: parseDuration(checked.timeout) as number,
  };
}
