/**
 * The number in a file. As keepalived's track_file: what is no number, and a file that is not there, is 0. Stricter than
 * its strtol() in what ends a number: `1.5` and `1e2` are typos, and none is 1.
 */

import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { printable } from "../../../core/printable.js";
import type { TrackResult } from "../../../core/tracking/verdict.js";

const OCTETS_READ = 256;
const QUOTED_MAX = 60;
const NUMBER_MAX = 254;
/** What follows after white space is a remark. */
const NUMBER = /^\s*([+-]?)(0x[0-9a-f]+|\d+)(?=\s)/i;

export async function readNumberFile(path: string): Promise<TrackResult> {
  const text = await beginningOf(path);
  if (text === null) return { up: true, evidence: `${path} is not there: 0`, value: 0 };
  const line = firstLine(text);
  const match = NUMBER.exec(text);
  if (!match) {
    const found = line === "" ? "" : ` (${quoted(line)})`;
    return { up: true, evidence: `${path} holds no number${found}: 0`, value: 0 };
  }
  const number = Number(match[2]) * (match[1] === "-" ? -1 : 1);
  const value = Math.min(Math.max(number, -NUMBER_MAX), NUMBER_MAX) + 0;
  const taken = value === number ? "read as" : "clamped to";
  const says = line === String(value) ? `says: ${value}` : `says ${quoted(line)}: ${taken} ${value}`;
  return { up: value >= 0, evidence: `${path} ${says}`, value };
}

/** The first that has more than white space. */
function firstLine(text: string): string {
  return text.split(/\r?\n/).find((line) => line.trim() !== "") ?? "";
}

function quoted(line: string): string {
  return `"${printable(line.slice(0, QUOTED_MAX))}"${line.length > QUOTED_MAX ? " …" : ""}`;
}

/** Null: there is no such file. */
async function beginningOf(path: string): Promise<string | null> {
  try {
    // A pipe that nobody writes to must not hold a thread.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(OCTETS_READ), 0, OCTETS_READ);
      // The end of a short file ends a number; that of the buffer may be in the middle of one.
      return buffer.toString("utf8", 0, bytesRead) + (bytesRead < OCTETS_READ ? "\n" : "");
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    const { code } = error as { code?: string };
    throw Object.assign(new Error(`${path} can't be read: ${code ?? error}`), { code });
  }
}
