/** `firsthop events`: what happens, one line each, with the reason. */
import { Command } from "commander";
import type { ControlClient } from "../control/client.js";
import type { RouterEvent, RouterHappening, RouterStatus } from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import { socketOption, withDaemon } from "./daemon.js";
import { color, complain, listed, paintState, paintVerdict, print } from "./output.js";

interface EventsOptions {
  readonly json?: true;
  readonly history?: true;
  readonly since?: string;
  readonly follow: boolean;
  readonly socket: string;
}

export function eventsCommand(): Command {
  return new Command("events")
    .description(
      "Follows what happens in the running daemon: changes of state with their reasons, and warnings.",
    )
    .argument("[name]", "only what concerns this virtual router, interface, tracker or sync group")
    .option("-j, --json", "one JSON document a line")
    .option("--history", "begin with what the daemon remembers")
    .option("--since <number>", "go on after the event of this sequence number, as --json has it")
    .option("--no-follow", "print what the daemon remembers and end")
    .addOption(socketOption())
    .addHelpText(
      "after",
      "\nExamples:\n  firsthop events\n  firsthop events eth0/10 --history\n  firsthop events --history --json\n",
    )
    .action(async (name: string | undefined, options: EventsOptions) => {
      let shown = 0;
      const show = (told: unknown): void => {
        const event = told as RouterEvent;
        if (name !== undefined && !concerns(event, name)) return;
        shown++;
        print(options.json ? JSON.stringify(event) : eventLine(event));
      };
      await withDaemon(options.socket, async (client) => {
        const unknown = name === undefined ? null : await whyUnknown(client, name);
        // It may be configured later: who follows waits for that.
        if (unknown !== null && options.follow) complain(unknown);
        await client.request(
          "events",
          {
            history: options.history === true || !options.follow,
            follow: options.follow,
            ...(options.since === undefined ? {} : { since: sequenceOf(options.since) }),
          },
          {
            onEvent: show,
            onDropped: (count) =>
              complain(`${count} events are missing: no longer remembered, or read too slowly`),
            timeoutMs: options.follow ? null : 5000,
          },
        );
        // What was there earlier has events that tell of it.
        if (unknown !== null && shown === 0 && !options.follow) throw new FirsthopError("NOT_FOUND", unknown);
      });
    });
}

/** Null: there is something of this name now. */
async function whyUnknown(client: ControlClient, name: string): Promise<string | null> {
  const { virtualRouters, tracks, syncGroups } = (await client.request("status")) as RouterStatus;
  const named = [virtualRouters, tracks, syncGroups].flatMap((some) => some.map((one) => one.name));
  if (named.includes(name) || virtualRouters.some((one) => one.interface === name)) return null;
  return `nothing is called ${name} now; there is ${listed(named) || "none"}`;
}

function sequenceOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new FirsthopError("USAGE", `--since: '${text}' is no sequence number`);
  return Number(text);
}

/** Whether an event is about a virtual router, all on an interface, a tracker or a sync group. */
export function concerns(event: RouterHappening, name: string): boolean {
  const about = event.type === "reload" ? [...event.added, ...event.removed, ...event.changed] : [event.name];
  const followers = event.type === "track" ? event.trackedBy : [];
  return [...about, ...followers].some((one) => one === name || one?.split("/")[0] === name);
}

/** One event in one line: when, who, what, and why in a sentence. */
export function eventLine(event: RouterHappening): string {
  const time = color.dim(event.at);
  switch (event.type) {
    case "stateChange":
      return `${time}  ${event.name}  ${paintState(event.from)} -> ${paintState(event.to)}  ${event.detail}`;
    case "warning":
      return `${time}  ${event.name ?? "-"}  ${color.yellow("warning")}  ${event.detail}`;
    case "info":
      return `${time}  ${event.name ?? "-"}  info  ${event.detail}`;
    case "groupChange":
      return `${time}  group ${event.name}  ${paintState(event.from)} -> ${paintState(event.to)}  ${event.detail}`;
    case "track":
      return `${time}  ${event.name}  ${paintVerdict(event.from)} -> ${paintVerdict(event.to)}  ${event.detail}`;
    case "reload":
      return `${time}  -  reload  ${reloadText(event)}`;
  }
}

/** What a reload changed, in words. */
export function reloadText(change: {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly settings: readonly string[];
}): string {
  const parts = [
    ...(change.added.length > 0 ? [`added ${change.added.join(", ")}`] : []),
    ...(change.removed.length > 0 ? [`removed ${change.removed.join(", ")}`] : []),
    ...(change.changed.length > 0 ? [`changed ${change.changed.join(", ")}`] : []),
    ...(change.settings.length > 0 ? [`other settings: ${change.settings.join(", ")}`] : []),
  ];
  return parts.length > 0 ? parts.join("; ") : "nothing changed";
}
