/** `firsthop lab`: builds a small network, breaks it, and shows what a host's traffic felt. */
import { Command, Option } from "commander";
import pc from "picocolors";
import { parseDuration } from "../config/units.js";
import { FirsthopError } from "../errors.js";
import type { LabReporter, LabSettings } from "../lab/model.js";
import { ASCII, SOBER, type Style, UNICODE } from "../lab/render.js";
import { jsonDocument, plainReporter, SILENT_REPORTER, terminalReporter } from "../lab/reporters.js";
import { type LabOutcome, runLab } from "../lab/runner.js";
import { findScenarios, SCENARIOS, TOUR } from "../lab/scenarios.js";
import { openScreen, type Screen } from "../lab/screen.js";
import type { LabFamily } from "../lab/topology.js";
import type { World } from "../lab/world.js";
import { color, EXIT, print, printJson, table } from "./output.js";

interface LabOptions {
  readonly list?: true;
  readonly json?: true;
  readonly keep?: true;
  readonly interval?: number;
  readonly rate: number;
  readonly family: LabFamily;
}

const DEFAULT_INTERVAL_MS = 100;
const VRID = 10;
const PRIORITIES = [150, 100];
const LOWEST_RATE = 100;
const HIGHEST_RATE = 50_000;

const EXAMPLES = `
Examples:
  sudo firsthop lab                      the whole tour: every failure, every come-back
  sudo firsthop lab lines --interval 1s  one scenario, with the interval that VRRP has by default
  sudo firsthop lab --family ipv6        the tour for IPv6
  sudo firsthop lab lines --keep         leaves the lab running, for looking around
  sudo firsthop lab --json | jq .kept    for scripts; the exit code says the same
`;

export function labCommand(): Command {
  return new Command("lab")
    .description(
      "Builds two routers, a host and an upstream in private network namespaces, runs real daemons in them, breaks " +
        "things, and shows what happened to the host's traffic. Needs root; touches nothing outside its namespaces.",
    )
    .argument("[scenario]", `one of those that --list names, or ${TOUR} for all of them`, TOUR)
    .option("--list", "list the scenarios")
    .option("-j, --json", "print one JSON document at the end")
    .option("--interval <duration>", "advertisement interval, 10ms to 40.95s (default: 100ms)", intervalMs)
    .option("--rate <packets>", "packets a second that the host sends", rate, 1000)
    .addOption(new Option("--family <family>", "address family").choices(["ipv4", "ipv6"]).default("ipv4"))
    .option("--keep", "leave the lab running at the end, until Ctrl-C")
    .addHelpText("after", EXAMPLES)
    .action(async (scenario: string, options: LabOptions) => {
      if (options.list) return list(options.json === true);
      process.exitCode = await run(scenario, options);
    });
}

function list(json: boolean): void {
  const rows = [{ name: TOUR, summary: "all of them, and the first once more at 10 ms" }, ...SCENARIOS];
  if (json) printJson(rows.map(({ name, summary }) => ({ name, summary })));
  else
    print(
      table(
        ["SCENARIO", "WHAT HAPPENS"],
        rows.map(({ name, summary }) => [name, summary]),
      ),
    );
}

function intervalMs(text: string): number {
  const us = parseDuration(text);
  if (typeof us === "number" && us >= 10_000 && us <= 40_950_000 && us % 10_000 === 0) return us / 1000;
  throw new FirsthopError(
    "USAGE",
    `--interval ${text}: give 10ms to 40.95s in steps of 10ms, like 100ms or 1s`,
  );
}

function rate(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= LOWEST_RATE && value <= HIGHEST_RATE) return value;
  throw new FirsthopError("USAGE", `--rate ${text}: give ${LOWEST_RATE} to ${HIGHEST_RATE} packets a second`);
}

async function run(name: string, options: LabOptions): Promise<number> {
  const scenarios = findScenarios(name);
  if (!scenarios) {
    const names = [TOUR, ...SCENARIOS.map((one) => one.name)].join(", ");
    throw new FirsthopError("USAGE", `no scenario is called "${name}": choose one of ${names}`);
  }
  const settings: LabSettings = {
    family: options.family,
    intervalMs: options.interval ?? DEFAULT_INTERVAL_MS,
    rate: options.rate,
    vrid: VRID,
    priorities: PRIORITIES,
  };
  const fastFinale = name === TOUR && options.interval === undefined;
  const screen = !options.json && process.stdout.isTTY ? openScreen(process.stdout) : null;
  endTidily(screen);
  try {
    const plan = { settings, scenarios, fastFinale, keep: options.keep === true };
    const outcome = await runLab(plan, reporterFor(options, screen));
    if (options.json) {
      printJson(jsonDocument(settings, outcome.results, outcome.kept, outcome.elapsedMs));
    }
    await keepRunning(outcome);
    return outcome.kept ? EXIT.ok : EXIT.no;
  } finally {
    screen?.close();
  }
}

function reporterFor(options: LabOptions, screen: Screen | null): LabReporter {
  if (options.json) return SILENT_REPORTER;
  return screen ? terminalReporter(screen, terminalStyle()) : plainReporter(print, SOBER);
}

/** Colours as everywhere in the command; glyphs that a terminal without UTF-8 can show. */
function terminalStyle(): Style {
  const locale = process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || "";
  const ascii = process.env.TERM === "linux" || !/utf-?8/i.test(locale);
  return {
    glyphs: ascii ? ASCII : UNICODE,
    bold: color.bold,
    dim: color.dim,
    good: color.green,
    bad: color.red,
    warn: color.yellow,
    router: [color.cyan, color.magenta],
  };
}

/** The lab removes itself at the end of the process; the cursor is ours to give back. */
function endTidily(screen: Screen | null): void {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const signal of Object.keys(codes) as (keyof typeof codes)[]) {
    process.once(signal, () => {
      screen?.close();
      process.exit(codes[signal]);
    });
  }
}

/** With --keep: says how to look around, and stays until Ctrl-C. */
async function keepRunning(outcome: LabOutcome): Promise<void> {
  const { world } = outcome;
  if (!world) return;
  console.error(lookAround(world));
  await new Promise<never>(() => {
    setInterval(() => {}, 1 << 30);
  });
}

function lookAround(world: World): string {
  const { lab } = world;
  const [r1] = lab.routers;
  return [
    "",
    `The lab goes on: ${pc.bold("Ctrl-C")} removes it. In another terminal:`,
    `  firsthop show --socket ${lab.directory}/r1-firsthop.sock`,
    `  firsthop events --history --socket ${lab.directory}/r2-firsthop.sock`,
    `  ip netns exec ${r1!.namespace} ip -d addr`,
    `  ip netns exec ${lab.lan.namespace} tcpdump -ni br0 vrrp`,
    `  ip -n ${lab.lan.namespace} link set r1 down`,
  ].join("\n");
}
