/** Two routers on several switched LANs, each with one daemon that plays all scenarios at once. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KEEPALIVED } from "../../../bench/testbed/keepalived.js";
import { familyProcesses, killQuietly } from "../../../bench/testbed/processes.js";
import { FirsthopError } from "../../../src/errors.js";
import { type LabDaemon, startDaemon } from "../../../src/lab/daemon.js";
import { bequeath, ipBatch, newEstateName, writeSysctls } from "../../../src/lab/namespaces.js";
import { type LabNode, nodeOf, ROUTER_SYSCTLS } from "../../../src/lab/topology.js";
import { type Capture, captureAt, readAdverts } from "../../../src/lab/traffic.js";
import { eventually } from "../../../src/lab/wait.js";
import {
  fileOf,
  firsthopConfig,
  keepalivedConfig,
  namesOf,
  type Placed,
  type Site,
  scriptOf,
  trackerName,
} from "./translate.js";

export type Make = "firsthop" | "keepalived";

const LANS = [0, 1, 2, 3] as const;
const START_BOUND_MS = 30_000;
const ACCOUNT_LINES = 6;
const ACCOUNT_LINE_MAX = 160;
const LOG_TAIL = 500;

/** A daemon's virtual routers by VRID: A, B, F, or ? before it said anything. */
interface Player {
  states(): Promise<ReadonlyMap<number, string>>;
  log(): string;
  stop(): Promise<void>;
}

export interface Stage {
  readonly title: string;
  /** Carries out "r1.wan=down" of a scenario. */
  act(placed: Placed, event: string): Promise<void>;
  /** What each scenario stands at, as its outcomes are written. */
  outcomes(): Promise<string[]>;
  /** What both routers last said of a scenario, in one line. */
  account(placed: Placed): string;
  log(): string;
  close(): Promise<void>;
}

interface Ground {
  readonly directory: string;
  readonly nodes: readonly [LabNode, LabNode];
  readonly lan: LabNode;
  readonly close: () => void;
}

async function openGround(): Promise<Ground> {
  const { name, directory } = newEstateName();
  const routers = [`${name}-r1`, `${name}-r2`] as const;
  const lan = `${name}-lan`;
  const close = bequeath([...routers, lan], directory);
  try {
    await ipBatch([lan, ...routers].map((space) => `netns add ${space}`));
    for (const space of routers) await writeSysctls(space, ROUTER_SYSCTLS);
    const bridge = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";
    await ipBatch(
      LANS.flatMap((at) => [`link add sw${at} ${bridge}`, `link set sw${at} up`]),
      lan,
    );
    for (const [index, space] of routers.entries()) {
      await ipBatch(
        LANS.map(
          (at) => `link add lan${at} netns ${space} type veth peer name r${index + 1}-${at} netns ${lan}`,
        ),
      );
      await ipBatch(
        LANS.flatMap((at) => [
          `link set r${index + 1}-${at} master sw${at}`,
          `link set r${index + 1}-${at} up`,
        ]),
        lan,
      );
      const up = LANS.flatMap((at) => [
        `link set lan${at} up`,
        `addr add 10.${at}.0.${index + 1}/16 dev lan${at}`,
      ]);
      await ipBatch(["link set lo up", ...up], space);
    }
  } catch (error) {
    close();
    throw error;
  }
  const nodes = [nodeOf("r1", routers[0], directory), nodeOf("r2", routers[1], directory)] as const;
  return { directory, nodes, lan: nodeOf("lan", lan, directory), close };
}

/** Everything that trackers look at, as scenarios begin. */
async function furnish(ground: Ground, all: readonly Placed[]): Promise<void> {
  for (const [index, node] of ground.nodes.entries()) {
    const site = siteOf(ground, index);
    for (const placed of all)
      for (const [key, { kind, initially }] of Object.entries(placed.scenario.trackers ?? {})) {
        const name = trackerName(placed, key);
        if (kind === "interface") {
          const peer = `peer-${placed.number}`;
          await ipBatch(
            [`link add ${name} type veth peer name ${peer}`, `link set ${peer} up`],
            node.namespace,
          );
        }
        if (kind === "script") {
          const text = `#!/bin/sh\nread -r code < ${fileOf(site, name)}\nexit "$code"\n`;
          writeFileSync(scriptOf(site, name), text, { mode: 0o700 });
        }
        await change(node, site, placed, key, initially?.[index] ?? (kind === "interface" ? "up" : "0"));
      }
  }
}

async function change(node: LabNode, site: Site, placed: Placed, key: string, value: string): Promise<void> {
  const kind = placed.scenario.trackers?.[key]?.kind;
  const name = trackerName(placed, key);
  if (/^lan\d$/.test(key)) await ipBatch([`link set ${key} ${value}`], node.namespace);
  else if (kind === "interface") await ipBatch([`link set ${name} ${value}`], node.namespace);
  else if (kind === "file" || kind === "script") replaceFile(fileOf(site, name), `${value}\n`);
  else throw new Error(`nothing is called ${key} in ${placed.scenario.title}`);
}

/** Whole at any time: a reader that comes between emptying and writing would take it for 0. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const siteOf = (ground: Ground, index: number): Site => ({
  directory: ground.directory,
  router: index === 0 ? 1 : 2,
});

/** Builds the ground and starts both routers. */
export async function openStage(makes: readonly [Make, Make], all: readonly Placed[]): Promise<Stage> {
  const ground = await openGround();
  const captures: Capture[] = [];
  const players: Player[] = [];
  const close = async (): Promise<void> => {
    try {
      for (const player of players) await player.stop();
      for (const capture of captures) await capture.stop();
    } finally {
      ground.close();
    }
  };
  try {
    await furnish(ground, all);
    for (const at of LANS)
      captures.push(captureAt(ground.lan, `sw${at}`, { capacity: 200_000, snapLength: 64 }));
    const count = all.reduce((sum, { scenario }) => sum + scenario.instances.length, 0);
    for (const [index, make] of makes.entries()) {
      const player = await (make === "firsthop" ? playFirsthop : playKeepalived)(ground, index, all);
      players.push(player);
      // One after the other: who comes first is Active, or in fault, before the other one is there.
      const wanted = index === 0 ? /[AF]/ : /[ABF]/;
      const settled = async (): Promise<boolean> => {
        const states = [...(await player.states()).values()];
        return states.filter((state) => wanted.test(state)).length === count;
      };
      await eventually(`${make} on r${index + 1} runs`, START_BOUND_MS, settled, player.log);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const priorities = listener(captures);
  return {
    title: makes.join(" + "),
    act: async (placed, events) => {
      for (const event of events.split(" ")) {
        const [, router, key, value] = /^r([12])\.(\w+)=(\S+)$/.exec(event) ?? [];
        if (!router || !key || !value) throw new Error(`'${event}' is no event`);
        const index = Number(router) - 1;
        await change(ground.nodes[index]!, siteOf(ground, index), placed, key, value);
      }
    },
    outcomes: async () => {
      const states = await Promise.all(players.map((player) => player.states()));
      const said = priorities();
      return all.map(({ scenario, firstVrid }) =>
        scenario.instances
          .map((_, at) =>
            states.map((by) => stateText(by.get(firstVrid + at), said.get(firstVrid + at))).join("/"),
          )
          .join(" "),
      );
    },
    account: (placed) =>
      players.map((player, at) => `r${at + 1}: ${accountOf(player.log(), placed)}`).join(" | "),
    log: () => players.map((player) => player.log()).join("\n"),
    close,
  };
}

const stateText = (state = "?", said?: number): string => (state === "A" ? `A${said ?? "?"}` : state);

/** keepalived's events are in its log in words, too; that it speaks to its neighbours says nothing new. */
const NOISE = /^INSTANCE|gratuitous ARP|ing VIPs|unsolicited Neighbo|^\{.*runs \d+ virtual routers/;

/** The last lines of a log that speak of a scenario's virtual routers, trackers or group. */
function accountOf(log: string, placed: Placed): string {
  const names = namesOf(placed).map((name) => name.replace(/[^\w-]/g, "\\$&"));
  const mark = new RegExp(`(?<![\\w-])(?:${names.join("|")})(?![\\w-])`);
  const lines = log.split("\n").filter((line) => mark.test(line) && !NOISE.test(line));
  const told = lines.slice(-ACCOUNT_LINES).map((line) => plainLine(line).slice(0, ACCOUNT_LINE_MAX));
  return told.join("; ") || "it says nothing of it";
}

/** firsthop's are JSON. */
function plainLine(line: string): string {
  try {
    const { time, msg } = JSON.parse(line) as { time?: string; msg?: string };
    return `${time?.slice(11, 23)} ${msg}`;
  } catch {
    return line.replace(/^\w+ \w+ +\d+ (\S+) \d+: /, "$1 ");
  }
}

/** The last priority advertised for each VRID; releases are left out. */
function listener(captures: readonly Capture[]): () => ReadonlyMap<number, number> {
  const said = new Map<number, number>();
  const read = captures.map(() => 0);
  return () => {
    captures.forEach((capture, at) => {
      const frames = capture.frames(read[at]);
      read[at] = read[at]! + frames.length;
      for (const { vrid, priority } of readAdverts(frames)) if (priority > 0) said.set(vrid, priority);
    });
    return said;
  };
}

const isUnreachable = (error: unknown): boolean =>
  error instanceof FirsthopError && error.code === "DAEMON_UNREACHABLE";

const LETTER: Readonly<Record<string, string>> = {
  active: "A",
  backup: "B",
  fault: "F",
  MASTER: "A",
  BACKUP: "B",
  FAULT: "F",
};

async function playFirsthop(ground: Ground, index: number, all: readonly Placed[]): Promise<Player> {
  const node = ground.nodes[index]!;
  const config = firsthopConfig(all, siteOf(ground, index));
  // The rest of a lab is not needed to start a daemon.
  const lab = { directory: ground.directory } as Parameters<typeof startDaemon>[0];
  const daemon: LabDaemon = await startDaemon(lab, node as Parameters<typeof startDaemon>[1], config);
  let known: ReadonlyMap<number, string> = new Map();
  return {
    states: async () => {
      const status = await daemon.status().catch((error: unknown) => {
        // On a machine where it does not get to answering, what it said last is what is known.
        if (daemon.process.running() && isUnreachable(error)) return null;
        throw new Error(`${node.name}: ${error}; ${daemon.process.output().slice(-LOG_TAIL)}`);
      });
      if (status)
        known = new Map(status.virtualRouters.map(({ vrid, state }) => [vrid, LETTER[state] ?? "?"]));
      return known;
    },
    log: () => daemon.process.output(),
    stop: async () => void (await daemon.stop()),
  };
}

const NOTIFIED = /^INSTANCE "vr-(\d+)" (MASTER|BACKUP|FAULT) \d+/gm;

/** What it says of states is read where it says it on purpose: its notify FIFO. */
async function playKeepalived(ground: Ground, index: number, all: readonly Placed[]): Promise<Player> {
  const node = ground.nodes[index]!;
  const base = join(ground.directory, `${node.name}-keepalived`);
  const fifo = `${base}.fifo`;
  writeFileSync(`${base}.conf`, keepalivedConfig(all, siteOf(ground, index), fifo));
  for (const file of [`${base}.pid`, `${base}-vrrp.pid`]) rmSync(file, { force: true });
  await node.run("mkfifo", fifo);
  // Opened for both: so it ends neither before the first writer nor after the last.
  const notified = node.spawn(`${node.name}-notified`, "sh", ["-c", 'exec cat <>"$0"', fifo]);
  const child = node.spawn(`${node.name}-keepalived`, KEEPALIVED, [
    ...["--dont-fork", "--log-console", "--log-detail", "--vrrp"],
    ...["--use-file", `${base}.conf`, "--pid", `${base}.pid`, "--vrrp_pid", `${base}-vrrp.pid`],
  ]);
  return {
    states: async () =>
      new Map(
        [...notified.output().matchAll(NOTIFIED)].map(([, vrid, state]) => [
          Number(vrid),
          LETTER[state!] ?? "?",
        ]),
      ),
    log: () => `${notified.output()}${child.output()}`,
    stop: async () => {
      child.kill("SIGTERM");
      await eventually("keepalived ends", START_BOUND_MS, () => !child.running()).catch(() => {
        for (const pid of familyProcesses(base)) killQuietly(pid);
      });
      notified.kill("SIGKILL");
    },
  };
}
