/** Sockets that leave by a named interface and address: made by the addon, used by Node. */
import { Socket } from "node:net";
import { loadNative } from "../../../native.js";
import type { ProbePath } from "../../driver.js";
import { errnoName } from "../refusal.js";

export interface Endpoint extends ProbePath {
  readonly address: string;
  readonly port: number;
}

/** "203.0.113.1:443", "[2001:db8::1]:443". */
export function endpointText({ address, port }: Pick<Endpoint, "address" | "port">): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** A descriptor that leaves as told: of a connected stream, or of a datagram socket yet to be connected. Rejects with why there is none, in words; an aborted signal ends the attempt. */
export function connect(to: Endpoint, kind: "tcp" | "udp", signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return;
    let cancel = (): void => {};
    const done = (errno: number, fd: number): void => {
      signal.removeEventListener("abort", cancel);
      if (errno === 0) resolve(fd);
      else
        reject(
          Object.assign(new Error(`${endpointText(to)}: ${explain(errnoName(errno))}`), {
            code: errnoName(errno),
          }),
        );
    };
    cancel = loadNative().connectSocket(
      {
        kind,
        address: to.address,
        port: to.port,
        interface: to.interface ?? "",
        source: to.source ?? "",
      },
      done,
    );
    signal.addEventListener("abort", cancel);
  });
}

/** A connected stream. */
export async function connectStream(to: Endpoint, signal: AbortSignal): Promise<Socket> {
  const socket = new Socket({ fd: await connect(to, "tcp", signal) });
  signal.addEventListener("abort", () => socket.destroy(), { once: true });
  return socket;
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "reset the connection",
  EHOSTUNREACH: "the host can't be reached",
  ENETUNREACH: "no route leads there",
  ETIMEDOUT: "no answer",
  EADDRNOTAVAIL: "the source address is not ours",
  ENODEV: "the interface is not there",
};

function explain(errno: string): string {
  return WORDS[errno] ?? errno;
}
