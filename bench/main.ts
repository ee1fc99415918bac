/** `npm run bench -- [SUITE…] [OPTIONS]`: runs suites, writes raw samples and a report. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { removeLeftovers, requireNamespaces } from "../src/lab/namespaces.js";
import { buildRevision } from "./lib/against.js";
import { type Change, compareSubjects } from "./lib/compare.js";
import { PICTURES, writeResults } from "./lib/docs.js";
import { machineInfo } from "./lib/machine.js";
import type { BenchResult, SuiteResult } from "./lib/model.js";
import { watchNoise } from "./lib/noise.js";
import { judgePromises } from "./lib/promises.js";
import { activityLine, buildReport, promiseLine, type Report } from "./lib/report.js";
import { BEFORE, firsthopSubject, peerSubjects, type Subject } from "./lib/subjects.js";
import { runSuite, type Suite } from "./lib/suite.js";
import { inOneLine } from "./lib/words.js";
import { SUITES } from "./suites/index.js";

export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

interface Options {
  readonly quick?: true;
  readonly json?: true;
  readonly out?: string;
  readonly peers?: string;
  readonly against?: string;
  readonly writeDocs?: true;
  readonly report?: string;
}

const FIRSTHOP = "firsthop";

class UsageError extends Error {}

function command(): Command {
  return new Command("npm run bench --")
    .argument("[suites...]", `which to run: ${SUITES.map((suite) => suite.name).join(", ")} (default: all)`)
    .option("--quick", "few repetitions: the whole suite within ten minutes")
    .option("--out <dir>", "where the report goes (default: bench/results/TIME)")
    .option("--json", "the result on standard output too, as JSON")
    .option("--peers <list>", `who besides firsthop, by commas, or none (default: all that are installed)`)
    .option("--write-docs", "the results into docs/benchmarks.md too, between its marks, with their pictures")
    .option(
      "--report <dir>",
      "measures nothing: writes the report of an earlier run anew, from its samples.json",
    )
    .option(
      "--against <rev>",
      "builds that revision too and compares, interleaved; exit code 1 when a median is worse by more than 20 %. " +
        "Without --peers no peer takes part",
    )
    .addHelpText(
      "after",
      "\nNeeds root: labs are network namespaces. Exit codes: 0 measured, 1 something is slower or a suite failed, " +
        "2 wrong usage.\n\nExamples:\n  npm run bench -- --quick\n  npm run bench -- failover --quick --peers keepalived-vmac\n" +
        "  npm run bench -- timing --against HEAD~1",
    )
    .exitOverride();
}

/** What goes wrong in one suite does not take the others' figures away. */
export async function main(args: readonly string[]): Promise<number> {
  const program = command();
  try {
    program.parse([...args], { from: "user" });
    return await bench(program.args, program.opts<Options>());
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    console.error(`✗ ${inOneLine(error)}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function chosenSuites(names: readonly string[]): readonly Suite[] {
  for (const name of names) {
    if (!SUITES.some((suite) => suite.name === name)) {
      throw new UsageError(
        `no suite is called "${name}": there are ${SUITES.map((suite) => suite.name).join(", ")}`,
      );
    }
  }
  return names.length === 0 ? SUITES : SUITES.filter((suite) => names.includes(suite.name));
}

/** Peers by id; a make's name alone ("keepalived") is the variant of that id, so that every id can be said. */
function chosenPeers(list: string | undefined, alone: boolean): readonly Subject[] {
  const peers = peerSubjects();
  if (list === undefined) return alone ? [] : peers;
  const wanted = list === "none" ? [] : list.split(",").filter((id) => id !== "" && id !== FIRSTHOP);
  for (const id of wanted) {
    if (!peers.some((peer) => peer.id === id)) {
      throw new UsageError(`no peer is called "${id}": there are ${peers.map((peer) => peer.id).join(", ")}`);
    }
  }
  return peers.filter((peer) => wanted.includes(peer.id));
}

function say(text: string): void {
  console.error(text);
}

function revision(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", ["-C", ROOT, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") ? " with changes" : ""}`;
  } catch {
    return "of no git repository";
  }
}

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Ends by `exit`, whose listeners remove namespaces, processes and worktrees. */
function endOnSignals(): void {
  for (const [signal, code] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(code));
}

function reportAgain(dir: string, options: Options): number {
  const file = join(resolve(dir), "samples.json");
  if (!existsSync(file)) throw new UsageError(`there is no ${file}: --report takes the directory of a run`);
  const result = JSON.parse(readFileSync(file, "utf8")) as BenchResult;
  return conclude(result, resolve(dir), options);
}

async function bench(names: readonly string[], options: Options): Promise<number> {
  if (options.report !== undefined) return reportAgain(options.report, options);
  const suites = chosenSuites(names);
  const peers = chosenPeers(options.peers, options.against !== undefined);
  requireNamespaces();
  endOnSignals();
  removeLeftovers();
  const startedAt = new Date().toISOString();
  const out = resolve(options.out ?? join(ROOT, "bench/results", startedAt.replace(/[:.]/g, "-")));
  mkdirSync(out, { recursive: true });
  const before = options.against ? await buildRevision(ROOT, options.against, say) : null;
  try {
    const subjects = [
      firsthopSubject(FIRSTHOP, "firsthop as it is here", ROOT, true),
      ...(before ? [firsthopSubject(before.id, `firsthop of ${before.name}`, before.root, false)] : []),
      ...peers,
    ];
    for (const { id, absent } of subjects) if (absent) say(`! ABSENT ${id}: ${absent}`);
    const known = {
      startedAt,
      revision: revision(),
      against: before?.name ?? null,
      quick: options.quick === true,
      machine: machineInfo(),
      subjects: subjects.map(({ id, title, version, absent }) => ({ id, title, version, absent })),
    };
    const done: SuiteResult[] = [];
    await runSuites(suites, subjects, known.quick, (result) => {
      done.push(result);
      write(out, { ...known, suites: done }); // what a later suite or Ctrl-C ends is not lost
    });
    const result: BenchResult = { ...known, suites: done };
    if (options.json) console.log(JSON.stringify(result));
    return conclude(result, out, options);
  } finally {
    before?.remove();
  }
}

async function runSuites(
  suites: readonly Suite[],
  all: readonly Subject[],
  quick: boolean,
  onResult: (result: SuiteResult) => void,
): Promise<void> {
  const subjects = all.filter((subject) => subject.absent === null);
  for (const [at, suite] of suites.entries()) {
    const time = quick ? `, about ${suite.quickSeconds} s` : "";
    say(`\n${suite.name} (${at + 1} of ${suites.length}${time}): ${suite.title}`);
    const startedMs = performance.now();
    const progress = (text: string): void =>
      say(`  ${((performance.now() - startedMs) / 1000).toFixed(0).padStart(4)} s  ${text}`);
    const result = await runSuite(suite, { quick, subjects, progress, watchNoise });
    if (result.failed !== null) say(`✗ ${suite.name} failed: ${result.failed}`);
    say(`  ${result.tookSeconds.toFixed(0).padStart(4)} s  done: ${activityLine(result.activity)}`);
    onResult(result);
  }
}

const changesOf = (result: BenchResult): readonly Change[] | null =>
  result.against === null ? null : compareSubjects(result, BEFORE, FIRSTHOP);

/** The report into its directory. */
function write(out: string, result: BenchResult): Report {
  const report = buildReport(result, changesOf(result));
  writeFileSync(join(out, "samples.json"), `${JSON.stringify(result)}\n`);
  writeFileSync(join(out, "report.md"), report.markdown);
  for (const [name, svg] of report.plots) writeFileSync(join(out, name), svg);
  return report;
}

function writeDocs(result: BenchResult, report: Report): void {
  const file = join(ROOT, "docs/benchmarks.md");
  const { text, pictures } = writeResults(readFileSync(file, "utf8"), result, [...report.plots.keys()]);
  const folder = join(ROOT, "docs", PICTURES);
  mkdirSync(folder, { recursive: true });
  for (const name of pictures) writeFileSync(join(folder, name), report.plots.get(name)!);
  writeFileSync(file, text);
  say(`results: ${file}`);
}

/** Writes everything, and says how it ended. @returns the exit code. */
function conclude(result: BenchResult, out: string, options: Options): number {
  const report = write(out, result);
  if (options.writeDocs) writeDocs(result, report);
  const judged = judgePromises(result).filter(({ kept }) => kept !== null);
  for (const one of judged) if (one.kept === false) say(`! ${promiseLine(one)}`);
  say(`\n${judged.filter(({ kept }) => kept).length} of ${judged.length} promises met`);
  say(`report: ${join(out, "report.md")}`);
  const changes = changesOf(result);
  const slower = changes?.filter((change) => change.verdict === "slower") ?? [];
  for (const { suite, metric, condition, worseBy } of slower) {
    say(
      `✗ slower: ${suite}, ${metric.title}, ${condition}: median worse by ${Number.isFinite(worseBy) ? `${(100 * worseBy).toFixed(0)} %` : "something, from 0"}`,
    );
  }
  if (changes && slower.length === 0) say(`✓ no median is worse than at ${result.against} by more than 20 %`);
  return slower.length > 0 || result.suites.some(({ failed }) => failed !== null) ? 1 : 0;
}
