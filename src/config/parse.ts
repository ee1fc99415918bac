/**
 * Reading a configuration: YAML (and so JSON) text to the engine's form, or every problem in one go, each with its
 * line and column and what would be right.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { FirsthopError } from "../errors.js";
import { normalize } from "./normalize.js";
import { type ConfigInput, configSchema, PLANNED_KEYS } from "./schema.js";
import { closest } from "./suggest.js";
import type { Config, ConfigProblem } from "./types.js";

/** Larger texts are no configurations of this kind. */
export const CONFIG_SIZE_MAX = 1 << 20;
/** Aliases may repeat a node, not multiply the document. */
const ALIASES_MAX = 100;

export type ParseResult =
  | { readonly config: Config; readonly problems: readonly ConfigProblem[] }
  | { readonly config: null; readonly problems: readonly ConfigProblem[] };

type Path = readonly (string | number)[];

/** Where a path stands in the text; the key itself with `key`. */
type Locate = (path: Path, key?: boolean) => Pick<ConfigProblem, "line" | "column">;

const NOWHERE: Locate = () => ({ line: null, column: null });

/** Parses a text. `problems` holds warnings also when there is a configuration. */
export function parseConfig(text: string): ParseResult {
  if (text.length > CONFIG_SIZE_MAX) return failed([at(1, 1, "the file is larger than 1 MiB")]);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  if (document.errors.length > 0) {
    return failed(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0]);
        return at(line, col, `not valid YAML: ${error.message}`);
      }),
    );
  }
  if (document.contents === null) return failed([at(1, 1, "the file is empty: virtualRouters is needed")]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch {
    return failed([at(1, 1, `aliases repeat more than ${ALIASES_MAX} nodes`)]);
  }
  return check(value, locator(document.contents, lines));
}

function at(line: number, column: number, message: string): ConfigProblem {
  return { severity: "error", path: [], message, line, column };
}

function failed(problems: readonly ConfigProblem[]): ParseResult {
  return { config: null, problems };
}

/**
 * A configuration from an object, for the API.
 * @throws FirsthopError CONFIG_INVALID with all problems in its message
 */
export function defineConfig(input: ConfigInput): Config {
  const { config, problems } = check(input, NOWHERE);
  if (config) return config;
  const errors = problems.filter((one) => one.severity === "error");
  const text = errors.map((one) => `${formatPath(one.path)}: ${one.message}`).join("; ");
  throw new FirsthopError("CONFIG_INVALID", text);
}

/** virtualRouters[0].vrid */
export function formatPath(path: Path): string {
  if (path.length === 0) return "configuration";
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : index === 0 ? key : `.${key}`))
    .join("");
}

function check(value: unknown, locate: Locate): ParseResult {
  const checked = configSchema.safeParse(value);
  if (!checked.success) {
    return failed(checked.error.issues.flatMap((issue) => describeIssue(issue, value, locate)).sort(byPlace));
  }
  const { config, findings } = normalize(checked.data);
  const problems = findings.map((finding) => ({ ...finding, ...locate(finding.path) })).sort(byPlace);
  return config ? { config, problems } : failed(problems);
}

function byPlace(a: ConfigProblem, b: ConfigProblem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function describeIssue(issue: z.core.$ZodIssue, value: unknown, locate: Locate): ConfigProblem[] {
  const path = issue.path.filter((key): key is string | number => typeof key !== "symbol");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const full = [...path, key];
      return { severity: "error", path: full, message: unknownKey(full, key), ...locate(full, true) };
    });
  }
  const missing = valueAt(value, path) === undefined;
  if (missing) {
    const key = path.at(-1);
    const parent = path.slice(0, -1);
    return [{ severity: "error", path: parent, message: `${key} is missing`, ...locate(parent) }];
  }
  const generic = issue.code === "invalid_type" && issue.message.startsWith("Invalid input");
  const message = generic ? `a ${expectation(issue.expected)} is expected here` : issue.message;
  return [{ severity: "error", path, message, ...locate(path) }];
}

function expectation(type: string): string {
  return type === "object" || type === "record" ? "block of keys" : type;
}

function unknownKey(path: Path, key: string): string {
  const place = path.map((one) => (typeof one === "number" ? "*" : one)).join(".");
  if (PLANNED_KEYS.has(place)) return `${key} is not available in this version`;
  const suggestion = closest(key, knownKeys(path.slice(0, -1)));
  return suggestion ? `unknown key ${key}: did you mean ${suggestion}?` : `unknown key ${key}`;
}

/** The keys that the schema knows at a path. */
function knownKeys(path: Path): string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    const inner = unwrap(schema);
    const shape = (inner as { shape?: Record<string, unknown> }).shape;
    schema = typeof key === "number" ? (inner as { element?: unknown }).element : shape?.[key];
  }
  return Object.keys((unwrap(schema) as { shape?: object }).shape ?? {});
}

/** Below optional(), default() and prefault(). */
function unwrap(schema: unknown): unknown {
  let inner = schema;
  for (;;) {
    const next = (inner as { def?: { innerType?: unknown } } | undefined)?.def?.innerType;
    if (next === undefined) return inner ?? {};
    inner = next;
  }
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string | number, unknown> | null | undefined)?.[key],
    value,
  );
}

/** Finds where a path stands: the value, its key, or the nearest thing around it. */
function locator(root: Node, lines: LineCounter): Locate {
  const place = (node: unknown, fallback: number): number => (node as Node | null)?.range?.[0] ?? fallback;
  return (path, key = false) => {
    let node: unknown = root;
    let offset = place(root, 0);
    path.forEach((step, index) => {
      if (isAlias(node)) return;
      if (isMap(node)) {
        const pair = node.items.find((one) => isScalar(one.key) && one.key.value === step);
        if (!pair) {
          node = null;
          return;
        }
        const last = index === path.length - 1;
        offset = key && last ? place(pair.key, offset) : place(pair.value, place(pair.key, offset));
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[step as number] ?? null;
        offset = place(node, offset);
      }
    });
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
}
