/**
 * Reads vitest's JSON report: `node failures.mjs REPORT ROOT` prints "PASSED FAILED SKIPPED" and then what failed, each
 * with the first lines of its message.
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

const TESTS_SHOWN = 8;
const LINES_SHOWN = 3;
const LINE_MAX = 800;

const [path, root] = process.argv.slice(2);
let report = {};
try {
  report = JSON.parse(readFileSync(path, "utf8"));
} catch {
  // It did not come so far as to test.
}

/** Without the stack. */
const messageLines = (message = "") =>
  stripVTControlCharacters(message)
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s+at /.test(line))
    .slice(0, LINES_SHOWN)
    .map((line) => `    ${line.slice(0, LINE_MAX)}`);

const failures = (report.testResults ?? []).flatMap(({ name, status, message, assertionResults = [] }) => {
  const file = relative(root, name);
  const failed = assertionResults.filter((one) => one.status === "failed");
  if (failed.length === 0 && status === "failed") return [{ title: file, message }];
  return failed.map(({ ancestorTitles = [], title, failureMessages = [] }) => ({
    title: [file, ...ancestorTitles, title].join(" > "),
    message: failureMessages[0],
  }));
});

console.log(report.numPassedTests ?? 0, report.numFailedTests ?? 0, report.numPendingTests ?? 0);
let before = null;
for (const { title, message } of failures.slice(0, TESTS_SHOWN)) {
  const lines = messageLines(message).join("\n");
  console.log(`✗ ${title}`);
  console.log(lines === before ? "    the same" : lines);
  before = lines;
}
if (failures.length > TESTS_SHOWN) console.log(`✗ and ${failures.length - TESTS_SHOWN} more`);
