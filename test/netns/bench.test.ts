/** `npm run bench` as a user runs it, as short as it gets: figures, a report, nothing left behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BenchResult } from "../../bench/lib/model.js";
import { eventually, netnsTest } from "./testbed/index.js";

const RUN = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));

let out: string;
beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), `firsthop-bench-test-${process.pid}-`));
});
afterAll(() => rmSync(out, { recursive: true, force: true }));

function bench(...args: string[]) {
  const child = spawn(process.execPath, [RUN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return {
    child,
    output: () => Buffer.concat(chunks).toString("utf8"),
    end: once(child, "close").then(([code]) => code as number | null),
  };
}

/** Namespaces and directories of a process that are still there. */
function leftOf(pid: number | undefined): string[] {
  const names = [...(existsSync("/run/netns") ? readdirSync("/run/netns") : []), ...readdirSync(tmpdir())];
  return names.filter((name) => /^(?:fh|firsthop-(?:lab|bench)-)(\d+)-/.exec(name)?.[1] === String(pid));
}

describe("npm run bench", () => {
  netnsTest(
    "measures starts, and writes samples, report and plots",
    [],
    async () => {
      const run = bench("start", "--quick", "--peers", "none", "--out", out);
      expect(await run.end, run.output()).toBe(0);
      const result = JSON.parse(readFileSync(join(out, "samples.json"), "utf8")) as BenchResult;
      expect(result.quick).toBe(true);
      const ready = result.suites[0]!.series.filter((series) => series.metric === "ready");
      expect(ready.map(({ condition, subject }) => `${condition}: ${subject}`)).toEqual([
        "1 virtual router: firsthop",
        "255 virtual routers: firsthop",
      ]);
      for (const sample of ready.flatMap((series) => series.samples)) {
        expect(sample).toBeGreaterThan(20); // no Node.js process starts faster
        expect(sample).toBeLessThan(30_000);
      }
      const report = readFileSync(join(out, "report.md"), "utf8");
      expect(report).toContain("| 255 virtual routers | firsthop |");
      expect(readFileSync(join(out, "start-ready.svg"), "utf8")).toContain("<svg");
      expect(leftOf(run.child.pid)).toEqual([]);
    },
    120_000,
  );

  netnsTest(
    "leaves nothing behind after Ctrl-C",
    [],
    async () => {
      const run = bench("failover", "--quick", "--peers", "none", "--out", out);
      await eventually("a lab stands", 60_000, () => leftOf(run.child.pid).length > 4, run.output);
      run.child.kill("SIGINT");
      expect(await run.end).toBe(130);
      expect(leftOf(run.child.pid)).toEqual([]);
    },
    120_000,
  );

  it("says in one line what it does not know", async () => {
    const [suite, peer, help] = [bench("nonsense"), bench("micro", "--peers", "nobody"), bench("--help")];
    expect(await Promise.all([suite.end, peer.end, help.end])).toEqual([2, 2, 0]);
    expect(suite.output()).toContain('no suite is called "nonsense": there are failover,');
    expect(peer.output()).toContain('no peer is called "nobody": there are keepalived-vmac,');
    expect(help.output()).toContain("--against");
  });

  it("says before it measures what it could not do afterwards", async () => {
    const runs = [
      bench("micro", "--write-docs"),
      bench("micro", "--against", "no-such-revision"),
      bench("--report", join(out, "nothing")),
      bench("micro", "--quick", "--out", join(RUN, "no-directory")),
    ];
    const codes = await Promise.all(runs.map((run) => run.end));
    const [docs, revision, report, directory] = runs.map((run) => run.output());
    expect(codes.slice(0, 3)).toEqual([2, 2, 2]);
    expect(docs).toContain("it takes a run of all of them");
    expect(revision).toContain('git knows no revision "no-such-revision"');
    expect(report).toContain("--report takes the directory of a run");
    // As root it gets as far as the directory; else it says first that it wants to be root.
    expect(codes[3]).toBe(1);
    expect(directory).toMatch(/^✗ .*(?:ENOTDIR|root)/m);
  }, 60_000);

  netnsTest(
    "removes what a killed run left",
    [],
    async () => {
      const left = join(tmpdir(), "firsthop-bench-4194305-abcdef"); // no process has this number
      mkdirSync(join(left, "abc1234"), { recursive: true });
      const run = bench("start", "--quick", "--peers", "none", "--out", out);
      await eventually("it is gone", 60_000, () => !existsSync(left), run.output);
      run.child.kill("SIGTERM");
      expect(await run.end).toBe(143);
    },
    120_000,
  );
});
