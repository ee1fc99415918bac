/** `firsthop show`: the state of the running daemon, as a table, in detail, or as JSON. */
import { Command } from "commander";
import type { ControlClient } from "../control/client.js";
import { BFD_REJECT_REASONS, type BfdRejectReason } from "../core/bfd/validate.js";
import type {
  BfdSessionStatus,
  InterfaceStatus,
  RouterStatus,
  SyncGroupStatus,
  TrackStatus,
  VirtualRouterStatus,
} from "../engine/status.js";
import { FirsthopError } from "../errors.js";
import { socketOption, withDaemon } from "./daemon.js";
import {
  age,
  color,
  details,
  listed,
  paintState,
  paintVerdict,
  print,
  printJson,
  shortDuration,
  table,
} from "./output.js";

interface ShowOptions {
  readonly json?: true;
  readonly watch?: true;
  readonly socket: string;
}

const REFRESH_MS = 1000;

const VIEWS = ["virtual-routers", "sync-groups", "tracks", "bfd", "interfaces"] as const;
type View = (typeof VIEWS)[number];

/** What views are called elsewhere: in the configuration file, by other programs. */
const ALSO: Readonly<Record<string, View>> = {
  trackers: "tracks",
  mask: "tracks",
  vrrp: "virtual-routers",
  groups: "sync-groups",
  links: "interfaces",
};

/** The view that a word means, in full or by its first letters; null: none, or more than one. */
function viewOf(word: string): View | null {
  const names = [...VIEWS, ...Object.keys(ALSO)].filter((name) => word !== "" && name.startsWith(word));
  const views = new Set((names.includes(word) ? [word] : names).map((name) => ALSO[name] ?? (name as View)));
  const [view = null] = views;
  return views.size === 1 ? view : null;
}

export function showCommand(): Command {
  return new Command("show")
    .description("Shows the state of the running daemon: all virtual routers, or one of them in detail.")
    .argument(
      "[what]",
      `${VIEWS.join(", ")} (the first letters will do), an interface (eth0), or the NAME of a virtual router ` +
        "(eth0/10, eth0/10/ipv6)",
    )
    .option("-j, --json", "print JSON; with --watch one document a line")
    .option("-w, --watch", "stay and print again whenever something changes")
    .addOption(socketOption())
    .addHelpText(
      "after",
      "\nExamples:\n  firsthop show\n  firsthop show eth0/10\n  firsthop show -w\n  firsthop show interfaces --json\n",
    )
    .action(async (what: string | undefined, options: ShowOptions) => {
      await withDaemon(options.socket, (client) =>
        options.watch ? watch(client, what, options) : showOnce(client, what, options),
      );
    });
}

async function statusOf(client: ControlClient): Promise<RouterStatus> {
  return (await client.request("status")) as RouterStatus;
}

async function showOnce(
  client: ControlClient,
  what: string | undefined,
  options: ShowOptions,
): Promise<void> {
  const status = await statusOf(client);
  if (options.json) printJson(selection(status, what));
  else print(render(status, what, Date.now()));
}

/** Draws again when the picture changed: on each event at once, and each second for counters and ages. */
async function watch(client: ControlClient, what: string | undefined, options: ShowOptions): Promise<void> {
  let shown = "";
  let drawing = false;
  let again = false;
  const draw = async (): Promise<void> => {
    if (drawing) {
      again = true;
      return;
    }
    drawing = true;
    try {
      do {
        again = false;
        const status = await statusOf(client);
        const text = options.json
          ? JSON.stringify(selection(status, what))
          : render(status, what, Date.now());
        if (text === shown) continue;
        shown = text;
        const clear = process.stdout.isTTY && !options.json ? "\x1b[H\x1b[2J" : "";
        print(clear + text);
      } while (again);
    } finally {
      drawing = false;
    }
  };
  await draw();
  const stream = client.request("events", {}, { onEvent: () => draw().catch(() => {}), timeoutMs: null });
  const timer = setInterval(() => draw().catch(() => {}), REFRESH_MS);
  try {
    await stream;
  } finally {
    clearInterval(timer);
  }
}

/** The virtual router of a name, or all on an interface. @throws FirsthopError NOT_FOUND */
function find(status: RouterStatus, name: string): VirtualRouterStatus | readonly VirtualRouterStatus[] {
  const found = status.virtualRouters.find((router) => router.name === name);
  if (found) return found;
  const there = status.virtualRouters.filter((router) => router.interface === name);
  if (there.length > 0) return there;
  const names = listed(status.virtualRouters.map((router) => router.name)) || "none";
  throw new FirsthopError("NOT_FOUND", `no virtual router ${name}; there is ${names}`);
}

/** What `--json` prints. */
export function selection(status: RouterStatus, what: string | undefined): unknown {
  if (what === undefined) return status;
  switch (viewOf(what)) {
    case "virtual-routers":
      return { virtualRouters: status.virtualRouters };
    case "sync-groups":
      return { syncGroups: status.syncGroups };
    case "tracks":
      return { tracks: status.tracks, mask: status.mask };
    case "bfd":
      return { bfdSessions: status.bfdSessions, bfdRejected: status.bfdRejected };
    case "interfaces":
      return { interfaces: status.interfaces };
    case null: {
      const found = find(status, what);
      return "name" in found ? found : { virtualRouters: found };
    }
  }
}

/** What people read. */
export function render(status: RouterStatus, what: string | undefined, nowMs: number): string {
  switch (what === undefined ? "virtual-routers" : viewOf(what)) {
    case "virtual-routers":
      return virtualRoutersTable(status.virtualRouters, nowMs);
    case "sync-groups":
      return syncGroupsTable(status);
    case "tracks":
      return [tracksTable(status, nowMs), ...maskedText(status)].join("\n");
    case "bfd":
      return [bfdTable(status.bfdSessions), ...rejectedText(status)].join("\n");
    case "interfaces":
      return interfacesTable(status.interfaces);
    case null: {
      const found = find(status, what as string);
      return "name" in found ? virtualRouterDetails(found, nowMs) : virtualRoutersTable(found, nowMs);
    }
  }
}

function stateCell(router: VirtualRouterStatus): string {
  return paintState(router.state) + (router.handingOver ? color.dim(" (handing over)") : "");
}

function activeCell(router: VirtualRouterStatus): string {
  if (router.state === "active") return "self";
  return router.active === null ? "-" : `${router.active.address} (${router.active.priority})`;
}

function priorityCell(router: VirtualRouterStatus): string {
  return router.priority === router.configuredPriority
    ? String(router.priority)
    : `${router.priority} (of ${router.configuredPriority})`;
}

function virtualRoutersTable(routers: readonly VirtualRouterStatus[], nowMs: number): string {
  if (routers.length === 0) return "no virtual routers are configured";
  return table(
    ["NAME", "STATE", "PRIORITY", "ACTIVE", "ADDRESSES", "SINCE"],
    routers.map((router) => [
      router.name,
      stateCell(router),
      priorityCell(router),
      router.state === "fault" ? router.causes.join(",") : activeCell(router),
      router.addresses.join(","),
      router.lastChange === null ? "-" : age(router.lastChange.at, nowMs),
    ]),
  );
}

/** One line a group and one a member, so that the one that holds up the others is seen. */
function syncGroupsTable({ syncGroups, virtualRouters }: RouterStatus): string {
  if (syncGroups.length === 0) return "no sync groups are configured";
  const byName = new Map(virtualRouters.map((router) => [router.name, router]));
  return table(
    ["GROUP", "MODE", "STATE", "PRIORITY", "NOTE"],
    syncGroups.flatMap((group) => [
      [group.name, group.mode, paintState(group.state), "-", groupNote(group)],
      ...group.members.flatMap((name) => {
        const member = byName.get(name);
        if (!member) return [];
        return [[`  ${name}`, "", stateCell(member), priorityCell(member), member.causes.join(",") || "-"]];
      }),
    ]),
  );
}

function groupNote({ blocked, members }: SyncGroupStatus): string {
  if (members.length === 0) return "no members";
  return blocked ? "blocked: another router keeps one of its members" : "-";
}

function tracksTable(status: RouterStatus, nowMs: number): string {
  const { tracks } = status;
  if (tracks.length === 0) return "no trackers are configured";
  return table(
    ["NAME", "STATE", "KIND", "TARGET", "WEIGHT", "SINCE", "TRACKED BY", "EVIDENCE"],
    tracks.map((track) => {
      const { weight, trackedBy } = followersOf(track, status);
      return [
        track.name,
        trackState(track),
        track.kind,
        track.target,
        weight,
        track.since === null ? "-" : age(track.since, nowMs),
        trackedBy.join(",") || "-",
        track.changing && track.last ? `${track.evidence}; now: ${track.last.evidence}` : track.evidence,
      ];
    }),
  );
}

/** Who follows a tracker, and with what weight: each of them may have his own. */
function followersOf(
  track: TrackStatus,
  { virtualRouters }: RouterStatus,
): { readonly weight: string; readonly trackedBy: readonly string[] } {
  const followers = virtualRouters.flatMap(({ name, tracking }) =>
    tracking
      .filter((one) => one.tracker === track.name)
      .map((one) => ({ name, weight: weightText(one.weight, one.reverse) })),
  );
  const [first, ...others] = followers;
  if (!first) return { weight: weightText(track.weight, track.reverse), trackedBy: [] };
  if (others.every((one) => one.weight === first.weight))
    return { weight: first.weight, trackedBy: followers.map((one) => one.name) };
  return { weight: "differs", trackedBy: followers.map((one) => `${one.name} (${one.weight})`) };
}

/** Whom trackers leave out, and by which entry of the mask table; entries that nobody meets, too. */
function maskedText({ tracks, mask }: RouterStatus): string[] {
  const masked = tracks.flatMap((track) => track.masked.map((one) => ({ ...one, track: track.name })));
  const rows = masked.map((one) => [one.by, one.address, one.mac ?? "-", one.track]);
  const idle = mask.filter(({ entry, inForce }) => inForce && !masked.some((one) => one.by === entry));
  if (rows.length === 0 && idle.length === 0) return [];
  return [
    "",
    table(
      ["MASKED BY", "ADDRESS", "MAC", "TRACKER"],
      [...rows, ...idle.map((one) => [one.entry, "-", "-", "-"])],
    ),
  ];
}

function trackState(track: TrackStatus): string {
  const value = track.value === null ? "" : ` (${track.value})`;
  return paintVerdict(track.state) + value + (track.damped ? color.dim(" (damped)") : "");
}

function weightText(weight: number, reverse: boolean): string {
  return (weight === 0 ? "forbids" : `${weight > 0 ? "+" : ""}${weight}`) + (reverse ? " reverse" : "");
}

function trackingText(router: VirtualRouterStatus): (readonly [string, string])[] {
  return router.tracking.map((one, at) => {
    const now = one.effect === "weight" ? `${one.delta > 0 ? "+" : ""}${one.delta}` : one.effect;
    const rule = weightText(one.weight, one.reverse);
    return [
      at === 0 ? "tracks" : "",
      `${one.tracker} ${paintVerdict(one.state)}, weight ${rule}, now ${now}`,
    ];
  });
}

function bfdTable(sessions: readonly BfdSessionStatus[]): string {
  if (sessions.length === 0) return "no BFD sessions are running";
  const ms = (value: number | null): string => (value === null ? "-" : shortDuration(value));
  return table(
    ["NEIGHBOUR", "INTERFACE", "STATE", "ROLE", "SENDS EVERY", "DETECTION", "USED BY", "LAST DOWN"],
    sessions.map((one) => [
      one.remoteAddress,
      one.interface,
      one.state === "up" ? color.green("up") : color.red(one.state),
      one.role,
      ms(one.transmitIntervalMs),
      ms(one.detectionTimeMs),
      one.usedBy.join(",") || "-",
      one.lastDown ?? "-",
    ]),
  );
}

function rejectedText({ bfdRejected }: RouterStatus): string[] {
  return Object.entries(bfdRejected).map(
    ([reason, count]) => `${count} packets rejected: ${BFD_REJECT_REASONS[reason as BfdRejectReason].text}`,
  );
}

function interfacesTable(interfaces: readonly InterfaceStatus[]): string {
  if (interfaces.length === 0) return "no interfaces are in use";
  const linkState = (link: InterfaceStatus): string => {
    if (link.ifindex === null) return color.red("missing");
    if (!link.up) return color.red("down");
    return link.carrier ? color.green("up") : color.red("no-carrier");
  };
  return table(
    ["NAME", "STATE", "MAC", "OWNERSHIP", "RECEIVED", "MATCHED", "SENT", "DROPPED"],
    interfaces.map((link) => [
      link.name,
      linkState(link),
      link.mac ?? "-",
      link.hook === "off" ? color.yellow("off") : link.hook,
      String(link.counters?.received ?? 0),
      String(link.counters?.matched ?? 0),
      String(link.counters?.sent ?? 0),
      String((link.counters?.droppedUnread ?? 0) + (link.counters?.droppedByKernel ?? 0)),
    ]),
  );
}

function virtualRouterDetails(router: VirtualRouterStatus, nowMs: number): string {
  const change = router.lastChange;
  const pairs: (readonly [string, string])[] = [
    ["name", color.bold(router.name)],
    ["state", stateCell(router)],
    ...(router.causes.length > 0 ? [["causes", router.causes.join(", ")] as const] : []),
    ...(change === null
      ? []
      : [
          ["since", `${change.at} (${age(change.at, nowMs)})`] as const,
          ["because", `${change.from} -> ${change.to}: ${change.detail}`] as const,
        ]),
    [
      "protocol",
      `VRRP version ${router.version}, ${router.family === "ipv4" ? "IPv4" : "IPv6"}, VRID ${router.vrid}`,
    ],
    ["priority", priorityCell(router) + (router.runtimePriority === null ? "" : ", base set by command")],
    ...(router.holdsBack ? [["holds back", "handed over by command: does not preempt"] as const] : []),
    ...(router.heldBackBy ? [["held back", `by its sync group ${router.heldBackBy}`] as const] : []),
    ...trackingText(router),
    ["active", activeCell(router)],
    ["addresses", router.addresses.join(", ")],
    ["interface", `${router.interface}, source ${router.primaryAddress ?? "none"}`],
    ["virtual MAC", router.virtualMac ? `${router.virtualMac} on ${router.virtualInterface ?? "-"}` : "off"],
    ["preempt", router.preempt ? "yes" : "no"],
    ["checksum", `${router.checksum.configured}, sent ${router.checksum.sent.join(" and ")}`],
    ...bfdText(router),
    ["interval", intervalText(router)],
    ["down after", `${shortDuration(router.activeDownIntervalMs)}, skew ${shortDuration(router.skewTimeMs)}`],
  ];
  const statistics = Object.entries(router.statistics).map(
    ([leaf, count]) => [`  ${leaf}`, String(count)] as const,
  );
  return `${details(pairs)}\n${color.dim("statistics")}\n${details(statistics)}`;
}

function bfdText({ bfd }: VirtualRouterStatus): (readonly [string, string])[] {
  if (!bfd) return [];
  const { turn, backups } = bfd;
  const when = turn && (turn.afterMs === 0 ? "at once" : `after ${shortDuration(turn.afterMs)} more`);
  const own = turn && `rank ${turn.rank}: when the Active fails, it takes over ${when}`;
  return [
    ["BFD", own ?? "nobody is followed"],
    ...backups.map(
      ({ address, priority }, at) => [at === 0 ? "Backups" : "", `${address} (${priority})`] as const,
    ),
  ];
}

function intervalText(router: VirtualRouterStatus): string {
  const own = shortDuration(router.advertisementIntervalMs);
  return router.activeAdverIntervalMs === router.advertisementIntervalMs
    ? own
    : `${own}, the Active's is ${shortDuration(router.activeAdverIntervalMs)}`;
}
