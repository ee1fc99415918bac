/**
 * YAML (and so JSON) text to plain values, and back from a value to its place in the text.
 *
 * The library's own conversion is not used: it multiplies what aliases refer to before anybody counts, and both it
 * and its check for duplicate keys are quadratic. Here each node is converted once, so that work and memory are
 * bounded by the text, and aliases by a budget.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { Path } from "./section.js";
import type { ConfigProblem } from "./types.js";

/** Octets. Larger texts are no configurations of this kind. */
export const CONFIG_SIZE_MAX = 1 << 20;
/** Values after aliases were filled in: a text of CONFIG_SIZE_MAX without aliases stays below. */
const VALUES_MAX = 600_000;
const DEPTH_MAX = 50;
const TOO_DEEP = `nested deeper than ${DEPTH_MAX} levels`;

type Place = Pick<ConfigProblem, "line" | "column">;

/** Where a path stands in the text: its value, or with `key` the key itself; else the nearest thing around it. */
export type Locate = (path: Path, key?: boolean) => Place;

export type ReadDocument =
  | { readonly value: unknown; readonly locate: Locate }
  | { readonly problems: readonly ConfigProblem[] };

/** What the YAML reader says in words of its own making. */
function inWords(code: string, message: string): string {
  if (code === "MULTIPLE_DOCS") return "one document is expected: remove the line '---'";
  return message.includes("call stack") ? TOO_DEEP : message;
}

/** `value` is undefined for a text that holds nothing. */
export function readDocument(text: string): ReadDocument {
  const lines = new LineCounter();
  const problems: ConfigProblem[] = [];
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const report = (offset: number, message: string): void => {
    problems.push({ severity: "error", path: [], message, ...placeOf(offset) });
  };
  const refused = (message: string): ReadDocument => ({
    problems: [{ severity: "error", path: [], message, line: 1, column: 1 }],
  });
  if (new TextEncoder().encode(text).length > CONFIG_SIZE_MAX)
    return refused("the file is larger than 1 MiB");
  let converter: Converter;
  let value: unknown;
  let contents: Node | null;
  try {
    // Without "pretty errors": making one costs as much as the text is long.
    const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
    for (const { code, message, pos } of document.errors) {
      report(pos[0], `not valid YAML: ${inWords(code, message)}`);
    }
    for (const warning of document.warnings) report(warning.pos[0], `not valid here: ${warning.message}`);
    if (problems.length > 0) return { problems };
    contents = document.contents;
    converter = new Converter(report);
    value = contents === null ? undefined : converter.convert(contents);
  } catch (error) {
    if (error instanceof RangeError) return refused(`not valid YAML: ${TOO_DEEP}`);
    throw error;
  }
  if (isScalar(contents) && contents.value === null) value = undefined;
  if (problems.length > 0) return { problems };
  return { value, locate: (path, key) => placeOf(converter.offsetOf(contents, path, key)) };
}

interface Converted {
  readonly value: unknown;
  /** Values in it, itself included, with what its aliases stand for. */
  readonly size: number;
}

const NOTHING: Converted = { value: null, size: 1 };

/** A block of keys, those merged into it included. */
interface Block {
  readonly value: Record<string, unknown>;
  readonly pairs: Map<string, Pair>;
}

class Converter {
  readonly #report: (offset: number, message: string) => void;
  /** What each anchor stands for so far; null while it is being read. */
  readonly #anchors = new Map<string, { readonly node: Node; converted: Converted | null }>();
  readonly #aliased = new Map<Node, Node>();
  readonly #blocks = new Map<YAMLMap, Block>();
  #depth = 0;

  constructor(report: (offset: number, message: string) => void) {
    this.#report = report;
  }

  convert(root: Node): unknown {
    return this.#convert(root).value;
  }

  #convert(node: unknown): Converted {
    if (isAlias(node)) return this.#alias(node as Node & { source: string });
    const anchor = (node as { anchor?: string } | null)?.anchor;
    const entry = anchor ? { node: node as Node, converted: null as Converted | null } : null;
    if (anchor && entry) this.#anchors.set(anchor, entry);
    if (++this.#depth > DEPTH_MAX) throw new RangeError("too deep");
    const converted = this.#plain(node);
    this.#depth--;
    if (entry) entry.converted = converted;
    if (converted.size <= VALUES_MAX) return converted;
    this.#report(startOf(node, 0), `this makes more than ${VALUES_MAX} values`);
    return NOTHING;
  }

  #plain(node: unknown): Converted {
    if (isMap(node)) return this.#map(node);
    if (isSeq(node)) return this.#sequence(node);
    if (!isScalar(node)) return NOTHING;
    const { value } = node;
    if (value === null || ["string", "number", "boolean"].includes(typeof value)) return { value, size: 1 };
    this.#report(startOf(node, 0), `a tag like ${node.tag ?? "this"} has no meaning here`);
    return NOTHING;
  }

  #alias(alias: Node & { readonly source: string }): Converted {
    const target = this.#anchors.get(alias.source);
    if (target?.converted) {
      this.#aliased.set(alias, target.node);
      return target.converted;
    }
    const message = target ? "contains itself" : "stands for nothing: no anchor of this name comes before it";
    this.#report(startOf(alias, 0), `*${alias.source} ${message}`);
    return NOTHING;
  }

  #sequence(node: YAMLSeq): Converted {
    const value: unknown[] = [];
    let size = 1;
    for (const item of node.items) {
      const converted = this.#convert(item);
      value.push(converted.value);
      size += converted.size;
    }
    return { value, size };
  }

  #map(node: YAMLMap): Converted {
    const value: Record<string, unknown> = {};
    const pairs = new Map<string, Pair>();
    const merged: Pair[] = [];
    let size = 1;
    const block: Block = { value, pairs };
    this.#blocks.set(node, block);
    for (const pair of node.items) {
      if (isMerge(pair)) {
        merged.push(pair);
        continue;
      }
      const key = this.#key(pair, pairs);
      if (key === null) continue;
      const converted = this.#convert(pair.value);
      pairs.set(key, pair);
      setOwn(value, key, converted.value);
      size += 1 + converted.size;
    }
    for (const pair of merged) size += this.#merge(pair, block);
    return { value, size };
  }

  #key(pair: Pair, before: ReadonlyMap<string, Pair>): string | null {
    const offset = startOf(pair.key, startOf(pair.value, 0));
    if (!isScalar(pair.key) || typeof pair.key.value === "object") {
      this.#report(offset, "a key is expected to be a word");
      return null;
    }
    const key = String(pair.key.value);
    if (!before.has(key)) return key;
    this.#report(offset, `${key} is given twice in this block`);
    return null;
  }

  /** `<<: *name`: keys of other blocks, where this one has none of the same name. */
  #merge(pair: Pair, into: Block): number {
    const converted = this.#convert(pair.value);
    const source = this.#follow(pair.value);
    for (const item of isSeq(source) ? source.items : [source]) {
      const block = this.#follow(item);
      const theirs = isMap(block) ? this.#blocks.get(block) : undefined;
      if (!theirs) {
        this.#report(startOf(pair.key, 0), "<< takes the alias of a block of keys, or a list of such");
        break;
      }
      for (const [key, one] of theirs.pairs) {
        if (into.pairs.has(key)) continue;
        into.pairs.set(key, one);
        setOwn(into.value, key, theirs.value[key]);
      }
    }
    return converted.size;
  }

  #follow(node: unknown): unknown {
    return (isAlias(node) ? this.#aliased.get(node as Node) : undefined) ?? node;
  }

  offsetOf(root: Node | null, path: Path, key = false): number {
    let node: unknown = root;
    let offset = startOf(root, 0);
    for (const [index, step] of path.entries()) {
      const inside = this.#follow(node);
      if (isMap(inside)) {
        const pair = this.#blocks.get(inside)?.pairs.get(String(step));
        if (!pair) break;
        const own = startOf(pair.key, offset);
        offset = key && index === path.length - 1 ? own : startOf(pair.value, own);
        node = pair.value;
      } else if (isSeq(inside)) {
        node = inside.items[step as number];
        offset = startOf(node, offset);
      } else break;
    }
    return offset;
  }
}

function startOf(node: unknown, fallback: number): number {
  return (node as Node | null | undefined)?.range?.[0] ?? fallback;
}

function isMerge(pair: Pair): boolean {
  return isScalar(pair.key) && pair.key.value === "<<" && pair.key.type === Scalar.PLAIN;
}

/** Also a key named __proto__ is only a key. */
function setOwn(block: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(block, key, { value, enumerable: true, configurable: true, writable: true });
  else block[key] = value;
}
