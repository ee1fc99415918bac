/** `firsthop explain NAME`: why a virtual router is what it is, and what would change it. */
import { Command } from "commander";
import type { Explanation } from "../engine/status.js";
import { socketOption, withDaemon } from "./daemon.js";
import { color, print, printJson } from "./output.js";

interface ExplainOptions {
  readonly json?: true;
  readonly socket: string;
}

export function explainCommand(): Command {
  return new Command("explain")
    .description("Tells why a virtual router is Active, Backup or in fault, and what would change that.")
    .argument("<name>", "IFNAME/VRID, with /ipv6 where both families use it")
    .option("--json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExample:\n  firsthop explain eth0/10\n")
    .action(async (name: string, options: ExplainOptions) => {
      const explanation = (await withDaemon(options.socket, (client) =>
        client.request("explain", { name }),
      )) as Explanation;
      if (options.json) printJson(explanation);
      else print(renderExplanation(explanation));
    });
}

export function renderExplanation(explanation: Explanation): string {
  const list = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [color.dim(title), ...lines.map((line) => `  - ${line}`)];
  return [
    `${color.bold(explanation.name)}: ${explanation.summary}`,
    ...list("because", explanation.because),
    ...list("what would change it", explanation.next),
  ].join("\n");
}
