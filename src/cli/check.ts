/** `firsthop check`: every problem of a configuration file in one go. */
import { Command } from "commander";
import { formatProblems, readConfig } from "../config/index.js";
import { configOption } from "./config-file.js";
import { EXIT, print, printJson } from "./output.js";

interface CheckOptions {
  readonly config: string;
  readonly json?: true;
}

export function checkCommand(): Command {
  return new Command("check")
    .description(
      "Checks a configuration file: each problem with its line, what is wrong and what would be right.",
    )
    .addOption(configOption())
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  firsthop check -c firsthop.yaml\n")
    .action((options: CheckOptions) => {});
}
