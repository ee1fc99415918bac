/** `firsthop explain NAME`: why a virtual router is what it is, and what would change it. */
import { Command } from "commander";
import { explainVirtualRouter } from "../engine/explain.js";
import type { Explanation, RouterStatus } from "../engine/status.js";
import { socketOption, withDaemon } from "./daemon.js";
import { color, print, printJson } from "./output.js";

interface ExplainOptions {
  readonly json?: true;
  readonly socket: string;
}

export function explainCommand(): Command {
  return new Command("explain")
    .description("Tells why a virtual router is Active, Backup or in fault, and what would change that.")
    .argument("[name]", "IFNAME/VRID, with /ipv6 where both families use it; default: all")
    .option("-j, --json", "print JSON")
    .addOption(socketOption())
    .addHelpText("after", "\nExample:\n  firsthop explain eth0/10\n")
    .action(async (name: string | undefined, options: ExplainOptions) => {
      const found = await withDaemon(options.socket, async (client) => {
        if (name !== undefined) return (await client.request("explain", { name })) as Explanation;
        const status = (await client.request("status")) as RouterStatus;
        return status.virtualRouters.map((one) => explainVirtualRouter(one, status));
      });
      if (options.json) printJson(found);
      else print([found].flat().map(renderExplanation).join("\n\n"));
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
