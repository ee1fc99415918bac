/** The configuration file as commands use it: which one, and what to say about its problems. */
import { Option } from "commander";

export const DEFAULT_CONFIG = "/etc/firsthop/firsthop.yaml";

export function configOption(): Option {
  return new Option("-c, --config <file>", "configuration file")
    .default(DEFAULT_CONFIG)
    .env("FIRSTHOP_CONFIG");
}
