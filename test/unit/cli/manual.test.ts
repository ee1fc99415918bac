/** The manual page is there, and is the commands' own. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../../src/cli/commands.js";
import { manualPage } from "../../../src/cli/manual.js";

describe("the manual page", () => {
  it("is what `npm run docs` writes, with every command", async () => {
    const page = await manualPage();
    const file = fileURLToPath(new URL("../../../docs/firsthop.8", import.meta.url));
    expect(page).toBe(readFileSync(file, "utf8"));
    for (const name of Object.keys(COMMANDS)) expect(page).toContain(`.SS firsthop ${name}`);
  });
});
