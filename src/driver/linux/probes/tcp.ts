/** A TCP connection, closed as soon as it stands. */
import { closeSync } from "node:fs";
import type { TrackResult } from "../../../core/tracking/verdict.js";
import { connect, type Endpoint } from "./connect.js";

export async function probeTcp(to: Endpoint, signal: AbortSignal): Promise<TrackResult> {
  const descriptor = await connect(to, "tcp", signal);
  closeSync(descriptor);
  return { up: true, evidence: `${to.address} accepts connections to port ${to.port}` };
}
