/** What every command that speaks with a running daemon shares. */
import { Option } from "commander";
import { type ControlClient, connectControl } from "../control/client.js";
import { DEFAULT_SOCKET } from "../control/protocol.js";

export function socketOption(): Option {
  return new Option("--socket <path>", "control socket of the daemon")
    .default(DEFAULT_SOCKET)
    .env("FIRSTHOP_SOCKET");
}

/** Runs `use` with a connection to the daemon, and closes it whatever happens. */
export async function withDaemon<Result>(
  path: string,
  use: (client: ControlClient) => Promise<Result>,
): Promise<Result> {
  const client = await connectControl(path);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
