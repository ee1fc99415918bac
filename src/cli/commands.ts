/** The commands of `firsthop`. The module of one is loaded when it is asked for. */
import type { Command } from "commander";

export interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** In the order in which `--help` lists them. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: "run the daemon in the foreground",
    load: async () => (await import("./run.js")).runCommand(),
  },
  check: {
    summary: "check a configuration file and list every problem in it",
    load: async () => (await import("./check.js")).checkCommand(),
  },
  show: {
    summary: "show the state of the running daemon",
    load: async () => (await import("./show.js")).showCommand(),
  },
  events: {
    summary: "follow changes of state, one a line, with the reason of each",
    load: async () => (await import("./events.js")).eventsCommand(),
  },
  explain: {
    summary: "tell why a virtual router is Active or Backup",
    load: async () => (await import("./explain.js")).explainCommand(),
  },
  reload: {
    summary: "let the daemon read its configuration again, and tell what changed",
    load: async () => (await import("./reload.js")).reloadCommand(),
  },
  drain: {
    summary: "hand virtual routers over and keep them out of the election",
    load: async () => (await import("./operations.js")).drainCommand(),
  },
  undrain: {
    summary: "let drained virtual routers take part again",
    load: async () => (await import("./operations.js")).undrainCommand(),
  },
  priority: {
    summary: "change a priority at run time",
    load: async () => (await import("./operations.js")).priorityCommand(),
  },
  switchover: {
    summary: "hand a virtual router over to the best Backup, for good or as a test",
    load: async () => (await import("./operations.js")).switchoverCommand(),
  },
  mask: {
    summary: "show and change whom no check looks at",
    load: async () => (await import("./mask.js")).maskCommand(),
  },
  recorder: {
    summary: "print the last inputs of the state machines, for a bug report",
    load: async () => (await import("./recorder.js")).recorderCommand(),
  },
  decode: {
    summary: "decode and judge advertisements from hex or a capture file",
    load: async () => (await import("./decode.js")).decodeCommand(),
  },
  vrrpd: {
    summary: "run one virtual router with the classic vrrpd command line",
    load: async () => (await import("./vrrpd.js")).vrrpdCommand(),
  },
  lab: {
    summary: "build a private lab of routers, break things, and show what the traffic felt",
    load: async () => (await import("./lab.js")).labCommand(),
  },
  unit: {
    summary: "print a systemd unit that runs the daemon from where it is installed",
    load: async () => (await import("./unit.js")).unitCommand(),
  },
  completion: {
    summary: "print a completion script for bash, zsh or fish",
    load: async () => (await import("./completion.js")).completionCommand(),
  },
  version: {
    summary: "print the version",
    load: async () => (await import("./version.js")).versionCommand(),
  },
};

/** What does here what other programs call so. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  status: "firsthop show",
  list: "firsthop show",
  get: "firsthop show",
  top: "firsthop show --watch",
  watch: "firsthop show --watch",
  describe: "firsthop explain",
  logs: "firsthop events --history",
  monitor: "firsthop events",
  validate: "firsthop check",
  start: "firsthop run",
  stop: "systemctl stop firsthop, or SIGTERM",
  restart: "firsthop run --handover",
  failover: "firsthop switchover",
  cordon: "firsthop drain",
  uncordon: "firsthop undrain",
};
