/**
 * Lets plain `node` run this repository's TypeScript: for the benchmarks, and for test processes that must live in a
 * network namespace of their own, where the test runner is not. `node --import ./typescript-loader.mjs file.ts`
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const OPTIONS = { target: "ES2022", module: "ESNext", verbatimModuleSyntax: true };
/** To load the compiler takes far longer than to run what most of these processes run. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/typescript-loader", import.meta.url));
const { version } = createRequire(import.meta.url)("typescript/package.json");

/** "./x.js" is "./x.ts" here. */
export async function resolve(specifier, context, next) {
  if (specifier.startsWith(".") && specifier.endsWith(".js") && context.parentURL) {
    const source = new URL(specifier.replace(/\.js$/, ".ts"), context.parentURL);
    if (existsSync(source)) return { url: source.href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  const text = readFileSync(fileURLToPath(url), "utf8");
  return { format: "module", source: await transpiled(text), shortCircuit: true };
}

async function transpiled(text) {
  const key = createHash("sha256")
    .update(JSON.stringify([version, OPTIONS, text]))
    .digest("hex");
  const kept = join(CACHE, `${key}.mjs`);
  if (existsSync(kept)) return readFileSync(kept, "utf8");
  const { default: ts } = await import("typescript");
  const { outputText } = ts.transpileModule(text, { compilerOptions: OPTIONS });
  mkdirSync(CACHE, { recursive: true });
  // Others may be at the same file.
  const unfinished = `${kept}.${process.pid}`;
  writeFileSync(unfinished, outputText);
  renameSync(unfinished, kept);
  return outputText;
}

register(import.meta.url);
