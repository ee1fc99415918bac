/** script: a program says so by its exit code. */
import { z } from "zod";
import { text, warnOfBlank } from "../fields.js";
import { absolutePath, trackerKind } from "./kind.js";

export interface ScriptSpec {
  readonly kind: "script";
  readonly path: string;
  readonly arguments: readonly string[];
}

const argument = text("text", "a text", (value) =>
  value.includes("\0") ? "an argument holds no NUL" : null,
);

export const scriptKind = trackerKind({
  keys: {
    script: absolutePath("a program")
      .optional()
      .meta({
        description:
          "Kind: this program ends with 0. It runs without a shell, alone, and is ended with all its children at its timeout. Only its owner may be able to change it.",
        examples: ["/usr/local/bin/check"],
      }),
    arguments: z
      .array(argument, { error: "a list of arguments is expected" })
      .optional()
      .meta({ description: "script: its arguments.", examples: [["--fast", "wan0"]] }),
  },
  polling: { interval: "1s", fall: 1, rise: 1 },
  check(written, at, report) {
    warnOfBlank(written.script, "arguments", at("script"), report);
  },
  covers: () => ["router-software"],
  normalize: (checked): ScriptSpec => ({
    kind: "script",
    path: checked.script as string,
    arguments: checked.arguments ?? [],
  }),
  target: (spec) => spec.path,
});
