/** `firsthop check`: every problem of a configuration file in one go. */
import { Command } from "commander";
import { type CheckedFile, checkConfigFile, formatProblems } from "../config/index.js";
import { FirsthopError } from "../errors.js";
import { configOption } from "./config-file.js";
import { coverageJson, renderCoverage } from "./failures.js";
import { color, EXIT, listed, print, printJson } from "./output.js";

interface CheckOptions {
  readonly config: string;
  readonly json?: true;
  readonly failures?: true;
}

export function checkCommand(): Command {
  return new Command("check")
    .description(
      "Checks a configuration file: each problem with its place, what is wrong and what would be right.",
    )
    .addOption(configOption())
    .option("--failures", "tell which kinds of failure it survives, how fast, and what would close each hole")
    .option("-j, --json", "print JSON")
    .addHelpText(
      "after",
      "\nExit: 0 the file can be used, 1 it cannot.\n\nExamples:\n  firsthop check -c firsthop.yaml\n" +
        "  firsthop check -c firsthop.yaml --failures\n",
    )
    .action((options: CheckOptions) => {
      const { file, text, config, problems } = options.json
        ? checkedWhateverItIs(options.config)
        : checkConfigFile(options.config);
      process.exitCode = config === null ? EXIT.no : EXIT.ok;
      if (options.json) {
        const failures = options.failures && config ? { failures: coverageJson(config) } : {};
        printJson({ file, valid: config !== null, problems, ...failures });
        return;
      }
      // A person sees the line that each is about; a program gets one line a problem.
      const excerpts = process.stdout.isTTY ? { text, color: color.isColorSupported } : {};
      if (problems.length > 0) print(formatProblems(file, problems, excerpts));
      if (config === null) {
        print(color.red(`${file} cannot be used: ${count(problems.length, "problem")}`));
      } else {
        const names = listed(config.virtualRouters.map((one) => one.name));
        print(
          color.green(
            `${file} is right: ${count(config.virtualRouters.length, "virtual router")} (${names})`,
          ),
        );
        if (options.failures) print(`\n${renderCoverage(config)}`);
      }
    });
}

/** Where a program reads, a file that can't be read is a file with a problem. */
function checkedWhateverItIs(file: string): CheckedFile {
  try {
    return checkConfigFile(file);
  } catch (error) {
    if (!(error instanceof FirsthopError) || error.code !== "CONFIG_UNREADABLE") throw error;
    const message = error.message.replace(`${file}: `, () => "");
    const problem = { severity: "error", path: [], message, line: null, column: null } as const;
    return { file, text: "", config: null, problems: [problem] };
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
