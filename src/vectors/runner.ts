/**
 * Runs every test vector file below a folder against the code that routers run on. What a vector is about is
 * found from its contents; protocols that are not spoken are skipped by name.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { readArp } from "../core/arp.js";
import { readBfdFrame } from "../core/bfd/packet.js";
import { readNeighbourMessage } from "../core/nd.js";
import { readVrrpFrame } from "../core/vrrp/packet.js";
import { checkArpNd } from "./arp-nd.js";
import { checkBfd } from "./bfd.js";
import { hexAt, isObject, type Json, VectorError } from "./format.js";
import { checkMachine } from "./machine.js";
import { checkTimers } from "./timers.js";
import { checkVrrp } from "./vrrp.js";

export interface VectorResult {
  /** Path of the file below the folder. */
  readonly file: string;
  readonly id: string;
  readonly title: string;
  readonly protocol: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** What is not as expected, a line each. */
  readonly problems: readonly string[];
}

export interface VectorRun {
  /** Files of the format, or meant to be. */
  readonly files: readonly string[];
  readonly results: readonly VectorResult[];
}

type Check = (vector: Json, frameOf: (id: string) => Uint8Array) => string[];

const CHECKS: Readonly<Record<string, Check>> = {
  vrrp: checkVrrp,
  "arp-nd": checkArpNd,
  vrrp2: (vector) => checkTimers(vector, 2),
  vrrp3: (vector) => checkTimers(vector, 3),
  "vrrp-fsm": checkMachine,
  bfd: checkBfd,
};

/** All *.json files below `directory`, in the order of their names. @throws the file system's error */
export function runVectors(directory: string): VectorRun {
  const files: string[] = [];
  const results: VectorResult[] = [];
  for (const path of jsonFiles(directory)) {
    const file = relative(directory, path) || path;
    const read = readVectorFile(path);
    if (read === null) continue;
    files.push(file);
    if (typeof read === "string") results.push(failure(file, read));
    else results.push(...runFile(file, read));
  }
  return { files, results };
}

function jsonFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return jsonFiles(path);
      return entry.name.endsWith(".json") ? [path] : [];
    });
}

interface VectorFile {
  readonly protocol: string | null;
  readonly vectors: readonly unknown[];
}

/**
 * What is wrong with a file that should have been one of vectors, as text; null for one that is something
 * else.
 */
function readVectorFile(path: string): VectorFile | string | null {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return `not readable as JSON: ${(error as Error).message}`;
  }
  if (!isObject(content)) return null;
  const { vectors, protocol, format } = content;
  if (Array.isArray(vectors)) return { vectors, protocol: typeof protocol === "string" ? protocol : null };
  return protocol === undefined && format === undefined ? null : 'malformed: it has no list "vectors"';
}

function failure(file: string, problem: string): VectorResult {
  return { file, id: "", title: "", protocol: "", outcome: "failed", problems: [problem] };
}

function runFile(file: string, { vectors, protocol }: VectorFile): VectorResult[] {
  const byId = new Map(vectors.filter(isObject).map((one) => [one.id, one]));
  const frameOf = (id: string): Uint8Array => {
    const other = byId.get(id);
    if (!other) throw new VectorError(`there is no vector "${id}" in the file`);
    return hexAt(other, "hex");
  };
  return vectors.map((vector, index) => {
    if (!isObject(vector)) return failure(file, `vector ${index + 1} is no object`);
    const known = {
      file,
      id: typeof vector.id === "string" ? vector.id : `#${index + 1}`,
      title: typeof vector.title === "string" ? vector.title : "",
    };
    try {
      const name = protocolOf(vector, protocol);
      const check = Object.hasOwn(CHECKS, name) ? CHECKS[name] : undefined;
      const problems = check ? check(vector, frameOf) : [];
      const outcome = !check ? "skipped" : problems.length === 0 ? "passed" : "failed";
      return { ...known, protocol: name, outcome, problems };
    } catch (error) {
      const problem = error instanceof VectorError ? `malformed: ${error.message}` : `threw ${String(error)}`;
      return { ...known, protocol: protocol ?? "", outcome: "failed", problems: [problem] };
    }
  });
}

/** Layers of `decoded` that say nothing about the protocol on top. */
const CARRIERS = new Set(["eth", "ip", "ah"]);

/** The check that a vector is for, or the name of a protocol that has none. @throws VectorError */
function protocolOf(vector: Json, ofFile: string | null): string {
  const named = typeof vector.protocol === "string" ? vector.protocol : ofFile;
  if (Array.isArray(vector.steps)) return named === null || named === "vrrp" ? "vrrp-fsm" : named;
  if (named !== null && named !== "timers") return named;
  const expect = isObject(vector.expect) ? vector.expect : {};
  const layers = isObject(expect.decoded) ? Object.keys(expect.decoded) : [];
  const top = layers.findLast((one) => !CARRIERS.has(one));
  // Of a broken message the datagram may be all that could be decoded.
  if (top === "udp" && readBfdFrame(hexAt(vector, "hex"))) return "bfd";
  if (top !== undefined) return top === "arp" || top === "icmpv6" ? "arp-nd" : top;
  const frame = hexAt(vector, "hex");
  if (readVrrpFrame(frame)) return "vrrp";
  if (readBfdFrame(frame)) return "bfd";
  if (readArp(frame) || readNeighbourMessage(frame)) return "arp-nd";
  // A frame that cannot be read may still be for a receiver that can be told.
  const receiver = isObject(vector.receiver) ? vector.receiver : {};
  if (receiver.virtualIp !== undefined) return "arp-nd";
  return receiver.vrid === undefined ? "unknown" : "vrrp";
}
