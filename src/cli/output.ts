/** How commands speak: tables, colours, one-line errors, exit codes. */
import { writeSync } from "node:fs";
import pc from "picocolors";
import { FirsthopError } from "../errors.js";
import { SHORTAGE_ADVICE } from "../shortage-advice.js";

/** The answer is yes; the answer is no, or it failed; the question was wrong. */
export const EXIT = { ok: 0, no: 1, usage: 2 } as const;

export type Paint = (text: string) => string;

/** Colours only where a person reads: a terminal, without NO_COLOR. */
export const color = pc.createColors(
  process.env.NO_COLOR === undefined && (pc.isColorSupported || process.env.FORCE_COLOR !== undefined)
    ? process.stdout.isTTY === true || process.env.FORCE_COLOR !== undefined
    : false,
);

/** Writes to standard output; a reader that went away (`| head`) ends the command quietly. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown, indent = 2): void {
  print(JSON.stringify(value, null, indent));
}

/** `| head` closes the pipe: that is a wish to stop, no failure. */
export function endQuietlyOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.no);
    });
  }
}

/** One line on standard error, whatever the message was made of. */
export function complain(message: string): void {
  const line = `firsthop: ${message.trim().replace(/\s*\n\s*/g, "; ")}\n`;
  try {
    writeSync(2, line);
  } catch {
    // Nobody is there to read it.
  }
}

/** Exit code for an error that ends a command. */
export function exitCodeOf(error: unknown): number {
  return error instanceof FirsthopError && error.code === "USAGE" ? EXIT.usage : EXIT.no;
}

export function messageOf(error: unknown): string {
  if (error instanceof FirsthopError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const advice = SHORTAGE_ADVICE[(error as NodeJS.ErrnoException).code ?? ""];
  return advice ? `${error.message}: ${advice}` : `unexpected: ${error.message} (please report this)`;
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");

function widthOf(text: string): number {
  return text.replace(ESCAPES, "").length;
}

/** Left-aligned columns, two spaces apart, as `kubectl get` and `ip -br` print them. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => widthOf(row[column] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))))
      .join("  ")
      .trimEnd();
  return [color.dim(line(header)), ...rows.map(line)].join("\n");
}

/** `name: value` lines with the values in one column. */
export function details(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${color.dim(name.padEnd(width))}  ${value}`).join("\n");
}

const STATE_PAINT: Readonly<Record<string, Paint>> = {
  active: (text) => color.bold(color.green(text)),
  backup: (text) => color.cyan(text),
  initialize: (text) => color.yellow(text),
  fault: (text) => color.bold(color.red(text)),
};

export function paintState(state: string): string {
  return STATE_PAINT[state]?.(state) ?? state;
}

/** Of a tracker. */
export function paintVerdict(verdict: string): string {
  if (verdict === "up") return color.green(verdict);
  return verdict === "down" ? color.red(verdict) : color.yellow(verdict);
}

const NAMES_MAX = 20;

/** Names on one line; of very many the first ones. */
export function listed(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  const shown = names.slice(0, NAMES_MAX).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** 9.6ms, 3.609s, 5m12s, 3h05m, 12d4h: what a column has room for. */
export function shortDuration(ms: number): string {
  if (ms < 1000) return `${trimZeros(ms.toFixed(ms < 10 ? 2 : 1))}ms`;
  if (ms < 60_000) return `${trimZeros((ms / 1000).toFixed(3))}s`;
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600),
    Math.floor(seconds / 60),
  ];
  if (days > 0) return `${days}d${hours % 24}h`;
  if (hours > 0) return `${hours}h${String(minutes % 60).padStart(2, "0")}m`;
  return `${minutes}m${String(seconds % 60).padStart(2, "0")}s`;
}

function trimZeros(number: string): string {
  return number.includes(".") ? number.replace(/\.?0+$/, "") : number;
}

/** Since when, as a column shows it; whole seconds are precise enough for an age. */
export function age(iso: string, nowMs: number): string {
  const ms = Math.max(0, nowMs - Date.parse(iso));
  return shortDuration(ms < 1000 ? ms : Math.floor(ms / 1000) * 1000);
}
