/** A terminal with a part at its lower end that is redrawn in place; everything above it stays. */

export interface Terminal {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

export interface Screen {
  /** Prints lines for good, above the live part. */
  print(lines: readonly string[]): void;
  /** Replaces the live part. */
  live(lines: readonly string[]): void;
  /** Removes the live part and gives the cursor back. May be called again. */
  close(): void;
}

const ESCAPE = "\u001b[";
const HIDE = `${ESCAPE}?25l`;
const SHOW = `${ESCAPE}?25h`;
/** Terminals that know it show what is between the two at once; the others ignore it. */
const BEGIN = `${ESCAPE}?2026h`;
const END = `${ESCAPE}?2026l`;
const RESET = `${ESCAPE}0m`;
const SEQUENCE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[a-zA-Z]`, "y");

/** Cuts a line with colours to a number of visible characters. */
export function cutLine(line: string, columns: number): string {
  let visible = 0;
  for (let at = 0; at < line.length; ) {
    SEQUENCE.lastIndex = at;
    const sequence = SEQUENCE.exec(line)?.[0];
    if (sequence) {
      at += sequence.length;
      continue;
    }
    if (visible === columns) return `${line.slice(0, at)}${RESET}`;
    visible++;
    at += line.codePointAt(at)! > 0xffff ? 2 : 1;
  }
  return line;
}

export function openScreen(terminal: Terminal): Screen {
  let drawn = 0;
  const back = (): string => (drawn > 0 ? `${ESCAPE}${drawn}A\r${ESCAPE}J` : "");
  const put = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
  return {
    print: (lines) => {
      terminal.write(`${BEGIN}${back()}${put(lines)}${END}`);
      drawn = 0;
    },
    live: (lines) => {
      // A line that wraps, or a part taller than the screen, could not be found again.
      const fitting = lines
        .slice(0, Math.max(1, (terminal.rows ?? 24) - 1))
        .map((line) => cutLine(line, terminal.columns ?? 80));
      terminal.write(`${BEGIN}${HIDE}${back()}${put(fitting)}${END}`);
      drawn = fitting.length;
    },
    close: () => {
      terminal.write(`${back()}${SHOW}`);
      drawn = 0;
    },
  };
}
