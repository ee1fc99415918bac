/** Scripts of trackers: one run at a time of each, and nobody of them is left when the daemon ends. */
import { basename } from "node:path";
import type { TrackResult, Untried } from "../../../core/tracking/verdict.js";
import type { ProbeRequest, ProbeRun } from "../../driver.js";
import { type CommandResult, type CommandRun, runCommand } from "../command.js";

type ScriptRequest = Extract<ProbeRequest, { probe: "script" }>;

const EVIDENCE_MAX = 200;
/** What a killed process may take to go; after that it hangs in the kernel. */
const BURIAL_MS = 1000;

const down = (evidence: string): TrackResult => ({ up: false, evidence });

export class Scripts {
  /** Runs that have not ended, by request. */
  readonly #running = new Map<string, CommandRun>();
  /** The last one of each that was asked for: the next begins after it. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #onExit = (): void => this.#cancelAll();

  constructor() {
    // process.exit() waits for nobody.
    process.on("exit", this.#onExit);
  }

  /**
   * Two trackers may run the same script, and a reload ends a run whose process takes a moment to go: then this one
   * waits for its turn, and its time begins with that.
   */
  run(request: ScriptRequest, timeoutMs: number): ProbeRun {
    const key = JSON.stringify(request);
    const before = this.#turns.get(key);
    let begun: ProbeRun | null = null;
    let cancelled = false;
    const begin = (): ProbeRun["result"] => {
      if (cancelled) return Promise.resolve(down("not run"));
      begun = this.#begin(key, request, timeoutMs);
      return begun.result;
    };
    const result = before ? before.then(begin) : begin();
    const turn = result.then(() => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    });
    this.#turns.set(key, turn);
    return {
      result,
      cancel: () => {
        cancelled = true;
        begun?.cancel();
      },
    };
  }

  #begin(key: string, request: ScriptRequest, timeoutMs: number): ProbeRun {
    const name = basename(request.path);
    if (this.#running.has(key)) {
      const evidence = `${name}: the run before can't be ended, the kernel holds it`;
      return { result: Promise.resolve(down(evidence)), cancel: () => {} };
    }
    const run = runCommand({
      path: request.path,
      arguments: request.arguments,
      timeoutUs: timeoutMs * 1000,
      leavesNothing: true,
    });
    this.#running.set(key, run);
    const ended = run.result.then((result) => {
      this.#running.delete(key);
      return toTrackResult(name, result, timeoutMs);
    });
    let timer: NodeJS.Timeout | undefined;
    let giveUpAfter = (_ms: number): void => {};
    const hangs = new Promise<TrackResult>((resolve) => {
      const evidence = `${name}: killed after ${timeoutMs} ms, but it does not end`;
      giveUpAfter = (ms) => {
        clearTimeout(timer);
        timer = setTimeout(() => resolve(down(evidence)), ms).unref();
      };
    });
    giveUpAfter(timeoutMs + BURIAL_MS);
    return {
      result: Promise.race([ended, hangs]).finally(() => clearTimeout(timer)),
      cancel: () => {
        giveUpAfter(BURIAL_MS);
        run.cancel();
      },
    };
  }

  async close(): Promise<void> {
    const ends = [...this.#running.values()].map((run) => run.result);
    this.#cancelAll();
    const waited = new Promise<void>((resolve) => setTimeout(resolve, BURIAL_MS).unref());
    await Promise.race([Promise.all(ends), waited]);
    process.off("exit", this.#onExit);
  }

  #cancelAll(): void {
    for (const run of this.#running.values()) run.cancel();
  }
}

function toTrackResult(name: string, result: CommandResult, timeoutMs: number): TrackResult | Untried {
  const { code, signal, timedOut, refused, shortage, output, truncated } = result;
  if (shortage) return { untried: refused ?? name };
  if (refused !== null) return down(refused);
  const how = timedOut
    ? `no end within ${timeoutMs} ms, killed`
    : signal !== null
      ? `ended by ${signal}`
      : `exit code ${code}`;
  const said = output.split("\n", 1)[0]?.slice(0, EVIDENCE_MAX) ?? "";
  const flood = truncated ? ", floods its output" : "";
  return { up: code === 0 && !timedOut, evidence: `${name}: ${how}${flood}${said ? ` (${said})` : ""}` };
}
