import { defineConfig } from "vitest/config";

/**
 * Suites that use this machine's kernel, addon and clock: one file at a time, so that they do not disturb
 * each other.
 */
const MACHINE = ["cli", "native", "netns", "interop", "lab", "package"].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      {
        extends: true,
        test: {
          name: "pure",
          include: ["test/**/*.test.ts"],
          exclude: MACHINE,
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "machine",
          include: MACHINE,
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
