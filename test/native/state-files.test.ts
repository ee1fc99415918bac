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

  it("an heir that can't undo what its predecessor did is refused", () => {
    const elsewhere = join(directory, "elsewhere");
    const files = openStateFiles(native, directory);
    try {
      const nothing = { links: [], addresses: [], routes: [], sysctls: [] };
      files.write({ ...nothing, links: [{ name: "fh10-eth0", mac: "00:00:5e:00:01:0a" }] });
      const inheritance = files.inheritance();
      expect(() => openStateFiles(native, elsewhere, inheritance)).toThrow(/give the same --state-directory/);
      expect(() => openStateFiles(native, directory, { ...inheritance, namespaceCookie: "1" })).toThrow(
        /another network namespace/,
      );
      const heir = openStateFiles(native, directory, inheritance);
      expect(heir.own().links).toHaveLength(1);
      heir.close();
      files.write(nothing);
      openStateFiles(native, elsewhere, files.inheritance()).close();
    } finally {
      files.close();
    }
  });

  it("no directory is no place for records", async () => {
    const files = openStateFiles(native, "");
    await expect(files.locked(() => 0)).rejects.toThrow(/^--state-directory names no directory$/);
    files.close();
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
