/** Every command without a daemon: help, wrong usage, exit codes, pipes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMPLETED } from "../../src/cli/completion.js";
import { execute, firsthop, MAIN, ONE_LINE } from "./command.js";

const COMMANDS = Object.keys(COMPLETED);
const ADVERTISEMENT = "210164010001b8fac00002010000000000000000";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), `firsthop-usage-${process.pid}-`));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Writes a file of this test, and gives its path. */
function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe("help", () => {
  it("lists every command", async () => {
    const { code, stdout } = await firsthop(["--help"]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
  });

  it.each(COMMANDS)("%s --help has an example and exits with 0", async (name) => {
    const { code, stdout, stderr } = await firsthop([name, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/Examples?:\n {2}\S/);
  });

  it.each(COMMANDS)("completion knows the long options of %s", async (name) => {
    const { stdout } = await firsthop([name, "--help"]);
    const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, option]) => option);
    const known = new Set([...(COMPLETED[name]?.options ?? []), "--help"]);
    // vrrpd's own options are single letters; the two long ones are ours.
    const wanted = name === "vrrpd" ? [] : options;
    expect(wanted.filter((option) => !known.has(option as string))).toEqual([]);
  });

  it("without a command prints help on standard error and exits with 2", async () => {
    const { code, stdout, stderr } = await firsthop([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: firsthop");
  });

  it.each([[["--version"]], [["-V"]], [["version"]]])("%j prints the version alone", async (args) => {
    const { code, stdout } = await firsthop(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });
});

describe("wrong usage exits with 2 and one line", () => {
  it.each([
    [["shwo"], /Did you mean show\?/],
    [["help", "foo"], /unknown command 'foo'/],
    [["status"], /unknown command 'status': firsthop show\n$/],
    [["show", "--jsno"], /unknown option '--jsno'.*see `firsthop show --help`/],
    [["show", "a", "b"], /too many arguments/],
    [["priority"], /missing required argument 'name'/],
    [["completion", "tcsh"], /bash, zsh, fish/],
    [["decode"], /nothing to decode/],
    [["decode", "xyz"], /not hex/],
    [["decode", "123"], /odd number/],
    [["decode", "--layer", "wire", ADVERTISEMENT], /ethernet, ip, payload/],
    [["decode", "--vrid", "0", ADVERTISEMENT], /1 to 255/],
    [["decode", "--pcap", "/does/not/exist"], /cannot read \/does\/not\/exist \(ENOENT\)/],
    [["decode", "--pcap", "/dev/null"], /no capture file/],
    [["vrrpd", "-v", "10", "192.0.2.1"], /-i <ifname>/],
    [["vrrpd", "-i", "eth0", "192.0.2.1"], /-v <vrid>/],
    [["vrrpd", "-i", "eth0", "-v", "10"], /ipaddr/],
    [["vrrpd", "-i", "eth0", "-v", "256", "192.0.2.1"], /-v 256: give a whole number from 1 to 255/],
    [["vrrpd", "-i", "eth0", "-v", "1", "-p", "0", "192.0.2.1"], /-p 0/],
    [["vrrpd", "-i", "eth0", "-v", "1", "-d", "1.5", "192.0.2.1"], /-d 1\.5/],
    [["vrrpd", "-i", "eth0", "-v", "1", "-a", "ah/0x00", "192.0.2.1"], /RFC 3768/],
    [["vrrpd", "-i", "eth0", "-v", "1", "-a", "pw/123456789", "192.0.2.1"], /1 to 8 printable/],
  ] as const)("%j", async (args, message) => {
    const { code, stdout, stderr } = await firsthop(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(message);
  });
});

describe("without a daemon", () => {
  it.each([["show"], ["events"], ["explain", "eth0/10"]])("%s says how to start one", async (...args) => {
    const { code, stderr } = await firsthop([...args, "--socket", join(directory, "none.sock")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain("start one with `firsthop run -c FILE`");
  });
});

describe("decode", () => {
  it("exits with 0 for what is right, 1 for what is not, and says why", async () => {
    expect(await firsthop(["decode", "--layer", "payload", ADVERTISEMENT])).toMatchObject({ code: 0 });
    const bad = await firsthop(["decode", "--layer", "payload", ADVERTISEMENT.replace("b8fa", "b8fb")]);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toContain("discarded: checksum");
  });

  it("prints stable JSON", async () => {
    const { stdout } = await firsthop([
      "decode",
      "--json",
      "--layer",
      "payload",
      "--vrid",
      "9",
      ADVERTISEMENT,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      frames: [
        {
          index: 1,
          verdict: "discard",
          reason: "vrid",
          section: expect.stringContaining("RFC 9568"),
          counter: "vrid-errors",
          decoded: { vrrp: { version: 2, vrid: 1, priority: 100, addresses: ["192.0.2.1"] } },
        },
      ],
      summary: { accepted: 0, discarded: 1, ignored: 0, other: 0 },
      cutShort: null,
    });
  });

  it("reads hex from standard input", async () => {
    const spaced = ADVERTISEMENT.replace(/../g, "$& ");
    const input = `# two\n${ADVERTISEMENT}\n${spaced}\n`;
    const { code, stdout } = await firsthop(["decode", "--layer", "payload", "-"], { input });
    expect(code).toBe(0);
    expect(stdout.match(/accepted/g)).toHaveLength(2);
  });

  it("ends quietly when its reader does: decode | head", async () => {
    const input = `${ADVERTISEMENT}\n`.repeat(20_000);
    const line = `set -o pipefail; "${process.execPath}" "${MAIN}" decode --layer payload - | head -n 1`;
    expect(await execute("bash", ["-c", line], { input })).toMatchObject({ code: 0, stderr: "" });
  });

  it("has no colours in a pipe, and none with NO_COLOR", async () => {
    for (const env of [{}, { NO_COLOR: "1", FORCE_COLOR: "1" }]) {
      const { stdout } = await firsthop(["decode", "--layer", "payload", ADVERTISEMENT], { env });
      expect(stdout).not.toContain("\x1b");
    }
  });
});

describe("completion", () => {
  it("is a script that bash accepts and that completes commands", async () => {
    const { stdout } = await firsthop(["completion", "bash"]);
    const asked = `${stdout}\nCOMP_WORDS=(firsthop ex); COMP_CWORD=1; _firsthop; echo "\${COMPREPLY[@]}"`;
    expect(await execute("bash", ["-c", asked])).toMatchObject({ code: 0, stdout: "explain\n", stderr: "" });
  });

  it("completes the scenarios of the lab", async () => {
    const { stdout } = await firsthop(["completion", "bash"]);
    const asked = `${stdout}\nCOMP_WORDS=(firsthop lab lin); COMP_CWORD=2; _firsthop; echo "\${COMPREPLY[@]}"`;
    expect(await execute("bash", ["-c", asked])).toMatchObject({ code: 0, stdout: "lines\n", stderr: "" });
  });

  it.each(["zsh", "fish"])("%s names every command", async (shell) => {
    const { stdout } = await firsthop(["completion", shell]);
    for (const name of COMMANDS) expect(stdout).toContain(name);
  });
});

describe("check", () => {
  const GOOD = "virtualRouters:\n  - { interface: eth0, vrid: 10, addresses: [192.0.2.1/24] }\n";

  it("exits with 0 for a good file", async () => {
    const { code, stderr } = await firsthop(["check", "-c", file("good.yaml", GOOD)]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("lists every problem with its place, and exits with 1", async () => {
    const bad = "virtualRouters:\n  - { interface: eth0, vrid: 300, adresses: [192.0.2.1/24] }\n";
    const path = file("bad.yaml", bad);
    const { code, stdout, stderr } = await firsthop(["check", "-c", path]);
    expect(code).toBe(1);
    const places = (stdout + stderr).split("\n").filter((line) => /^.*bad\.yaml:\d+:\d+: /.test(line));
    expect(places.length).toBeGreaterThanOrEqual(2);
    const json = await firsthop(["check", "--json", "-c", path]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout).problems.length).toBe(places.length);
  });

  it("shows a person the line that is wrong", async () => {
    const path = file("typo.yaml", GOOD.replace("vrid: 10", "vrid: 300"));
    const asked = `NO_COLOR=1 '${process.execPath}' '${MAIN}' check -c '${path}'`;
    const { stdout } = await execute("script", ["-qec", asked, "/dev/null"]);
    const [problem, line, caret] = stdout.split(/\r?\n/);
    expect(problem).toContain("typo.yaml:2:30: error: virtualRouters[0].vrid: ");
    expect(line).toBe("  2 |   - { interface: eth0, vrid: 300, addresses: [192.0.2.1/24] }");
    expect(line?.slice(caret?.indexOf("^"))).toMatch(/^300/);
  });

  it("says when there is no file", async () => {
    const { code, stderr } = await firsthop(["check", "-c", join(directory, "none.yaml")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain("there is no such file: name the configuration with -c FILE");
  });

  it("gives a program one document also of a file that can't be read", async () => {
    const latin1 = file("latin1.yaml", "");
    writeFileSync(latin1, Buffer.from("# caf\xe9\n", "latin1"));
    for (const [path, why] of [
      [join(directory, "none.yaml"), "there is no such file: name the configuration with -c FILE"],
      [latin1, "it is not UTF-8 text: save it in that encoding"],
    ] as const) {
      const { code, stdout, stderr } = await firsthop(["check", "-j", "-c", path]);
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
      const problem = { severity: "error", path: [], message: why, line: null, column: null };
      expect(JSON.parse(stdout)).toEqual({ file: path, valid: false, problems: [problem] });
    }
  });
});
