/**
 * The daemon's end of the control socket. Who may speak is decided by the file system: directory 0700, socket
 * 0600. Whoever speaks can cost the daemon only so much: requests, connections, idle time and unread events
 * are bounded, and nothing here waits for a reader.
 */
import { setMaxListeners } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { FirsthopError } from "../errors.js";
import {
  type Answer,
  errorAnswer,
  lineReader,
  METHODS,
  parseRequest,
  REQUEST_MAX_BYTES,
  type Request,
} from "./protocol.js";
import {
  claimSocketPath,
  prepareDirectory,
  replaceSocketPath,
  type SocketClaim,
  temporaryPath,
  unusable,
} from "./socket-path.js";

const CONNECTIONS_MAX = 64;
/** A connection that asks nothing for so long is closed; and one that never asked anything, sooner. */
const IDLE_MS = 60_000;
const FIRST_REQUEST_MS = 5_000;
/** Requests of one connection that are under way at a time; more of them wait, and so do those of a slow reader. */
const REQUESTS_MAX = 16;
/** What listens to a connection beside its requests, at most. */
const OWN_LISTENERS = 10;
/** At most one notice of a kind in this time. */
const NOTICE_EVERY_MS = 60_000;
/** Events that wait for a slow reader, in octets; more are counted and left out. */
const UNREAD_MAX_BYTES = 1024 * 1024;

/**
 * Carries out one request. `emit` sends an event of a stream, or counts it as dropped when the reader is too slow;
 * `offer` says no instead, and `onReady` calls when it is worth another try, until its result is called; `signal` fires when the peer is gone.
 */
export interface EventStream {
  emit(event: unknown): void;
  offer(event: unknown): boolean;
  onReady(run: () => void): () => void;
  /** Tells the reader that so many are missing. */
  dropped(count: number): void;
  readonly signal: AbortSignal;
}

export type Handler = (params: Readonly<Record<string, unknown>>, stream: EventStream) => unknown;

export type Handlers = Readonly<Partial<Record<string, Handler>>>;

export interface ControlServerOptions {
  readonly path: string;
  readonly handlers: Handlers;
  /** Whoever listens there has agreed to leave: this server takes the path from it. */
  readonly replaces?: boolean;
  /** Something on the socket was not right; for the log. */
  readonly onNotice?: (message: string) => void;
}

export interface ControlServer {
  readonly path: string;
  /** Open connections. */
  connections(): number;
  /** Stops listening, ends connections after what was written, and removes the socket. */
  close(): Promise<void>;
}

/**
 * Listens on `path`.
 * @throws FirsthopError SOCKET_IN_USE when another daemon listens there, PERMISSION when it cannot be made.
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { path } = options;
  prepareDirectory(path);
  /** In the order in which they came, with how busy each is. */
  const sockets = new Map<Socket, Connection>();
  const notice = seldom(options.onNotice);
  const server = createServer((socket) => {
    if (sockets.size >= CONNECTIONS_MAX) {
      // Whoever asks something now goes before those that ask nothing.
      const [idle] = [...sockets].find(([, one]) => one.active === 0) ?? [];
      notice(`${CONNECTIONS_MAX} connections are open: ${idle ? "the oldest idle one ends" : "no more"}`);
      (idle ?? socket).destroy();
      if (!idle) return;
      sockets.delete(idle);
    }
    socket.on("close", () => sockets.delete(socket));
    sockets.set(socket, serve(socket, options));
  });
  const temporary = temporaryPath(path);
  await listen(server, temporary);
  // No descriptor for another connection (EMFILE): those that are open go on, and the next one may fare better.
  server.on("error", (error: NodeJS.ErrnoException) => notice(`no connection was taken: ${error.code}`));
  let claim: SocketClaim;
  try {
    claim = options.replaces ? replaceSocketPath(path, temporary) : await claimSocketPath(path, temporary);
  } catch (error) {
    server.close();
    throw error;
  }
  // A process that ends by an internal error leaves no socket that nobody answers.
  process.on("exit", claim.release);
  return {
    path,
    connections: () => sockets.size,
    close() {
      process.off("exit", claim.release);
      claim.release();
      return new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets.keys()) {
          socket.end();
          // A peer that does not read must not keep the daemon.
          setTimeout(() => socket.destroy(), 200).unref();
        }
      });
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      reject(unusable(`listen in ${dirname(path)}`, error, "SOCKET_IN_USE"));
    };
    server.once("error", fail);
    // bind() happens inside listen(): the socket is never open to others, not even for a moment.
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off("error", fail);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

interface Connection {
  /** Requests under way. */
  active: number;
}

/** The same words only now and then. */
function seldom(tell: ControlServerOptions["onNotice"]): (message: string) => void {
  const toldAt = new Map<string, number>();
  return (message) => {
    const now = performance.now();
    if (now - (toldAt.get(message) ?? -NOTICE_EVERY_MS) < NOTICE_EVERY_MS) return;
    toldAt.set(message, now);
    tell?.(`control socket: ${message}`);
  };
}

function serve(socket: Socket, options: ControlServerOptions): Connection {
  const gone = new AbortController();
  // Each request that follows something listens for both.
  for (const emitter of [socket, gone.signal]) setMaxListeners(REQUESTS_MAX + OWN_LISTENERS, emitter);
  const channel = channelOf(socket);
  const connection: Connection = { active: 0 };
  // Octets that make up no request do not put it off.
  const first = setTimeout(() => socket.destroy(), FIRST_REQUEST_MS);
  first.unref();
  socket.on("close", () => clearTimeout(first));
  socket.setTimeout(IDLE_MS, () => {
    if (connection.active === 0) socket.destroy();
  });
  socket.on("close", () => gone.abort());
  socket.on("error", () => socket.destroy());
  const take = (line: string): void => {
    const request = parseRequest(line);
    if (typeof request === "string") {
      channel.send(errorAnswer(null, new FirsthopError("USAGE", request)));
      return;
    }
    clearTimeout(first);
    connection.active++;
    void answer(request, options, channel, gone.signal).finally(() => {
      connection.active--;
      takeWaiting();
    });
  };
  // Whoever asks faster than it reads is not heard meanwhile, so that answers don't pile up here.
  const waiting: string[] = [];
  const takeWaiting = (): void => {
    while (connection.active < REQUESTS_MAX && socket.writableLength <= UNREAD_MAX_BYTES) {
      const line = waiting.shift();
      if (line === undefined) {
        socket.resume();
        return;
      }
      take(line);
    }
    socket.pause();
  };
  socket.on("drain", takeWaiting);
  const read = lineReader(
    REQUEST_MAX_BYTES,
    (line) => {
      if (line.trim() === "") return;
      waiting.push(line);
      takeWaiting();
    },
    () => {
      options.onNotice?.(`control socket: a request of more than ${REQUEST_MAX_BYTES} octets was refused`);
      channel.send(
        errorAnswer(null, new FirsthopError("USAGE", `a request has at most ${REQUEST_MAX_BYTES} octets`)),
      );
      socket.end();
      // What the peer still sends is not read: without this its end would never come.
      socket.setTimeout(1000, () => socket.destroy());
    },
  );
  socket.on("data", read);
  return connection;
}

async function answer(
  request: Request,
  options: ControlServerOptions,
  channel: Channel,
  signal: AbortSignal,
): Promise<void> {
  const { id, method } = request;
  const handler = Object.hasOwn(options.handlers, method) ? options.handlers[method] : undefined;
  try {
    if (handler === undefined) {
      throw new FirsthopError(
        "USAGE",
        `unknown method ${JSON.stringify(method)}: one of ${METHODS.join(", ")}`,
      );
    }
    const result = await handler(request.params, {
      emit: (event) => channel.emit(id, event),
      offer: (event) => channel.offer(id, event),
      onReady: channel.onReady,
      dropped: (count) => channel.send({ id, dropped: count }),
      signal,
    });
    channel.send({ id, result: result ?? null });
  } catch (error) {
    if (!(error instanceof FirsthopError))
      options.onNotice?.(`control socket: ${method} failed: ${String(error)}`);
    channel.send(errorAnswer(id, error));
  }
}

interface Channel {
  send(answer: Answer): void;
  emit(id: number, event: unknown): void;
  offer(id: number, event: unknown): boolean;
  onReady(run: () => void): () => void;
}

/** Writes of one connection. Answers always go out; events only while the reader keeps up. */
function channelOf(socket: Socket): Channel {
  const dropped = new Map<number, number>();
  const send = (answer: Answer): void => {
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  };
  const tell = (): void => {
    for (const [id, count] of dropped) send({ id, dropped: count });
    dropped.clear();
  };
  socket.on("drain", tell);
  return {
    send,
    onReady(run) {
      socket.on("drain", run);
      return () => void socket.off("drain", run);
    },
    offer(id, event) {
      if (socket.writableLength > UNREAD_MAX_BYTES) return false;
      send({ id, event } as Answer);
      return true;
    },
    emit(id, event) {
      if (socket.writableLength > UNREAD_MAX_BYTES) {
        dropped.set(id, (dropped.get(id) ?? 0) + 1);
        return;
      }
      tell();
      send({ id, event } as Answer);
    },
  };
}
