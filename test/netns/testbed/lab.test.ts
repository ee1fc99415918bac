/** `firsthop lab` as a newcomer runs it: real daemons, and nothing left behind however it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { eventually, netnsTest } from "./index.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly end: Promise<number | null>;
}

function lab(...args: string[]): Run {
  const child = spawn(process.execPath, [MAIN, "lab", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const end = once(child, "close").then(([code]) => code as number | null);
  return { child, output: () => Buffer.concat(chunks).toString("utf8"), end };
}

/** Namespaces and files of a lab process that are still there. */
function leftOf(child: ChildProcess): string[] {
  const mine = (name: string): boolean => /^(?:fh|firsthop-lab-)(\d+)-/.exec(name)?.[1] === String(child.pid);
  const namespaces = readdirSync("/run").includes("netns") ? readdirSync("/run/netns") : [];
  return [...namespaces, ...readdirSync(tmpdir())].filter(mine);
}

describe("firsthop lab", () => {
  for (const family of ["ipv4", "ipv6"] as const) {
    netnsTest(
      `keeps its promises over ${family}, as JSON`,
      [],
      async () => {
        const run = lab("lines", "--json", "--family", family);
        const code = await run.end;
        const document = JSON.parse(run.output());
        expect(document.steps.flatMap((step: { broken: string[] }) => step.broken)).toEqual([]);
        expect(document).toMatchObject({ kept: true, family, rate: 1000 });
        expect(document.steps).toHaveLength(2);
        const [cut, restored] = document.steps;
        expect(cut).toMatchObject({ action: "cut-lines", activeAfter: "r2", duplicated: 0 });
        expect(cut.lost).toBeGreaterThan(0);
        expect(cut.afterDeadlineMs).toBeGreaterThan(-0.1);
        expect(restored).toMatchObject({
          action: "restore-lines",
          activeAfter: "r1",
          lost: 0,
          duplicated: 0,
        });
        expect(code).toBe(0);
        expect(leftOf(run.child)).toEqual([]);
      },
      60_000,
    );
  }

  netnsTest(
    "prints sober text into a pipe",
    [],
    async () => {
      const run = lab("stop");
      expect(await run.end).toBe(0);
      const text = run.output();
      expect(text).toContain("  1/2  SIGTERM for r1's daemon\n");
      expect(text).toContain("ok all 2 promises kept");
      // Nothing but printable ASCII: no colours, no cursor movements.
      expect(text).toMatch(/^[\n -~]*$/);
      expect(leftOf(run.child)).toEqual([]);
    },
    60_000,
  );

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    netnsTest(
      `leaves nothing behind after ${signal}`,
      [],
      async () => {
        const run = lab("lines", "--interval", "1s");
        await eventually("the lab stands", 20_000, () => run.output().includes("host --+"), run.output);
        expect(leftOf(run.child).length).toBeGreaterThan(5);
        run.child.kill(signal);
        expect(await run.end).toBe(signal === "SIGINT" ? 130 : 143);
        expect(leftOf(run.child)).toEqual([]);
      },
      60_000,
    );
  }

  netnsTest(
    "removes what a killed lab left",
    [],
    async () => {
      const killed = lab("lines", "--interval", "1s");
      await eventually("the lab stands", 20_000, () => killed.output().includes("host --+"), killed.output);
      killed.child.kill("SIGKILL");
      await killed.end;
      expect(leftOf(killed.child).length).toBeGreaterThan(5);
      const next = lab("stop");
      expect(await next.end).toBe(0);
      expect(leftOf(killed.child)).toEqual([]);
      expect(leftOf(next.child)).toEqual([]);
    },
    60_000,
  );
});
