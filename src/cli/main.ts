#!/usr/bin/env node
/**
 * The command `firsthop`. Only the module of the command that was asked for is loaded, so that `show` in a
 * loop or a shell completion costs no more than Node itself.
 */
import { Command, CommanderError } from "commander";
import { FirsthopError } from "../errors.js";
import { COMMANDS, ELSEWHERE } from "./commands.js";
import { startSmall } from "./footprint.js";
import { complain, EXIT, endQuietlyOnBrokenPipe, exitCodeOf, messageOf } from "./output.js";
import { version } from "./version.js";

/** Builds the program with `wanted` loaded in full, the others by name only. */
async function buildProgram(wanted: string | undefined): Promise<Command> {
  const program = new Command("firsthop")
    .description("First-hop redundancy for Linux: VRRP version 2 and 3, for IPv4 and IPv6.")
    .version(version(), "-V, --version", "print the version")
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      "\nExample:\n  firsthop check -c firsthop.yaml && sudo firsthop run -c firsthop.yaml\n",
    );
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = name === wanted ? await entry.load() : new Command(name);
    if (command.description() === "") command.description(entry.summary);
    command.summary(entry.summary);
    program.addCommand(command);
  }
  bindErrors(program);
  return program;
}

function bindErrors(command: Command): void {
  command.exitOverride();
  command.configureOutput({ outputError: () => {} });
  for (const child of command.commands) bindErrors(child);
}

/** Which command the arguments name, the `help NAME` form included. */
function commandOf(args: readonly string[]): string | undefined {
  const words = args.filter((word) => !word.startsWith("-"));
  return words[0] === "help" ? words[1] : words[0];
}

/** One line for what commander found wrong: without its prefix, with where to read on. */
function usageMessage(error: CommanderError, name: string | undefined): string {
  const known = name !== undefined && Object.hasOwn(COMMANDS, name);
  if (name !== undefined && Object.hasOwn(ELSEWHERE, name))
    return `unknown command '${name}': ${ELSEWHERE[name]}`;
  const text = error.message
    .replace(/^error: /, "")
    .replace(/\.$/, "")
    .replace(/\n\((.*)\)$/, " ($1)");
  return `${text}; see \`firsthop ${known ? `${name} ` : ""}--help\``;
}

async function main(args: readonly string[]): Promise<number> {
  const name = commandOf(args);
  if (name === "run" || name === "vrrpd") startSmall();
  try {
    const program = await buildProgram(name);
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    if (args[0] === "help" && name !== undefined && !Object.hasOwn(COMMANDS, name)) {
      throw new FirsthopError("USAGE", `unknown command '${name}'; see \`firsthop --help\``);
    }
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      complain(usageMessage(error, name));
      return EXIT.usage;
    }
    complain(messageOf(error));
    if (process.env.FIRSTHOP_DEBUG !== undefined) console.error(error);
    return exitCodeOf(error);
  }
}

endQuietlyOnBrokenPipe();
process.exitCode = await main(process.argv.slice(2));
