/** The records for after a crash, with the real addon: whose leftovers go, and what is said when they can't be kept. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStateFiles } from "../../src/driver/linux/state-files.js";
import { loadNative } from "../../src/native.js";

const native = loadNative();
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `firsthop-state-${process.pid}-`));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("state files", () => {
  it("a record that a killed daemon did not finish goes; that of a daemon that lives stays", () => {
    const place = join(directory, `net-${statSync("/proc/self/ns/net").ino}`);
    const living = openStateFiles(native, directory);
    const files = openStateFiles(native, directory);
    try {
      mkdirSync(place);
      const [dead, alive] = [
        join(place, "kernel-0badcafe.json.new"),
        join(place, `kernel-${living.token}.json.new`),
      ];
      for (const file of [dead, alive]) writeFileSync(file, "{");
      expect(files.others()).toEqual([]);
      expect([existsSync(dead), existsSync(alive)]).toEqual([false, true]);
    } finally {
      files.close();
      living.close();
    }
  });

  it.each([
    ["where the kernel makes none", () => "/proc/firsthop"],
    [
      "where a file is",
      () => {
        writeFileSync(join(directory, "file"), "");
        return join(directory, "file");
      },
    ],
  ])("say what to do %s", async (_, where) => {
    const files = openStateFiles(native, where());
    try {
      await expect(files.locked(() => 0)).rejects.toThrow(
        /^could not make .*; or give another --state-directory$/,
      );
    } finally {
      files.close();
    }
  });
});
