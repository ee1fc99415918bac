/** `npm run bench -- [SUITE…] [OPTIONS]`: runs suites, writes raw samples and a report. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { removeLeftovers, requireNamespaces } from "../src/lab/namespaces.js";
import { buildRevision, knownRevision } from "./lib/against.js";
import { type Change, compareSubjects } from "./lib/compare.js";
import { PICTURES, writeResults } from "./lib/docs.js";
import { otherLabs, removeLeftDirectories } from "./lib/leftovers.js";
import { machineInfo } from "./lib/machine.js";
import type { BenchResult, SuiteResult } from "./lib/model.js";
import { watchNoise } from "./lib/noise.js";
import { judgePromises } from "./lib/promises.js";
import { activityLine, buildReport, promiseLine, type Report } from "./lib/report.js";
import { BEFORE, firsthopSubject, peerSubjects, type Subject } from "./lib/subjects.js";
import { runSuite, type Suite } from "./lib/suite.js";
import {
  hardEnd,
  LAST_WORDS_MS,
  PATIENCE_MS,
  type RunClock,
  type TimeFrame,
  timeFrame,
  UNBOUNDED,
} from "./lib/time.js";
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
    .option("--quick", "few repetitions: all suites within ten minutes, whatever else the machine does")
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

function readResult(file: string): BenchResult {
  try {
    const result = JSON.parse(readFileSync(file, "utf8")) as BenchResult;
    if (Array.isArray(result.suites) && Array.isArray(result.subjects)) return result;
  } catch {
    // Said below.
  }
  throw new UsageError(`${file} holds no samples of a run`);
}

function reportAgain(dir: string, options: Options): number {
  const file = join(resolve(dir), "samples.json");
  if (!existsSync(file)) throw new UsageError(`there is no ${file}: --report takes the directory of a run`);
  const result = readResult(file);
  if (options.writeDocs && result.suites.length < SUITES.length) {
    throw new UsageError(`${file} has not all suites, and --write-docs replaces the results of all of them`);
  }
  return conclude(result, resolve(dir), options);
}

async function bench(names: readonly string[], options: Options): Promise<number> {
  if (options.report !== undefined) return reportAgain(options.report, options);
  const suites = chosenSuites(names);
  if (options.writeDocs && suites.length < SUITES.length) {
    throw new UsageError("--write-docs replaces the results of all suites: it takes a run of all of them");
  }
  const peers = chosenPeers(options.peers, options.against !== undefined);
  if (options.against !== undefined && !knownRevision(ROOT, options.against)) {
    throw new UsageError(`git knows no revision "${options.against}" here`);
  }
  requireNamespaces();
  endOnSignals();
  removeLeftovers();
  removeLeftDirectories(ROOT);
  for (const pid of otherLabs()) say(`! process ${pid} runs a lab too: each disturbs the other's figures`);
  const startedAt = new Date().toISOString();
  const out = resolve(options.out ?? join(ROOT, "bench/results", startedAt.replace(/[:.]/g, "-")));
  tryDirectory(out);
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
    const leftOut = await runSuites(suites, subjects, known.quick, (result) => {
      done.push(result);
      writeMeanwhile(out, { ...known, suites: done });
    });
    const result: BenchResult = { ...known, suites: done, leftOut };
    if (options.json) console.log(JSON.stringify(result));
    return conclude(result, out, options);
  } finally {
    before?.remove();
  }
}

/** Longer than this no build takes: the clock was set meanwhile. */
const LONGEST_BUILD_MS = 240_000;

/** When the command was given: its build of a fresh clone is part of a quick run's ten minutes. */
function commandBeganMs(): number {
  const beforeMs = performance.timeOrigin - Number(process.env.FIRSTHOP_COMMAND_BEGAN_MS);
  return beforeMs > 0 && beforeMs < LONGEST_BUILD_MS ? -beforeMs : 0;
}

/** Runs them in turn. @returns the names of those for which a quick run's time did not suffice. */
async function runSuites(
  suites: readonly Suite[],
  all: readonly Subject[],
  quick: boolean,
  onResult: (result: SuiteResult) => void,
): Promise<readonly string[]> {
  const subjects = all.filter((subject) => subject.absent === null);
  const bounded = quick && !subjects.some(({ id }) => id === BEFORE);
  const declared = suites.map((suite) => suite.quickSeconds);
  const clock: RunClock = { beganMs: performance.now(), commandBeganMs: commandBeganMs() };
  const lastMs = bounded ? hardEnd(clock) + PATIENCE_MS + LAST_WORDS_MS : Number.POSITIVE_INFINITY;
  const alarm = bounded ? alarmAt(lastMs) : null;
  for (const [at, suite] of suites.entries()) {
    if (performance.now() > lastMs) return suites.slice(at).map(({ name }) => name);
    const time = quick ? `, about ${suite.quickSeconds} s` : "";
    say(`\n${suite.name} (${at + 1} of ${suites.length}${time}): ${suite.title}`);
    const startedMs = performance.now();
    const progress = (text: string): void =>
      say(`  ${((performance.now() - startedMs) / 1000).toFixed(0).padStart(4)} s  ${text}`);
    const result = await runSuite(suite, {
      quick,
      subjects,
      time: frameOf(declared, at, clock, { quick, bounded }),
      ...(alarm ? { ended: alarm } : {}),
      progress,
      watchNoise,
    });
    if (result.failed !== null) say(`✗ ${suite.name} failed: ${result.failed}`);
    say(`  ${result.tookSeconds.toFixed(0).padStart(4)} s  done: ${activityLine(result.activity)}`);
    onResult(result);
  }
  return [];
}

function frameOf(
  declared: readonly number[],
  at: number,
  clock: RunClock,
  { quick, bounded }: { readonly quick: boolean; readonly bounded: boolean },
): TimeFrame {
  if (!quick) return UNBOUNDED;
  const frame = timeFrame(declared, at, clock);
  return bounded ? frame : { ...frame, hardEndMs: UNBOUNDED.hardEndMs };
}

function alarmAt(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())).unref());
}

const changesOf = (result: BenchResult): readonly Change[] | null =>
  result.against === null ? null : compareSubjects(result, BEFORE, FIRSTHOP);

/** Puts a file where an earlier one stays until the new one is whole. */
function put(directory: string, name: string, text: string): void {
  const part = join(directory, `${name}.part`);
  try {
    writeFileSync(part, text);
    renameSync(part, join(directory, name));
  } catch (error) {
    rmSync(part, { force: true });
    throw new Error(`${join(directory, name)} could not be written: ${inOneLine(error)}`);
  }
}

/** A directory that takes nothing is told before the measurement, not after it. */
function tryDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true });
  put(directory, "try", " ".repeat(ROOM_OCTETS));
  rmSync(join(directory, "try"));
}

/** What a report takes, about. */
const ROOM_OCTETS = 4 << 20;

/** The report into its directory. */
function write(out: string, result: BenchResult): Report {
  const report = buildReport(result, changesOf(result));
  put(out, "samples.json", `${JSON.stringify(result)}\n`);
  put(out, "report.md", report.markdown);
  for (const [name, svg] of report.plots) put(out, name, svg);
  return report;
}

/** After each suite: what a later one or Ctrl-C ends is not lost. A disk that is full now may have room at the end. */
function writeMeanwhile(out: string, result: BenchResult): void {
  try {
    write(out, result);
  } catch (error) {
    say(`! ${inOneLine(error)}`);
  }
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
  if (judged.length > 0) {
    say(`\n${judged.filter(({ kept }) => kept).length} of ${judged.length} promises met`);
  }
  for (const name of result.leftOut ?? []) say(`! left out, because the time was over: ${name}`);
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
