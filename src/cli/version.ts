/** `firsthop version`, and where the version comes from. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { print } from "./output.js";

/** The version in package.json, which lies two folders above in the source tree and in the package alike. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

export function versionCommand(): Command {
  return new Command("version")
    .description("Prints the version of firsthop.")
    .addHelpText("after", "\nExample:\n  firsthop version\n")
    .action(() => print(version()));
}
