/** What every command that speaks with a running daemon shares. */
import { Option } from "commander";
import { DEFAULT_SOCKET } from "../control/protocol.js";

export { withDaemon } from "../control/client.js";

export function socketOption(): Option {
  return new Option("--socket <path>", "control socket of the daemon")
    .default(DEFAULT_SOCKET)
    .env("FIRSTHOP_SOCKET");
}
