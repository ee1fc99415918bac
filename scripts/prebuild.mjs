/**
 * Makes the prebuilt addon for this machine, `prebuilds/linux-ARCH/firsthop.LIBC.node`, for the npm tarball.
 * A release runs it once on each platform and puts the folders together; see prebuilds/README.md.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { headersOption } from "./lib/build.mjs";
import { ROOT, StepFailed, step } from "./lib/steps.mjs";

/** prebuildify wants to know which Node-API it builds for; any Node that runs this has it. */
const TARGET = process.versions.node;

try {
  const nodedir = headersOption()[0]?.replace("--nodedir=", "");
  await step(
    "prebuild the addon",
    [
      process.execPath,
      join(ROOT, "node_modules/prebuildify/bin.js"),
      "--napi",
      "--strip",
      "--tag-libc",
      "--name=firsthop",
      `--target=${TARGET}`,
    ],
    {
      env: nodedir === undefined ? process.env : { ...process.env, npm_config_nodedir: nodedir },
      hint: "the compiler's words are above",
    },
  );
  const probe = spawnSync(
    process.execPath,
    ["-e", 'console.log(require("node-gyp-build").path(process.cwd()))'],
    {
      cwd: ROOT,
      env: { ...process.env, PREBUILDS_ONLY: "1" },
      encoding: "utf8",
    },
  );
  if (probe.status !== 0)
    throw new StepFailed("prebuild the addon: no binary was made that this Node can load");
} catch (error) {
  if (!(error instanceof StepFailed)) throw error;
  console.error(`✗ ${error.message}`);
  process.exitCode = 1;
}
