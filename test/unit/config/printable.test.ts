import { describe, expect, it } from "vitest";
import { formatProblems, parseConfig } from "../../../src/config/index.js";

/** What `check` prints of a text. */
function printed(text: string): string {
  return formatProblems("a.yaml", parseConfig(text).problems, { text });
}

describe("what a file says, on a terminal", () => {
  it.each([
    ["a key", '{"virtualRouters": [], "\u001b]0;mine\u0007": 1}'],
    ["a plain value", "virtualRouters: [\u001b[31m, %]\n"],
    ["a tag", "virtualRouters: !\u001b[31m x\n"],
    ["an alias", "virtualRouters: *a\u001b[31m\n"],
    ["a direction mark", '{"virtualRouters": [], "\u202egnorw": 1}'],
  ])("steers nothing: %s", (_, text) => {
    const lines = printed(text);
    expect(lines).not.toBe("");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
    expect(lines).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(lines.split("\n")[0]).not.toContain("\u202e");
  });

  it("floods nothing, and speaks of no library", () => {
    for (const text of ["[".repeat(100_000), "a: 1\n---\nb: 2\n", "a: 1\n...\n--- x\n"]) {
      const lines = printed(text);
      expect(lines.length).toBeLessThan(100_000);
      expect(Math.max(...lines.split("\n").map((line) => line.length))).toBeLessThan(700);
      expect(lines).not.toMatch(/YAML\.|parseAllDocuments/);
    }
  });
});
