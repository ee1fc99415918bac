/** `npm run vectors -- [DIR]`: runs test vectors, ours when no folder is named. Exit 0 all right, 1 not, 2 wrong usage. */
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runVectors, type VectorResult } from "./runner.js";

const OURS = fileURLToPath(new URL("../../test/vectors", import.meta.url));

process.exitCode = main(process.argv.slice(2));

function main(args: readonly string[]): number {
  if (args.length > 1 || args[0]?.startsWith("-")) {
    console.error("usage: npm run vectors -- [DIR]");
    return 2;
  }
  const directory = args[0] === undefined ? OURS : directoryOf(args[0]);
  if (directory === null) {
    console.error(`${args[0]} is no folder: name one that holds test vector files (*.json)`);
    return 2;
  }
  const { files, results } = runVectors(directory);
  if (files.length === 0) {
    console.error(`no test vector file (*.json with a list "vectors") in ${directory}`);
    return 2;
  }
  for (const file of files)
    reportFile(
      file,
      results.filter((one) => one.file === file),
    );
  const count = (outcome: VectorResult["outcome"]): number =>
    results.filter((one) => one.outcome === outcome).length;
  console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
  return count("failed") === 0 ? 0 : 1;
}

/** npm runs scripts in the package's folder; the user's words are relative to where the user is. */
function directoryOf(name: string): string | null {
  const bases = [process.env.INIT_CWD, process.cwd()].filter((one) => one !== undefined);
  const found = bases.map((base) => resolve(base, name)).find((path) => existsSync(path));
  return found !== undefined && statSync(found).isDirectory() ? found : null;
}

function reportFile(file: string, results: readonly VectorResult[]): void {
  for (const [protocol, number] of countBy(results, "passed"))
    console.log(`passed  ${file}: ${protocol} (${number})`);
  for (const [protocol, number] of countBy(results, "skipped")) {
    console.log(`skipped ${file}: protocol ${protocol} is not spoken yet (${number})`);
  }
  for (const { id, title, problems } of results.filter((one) => one.outcome === "failed")) {
    const name = [file, id, title].filter((one) => one !== "").join(" ");
    console.log([`failed  ${name}`, ...problems.map((one) => `        ${one}`)].join("\n"));
  }
}

function countBy(
  results: readonly VectorResult[],
  outcome: VectorResult["outcome"],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const one of results.filter((result) => result.outcome === outcome)) {
    counts.set(one.protocol, (counts.get(one.protocol) ?? 0) + 1);
  }
  return counts;
}
