/** `firsthop reload`: the running daemon reads its file again; what came of it. */
import { Command } from "commander";
import type { ReloadResult } from "../engine/router.js";
import { FirsthopError } from "../errors.js";
import { socketOption, withDaemon } from "./daemon.js";
import { reloadText } from "./events.js";
import { print, printJson } from "./output.js";

interface ReloadOptions {
  readonly json?: true;
  readonly socket: string;
}

/** Virtual routers that leave hand over first, and thousands that come take their time. */
const TIMEOUT_MS = 120_000;

export function reloadCommand(): Command {
  return new Command("reload")
    .description(
      "Lets the running daemon read its configuration again, as SIGHUP does, and tells what changed. What did not " +
        "change does not flap. Of a file with errors every problem is printed, and nothing changes.",
    )
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExample:\n  firsthop check && firsthop reload\n")
    .action(async ({ json, socket }: ReloadOptions) => {
      const result = (await withDaemon(socket, (client) =>
        client.request("reload", {}, { timeoutMs: TIMEOUT_MS }),
      ).catch(explainProblems)) as ReloadResult;
      if (json) printJson(result);
      else print(`reloaded: ${reloadText(result)}`);
    });
}

/** All problems, one a line as `check` prints them, before the line that says what follows from them. */
function explainProblems(error: unknown): never {
  if (!(error instanceof FirsthopError) || error.code !== "CONFIG_INVALID") throw error;
  process.stderr.write(`${error.message}\n`);
  throw new FirsthopError("CONFIG_INVALID", "the file cannot be used (see above): nothing changed");
}
