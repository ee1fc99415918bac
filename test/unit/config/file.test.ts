import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkConfigFile } from "../../../src/config/index.js";

describe("the configuration file", () => {
  it("is never waited for: a pipe that nobody writes to is refused", () => {
    const directory = mkdtempSync(join(tmpdir(), `firsthop-${process.pid}-`));
    try {
      const pipe = join(directory, "firsthop.yaml");
      execFileSync("mkfifo", [pipe]);
      expect(() => checkConfigFile(pipe)).toThrow("it is no regular file");
      expect(() => checkConfigFile("/dev/zero")).toThrow("it is no regular file");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
