/** `firsthop run`: the daemon, in the foreground. */
import { Command, Option } from "commander";
import { DEFAULT_SOCKET } from "../control/protocol.js";
import { DEFAULT_STATE_DIRECTORY } from "../engine/defaults.js";
import { FirsthopError } from "../errors.js";
import { configOption, type LoadedConfig, loadConfig } from "./config-file.js";
import { createLogger, defaultFormat } from "./log.js";
import { runService } from "./service.js";

interface RunOptions {
  readonly config: string;
  readonly socket?: string;
  readonly stateDirectory: string;
  readonly handover?: boolean;
}

export function runCommand(): Command {
  return new Command("run")
    .description(
      "Runs the daemon in the foreground. SIGHUP reads the configuration again; SIGTERM and SIGINT hand over to " +
        "another router before the daemon ends, a second one ends it at once. SIGUSR2 starts what is installed now, " +
        "which goes on with the work without a change of state.",
    )
    .addOption(configOption())
    .addOption(
      new Option(
        "--socket <path>",
        `control socket (default: control.socket of the file, else ${DEFAULT_SOCKET})`,
      ).env("FIRSTHOP_SOCKET"),
    )
    .option(
      "--state-directory <directory>",
      "what must survive a restart is kept here",
      DEFAULT_STATE_DIRECTORY,
    )
    .option(
      "--handover",
      "take over from the daemon that runs on the control socket, without a change of state; start anew if none does",
    )
    .addHelpText("after", "\nExample:\n  sudo firsthop run -c /etc/firsthop/firsthop.yaml\n")
    .action(async (options: RunOptions) => {
      const loaded = loadOrExplain(options.config);
      const { config } = loaded;
      await runService({
        loaded,
        reread: () => loadConfig(options.config),
        configFile: options.config,
        socket: options.socket ?? config.control.socket,
        stateDirectory: options.stateDirectory,
        handover: options.handover ?? false,
        command: process.argv.slice(2),
        log: createLogger(config.log.level, config.log.format ?? defaultFormat()),
      });
      process.exit(0);
    });
}

/** All problems, one a line as `check` prints them, before the line that says what follows from them. */
function loadOrExplain(file: string): LoadedConfig {
  try {
    return loadConfig(file);
  } catch (error) {
    if (!(error instanceof FirsthopError) || error.code !== "CONFIG_INVALID") throw error;
    process.stderr.write(`${error.message}\n`);
    throw new FirsthopError("CONFIG_INVALID", `${file} cannot be used (see above): nothing was started`);
  }
}
