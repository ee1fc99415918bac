/** `firsthop recorder`: the last inputs of the state machines, for a bug report. */
import { Command } from "commander";
import { socketOption, withDaemon } from "./daemon.js";

export function recorderCommand(): Command {
  return new Command("recorder")
    .description(
      "Prints the flight recorder of the running daemon: the last 4,096 inputs of its state machines, one JSON " +
        "document a line. It belongs into a bug report; the same inputs lead to the same decisions.",
    )
    .addOption(socketOption())
    .addHelpText("after", "\nExample:\n  firsthop recorder > firsthop.jsonl\n")
    .action(async ({ socket }: { readonly socket: string }) => {
      process.stdout.write((await withDaemon(socket, (client) => client.request("recorder"))) as string);
    });
}
