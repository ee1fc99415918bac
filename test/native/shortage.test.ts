/** What the native layer throws where there are too few descriptors is known as that. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { isShortage } from "../../src/shortage-advice.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const HOST = `
const { openSync } = require("node:fs");
const addon = require("node-gyp-build")(${JSON.stringify(ROOT)});
const codeOf = (open) => { try { open(); return null; } catch ({ code, errno }) { return { code, errno }; } };
while (codeOf(() => openSync("/dev/null")) === null);
console.log(JSON.stringify([
  codeOf(() => new addon.RouteWatch(() => {})),
  codeOf(() => new addon.NetlinkMonitor(() => {}, () => {})),
  codeOf(() => new addon.NativeProber(() => {}, () => {})),
]));
process.exit(0);
`;

it.skipIf(process.platform !== "linux")("too few descriptors have their code", () => {
  const told = execFileSync("prlimit", ["--nofile=64", process.execPath, "-e", HOST], {
    encoding: "utf8",
    cwd: ROOT,
  });
  const errors = JSON.parse(told) as unknown[];
  expect(errors.map((one) => [one, isShortage(one)])).toEqual(
    errors.map(() => [expect.objectContaining({ code: "EMFILE" }), true]),
  );
});
