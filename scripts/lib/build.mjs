/** The steps that a clone needs before it can run: modules, the native addon, compiled TypeScript. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bundleCommandLine } from "./bundle.mjs";
import { filesBelow, isExecutableInPath, newest, ROOT, StepFailed, step } from "./steps.mjs";

const inRoot = (path) => join(ROOT, path);

/** npm itself, the one that started us where npm did. */
function npm(args) {
  const script = process.env.npm_execpath;
  return script?.endsWith(".js") ? [process.execPath, script, ...args] : ["npm", ...args];
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

/** Whether node_modules holds what package-lock.json names; packages for other systems may be missing. */
function modulesAreCurrent() {
  const wanted = readJson(inRoot("package-lock.json"))?.packages;
  const installed = readJson(inRoot("node_modules/.package-lock.json"))?.packages;
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    if (path === "" || link) return true;
    const found = installed[path]?.version;
    return found === version || (found === undefined && optional === true);
  });
}

export async function installModules() {
  if (modulesAreCurrent()) return;
  await step("install packages", npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]), {
    hint: "is the package registry reachable (`npm ping`)? With node_modules complete, this step is left out",
  });
}

const NATIVE_SOURCES = ["native", "binding.gyp"];

/** The addon that would be loaded now, if there is one. */
function addonPath() {
  try {
    return createRequire(inRoot("package.json"))("node-gyp-build").path(ROOT);
  } catch {
    return null;
  }
}

/** Octets of the sources that decide what the addon is; tests of the native code do not. */
function nativeSources() {
  return NATIVE_SOURCES.map(inRoot)
    .flatMap(filesBelow)
    .filter((path) => !path.startsWith(inRoot("native/test/")));
}

function requireToolChain() {
  const compilers = [process.env.CXX?.split(" ")[0], "c++", "g++", "clang++"].filter(Boolean);
  const missing = [
    ...(compilers.some(isExecutableInPath) ? [] : ["a C++ compiler"]),
    ...(isExecutableInPath("make") ? [] : ["make"]),
    ...(isExecutableInPath("python3") ? [] : ["python3"]),
  ];
  if (missing.length === 0) return;
  throw new StepFailed(
    `the native addon must be compiled, and ${missing.join(" and ")} is missing: ` +
      "install it (Debian: apt-get install g++ make python3; Alpine: apk add g++ make python3; " +
      "Fedora: dnf install gcc-c++ make python3)",
  );
}

/** Where Node's headers are: npm's setting, or beside the running Node; else node-gyp downloads them. */
export function headersOption() {
  const hasHeaders = (folder) => existsSync(join(folder, "include/node/node_api.h"));
  const asked = process.env.npm_config_nodedir ?? npmSetting("nodedir");
  if (asked) return [`--nodedir=${asked}`];
  const beside = dirname(dirname(process.execPath));
  return hasHeaders(beside) ? [`--nodedir=${beside}`] : [];
}

function npmSetting(name) {
  const [command, ...args] = npm(["config", "get", name]);
  const result = spawnSync(command, args, { cwd: ROOT, encoding: "utf8" });
  const value = result.status === 0 ? result.stdout.trim() : "";
  return value === "" || value === "undefined" || value === "null" ? undefined : value;
}

export async function buildAddon() {
  if (process.platform !== "linux") return;
  const present = addonPath();
  if (present !== null && statSync(present).mtimeMs >= newest(nativeSources())) return;
  requireToolChain();
  const gyp = inRoot("node_modules/node-gyp/bin/node-gyp.js");
  const args = ["configure", "build", "--release", "-j", "max", ...headersOption()];
  await step("compile the addon", [process.execPath, gyp, ...args], {
    hint: "the compiler's words are above",
  });
  // make leaves an addon alone whose objects did not change: it is current all the same.
  const built = addonPath();
  if (built === null)
    throw new StepFailed("compile the addon: node-gyp made no addon that this Node can load");
  const now = new Date();
  utimesSync(built, now, now);
}

const STAMP = "dist/.built";
const TYPESCRIPT_SOURCES = [
  "src",
  "tsconfig.json",
  "tsconfig.build.json",
  "package-lock.json",
  "scripts/generate-schema.mjs",
  "scripts/lib/bundle.mjs",
];

/** Compiles src to dist, if something there is newer. */
export async function buildTypeScript() {
  const stamp = inRoot(STAMP);
  const sources = newest(TYPESCRIPT_SOURCES.map(inRoot));
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= sources) return;
  const started = Date.now();
  await step("compile TypeScript", [inRoot("node_modules/.bin/tsc"), "-p", "tsconfig.build.json"]);
  // What no source stands behind any more must not be shipped or imported by accident. Half a second for
  // coarse clocks.
  for (const path of filesBelow(inRoot("dist"))) {
    if (statSync(path).mtimeMs < started - 500) rmSync(path);
  }
  const unbundled = await bundleCommandLine(inRoot("dist"));
  if (unbundled !== null) console.error(`! ${unbundled}: the command line starts more slowly`);
  chmodSync(inRoot("dist/cli/main.js"), 0o755);
  if (existsSync(inRoot("scripts/generate-schema.mjs"))) {
    await step("write the schema", [process.execPath, "scripts/generate-schema.mjs"]);
  }
  mkdirSync(inRoot("dist"), { recursive: true });
  writeFileSync(stamp, "");
  const at = new Date(Math.max(started, sources));
  utimesSync(stamp, at, at);
}
