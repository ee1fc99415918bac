/** The end of notify commands: what is waited for, what is given up, and that it is told. */
import { beforeEach, describe, expect, it } from "vitest";
import { type CommandResult, type CommandRun, DONE } from "../../../src/driver/command.js";
import { Notifier } from "../../../src/engine/events/notifier.js";

const config = { command: "/usr/local/bin/on-change", args: [], timeoutUs: 60_000_000 };

describe("notify commands", () => {
  let notices: string[];
  let runs: { words: readonly string[]; end: (result: CommandResult) => void; cancelled: boolean }[];
  let timers: { afterUs: number; run: () => void }[];
  let notifier: Notifier;

  beforeEach(() => {
    notices = [];
    runs = [];
    timers = [];
    notifier = new Notifier({
      driver: {
        runCommand: ({ arguments: words }): CommandRun => {
          const one = { words, end: (_: CommandResult) => {}, cancelled: false };
          const result = new Promise<CommandResult>((resolve) => {
            one.end = resolve;
          });
          runs.push(one);
          const cancel = (): void => {
            one.cancelled = true;
            one.end({ ...DONE, code: null, signal: "SIGKILL" });
          };
          return { result, cancel };
        },
        setTimer: (afterUs, run) => {
          timers.push({ afterUs, run });
          return () => undefined;
        },
      },
      notice: (_, name, code, detail) => notices.push(`${name} ${code}: ${detail}`),
    });
  });

  const tell = (state: string): void =>
    notifier.notify(config, { type: "INSTANCE", name: "eth0/10", state, priority: 100, change: {} });
  const settled = async (promise: Promise<void>): Promise<boolean> => {
    let done = false;
    void promise.then(() => {
      done = true;
    });
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return done;
  };

  it("are waited for without a bound where there is none", async () => {
    tell("backup");
    tell("active");
    const drained = notifier.drain(null);
    expect(timers).toEqual([]);
    runs[0]?.end(DONE);
    expect(await settled(drained)).toBe(false);
    runs[1]?.end(DONE);
    expect(await settled(drained)).toBe(true);
    expect(notices).toEqual([]);
  });

  it("that are given up are told, those that run and those that wait, and nobody waits for them", async () => {
    tell("backup");
    tell("active");
    const patient = notifier.drain(null);
    const drained = notifier.drain(5_000_000);
    expect(timers.map(({ afterUs }) => afterUs)).toEqual([5_000_000]);
    timers[0]?.run();
    expect(await settled(drained)).toBe(true);
    expect(await settled(patient)).toBe(true);
    expect(runs.map(({ cancelled }) => cancelled)).toEqual([true]);
    expect(notices).toEqual([
      "eth0/10 notify-given-up: 1 changes were not told to /usr/local/bin/on-change: the daemon ends",
      "eth0/10 notify-given-up: /usr/local/bin/on-change for backup was ended: the daemon ends",
    ]);
  });

  it("of an heir wait until it has taken over", async () => {
    notifier.hold();
    tell("backup");
    expect(runs).toEqual([]);
    notifier.release();
    expect(runs.map(({ words }) => words[2])).toEqual(["BACKUP"]);
  });
});
