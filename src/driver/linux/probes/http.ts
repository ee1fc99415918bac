/** A request over HTTP and the status of its answer, with Node's own client over a socket that leaves as told. */
import { type ClientRequest, type RequestOptions, request as requestPlain } from "node:http";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { TrackResult } from "../../../core/tracking/verdict.js";
import type { ProbeRequest } from "../../driver.js";
import { connectStream, endpointText } from "./connect.js";

/** Answers of status 1xx before the one that counts (RFC 9110 section 15.2); a flood of them would keep JavaScript busy. */
const INTERIM_MAX = 20;

type HttpRequest = Extract<ProbeRequest, { probe: "http" }>;

export async function probeHttp(to: HttpRequest, signal: AbortSignal): Promise<TrackResult> {
  const plain = await connectStream(to, signal);
  const name = to.host?.replace(/:\d+$/, "") ?? null;
  const stream: Duplex = to.secure
    ? connectTls({
        socket: plain,
        rejectUnauthorized: to.verify,
        // Server names are names (RFC 6066 section 3); an address is checked against the certificate as one.
        ...(name === null ? { host: to.address } : { servername: name, host: name }),
      })
    : plain;
  const options: RequestOptions = {
    createConnection: () => stream,
    method: to.method,
    path: to.path,
    host: to.address,
    port: to.port,
    headers: {
      host: to.host ?? (to.address.includes(":") ? `[${to.address}]` : to.address),
      "user-agent": "firsthop",
      connection: "close",
    },
    signal,
  };
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(new Error(`${endpointText(to)}: ${error.message}`));
    stream.on("error", failed);
    const asked: ClientRequest = requestPlain(options, (answer) => {
      const status = answer.statusCode ?? 0;
      const up = to.status.some(([from, until]) => status >= from && status <= until);
      resolve({ up, evidence: `${endpointText(to)} answers ${status}` });
      // The rest of it is of no interest.
      asked.destroy();
      stream.destroy();
    });
    asked.on("error", failed);
    let interim = 0;
    asked.on("information", () => {
      if (++interim > INTERIM_MAX)
        asked.destroy(new Error("says that it goes on (status 1xx), and does not"));
    });
    asked.end();
  });
}
