/** Commands as the daemon runs them: what is refused, what is bounded, what is left behind. Real processes. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CommandRequest, runCommand } from "../../../src/driver/linux/command.js";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `firsthop-command-${process.pid}-`));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function script(text: string, mode = 0o755): string {
  const path = join(directory, "script");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, mode);
  return path;
}

const run = (path: string, more: Partial<CommandRequest> = {}) =>
  runCommand({ path, arguments: [], timeoutUs: 5_000_000, ...more });

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A killed orphan is still there until whoever adopts it has reaped it. */
async function gone(pid: number): Promise<void> {
  await expect.poll(() => alive(pid) && !isZombie(pid), { timeout: 3_000, interval: 10 }).toBe(false);
}

function isZombie(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}

describe("a command", () => {
  it("gets its arguments and its input, no shell, and a small environment", async () => {
    const path = script('printf "%s|" "$@"; cat; env | grep -c SECRET_OF_TEST');
    process.env.SECRET_OF_TEST = "1";
    const { code, output, refused } = await run(path, { arguments: ["a b", "$HOME", ";ls"], input: "hello" })
      .result;
    delete process.env.SECRET_OF_TEST;
    expect({ code, output, refused }).toEqual({ code: 1, output: "a b|$HOME|;ls|hello0", refused: null });
  });

  it("tells how it ended", async () => {
    expect(await run(script("echo no >&2; exit 3")).result).toEqual({
      code: 3,
      signal: null,
      timedOut: false,
      refused: null,
      shortage: false,
      output: "no",
      truncated: false,
    });
    expect(await run(script("kill -TERM $$")).result).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  it("leaves nobody who went into a session of his own, where nothing may be left", async () => {
    const inOwnSession = "setsid sh -c 'setsid sleep 300 & echo $!; exec sleep 300' & echo $!";
    for (const last of ["sleep 300", "sleep 0.2"]) {
      const path = script(`${inOwnSession}\n${last}`);
      const { output, timedOut } = await run(path, { timeoutUs: 500_000, leavesNothing: true }).result;
      expect(timedOut).toBe(last === "sleep 300");
      const started = output.split("\n").map(Number);
      expect(started).toHaveLength(2);
      for (const pid of started) await gone(pid);
    }
  });

  it("is ended with all that it started when its time is over", async () => {
    const path = script("sleep 300 & echo $!; sh -c 'trap \"\" TERM; echo $$; sleep 300; :'");
    const began = Date.now();
    const result = await run(path, { timeoutUs: 300_000 }).result;
    expect(Date.now() - began).toBeLessThan(3_000);
    expect(result).toMatchObject({ timedOut: true, signal: "SIGKILL", code: null });
    const pids = result.output.split("\n").map(Number);
    expect(pids).toHaveLength(2);
    for (const pid of pids) await gone(pid);
  });

  it("leaves nothing in the background when it ends by itself", async () => {
    const { code, output } = await run(script("sleep 300 & echo $!; exit 0")).result;
    expect(code).toBe(0);
    await gone(Number(output));
  });

  it("ends although a descendant that left its group keeps the pipe", async () => {
    const { code, output } = await run(script("setsid sleep 3 & echo $!; exit 0")).result;
    expect(code).toBe(0);
    try {
      process.kill(Number(output), "SIGKILL");
    } catch {
      // setsid forked.
    }
  });

  it("is not listened to when it floods", async () => {
    const result = await run(script("exec yes flood")).result;
    expect(result).toMatchObject({ truncated: true, timedOut: false });
    expect(result.output.length).toBeLessThanOrEqual(4096);
  });

  it("may be cancelled", async () => {
    const one = run(script("sleep 300"));
    one.cancel();
    expect(await one.result).toMatchObject({ signal: "SIGKILL", timedOut: false });
  });

  it("need not read its input", async () => {
    expect(await run(script("exit 0"), { input: "x".repeat(1_000_000) }).result).toMatchObject({ code: 0 });
  });
});

describe("a file that is not run", () => {
  const refusal = async (path: string): Promise<string | null> => (await run(path).result).refused;

  it("is not there, not absolute, or no file", async () => {
    expect(await refusal(join(directory, "nothing"))).toContain("does not exist");
    expect(await refusal("script")).toContain("no absolute path");
    expect(await refusal(directory)).toContain("no regular file");
  });

  it("is not executable, or no program", async () => {
    expect(await refusal(script("exit 0", 0o644))).toContain("is not executable");
    writeFileSync(join(directory, "empty"), "", { mode: 0o755 });
    expect(await refusal(join(directory, "empty"))).toContain("is no program, and has no #! line");
  });

  it("may be written by others, also through a link", async () => {
    expect(await refusal(script("exit 0", 0o775))).toMatch(/may be written by group \d+/);
    expect(await refusal(script("exit 0", 0o757))).toContain("may be written by everybody");
    const link = join(directory, "link");
    symlinkSync(join(directory, "script"), link);
    expect(await refusal(link)).toContain("may be written by everybody");
  });

  it.skipIf(process.getuid?.() !== 0)("belongs to somebody else (needs root)", async () => {
    const path = script("exit 0");
    chownSync(path, 65_534, 0);
    expect(await refusal(path)).toContain("belongs to user 65534");
  });

  it("lies in a directory that others may write to", async () => {
    const open = join(directory, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    writeFileSync(join(open, "script"), "#!/bin/sh\n", { mode: 0o755 });
    expect(await refusal(join(open, "script"))).toContain(
      `its directory ${open} may be written by everybody`,
    );
  });
});
