/** A few small values that survive a restart, one file each, replaced as a whole. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDirectory } from "../../make-directory.js";
import type { Driver } from "../driver.js";

/** Losing a value is harmless by contract (it is learned again), so a full disk costs nothing but that. */
export function openStateStore(stateDirectory: string): Driver["store"] {
  // Network namespaces share the file system, but not what was learned on their networks.
  const directory = join(stateDirectory, `net-${statSync("/proc/self/ns/net").ino}`);
  const fileOf = (key: string): string => join(directory, `${key}.json`);
  return {
    read(key) {
      try {
        return readFileSync(fileOf(key), "utf8");
      } catch {
        return null;
      }
    },
    write(key, value) {
      const file = fileOf(key);
      const fresh = `${file}.new`;
      try {
        makeDirectory(directory, 0o755);
        writeFileSync(fresh, value, { mode: 0o600 });
        renameSync(fresh, file);
      } catch {
        // Learned again after the next start.
        rmSync(fresh, { force: true });
      }
    },
  };
}
