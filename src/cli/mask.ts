/** `firsthop mask`: whom no check of the running daemon looks at. */
import { Command } from "commander";
import type { MaskStatus } from "../engine/status.js";
import { socketOption, withDaemon } from "./daemon.js";
import { color, print, printJson, table } from "./output.js";

interface MaskOptions {
  readonly json?: true;
  readonly socket: string;
}

export function maskCommand(): Command {
  const command = new Command("mask")
    .description(
      "Shows and changes the mask table: IP prefixes and MAC addresses that no check looks at. What is added or " +
        "lifted here stays so until the daemon ends, also over a reload; the configuration file has the rest.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  firsthop mask list\n  firsthop mask add 192.0.2.128/25\n  firsthop mask del 02:00:00:00:00:17\n",
    );
  command
    .command("list")
    .description("Lists the entries, and where each of them comes from.")
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExample:\n  firsthop mask list --json\n")
    .action(async (options: MaskOptions) => {
      const entries = await request<readonly MaskStatus[]>(options, { action: "list" });
      if (options.json) printJson({ mask: entries });
      else print(maskTable(entries));
    });
  command.addCommand(
    change("add", "Adds an entry; one of the file that was lifted is in force again.", "is masked"),
  );
  command.addCommand(
    change(
      "del",
      "Takes an entry out; one of the file is lifted until the daemon ends.",
      "is not masked any more",
    ),
  );
  return command;
}

function change(action: "add" | "del", description: string, done: string): Command {
  return new Command(action)
    .description(description)
    .argument("<entry>", "an IP prefix (192.0.2.128/25), an address or a MAC address (02:00:00:00:00:17)")
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", `\nExample:\n  firsthop mask ${action} 192.0.2.128/25\n`)
    .action(async (entry: string, options: MaskOptions) => {
      const status = await request<MaskStatus>(options, { action, entry });
      if (options.json) printJson(status);
      else print(`${status.entry} ${done}`);
    });
}

async function request<Result>(options: MaskOptions, params: Record<string, unknown>): Promise<Result> {
  return (await withDaemon(options.socket, (client) => client.request("mask", params))) as Result;
}

function maskTable(entries: readonly MaskStatus[]): string {
  if (entries.length === 0) return "nothing is masked";
  return table(
    ["ENTRY", "FROM", "STATE"],
    entries.map(({ entry, origin, inForce }) => [
      entry,
      origin === "runtime" ? "run time" : "configuration",
      inForce ? "in force" : color.yellow("lifted at run time"),
    ]),
  );
}
