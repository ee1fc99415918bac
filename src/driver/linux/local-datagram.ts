/** Datagrams to local sockets, with the error's name. */
import { constants } from "node:os";
import { loadNative } from "../../native.js";

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number as number, name]));

/** @returns null, or the name of the error: "EAGAIN" when the reader is behind. @throws FirsthopError NATIVE_UNAVAILABLE */
export function sendLocalDatagram(name: string, text: string): string | null {
  const errno = loadNative().sendLocalDatagram(name, text);
  return errno === 0 ? null : (NAMES.get(errno) ?? `error ${errno}`);
}
