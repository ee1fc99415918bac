/** A datagram and its answer. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { TrackResult } from "../../../core/tracking/verdict.js";
import { connect, type Endpoint, endpointText } from "./connect.js";

export interface UdpRequest extends Endpoint {
  readonly send: Uint8Array;
  readonly expect: Uint8Array;
}

export async function probeUdp(to: UdpRequest, signal: AbortSignal): Promise<TrackResult> {
  const fd = await connect(to, "udp", signal);
  const socket = createSocket(to.address.includes(":") ? "udp6" : "udp4");
  const close = (): void => void socket.close();
  signal.addEventListener("abort", close, { once: true });
  // A descriptor may be taken over at once.
  const listening = once(socket, "listening", { signal });
  socket.bind({ fd });
  await listening;
  return new Promise((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "ECONNREFUSED" ? "nobody listens there" : (error.code ?? error.message);
      resolve({ up: false, evidence: `${endpointText(to)}: ${why}` });
    });
    socket.on("message", (answer) => {
      const right = to.expect.every((octet, at) => answer[at] === octet);
      // A wrong one may belong to the probe before: the right one may still come.
      if (right) resolve({ up: true, evidence: `${endpointText(to)} answers` });
    });
    const failed = (error: Error | null): void => void (error && socket.emit("error", error));
    socket.once("connect", () => socket.send(to.send, failed));
    socket.connect(to.port, to.address);
  });
}
