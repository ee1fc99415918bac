/** A configuration from a file, and its problems as a compiler would print them. */
import { readFileSync, statSync } from "node:fs";
import { printable } from "../core/printable.js";
import { FirsthopError } from "../errors.js";
import { CONFIG_SIZE_MAX } from "./document.js";
import { formatPath, parseConfig } from "./parse.js";
import type { Config } from "./schema.js";
import type { ConfigProblem } from "./types.js";

/** A file's problems; `text` is what they point into. */
export interface CheckedFile {
  readonly file: string;
  readonly text: string;
  readonly config: Config | null;
  readonly problems: readonly ConfigProblem[];
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file: name the configuration with -c FILE",
  EACCES: "it may not be read by this user: run as root, or let this user read it",
  EISDIR: "it is a directory: name the configuration with -c FILE",
};

/** @throws FirsthopError CONFIG_UNREADABLE */
export function checkConfigFile(file: string): CheckedFile {
  const text = readText(file);
  return { file, text, ...parseConfig(text) };
}

/**
 * The configuration in a file.
 * @throws FirsthopError CONFIG_UNREADABLE, or CONFIG_INVALID with one line a problem
 */
export function readConfig(file: string): Config {
  const checked = checkConfigFile(file);
  if (checked.config) return checked.config;
  throw new FirsthopError("CONFIG_INVALID", formatProblems(checked.file, checked.problems));
}

function readText(file: string): string {
  let octets: Buffer;
  try {
    const found = statSync(file);
    // To open a pipe that nobody writes to would stop the daemon at a reload, and so end its being Active.
    if (!found.isFile() && !found.isDirectory())
      throw new FirsthopError(
        "CONFIG_UNREADABLE",
        `${file}: it is no regular file: name the configuration with -c FILE`,
      );
    if (found.size > CONFIG_SIZE_MAX)
      throw new FirsthopError(
        "CONFIG_UNREADABLE",
        `${file}: it is larger than 1 MiB, which is the most that is read`,
      );
    octets = readFileSync(file);
  } catch (cause) {
    if (cause instanceof FirsthopError) throw cause;
    const code = (cause as { code?: string }).code ?? "";
    throw new FirsthopError("CONFIG_UNREADABLE", `${file}: ${UNREADABLE[code] ?? code}`, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(octets);
  } catch (cause) {
    throw new FirsthopError("CONFIG_UNREADABLE", `${file}: it is not UTF-8 text: save it in that encoding`, {
      cause,
    });
  }
}

export interface ProblemFormat {
  /** The text that the problems point into: each is followed by its line and a caret. */
  readonly text?: string;
  /** Colours for a terminal; default none. */
  readonly color?: boolean;
}

/** One line a problem, `file:12:7: error: vrid: 999 is not …`, and with a text the line that it is about. */
export function formatProblems(
  file: string,
  problems: readonly ConfigProblem[],
  { text, color = false }: ProblemFormat = {},
): string {
  const paint =
    (code: number) =>
    (words: string): string =>
      color ? `\x1b[${code}m${words}\x1b[0m` : words;
  const [bold, red, yellow, cyan] = [paint(1), paint(31), paint(33), paint(36)] as const;
  const source = text?.split(/\r?\n/);
  return problems
    .flatMap(({ severity, path, message, line, column }) => {
      const place = line === null ? file : `${file}:${line}:${column}`;
      const key = path.length === 0 ? "" : `${printable(formatPath(path))}: `;
      const kind = severity === "error" ? red("error") : yellow("warning");
      const said = `${bold(place)}: ${kind}: ${key}${message}`;
      const excerpt = line === null ? undefined : source?.[line - 1];
      if (excerpt === undefined) return [said];
      const { shown, caret } = excerptOf(excerpt, column ?? 1);
      const gutter = `${line} | `;
      return [said, `  ${cyan(gutter)}${shown}`, `  ${" ".repeat(gutter.length + caret)}${cyan("^")}`];
    })
    .join("\n");
}

const EXCERPT_MAX = 100;

/** The part of a long line around a column; no control characters, a tab as one space. */
function excerptOf(line: string, column: number): { readonly shown: string; readonly caret: number } {
  const from = column > EXCERPT_MAX - 20 ? column - EXCERPT_MAX / 2 : 0;
  const shown = line.slice(from, from + EXCERPT_MAX).replace(/\p{Cc}/gu, " ");
  return { shown, caret: column - 1 - from };
}
