/** The event loop in the real-time class: only while its turns are short, and nothing that it starts. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Scheduling class (sched(7): 0 ordinary, 2 SCHED_RR) and priority of a thread, as /proc/PID/stat has them. */
const HOST = `
const { readFileSync } = require("node:fs");
const { execFileSync } = require("node:child_process");
const addon = require("node-gyp-build")(${JSON.stringify(ROOT)});
const classOf = (stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(37, 39).map(Number);
const own = () => classOf(readFileSync("/proc/self/stat", "latin1"));
const busyFor = (ms) => { for (const { user } = process.cpuUsage(); process.cpuUsage().user - user < 1000 * ms;); };
const seen = { before: own(), started: addon.runPromptly(), again: addon.runPromptly(), after: own() };
setTimeout(() => {
  busyFor(2);
  seen.short = own();
  seen.child = classOf(execFileSync("cat", ["/proc/self/stat"], { encoding: "latin1" }));
  busyFor(100);
  seen.long = own();
  // After timers comes the next turn of the loop; after what it waited for, only with the second of these.
  setImmediate(() => {
    seen.next = own();
    const engine = new addon.NativeHeartbeat(() => {
      seen.report = own();
      setImmediate(() => setImmediate(() => {
        seen.afterReport = own();
        engine.close();
        console.log(JSON.stringify(seen));
      }));
    }, 5_000_000);
    // Nothing to do, and told of as done.
    engine.perform([], 1);
  });
}, 20);
`;

const mayBeRealtime = (): boolean => {
  try {
    execFileSync("chrt", ["-r", "1", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

const host = (...before: string[]): Record<string, unknown> =>
  JSON.parse(execFileSync("env", [...before, process.execPath, "-e", HOST], { encoding: "utf8", cwd: ROOT }));

const ALLOWED = mayBeRealtime();
if (!ALLOWED) console.warn("skipped: a prompt loop: this process may not use the real-time class");

describe.skipIf(process.platform !== "linux")("a prompt loop", () => {
  it.skipIf(!ALLOWED)(
    "leaves the class in the middle of a long turn and for reports of an engine, and what it starts is ordinary",
    () => {
      expect(host()).toEqual({
        before: [0, 0],
        started: true,
        again: false,
        after: [1, 2],
        short: [1, 2],
        child: [0, 0],
        long: [0, 0],
        next: [1, 2],
        report: [0, 0],
        afterReport: [1, 2],
      });
    },
  );

  it.skipIf(!ALLOWED)("keeps the class that it was given, for itself", () => {
    expect(host("chrt", "-f", "7")).toMatchObject({
      before: [7, 1],
      started: false,
      after: [7, 1],
      child: [0, 0],
      next: [7, 1],
      report: [7, 1],
    });
  });

  it("says where it may not be", () => {
    const without = [
      "setpriv",
      "--bounding-set",
      "-sys_nice",
      "--inh-caps",
      "-sys_nice",
      "prlimit",
      "--rtprio=0",
    ];
    const dropped = process.geteuid?.() === 0 ? without : ["prlimit", "--rtprio=0"];
    expect(host(...dropped)).toMatchObject({ started: false, after: [0, 0], next: [0, 0] });
  });
});
