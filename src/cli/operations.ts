/** `firsthop drain|undrain|priority|switchover`: moves work at run time, without editing a file. */
import { Command } from "commander";
import { parseDuration } from "../config/units.js";
import type { ControlClient } from "../control/client.js";
import type { Outcome, SwitchoverMove, SwitchoverReport } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import { socketOption, withDaemon } from "./daemon.js";
import { color, EXIT, print, printJson, shortDuration } from "./output.js";

interface Common {
  readonly json?: true;
  readonly socket: string;
}

const NAME = "IFNAME/VRID, with /ipv6 where both families use it";
const LIFETIME =
  "It holds across a reload of the configuration, and ends with the daemon. A virtual router of a sync group (mode all) " +
  "moves together with the others.";
const DRAIN =
  "Takes virtual routers out of the election, for maintenance: who is Active hands over first and forwards until its " +
  "successor is heard, so no packet is lost. Where nobody takes over, it stays Active and is not drained (exit code 1), " +
  "unless --force says so. A drained virtual router is in fault with the cause `drained`, and does not become Active " +
  `even when no other router is left. ${LIFETIME}`;
/** A hand-over may take as long as the Skew_Time of priority 1: 41 s at the longest interval of v3. */
const HAND_OVER_TIMEOUT_MS = 300_000;
const TEST_MAX_US = 24 * 3_600_000_000;

export function drainCommand(): Command {
  return named(new Command("drain").description(DRAIN))
    .option("--force", "drain it even where nobody takes over: then nobody forwards")
    .addHelpText("after", "\nExamples:\n  firsthop drain eth0/10\n  firsthop drain --all && reboot\n")
    .action(async (names: string[], options: Common & { all?: true; force?: true }) => {
      const params = { ...chosen(names, options.all), force: options.force === true };
      await tell(options, (client) => client.request("drain", params, { timeoutMs: HAND_OVER_TIMEOUT_MS }));
    });
}

export function undrainCommand(): Command {
  const description =
    "Lets drained virtual routers take part in the election again; after `switchover` it ends the holding back.";
  return named(new Command("undrain").description(description))
    .addHelpText("after", "\nExample:\n  firsthop undrain --all\n")
    .action(async (names: string[], options: Common & { all?: true }) => {
      await tell(options, (client) => client.request("undrain", chosen(names, options.all)));
    });
}

export function priorityCommand(): Command {
  return new Command("priority")
    .description(
      `Sets the base priority of a virtual router, to which trackers add; \`reset\` goes back to the configured one. ${LIFETIME}`,
    )
    .argument("<name>", NAME)
    .argument("<priority>", "1 to 254, or reset")
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExamples:\n  firsthop priority eth0/10 50\n  firsthop priority eth0/10 reset\n")
    .action(async (name: string, wanted: string, options: Common) => {
      const priority = wanted === "reset" ? null : Number(wanted);
      if (priority !== null && !/^\d+$/.test(wanted))
        throw new FirsthopError("USAGE", `'${wanted}' is no priority: 1 to 254, or reset`);
      await tell(options, async (client) => [await client.request("priority", { name, priority })]);
    });
}

export function switchoverCommand(): Command {
  return new Command("switchover")
    .description(
      "Hands a virtual router that is Active here over to the best Backup, and reports who took over and how long " +
        "nobody advertised. This router forwards until it hears the successor, and does not preempt it afterwards: until " +
        "it was Active again (because the other one failed, or by its own switchover), or until `undrain`. With --test " +
        `it moves back after --for; the other one forwards until it hears this router again. ${LIFETIME}`,
    )
    .argument("<name>", NAME)
    .option("--test", "move back after a while")
    .option("--for <duration>", "how long the test lasts", "30s")
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText(
      "after",
      "\nExamples:\n  firsthop switchover eth0/10\n  firsthop switchover eth0/10 --test --for 5s\n",
    )
    .action(async (name: string, options: Common & { test?: true; for: string }, command: Command) => {
      const given = command.getOptionValueSource("for") !== "default";
      if (given && !options.test) throw new FirsthopError("USAGE", "--for goes with --test");
      const testForUs = options.test ? testDuration(options.for) : null;
      const timeoutMs = HAND_OVER_TIMEOUT_MS + (testForUs ?? 0) / 1000;
      const report = (await withDaemon(options.socket, (client) =>
        client.request("switchover", { name, testForUs }, { timeoutMs }),
      )) as SwitchoverReport;
      if (options.json) printJson(report);
      else print(renderSwitchover(report));
      if (!report.done) process.exitCode = EXIT.no;
    });
}

function named(command: Command): Command {
  return command
    .argument("[names...]", NAME)
    .option("--all", "every virtual router of the daemon")
    .option("-j, --json", "print JSON")
    .addOption(socketOption());
}

function chosen(names: readonly string[], all: true | undefined): Record<string, unknown> {
  if (all && names.length > 0) throw new FirsthopError("USAGE", "either names or --all, not both");
  if (!all && names.length === 0)
    throw new FirsthopError("USAGE", "the name of a virtual router is needed, or --all");
  return all ? { all: true } : { names };
}

function testDuration(text: string): number {
  const us = parseDuration(text);
  if (typeof us !== "number") throw new FirsthopError("USAGE", `--for: ${us.error}`);
  if (us > TEST_MAX_US) throw new FirsthopError("USAGE", `--for: ${text} is too long: at most 24h`);
  return us;
}

async function tell(options: Common, ask: (client: ControlClient) => Promise<unknown>): Promise<void> {
  const outcomes = (await withDaemon(options.socket, ask)) as readonly Outcome[];
  if (options.json) printJson(outcomes);
  else for (const one of outcomes) print(outcomeLine(one));
  if (outcomes.some((one) => !one.done)) process.exitCode = EXIT.no;
}

export function outcomeLine({ name, done, detail }: Outcome): string {
  return `${done ? color.green("ok") : color.red("no")}  ${name}: ${detail}`;
}

export function renderSwitchover({ moves, back }: SwitchoverReport): string {
  return [
    ...moves.map((move) => moveLine("away", move)),
    ...(back ?? []).map((move) => moveLine("back", move)),
  ].join("\n");
}

function moveLine(way: string, move: SwitchoverMove): string {
  const silent = move.silentMs === null ? "" : `, nobody advertised for ${shortDuration(move.silentMs)}`;
  const outage = move.outageMs === null ? "" : `; outage ${shortDuration(move.outageMs)}${silent}`;
  return `${outcomeLine({ ...move, name: `${way} ${move.name}` })}${outage}`;
}
