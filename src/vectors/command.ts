/**
 * `npm run vectors -- [DIR]`: runs the test vectors of a folder and says how it went; ours when none is
 * named.
 */
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runVectors, type VectorResult } from "./runner.js";

const OURS = fileURLToPath(new URL("../../test/vectors", import.meta.url));

/** Where the words go: results, and what is wrong with the call. */
export interface Output {
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** @returns the exit code: 0 all as expected, 1 not, 2 wrong usage */
export function vectorsCommand(args: readonly string[], { print, complain }: Output): number {
  if (args.length > 1 || args[0]?.startsWith("-")) {
    complain("usage: npm run vectors -- [DIR]");
    return 2;
  }
  const directory = args[0] === undefined ? OURS : directoryOf(args[0]);
  if (directory === null) {
    complain(`${args[0]} is no folder: name one that holds test vector files (*.json)`);
    return 2;
  }
  const { files, results } = runVectors(directory);
  if (files.length === 0) {
    complain(`no test vector file (*.json with a list "vectors") in ${directory}`);
    return 2;
  }
  for (const file of files) {
    for (const line of report(
      file,
      results.filter((one) => one.file === file),
    ))
      print(line);
  }
  const count = (outcome: VectorResult["outcome"]): number =>
    results.filter((one) => one.outcome === outcome).length;
  print(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
  return count("failed") === 0 ? 0 : 1;
}

/** npm runs scripts in the package's folder; the user's words are relative to where the user is. */
function directoryOf(name: string): string | null {
  const bases = [process.env.INIT_CWD, process.cwd()].filter((one) => one !== undefined);
  const found = bases.map((base) => resolve(base, name)).find((path) => existsSync(path));
  return found !== undefined && statSync(found).isDirectory() ? found : null;
}

function report(file: string, results: readonly VectorResult[]): string[] {
  const passed = [...countBy(results, "passed")].map(
    ([protocol, number]) => `passed  ${file}: ${protocol} (${number})`,
  );
  const skipped = [...countBy(results, "skipped")].map(
    ([protocol, number]) => `skipped ${file}: protocol ${protocol} is not spoken yet (${number})`,
  );
  const failed = results
    .filter((one) => one.outcome === "failed")
    .map(({ id, title, problems }) => {
      const name = [file, id, title].filter((one) => one !== "").join(" ");
      return [`failed  ${name}`, ...problems.map((one) => `        ${one}`)].join("\n");
    });
  return [...passed, ...skipped, ...failed];
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
