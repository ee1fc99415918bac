/**
 * What `npm install firsthop` runs: takes the prebuilt addon that fits, or compiles one. Other systems than
 * Linux need none: there, everything pure works without.
 */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";

if (process.platform === "linux") {
  const bin = createRequire(import.meta.url).resolve("node-gyp-build/bin.js");
  const result = spawnSync(process.execPath, [bin], { stdio: "inherit" });
  if (result.status !== 0) {
    console.error(
      "firsthop: no prebuilt addon fits and none could be compiled: install g++, make and python3",
    );
  }
  process.exitCode = result.status ?? 1;
}
