/**
 * What a service manager is told: systemd's notification protocol, sd_notify(3). Lines of NAME=VALUE go in datagrams to the
 * local socket that NOTIFY_SOCKET names. A manager that can't be reached is one warning: the daemon is there for the
 * network.
 */
import { sendLocalDatagram } from "../driver/linux/local-datagram.js";
import { FirsthopError } from "../errors.js";

/** A manager that is behind is told again after this time; of what waits, at most so many messages are kept. */
const RETRY_MS = 100;
const WAITING_MAX = 64;
/** A text about the state is sent at most this often. */
const STATUS_EVERY_MS = 500;

/** How a daemon is known to its manager; another process that goes on with its work needs the same. */
export interface ManagedAs {
  /** A path, or a name that begins with `@`. */
  readonly socket: string;
  /** The manager ends a daemon that has not said WATCHDOG=1 for so long; null: it does not mind. */
  readonly watchdogUs: number | null;
}

/** What this process was told by its manager; null when none wants to be told anything. */
export function managedAs(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): ManagedAs | null {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
  if (!NOTIFY_SOCKET) return null;
  const watchdogUs = Number(WATCHDOG_USEC);
  const mine = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid;
  return {
    socket: NOTIFY_SOCKET,
    watchdogUs: mine && Number.isSafeInteger(watchdogUs) && watchdogUs > 0 ? watchdogUs : null,
  };
}

export interface ServiceManager {
  /** How this process is known; null: nobody listens. */
  readonly managed: ManagedAs | null;
  /** The service runs. Called again after `reloading`. */
  ready(): void;
  reloading(): void;
  stopping(): void;
  /** Another process is the service from now on. */
  mainPid(pid: number): void;
  /** One line for `systemctl status`; made when it is sent, which is seldom. */
  status(text: () => string): void;
  close(): void;
}

const NOBODY: ServiceManager = {
  managed: null,
  ready: () => {},
  reloading: () => {},
  stopping: () => {},
  mainPid: () => {},
  status: () => {},
  close: () => {},
};

/** `warn` is called at most once. */
export function openServiceManager(
  managed: ManagedAs | null,
  warn: (message: string) => void,
  send = sendOrTell,
): ServiceManager {
  if (managed === null) return NOBODY;
  let warned = false;
  const line = queue((text) => {
    const error = send(managed.socket, text);
    if (error === null || error === "EAGAIN") return error === null;
    if (!warned)
      warn(
        `NOTIFY_SOCKET=${managed.socket} can't be written to (${error}): the service manager hears nothing`,
      );
    warned = true;
    return true;
  });
  const watchdog = { timer: undefined as NodeJS.Timeout | undefined };
  const feed = (): void => line.tell("WATCHDOG=1");
  const status = seldom((text) => line.tell(`STATUS=${text.replaceAll("\n", " ")}`));
  return {
    managed,
    ready() {
      line.tell("READY=1");
      if (managed.watchdogUs === null || watchdog.timer !== undefined) return;
      feed();
      watchdog.timer = setInterval(feed, managed.watchdogUs / 2000).unref();
    },
    reloading: () => line.tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => line.tell("STOPPING=1"),
    mainPid: (pid) => line.tell(`MAINPID=${pid}`),
    status: status.offer,
    close() {
      clearInterval(watchdog.timer);
      status.close();
      line.close();
    },
  };
}

function sendOrTell(socket: string, text: string): string | null {
  try {
    return sendLocalDatagram(socket, text);
  } catch (error) {
    if (error instanceof FirsthopError) return error.code;
    throw error;
  }
}

/** Sends in order. `send` says false when the reader is behind. */
function queue(send: (text: string) => boolean): { tell(text: string): void; close(): void } {
  const waiting: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  const pump = (): void => {
    timer = undefined;
    while (waiting[0] !== undefined && send(waiting[0])) waiting.shift();
    if (waiting.length > 0) timer = setTimeout(pump, RETRY_MS).unref();
  };
  return {
    tell(text) {
      if (waiting.length >= WAITING_MAX || waiting.at(-1) === text) return;
      waiting.push(text);
      if (timer === undefined) pump();
    },
    close: () => clearTimeout(timer),
  };
}

/** The last of several texts, now and then. */
function seldom(tell: (text: string) => void): { offer(text: () => string): void; close(): void } {
  let next: (() => string) | null = null;
  let told = "";
  let timer: NodeJS.Timeout | undefined;
  const pump = (): void => {
    timer = undefined;
    const text = next?.();
    next = null;
    if (text === undefined) return;
    if (text !== told) tell(text);
    told = text;
    timer = setTimeout(pump, STATUS_EVERY_MS).unref();
  };
  return {
    offer(text) {
      next = text;
      if (timer === undefined) pump();
    },
    close: () => clearTimeout(timer),
  };
}
