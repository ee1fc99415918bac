/** The live part of a terminal, checked by what a terminal would make of the octets. */
import { describe, expect, it } from "vitest";
import { cutLine, openScreen } from "../../../src/lab/screen.js";

const ESC = "\u001b";

/** A terminal that knows what the screen uses: newline, cursor up, clear to the end; other sequences are ignored. */
function terminal(columns = 20, rows = 6) {
  let lines = [""];
  let row = 0;
  const write = (text: string): void => {
    for (const token of text.match(new RegExp(`${ESC}\\[[0-9;?]*[a-zA-Z]|[\\s\\S]`, "g")) ?? []) {
      if (token === "\n") row++;
      else if (token === "\r") continue;
      else if (token.endsWith("A") && token.startsWith(ESC)) row -= Number(token.slice(2, -1));
      else if (token === `${ESC}[J`) lines = lines.slice(0, row);
      else if (!token.startsWith(ESC)) lines[row] = (lines[row] ?? "") + token;
    }
  };
  return { columns, rows, write, shown: () => lines.filter((line) => line !== "") };
}

describe("openScreen", () => {
  it("redraws the live part and keeps what was printed", () => {
    const tty = terminal();
    const screen = openScreen(tty);
    screen.print(["title"]);
    screen.live(["one", "two"]);
    screen.live(["three"]);
    expect(tty.shown()).toEqual(["title", "three"]);
    screen.print(["done"]);
    screen.live(["four", "five"]);
    expect(tty.shown()).toEqual(["title", "done", "four", "five"]);
    screen.close();
    expect(tty.shown()).toEqual(["title", "done"]);
  });

  it("never draws more than fits: what scrolled away could not be taken back", () => {
    const tty = terminal(5, 4);
    openScreen(tty).live(["1234567", "b", "c", "d", "e"]);
    expect(tty.shown()).toEqual(["12345", "b", "c"]);
  });
});

describe("cutLine", () => {
  it("counts visible characters only, and ends colours where it cuts", () => {
    const red = `${ESC}[31mred${ESC}[39m`;
    expect(cutLine(red, 3)).toBe(red);
    expect(cutLine(`${red}der`, 4)).toBe(`${red}d${ESC}[0m`);
    expect(cutLine("█▇▆▅", 2)).toBe(`█▇${ESC}[0m`);
  });
});
