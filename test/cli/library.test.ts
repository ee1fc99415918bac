/** The package as a library: what a program that imports it gets, in a process of its own. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import type { FirsthopRouter, RouterEvent } from "../../src/index.js";
import { bequeath, ipBatch, newEstateName } from "../../src/lab/namespaces.js";
import { execute, MAIN } from "./command.js";

const INDEX = JSON.stringify(new URL("../index.js", `file://${MAIN}`).href);
const IS_ROOT = process.getuid?.() === 0;
const WHY = IS_ROOT ? "" : " (skipped: needs root for network namespaces)";

/** Runs a module that imports the package as `firsthop`, perhaps in a namespace. */
function run(body: string, namespace?: string) {
  const code = `const firsthop = await import(${INDEX});\n${body}`;
  const node = [process.execPath, "--input-type=module", "-e", code];
  return namespace === undefined
    ? execute(node[0] as string, node.slice(1))
    : execute("ip", ["netns", "exec", namespace, ...node]);
}

describe("types", () => {
  it("of events follow from their names", () => {
    type On = FirsthopRouter["on"];
    const listen = (on: On): void => {
      on("stateChange", (event) =>
        expectTypeOf(event.to).toEqualTypeOf<Extract<RouterEvent, { type: "stateChange" }>["to"]>(),
      );
      on("warning", (event) => expectTypeOf(event.code).toEqualTypeOf<string>());
      on("reload", (event) => expectTypeOf(event.added).toEqualTypeOf<readonly string[]>());
    };
    expectTypeOf(listen).toBeFunction();
  });
});

describe("without types", () => {
  it("what defineConfig never saw is refused in one line, and so is nothing at all", async () => {
    const { stdout } = await run(`
      const say = (error) => console.log(error.code, error.message);
      await firsthop.openRouter().catch(say);
      await firsthop.openRouter({ virtualRouters: [{ interface: "eth0", vrid: 10 }] }).catch(say);
      try { firsthop.defineConfig() } catch (error) { say(error) }
    `);
    const usage = "USAGE a configuration is expected as defineConfig({ ... }) returns it\n";
    const nothing = "CONFIG_INVALID configuration: a block of keys is expected: begin with virtualRouters:\n";
    expect(stdout).toBe(usage + usage + nothing);
  });
});

describe("on another system", () => {
  it("everything pure works, and opening a router fails with one clear error", async () => {
    const { code, stdout, stderr } = await run(`
      Object.defineProperty(process, "platform", { value: "darwin" });
      const config = firsthop.defineConfig({
        virtualRouters: [{ interface: "en0", vrid: 10, addresses: ["192.0.2.1/24"] }],
      });
      console.log(config.virtualRouters[0].name);
      await firsthop.openRouter(config).catch((error) => console.log(error.code, error.message));
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^en0\/10\nNATIVE_UNAVAILABLE routers run on Linux only, this is darwin;[^\n]*\n$/,
    );
  });
});

describe.runIf(IS_ROOT)(`on Linux${WHY}`, () => {
  let namespace: string;
  let state: string;
  let clear: () => void;

  beforeEach(async () => {
    const estate = newEstateName();
    namespace = `${estate.name}-lib`;
    state = JSON.stringify(estate.directory);
    clear = bequeath([namespace], estate.directory);
    await ipBatch([`netns add ${namespace}`]);
    const wire = "link add lan0 type veth peer name lan1";
    await ipBatch(
      [wire, "link set lan1 up", "link set lan0 up", "addr add 192.0.2.2/24 dev lan0"],
      namespace,
    );
  });
  afterEach(() => clear());

  const CONFIG = `const define = (...vrids) => firsthop.defineConfig({
    virtualRouters: vrids.map((vrid) => ({
      interface: "lan0", vrid, addresses: ["192.0.2." + vrid + "/24"], advertisementInterval: "20ms",
    })),
  });
  const active = (router, name) => new Promise((resolve) => {
    const isActive = () => router.status().virtualRouters.some((one) => one.name === name && one.state === "active");
    const unfollow = router.on("stateChange", () => { if (isActive()) { unfollow(); resolve(); } });
    if (isActive()) { unfollow(); resolve(); }
  });`;

  it("opens, tells, reloads and closes, and then lets the process end", async () => {
    const { code, stdout, stderr } = await run(
      `${CONFIG}
      const router = await firsthop.openRouter(define(10), { stateDirectory: ${state} });
      router.on("stateChange", (event) => console.log(event.type, event.name, event.from, event.to));
      await active(router, "lan0/10");
      console.log(JSON.stringify(await router.reload(define(10, 20))));
      await active(router, "lan0/20");
      console.log(router.explain("lan0/20").state, router.recentEvents().length > 3, router.flightRecorder().length > 0);
      await router[Symbol.asyncDispose]();
      `,
      namespace,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("stateChange lan0/10 backup active\n");
    expect(stdout).toContain(
      '{"added":["lan0/20"],"removed":[],"changed":[],"unchanged":["lan0/10"],"settings":[]}\n',
    );
    expect(stdout).toContain("active true true\n");
    expect((await execute("ip", ["-n", namespace, "-o", "link"])).stdout.trim().split("\n")).toHaveLength(3);
  });

  it("what a listener throws is the program's error, not the router's", async () => {
    const { code, stdout } = await run(
      `${CONFIG}
      const errors = [];
      process.on("uncaughtException", (error) => errors.push(error.message));
      const router = await firsthop.openRouter(define(10), { stateDirectory: ${state} });
      router.on("stateChange", () => { throw new Error("mine"); });
      await active(router, "lan0/10");
      console.log(errors.includes("mine"), router.status().virtualRouters[0].state);
      await router.close();
      `,
      namespace,
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "true active\n" });
  });

  const HAS_TCPDUMP = spawnSync("tcpdump", ["--version"]).status === 0;
  const resigns = `a program that just exits resigns first${HAS_TCPDUMP ? "" : " (skipped: tcpdump is not installed)"}`;
  it.runIf(HAS_TCPDUMP)(resigns, async () => {
    const watch = execute("ip", [
      ...["netns", "exec", namespace, "timeout", "10", "tcpdump", "-i", "lan1", "-l", "-n", "-c", "1"],
      "vrrp and ip[22] = 0",
    ]);
    const { code } = await run(
      `${CONFIG}
      const router = await firsthop.openRouter(define(10), { stateDirectory: ${state} });
      await active(router, "lan0/10");
      process.exit(3);
      `,
      namespace,
    );
    expect(code).toBe(3);
    expect((await watch).stdout).toMatch(/prio 0/);
  });
});

describe("docs/simulation.md", () => {
  it("has an example that runs as it stands there: no packet is lost or doubled", async () => {
    const page = readFileSync(new URL("../../docs/simulation.md", import.meta.url), "utf8");
    const example = /^```ts\n(.*?)^```$/ms.exec(page)?.[1] ?? "";
    const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
    const { outputText } = ts.transpileModule(example, { compilerOptions: options });
    const args = ["--input-type=module", "-e", outputText];
    expect(await execute(process.execPath, args)).toMatchObject({ code: 0, stderr: "", stdout: "[]\n" });
  });
});
