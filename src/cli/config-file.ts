/** The configuration file as the daemon uses it: which one, and who hears of its problems. */
import { Option } from "commander";
import { type Config, checkConfigFile, formatProblems } from "../config/index.js";
import { FirsthopError } from "../errors.js";

export const DEFAULT_CONFIG = "/etc/firsthop/firsthop.yaml";

export function configOption(): Option {
  return new Option("-c, --config <file>", "configuration file")
    .default(DEFAULT_CONFIG)
    .env("FIRSTHOP_CONFIG");
}

export interface LoadedConfig {
  readonly config: Config;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** @throws FirsthopError CONFIG_UNREADABLE, or CONFIG_INVALID with one line a problem */
export function loadConfig(file: string): LoadedConfig {
  const { config, problems } = checkConfigFile(file);
  const lines = problems.length === 0 ? [] : formatProblems(file, problems).split("\n");
  if (config === null) throw new FirsthopError("CONFIG_INVALID", lines.join("\n"));
  return { config, warnings: lines };
}
