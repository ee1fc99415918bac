/**
 * Reading a configuration: YAML (and so JSON) text to the engine's form, or every problem in one go, each with its
 * line and column and what would be right.
 */
import type { z } from "zod";
import { printable } from "../core/printable.js";
import { FirsthopError } from "../errors.js";
import { type Locate, readDocument } from "./document.js";
import { type Config, type ConfigInput, configSchema, PLANNED_KEYS, sectionList } from "./schema.js";
import { type Finding, isBlock, type Path } from "./section.js";
import { meant } from "./suggest.js";
import type { ConfigProblem } from "./types.js";

export type ParseResult =
  | { readonly config: Config; readonly problems: readonly ConfigProblem[] }
  | { readonly config: null; readonly problems: readonly ConfigProblem[] };

/** Nobody reads on; a file that is no configuration at all may have a problem in each line. */
const PROBLEMS_MAX = 200;

const NOWHERE: Locate = () => ({ line: null, column: null });

/** Parses a text. `problems` holds warnings also when there is a configuration. */
export function parseConfig(text: string): ParseResult {
  const result = parse(text);
  const problems = result.problems.map((one) => ({ ...one, message: printable(one.message) }));
  return { ...result, problems };
}

function parse(text: string): ParseResult {
  const document = readDocument(text);
  if ("problems" in document) return failed(document.problems);
  const { value, locate } = document;
  if (value === undefined) {
    const message = "the file is empty: virtualRouters is needed";
    return failed([{ severity: "error", path: [], message, line: 1, column: 1 }]);
  }
  return check(value, locate);
}

function failed(problems: readonly ConfigProblem[]): ParseResult {
  // One value may break two rules that say the same.
  const inOrder = problems.filter(isFirst).sort(byPlace);
  if (inOrder.length <= PROBLEMS_MAX) return { config: null, problems: inOrder };
  const message = `and ${inOrder.length - PROBLEMS_MAX} more problems from here on`;
  const { line, column } = inOrder[PROBLEMS_MAX] as ConfigProblem;
  const rest: ConfigProblem = { severity: "error", path: [], message, line, column };
  return { config: null, problems: [...inOrder.slice(0, PROBLEMS_MAX), rest] };
}

function isFirst(one: ConfigProblem, index: number, all: readonly ConfigProblem[]): boolean {
  const before = all[index - 1];
  return before?.message !== one.message || formatPath(before.path) !== formatPath(one.path);
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

/**
 * For what programs without types pass on: a configuration that was never checked would fail somewhere deep inside.
 * @throws FirsthopError USAGE
 */
export function requireDefined(config: unknown): asserts config is Config {
  const { controlTimeoutUs, virtualRouters } = (config ?? {}) as Partial<Config>;
  const complete =
    typeof controlTimeoutUs === "number" &&
    Array.isArray(virtualRouters) &&
    virtualRouters.every((one) => typeof one?.name === "string");
  if (!complete)
    throw new FirsthopError("USAGE", "a configuration is expected as defineConfig({ ... }) returns it");
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
  const problems: ConfigProblem[] = checked.success
    ? []
    : checked.error.issues.flatMap((issue) => describeIssue(issue, value, locate));
  const document = isBlock(value) ? value : {};
  const report = (severity: Finding["severity"], path: Path, message: string, other?: Path): void => {
    const there = other ? locate(other).line : null;
    const words = there === null ? message : `${message} (line ${there})`;
    problems.push({ severity, path, message: words, ...locate(path) });
  };
  for (const [key, one] of sectionList) one.check?.(document[key], report, document);
  if (!checked.success || problems.some((one) => one.severity === "error")) return failed(problems);
  const data = checked.data as Readonly<Record<string, unknown>>;
  const parts = sectionList.map(([key, one]) => one.normalize(data[key], data));
  return { config: Object.assign({}, ...parts) as Config, problems: problems.sort(byPlace) };
}

function byPlace(a: ConfigProblem, b: ConfigProblem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function describeIssue(issue: z.core.$ZodIssue, value: unknown, locate: Locate): ConfigProblem[] {
  const branch = issue.code === "invalid_union" ? meantBranch(issue) : null;
  if (branch) {
    const within = (inner: z.core.$ZodIssue): z.core.$ZodIssue => ({
      ...inner,
      path: [...issue.path, ...inner.path],
    });
    return branch.flatMap((inner) => describeIssue(within(inner), value, locate));
  }
  const path = issue.path.filter((key): key is string | number => typeof key !== "symbol");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const full = [...path, key];
      return { severity: "error", path: full, message: unknownKey(full, key), ...locate(full, true) };
    });
  }
  if (path.length === 0 && issue.code === "invalid_type")
    return [{ severity: "error", path, message: noBlock(value), ...locate(path) }];
  if (valueAt(value, path) === undefined) {
    const parent = path.slice(0, -1);
    const message = `${path.at(-1)} is missing`;
    return [{ severity: "error", path: parent, message, ...locate(parent) }];
  }
  if (valueAt(value, path) === null) {
    const message = "a value is missing: give one, or leave the key out";
    return [{ severity: "error", path, message, ...locate(path) }];
  }
  const generic = issue.code === "invalid_type" && issue.message.startsWith("Invalid input");
  const message = generic ? `a ${expectation(issue.expected)} is expected` : issue.message;
  return [{ severity: "error", path, message, ...locate(path) }];
}

/** What is said of a file that is no block of keys. */
function noBlock(value: unknown): string {
  const expected = "a block of keys is expected: begin with virtualRouters:";
  if (typeof value !== "string") return expected;
  if (/\bvrrp_instance\b/.test(value))
    return `${expected} (this looks like a file for keepalived: docs/from-keepalived.md has what stands for its words)`;
  return /\bvrrp \d+ (ip|ipv6|priority)\b/.test(value)
    ? `${expected} (this looks like a file for FRR: docs/from-frr.md has what stands for its lines)`
    : expected;
}

/** Where a text or a block may stand: what is wrong with the one that was written. Null: it is neither. */
function meantBranch(issue: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] | null {
  if (!issue.message.startsWith("Invalid input")) return null;
  const fits = (branch: readonly z.core.$ZodIssue[]): boolean =>
    branch.every((one) => one.path.length > 0 || one.code !== "invalid_type");
  return issue.errors.find(fits) ?? issue.errors[0] ?? null;
}

function expectation(type: string): string {
  return type === "object" || type === "record" ? "block of keys" : type;
}

function unknownKey(path: Path, key: string): string {
  const place = path.map((one) => (typeof one === "number" ? "*" : one)).join(".");
  if (PLANNED_KEYS.has(place)) return `${key} is not available in this version`;
  const advice = meant(key, knownKeys(path.slice(0, -1)));
  return advice === null ? `unknown key ${key}` : `unknown key ${key}: ${advice}`;
}

/** The keys that the schema knows at a path. */
function knownKeys(path: Path): string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    const inner = blockOf(unwrap(schema));
    const shape = (inner as { shape?: Record<string, unknown> }).shape;
    schema = typeof key === "number" ? (inner as { element?: unknown }).element : shape?.[key];
  }
  return Object.keys((blockOf(unwrap(schema)) as { shape?: object }).shape ?? {});
}

/** Of what may be a text or a block: the block. */
function blockOf(schema: unknown): unknown {
  const { options } = schema as { options?: readonly unknown[] };
  return options?.map(unwrap).find((one) => (one as { shape?: object }).shape !== undefined) ?? schema;
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
