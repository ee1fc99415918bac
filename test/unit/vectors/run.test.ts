/** The vectors runner: every test vector passes, and a vector that says something else fails. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { vectorsCommand } from "../../../src/vectors/command.js";
import { runVectors } from "../../../src/vectors/runner.js";

const VECTORS = fileURLToPath(new URL("../../vectors", import.meta.url));

type Vector = Record<string, unknown> & { id: string; expect: Record<string, unknown> };

function vectorsOf(file: string): Vector[] {
  return (JSON.parse(readFileSync(join(VECTORS, `${file}.json`), "utf8")) as { vectors: Vector[] }).vectors;
}

describe("our vectors", () => {
  const { results } = runVectors(VECTORS);
  const spoken = results.filter((one) => one.outcome !== "skipped");

  it.each(spoken.map((one) => [one.file, one.id, one.title, one] as const))(
    "%s %s %s",
    (_file, _id, _title, { problems }) => {
      expect(problems).toEqual([]);
    },
  );

  it("are all there", () => {
    const counts: Record<string, number> = {};
    for (const { outcome, protocol } of results) {
      const key = `${outcome} ${protocol}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    expect(counts).toEqual({
      "passed arp-nd": 11,
      "passed bfd": 18,
      "passed vrrp": 48,
      "passed vrrp-fsm": 10,
      "passed vrrp2": 4,
      "passed vrrp3": 10,
      "skipped carp": 18,
      "skipped esrp": 2,
      "skipped glbp": 3,
      "skipped hsrp": 22,
    });
  });
});

describe("the command", () => {
  let folder = "";
  let printed: string[] = [];
  let complained: string[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), `firsthop-vectors-${process.pid}-`));
    printed = [];
    complained = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function run(...args: string[]): number {
    return vectorsCommand(args, {
      print: (line) => printed.push(...line.split("\n")),
      complain: (line) => complained.push(line),
    });
  }

  function write(name: string, content: unknown): void {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }

  it("runs our own folder when none is named", () => {
    expect(run()).toBe(0);
    expect(printed).toContain("skipped hsrp.json: protocol hsrp is not spoken yet (22)");
    expect(printed.at(-1)).toBe("101 passed, 0 failed, 45 skipped");
  });

  it("finds files in folders below, and what each vector is about without being told", () => {
    write("a/b/mixed.json", {
      vectors: [
        ...vectorsOf("vrrp"),
        ...vectorsOf("arp-nd"),
        ...vectorsOf("vrrp-fsm"),
        ...vectorsOf("timers"),
        ...vectorsOf("hsrp"),
        ...vectorsOf("bfd"),
      ],
    });
    write("notes.json", { about: "something else" });
    expect(run(folder)).toBe(0);
    expect(printed.at(-1)).toBe("101 passed, 0 failed, 28 skipped");
    expect(printed).toContain("skipped a/b/mixed.json: protocol hsrp is not spoken yet (18)");
  });

  it("knows a frame without any decoded field by the frame itself", () => {
    const vectors = [...vectorsOf("vrrp"), ...vectorsOf("arp-nd")]
      .filter((one) => one.expect.direction !== "transmit" && one.expect.reply === undefined)
      .map((one) => ({ ...one, expect: { ...one.expect, decoded: undefined } }));
    write("frames.json", { vectors });
    expect(run(folder)).toBe(0);
    expect(printed.at(-1)).toBe(`${vectors.length} passed, 0 failed, 0 skipped`);
  });

  const good = vectorsOf("vrrp")[0] as Vector;
  const arp = vectorsOf("arp-nd")[0] as Vector;
  const asked = vectorsOf("arp-nd").find((one) => one.id === "arp-003") as Vector;
  const script = vectorsOf("vrrp-fsm")[0] as Vector & { steps: Record<string, unknown>[] };
  const expecting = (vector: Vector, expected: object): object => ({
    ...vector,
    expect: { ...vector.expect, ...expected },
  });
  const stepping = (index: number, change: object): object => ({
    ...script,
    steps: script.steps.map((one, at) => (at === index ? { ...one, ...change } : one)),
  });

  it.each<[string, object, RegExp]>([
    ["verdict", expecting(good, { verdict: "discard" }), /verdict: got "accept", expected "discard"/],
    ["reason", expecting(good, { reason: "ttl" }), /reason: got null, expected "ttl"/],
    ["counter", expecting(good, { counter: "ip-ttl-errors" }), /counter: got "advertisement-rcvd"/],
    ["warning", expecting(good, { warnings: ["interval-mismatch"] }), /warnings: got \[\]/],
    ["field", expecting(good, { decoded: { vrrp: { vrid: 2 } } }), /decoded.vrrp.vrid: got 1, expected 2/],
    [
      "unknown field",
      expecting(good, { decoded: { vrrp: { colour: 2 } } }),
      /colour: got nothing, expected 2/,
    ],
    ["address", expecting(good, { decoded: { vrrp: { addresses: [] } } }), /addresses: got \["192.0.2.1"\]/],
    ["octet", { ...arp, hex: `${(arp.hex as string).slice(0, -2)}01` }, /frame: differs from octet 59 on/],
    ["answer", expecting(asked, { reply: null }), /reply: got a frame, expected none/],
    [
      "answer's field",
      expecting(asked, { reply: undefined, replySenderIp: "192.0.2.9" }),
      /malformed|replySenderIp/,
    ],
    ["state", stepping(1, { expect: { state: "backup" } }), /step 2 at 3609375 us: state: got "active"/],
    ["action", stepping(1, { expect: { actions: [] } }), /actions: got \["sendAdvertisement\(100\)"/],
    ["timer", stepping(0, { expect: { activeDownTimerUs: 3609377 } }), /activeDownUs: got 3609375/],
    ["time", stepping(1, { atUs: 3609400 }), /activeDown passes at 3609375 us/],
    ["expectation", stepping(0, { expect: { mood: "good" } }), /expectation "mood" is not known here/],
    ["event", stepping(0, { event: "fullMoon" }), /event "fullMoon" is not known here/],
    [
      "skew",
      { protocol: "vrrp3", priority: 1, activeAdverIntervalCs: 1, skewUs: 0, downIntervalUs: 39961 },
      /skewUs: got 9961/,
    ],
    ["hex", { ...good, hex: "0z" }, /malformed: "hex" is not hexadecimal/],
    ["receiver", { ...good, receiver: undefined }, /malformed: the vector has no object "receiver"/],
    ["nothing", {}, /malformed: the vector has no text "hex"/],
  ])("fails where the %s is another one", (_what, vector, line) => {
    write("changed.json", { vectors: [vector, good] });
    expect(run(folder)).toBe(1);
    expect(printed.join("\n")).toMatch(line);
    expect(printed.at(-1)).toBe("1 passed, 1 failed, 0 skipped");
  });

  it("fails on files that are broken", () => {
    write("cut.json", '{ "protocol": "vrrp", "vectors": [');
    write("empty.json", { protocol: "vrrp" });
    write("odd.json", { vectors: [7] });
    expect(run(folder)).toBe(1);
    expect(printed.join("\n")).toMatch(/failed {2}cut.json\n +not readable as JSON/);
    expect(printed.join("\n")).toMatch(/failed {2}empty.json\n +malformed: it has no list "vectors"/);
    expect(printed.at(-1)).toBe("0 passed, 3 failed, 0 skipped");
  });

  it("says what is wrong with the call", () => {
    expect(run("a", "b")).toBe(2);
    expect(run("--all")).toBe(2);
    expect(run(join(folder, "nowhere"))).toBe(2);
    write("notes.json", {});
    expect(run(folder)).toBe(2);
    expect(complained[0]).toMatch(/^usage/);
    expect(complained[2]).toMatch(/is no folder/);
    expect(complained[3]).toMatch(/no test vector file/);
    expect(printed).toEqual([]);
  });
});
