/** The number in a file. As keepalived's track_file: what is no number, and a file that is not there, is 0. */

import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { TrackResult } from "../../../core/tracking/verdict.js";

const OCTETS_READ = 64;
const NUMBER_MAX = 254;

export async function readNumberFile(path: string): Promise<TrackResult> {
  const text = await beginningOf(path);
  const match = /^\s*([+-]?)(0x[0-9a-f]+|\d+)/i.exec(text ?? "");
  const number = match ? Number(match[2]) * (match[1] === "-" ? -1 : 1) : 0;
  const value = Math.min(Math.max(number, -NUMBER_MAX), NUMBER_MAX) + 0;
  const what = text === null ? "is not there" : match ? "says" : "holds no number";
  return { up: value >= 0, evidence: `${path} ${what}: ${value}`, value };
}

/** Null: there is no such file. */
async function beginningOf(path: string): Promise<string | null> {
  try {
    // A pipe that nobody writes to must not hold a thread.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(OCTETS_READ), 0, OCTETS_READ);
      return buffer.toString("latin1", 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    const { code } = error as { code?: string };
    throw Object.assign(new Error(`${path} can't be read: ${code ?? error}`), { code });
  }
}
