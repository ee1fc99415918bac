/** The other end of the control socket: what `show`, `events` and `explain` speak with the daemon. */
import { connect, type Socket } from "node:net";
import { FirsthopError } from "../errors.js";
import { ANSWER_MAX_BYTES, answeredError, lineReader, type Method } from "./protocol.js";

const CONNECT_TIMEOUT_MS = 2000;
const ANSWER_TIMEOUT_MS = 5000;

export interface RequestOptions {
  /** Called with each event of a stream; without it events are an error of the daemon and are ignored. */
  readonly onEvent?: (event: unknown) => void;
  /** Called when this side was too slow for so many events. */
  readonly onDropped?: (count: number) => void;
  /** Milliseconds until the answer must be there; null waits for as long as the stream lasts. */
  readonly timeoutMs?: number | null;
}

export interface ControlClient {
  /** @throws FirsthopError what the daemon answered, or DAEMON_UNREACHABLE when it ended or stays silent. */
  request(
    method: Method,
    params?: Readonly<Record<string, unknown>>,
    options?: RequestOptions,
  ): Promise<unknown>;
  close(): void;
}

interface Pending {
  readonly options: RequestOptions;
  readonly timer: NodeJS.Timeout | undefined;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * Connects to the daemon.
 * @throws FirsthopError DAEMON_UNREACHABLE when none answers, PERMISSION when it belongs to another user.
 */
export async function connectControl(path: string, timeoutMs = CONNECT_TIMEOUT_MS): Promise<ControlClient> {
  const socket = await open(path, timeoutMs);
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let closed = false;
  let answered = false;

  const fail = (message: string): void => {
    const error = new FirsthopError("DAEMON_UNREACHABLE", message);
    for (const request of pending.values()) {
      clearTimeout(request.timer);
      request.reject(error);
    }
    pending.clear();
  };
  const read = lineReader(
    ANSWER_MAX_BYTES,
    (line) => {
      answered = true;
      take(line, pending, fail);
    },
    () => {
      fail(`the daemon on ${path} sent an answer that is too long: is this really firsthop's socket?`);
      socket.destroy();
    },
  );
  socket.on("data", read);
  socket.on("error", () => socket.destroy());
  // One that runs closes what it has no room or no descriptor for, and what did not ask for long.
  const whyClosed = (): string =>
    answered
      ? `the firsthop daemon on ${path} ended`
      : `the firsthop daemon on ${path} closed the connection without an answer: it has too many of them, no ` +
        "file descriptor left, or it ended";
  socket.on("close", () => {
    closed = true;
    fail(whyClosed());
  });

  return {
    request(method, params = {}, options = {}) {
      return new Promise((resolve, reject) => {
        if (closed) {
          reject(new FirsthopError("DAEMON_UNREACHABLE", whyClosed()));
          return;
        }
        const id = nextId++;
        const waitMs = options.timeoutMs === undefined ? ANSWER_TIMEOUT_MS : options.timeoutMs;
        const timer =
          waitMs === null
            ? undefined
            : setTimeout(() => {
                pending.delete(id);
                const why = `the firsthop daemon on ${path} accepted, but did not answer within ${waitMs} ms`;
                reject(
                  new FirsthopError(
                    "DAEMON_UNREACHABLE",
                    `${why}: is it stopped, overloaded or without a file descriptor?`,
                  ),
                );
              }, waitMs);
        pending.set(id, { options, timer, resolve, reject });
        socket.write(`${JSON.stringify({ id, method, params })}\n`);
      });
    },
    close() {
      socket.destroy();
    },
  };
}

function take(line: string, pending: Map<number, Pending>, fail: (message: string) => void): void {
  let answer: Record<string, unknown>;
  try {
    answer = JSON.parse(line) as Record<string, unknown>;
  } catch {
    fail("the daemon answered with something that is not JSON: is this really firsthop's socket?");
    return;
  }
  if (answer.id === null && typeof answer.error === "object") {
    fail(answeredError(answer.error as object).message);
    return;
  }
  const request = pending.get(answer.id as number);
  if (request === undefined) return;
  if ("event" in answer) {
    request.options.onEvent?.(answer.event);
    return;
  }
  if ("dropped" in answer) {
    request.options.onDropped?.(Number(answer.dropped));
    return;
  }
  pending.delete(answer.id as number);
  clearTimeout(request.timer);
  if ("error" in answer) request.reject(answeredError(answer.error as object));
  else request.resolve(answer.result);
}

function open(path: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(unreachable(path, "ETIMEDOUT"));
    }, timeoutMs);
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      reject(unreachable(path, error.code ?? error.message));
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

function unreachable(path: string, code: string): FirsthopError {
  if (code === "EACCES" || code === "EPERM") {
    return new FirsthopError(
      "PERMISSION",
      `${path} is not yours: ask as the user that runs the daemon (root?)`,
    );
  }
  return new FirsthopError(
    "DAEMON_UNREACHABLE",
    `no firsthop daemon answers on ${path}: start one with \`firsthop run -c FILE\``,
  );
}

/** Runs `use` with a connection to the daemon, and closes it whatever happens. @throws as `connectControl` */
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
