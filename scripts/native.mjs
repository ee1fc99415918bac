/**
 * The native tests: compiles them with a sanitizer through cmake-js, and runs every one that CMake knows.
 *     node scripts/native.mjs plain|asan|tsan
 */

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isExecutableInPath, ROOT, StepFailed, step } from "./lib/steps.mjs";

const BUILDS = {
  plain: { sanitize: "", env: {} },
  asan: {
    sanitize: "address,undefined",
    env: {
      ASAN_OPTIONS: "detect_leaks=1:strict_string_checks=1",
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
    },
  },
  tsan: { sanitize: "thread", env: { TSAN_OPTIONS: "halt_on_error=1:second_deadlock_stack=1" } },
};

async function main([name]) {
  const build = Object.hasOwn(BUILDS, name ?? "") ? BUILDS[name] : undefined;
  if (build === undefined) {
    console.error(`usage: node scripts/native.mjs ${Object.keys(BUILDS).join("|")}`);
    return 2;
  }
  for (const tool of ["cmake", "ctest"]) {
    if (!isExecutableInPath(tool)) throw new StepFailed(`${tool} is missing: install cmake (3.20 or later)`);
  }
  const out = `build-${name}`;
  await step(`compile, ${name}`, [
    join(ROOT, "node_modules/.bin/cmake-js"),
    ...[
      "compile",
      "--debug",
      "--out",
      out,
      "--target",
      "native_tests",
      "--parallel",
      String(availableParallelism()),
    ],
    `--CDFIRSTHOP_SANITIZE=${build.sanitize}`,
  ]);
  const tests = ["ctest", "--test-dir", join(ROOT, out), "--output-on-failure", "--no-tests=error"];
  const text = await step(`native tests, ${name}`, tests, { env: { ...process.env, ...build.env } });
  process.stdout.write(text.slice(text.indexOf("Test project")));
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StepFailed)) throw error;
  console.error(`✗ ${error.message}`);
  process.exitCode = 1;
}
