/** A configuration from a file, and its problems as a compiler would print them. */
import { readFileSync, statSync } from "node:fs";
import { FirsthopError } from "../errors.js";
import { CONFIG_SIZE_MAX, formatPath, parseConfig } from "./parse.js";
import type { Config, ConfigProblem } from "./types.js";

/** A file's problems; `text` is what they point into. */
export interface CheckedFile {
  readonly file: string;
  readonly text: string;
  readonly config: Config | null;
  readonly problems: readonly ConfigProblem[];
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "it may not be read by this user",
  EISDIR: "it is a directory",
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
      throw new FirsthopError("CONFIG_UNREADABLE", `${file}: it is no regular file`);
    if (found.size > CONFIG_SIZE_MAX)
      throw new FirsthopError("CONFIG_UNREADABLE", `${file}: it is larger than 1 MiB`);
    octets = readFileSync(file);
  } catch (cause) {
    if (cause instanceof FirsthopError) throw cause;
    const code = (cause as { code?: string }).code ?? "";
    throw new FirsthopError("CONFIG_UNREADABLE", `${file}: ${UNREADABLE[code] ?? code}`, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(octets);
  } catch (cause) {
    throw new FirsthopError("CONFIG_UNREADABLE", `${file}: it is not UTF-8 text`, { cause });
  }
}

/** One line a problem: `file:12:7: error: vrid: 999 is not a whole number from 1 to 255`. */
export function formatProblems(file: string, problems: readonly ConfigProblem[]): string {
  return problems
    .map(({ severity, path, message, line, column }) => {
      const place = line === null ? file : `${file}:${line}:${column}`;
      const key = path.length === 0 ? "" : `${formatPath(path)}: `;
      return `${place}: ${severity}: ${key}${message}`;
    })
    .join("\n");
}
