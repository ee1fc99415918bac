/**
 * Notify commands: one for each change, in the order of the changes, never two at once for one virtual router or sync
 * group. What waits is bounded, and outlives a reload of the configuration; at the end the rest is run.
 */
import type { NotifyConfig } from "../../config/index.js";
import type { CommandResult, CommandRun, Driver } from "../../driver/driver.js";

export interface Notification {
  /** As keepalived names it. */
  readonly type: "INSTANCE" | "GROUP";
  readonly name: string;
  readonly state: string;
  readonly priority: number;
  /** Goes to standard input as one line of JSON. */
  readonly change: object;
}

export interface NotifierHost {
  readonly driver: Pick<Driver, "runCommand" | "setTimer">;
  notice(level: "warning" | "info", name: string, code: string, detail: string): void;
}

interface Job {
  readonly config: NotifyConfig;
  readonly notification: Notification;
}

interface Line {
  readonly waiting: Job[];
  /** Changes that were left out since the last one that was taken. */
  left: number;
  running: boolean;
}

/** Of one virtual router or group. Who flaps faster than its command runs for that long has other worries. */
const WAITING_MAX = 256;
/** Commands at once, of all routers and groups. */
const RUNNING_MAX = 16;
const OUTPUT_TOLD = 400;

/** The words that keepalived's notify scripts know. */
const STATE_WORD: Readonly<Record<string, string>> = {
  active: "MASTER",
  backup: "BACKUP",
  fault: "FAULT",
  initialize: "STOP",
};

export class Notifier {
  readonly #host: NotifierHost;
  readonly #lines = new Map<string, Line>();
  /** Lines with something to run, in the order in which they got it. */
  readonly #ready: Line[] = [];
  readonly #running = new Map<CommandRun, Job>();
  #idle: (() => void)[] = [];
  #held = false;

  constructor(host: NotifierHost) {
    this.#host = host;
  }

  notify(config: NotifyConfig, notification: Notification): void {
    const key = `${notification.type} ${notification.name}`;
    const line = this.#lines.get(key) ?? { waiting: [], left: 0, running: false };
    this.#lines.set(key, line);
    if (line.waiting.length >= WAITING_MAX) {
      if (line.left++ === 0) {
        const why = `${config.command} is slower than the changes: ${WAITING_MAX} wait, more are left out`;
        this.#host.notice("warning", notification.name, "notify-overflow", why);
      }
      return;
    }
    line.left = 0;
    line.waiting.push({ config, notification });
    if (!line.running && line.waiting.length === 1) this.#ready.push(line);
    this.#work();
  }

  /** The process before this one may yet go on: then nothing happened here that anybody should be told. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#work();
  }

  /** Commands that run. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Resolves when nothing waits or runs, or after this time, when the rest is given up and what runs is ended; null: no
   * time. Called again, whichever ends first holds.
   */
  async drain(boundUs: number | null): Promise<void> {
    if (this.#held || (this.#running.size === 0 && this.#ready.length === 0)) return;
    const idle = new Promise<void>((resolve) => this.#idle.push(resolve));
    const cancel = boundUs === null ? null : this.#host.driver.setTimer(boundUs, () => this.#giveUp());
    await idle;
    cancel?.();
  }

  #giveUp(): void {
    this.#ready.length = 0;
    for (const line of this.#lines.values()) {
      const [first] = line.waiting;
      if (first) {
        const why = `${line.waiting.length} changes were not told to ${first.config.command}: the daemon ends`;
        this.#host.notice("warning", first.notification.name, "notify-given-up", why);
      }
      line.waiting.length = 0;
    }
    for (const [run, { config, notification }] of this.#running) {
      const why = `${config.command} for ${notification.state} was ended: the daemon ends`;
      this.#host.notice("warning", notification.name, "notify-given-up", why);
      run.cancel();
    }
    this.#running.clear();
    this.#work();
  }

  #work(): void {
    while (!this.#held && this.#running.size < RUNNING_MAX) {
      const line = this.#ready.shift();
      const job = line?.waiting.shift();
      if (!line || !job) break;
      line.running = true;
      this.#run(line, job);
    }
    if (this.#running.size > 0 || this.#ready.length > 0) return;
    for (const wake of this.#idle.splice(0)) wake();
  }

  #run(line: Line, job: Job): void {
    const { config, notification } = job;
    const { type, name, state, priority, change } = notification;
    const run = this.#host.driver.runCommand({
      path: config.command,
      arguments: [...config.args, type, name, STATE_WORD[state] ?? state.toUpperCase(), String(priority)],
      input: `${JSON.stringify({ kind: type.toLowerCase(), priority, ...change })}\n`,
      timeoutUs: config.timeoutUs,
    });
    this.#running.set(run, job);
    void run.result.then((result) => {
      // Given up, which was told.
      if (!this.#running.delete(run)) return;
      line.running = false;
      this.#tell(config, notification, result);
      if (line.waiting.length > 0) this.#ready.push(line);
      this.#work();
    });
  }

  #tell({ command, timeoutUs }: NotifyConfig, { name, state }: Notification, result: CommandResult): void {
    const output = result.output.slice(0, OUTPUT_TOLD).replaceAll("\n", "; ");
    const said = output === "" ? "" : `: ${output}${result.truncated ? " …" : ""}`;
    if (result.refused !== null) {
      this.#host.notice("warning", name, "notify-refused", `not run for ${state}: ${result.refused}`);
    } else if (result.timedOut) {
      const why = `${command} for ${state} was ended after ${timeoutUs / 1_000_000} s`;
      this.#host.notice("warning", name, "notify-timeout", why + said);
    } else if (result.code !== 0) {
      const how = result.code === null ? `was ended by ${result.signal}` : `exited with ${result.code}`;
      this.#host.notice("warning", name, "notify-failed", `${command} for ${state} ${how}${said}`);
    } else if (output !== "") {
      this.#host.notice("info", name, "notify-output", `${command} for ${state}${said}`);
    }
  }
}
