/** Who may ask the daemon, and what it does without one of its rights. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spawnIn } from "../../src/lab/namespaces.js";
import { execute, MAIN, ONE_LINE } from "./command.js";
import { IS_ROOT, logOf, stageEachTest, virtualRouter, WHY } from "./stage.js";

const stage = stageEachTest();
const { configPath, configure, reached, socketPath, startActive, status } = stage;

describe.runIf(IS_ROOT)(`rights${WHY}`, () => {
  it("other users are refused", async () => {
    await startActive();
    // With the right to read and search everything, so that neither directories nor the place of this clone keep
    // them out: only the mode of the socket does.
    const everywhere = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const nobody = [
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      ...everywhere,
      process.execPath,
      MAIN,
    ];
    const { code, stderr } = await execute("setpriv", [...nobody, "show", "--socket", socketPath()]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain("is not yours");
  });

  it("names a missing capability", async () => {
    configure(virtualRouter(10));
    const drop = ["--bounding-set", "-net_raw", "--inh-caps", "-net_raw", process.execPath, MAIN];
    const { code, stderr } = await execute("setpriv", [
      ...drop,
      "run",
      "-c",
      configPath(),
      "--socket",
      socketPath(),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(/CAP_NET_RAW is missing: give the process/);
  });

  it("runs without real-time scheduling, with one plain warning", async () => {
    configure(virtualRouter(10));
    const args = ["--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice", "prlimit", "--rtprio=0"];
    const run = [process.execPath, MAIN, "run", "-c", configPath(), "--socket", socketPath()];
    const logFile = join(stage.directory, "plain.log");
    const daemon = spawnIn(stage.namespace, "setpriv", [...args, ...run], { logFile });
    await reached(daemon, "lan0/10", "active");
    const warnings = logOf(daemon).filter((line) => line.level === "warn");
    expect(warnings).toEqual([expect.objectContaining({ msg: expect.stringContaining("CAP_SYS_NICE") })]);
    const shown = await status();
    expect(shown?.engine.realtime).toBe(false);
  });

  it("keeps its code in memory where it may, and says in the same line where it may not", async () => {
    const locked = (pid: number): number => {
      const smaps = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
      const code = smaps.filter((one) => /^\S+ r-xp .*(?:firsthop\S*\.node|\blibc\b.*\.so)/.test(one));
      expect(code.length).toBeGreaterThanOrEqual(2);
      return code.filter((one) => /^VmFlags:.* lo\b/m.test(one)).length - code.length;
    };
    const first = await startActive();
    expect(locked(first.pid)).toBe(0);
    expect((await status())?.engine.memoryLocked).toBe(true);
    first.kill("SIGTERM");
    await first.ended;
    const without = ["-sys_nice", "-ipc_lock"].join(",");
    const args = ["--bounding-set", without, "--inh-caps", without, "prlimit", "--rtprio=0", "--memlock=0"];
    const run = [process.execPath, MAIN, "run", "-c", configPath(), "--socket", socketPath()];
    const daemon = spawnIn(stage.namespace, "setpriv", [...args, ...run], {
      logFile: join(stage.directory, "plain.log"),
    });
    await reached(daemon, "lan0/10", "active");
    expect(logOf(daemon).filter((line) => line.level === "warn")).toEqual([
      expect.objectContaining({ msg: expect.stringMatching(/CAP_SYS_NICE.*CAP_IPC_LOCK/) }),
    ]);
  });
});
