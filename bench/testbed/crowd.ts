/** Daemons of each make with many virtual routers, started and left alone: their advertisements tell the rest. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ipBatch, type LabProcess } from "../../src/lab/namespaces.js";
import type { LabNode } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";
import type { Subject } from "../lib/subjects.js";
import type { Field, Member } from "./field.js";
import { FRR_DAEMONS, zebraListens } from "./frr.js";
import { KEEPALIVED } from "./keepalived.js";
import { familyProcesses, killQuietly } from "./processes.js";

export interface CrowdOptions {
  readonly members: readonly Member[];
  readonly priority: number;
  readonly intervalMs: number;
}

export interface Crowd {
  /** Its processes now; none in the first moments, before each has become what it is. */
  processes(): readonly number[];
  /** Whether all that was started has not ended. */
  running(): boolean;
  /** kill -9 for all of them, and waits until they are gone. What they left in the kernel stays. */
  crash(): Promise<void>;
  log(): string;
  /** How many of its virtual routers have said that they are Backup; null where its log does not tell. */
  standingBy(): number | null;
}

/** What must be done before the clock starts, and the start itself. */
export interface PreparedCrowd {
  start(): Promise<Crowd>;
}

type Prepare = (
  subject: Subject,
  field: Field,
  node: LabNode,
  options: CrowdOptions,
) => Promise<PreparedCrowd>;

const END_BOUND_MS = 20_000;

/** `backupLine`: what its log says of each that became Backup. */
function crowdOf(children: readonly LabProcess[], mark: string, backupLine?: string): Crowd {
  const log = (): string => children.map((child) => child.output()).join("\n");
  return {
    processes: () => familyProcesses(mark),
    running: () => children.every((child) => child.running()),
    crash: async () => {
      for (const child of children) child.kill("SIGKILL");
      await eventually("all processes end", END_BOUND_MS, () => {
        const left = familyProcesses(mark);
        for (const pid of left) killQuietly(pid);
        return left.length === 0 && children.every((child) => !child.running());
      });
    },
    log,
    standingBy: () => (backupLine === undefined ? null : log().split(backupLine).length - 1),
  };
}

/** As a service has it: a shell may tell Node to read certificates at each start, which takes longer than Node itself. */
const SERVICE_ENVIRONMENT = { NODE_EXTRA_CA_CERTS: "", NODE_OPTIONS: "" };

const prepareFirsthop: Prepare = async (subject, field, node, { members, priority, intervalMs }) => {
  const base = join(field.directory, `${node.name}-firsthop`);
  const virtualRouters = members.map((member) => ({
    interface: member.interface,
    vrid: member.vrid,
    priority,
    addresses: [member.address],
    advertisementInterval: `${intervalMs}ms`,
  }));
  writeFileSync(`${base}.yaml`, JSON.stringify({ virtualRouters, log: { format: "json" } }));
  const main = join(subject.root!, "dist/cli/main.js");
  return {
    start: async () => {
      const args = [
        ...[main, "run", "-c", `${base}.yaml`, "--socket", `${base}.sock`],
        ...["--state-directory", `${base}-state`],
      ];
      const child = node.spawn(`${node.name}-firsthop`, process.execPath, args, SERVICE_ENVIRONMENT);
      return crowdOf([child], `${base}.yaml`, '"to":"backup"');
    },
  };
};

function keepalivedInstance(member: Member, options: CrowdOptions, subject: Subject): string[] {
  const name = `${member.interface}_${member.vrid}_${member.family}`;
  const device = `v${member.interface.slice(3)}.${member.vrid}.${member.family === "ipv4" ? 4 : 6}`;
  return [
    `vrrp_instance ${name} {`,
    "  state BACKUP",
    `  interface ${member.interface}`,
    "  version 3",
    `  virtual_router_id ${member.vrid}`,
    `  priority ${options.priority}`,
    `  advert_int ${options.intervalMs / 1000}`,
    ...(subject.variant.virtualMac ? [`  use_vmac ${device}`] : []),
    "  virtual_ipaddress {",
    `    ${member.address}`,
    "  }",
    "}",
  ];
}

const prepareKeepalived: Prepare = async (subject, field, node, options) => {
  const base = join(field.directory, `${node.name}-keepalived`);
  const rt = subject.variant.realtimePriority;
  const text = [
    "global_defs {",
    "  router_id bench",
    "  vrrp_version 3",
    ...(rt ? [`  vrrp_rt_priority ${rt}`, "  vrrp_no_swap"] : []),
    "}",
    ...options.members.flatMap((member) => keepalivedInstance(member, options, subject)),
    "",
  ];
  writeFileSync(`${base}.conf`, text.join("\n"));
  for (const file of [`${base}.pid`, `${base}-vrrp.pid`]) rmSync(file, { force: true });
  return {
    start: async () => {
      const child = node.spawn(`${node.name}-keepalived`, KEEPALIVED, [
        ...["--dont-fork", "--log-console", "--vrrp", "--use-file", `${base}.conf`],
        ...["--pid", `${base}.pid`, "--vrrp_pid", `${base}-vrrp.pid`],
      ]);
      return crowdOf([child], base, "Entering BACKUP STATE");
    },
  };
};

/**
 * One entry for each interface and VRID: FRR's virtual router has both families. In one step, as vtysh hands it over:
 * line by line each costs a copy of all before it, and vrrpd reads a thousand virtual routers for more than a minute.
 */
function frrText(options: CrowdOptions): string {
  const blocks = new Map<string, string[]>();
  for (const { interface: port, vrid, family, address } of options.members) {
    const lines = blocks.get(port) ?? [`interface ${port}`];
    blocks.set(port, lines);
    const head = ` vrrp ${vrid} version 3`;
    if (!lines.includes(head)) {
      lines.push(head, ` vrrp ${vrid} priority ${options.priority}`);
      lines.push(` vrrp ${vrid} advertisement-interval ${options.intervalMs}`);
    }
    lines.push(` vrrp ${vrid} ${family === "ipv4" ? "ip" : "ipv6"} ${address.replace(/\/.*/, "")}`);
  }
  const all = [...blocks.values()].flatMap((lines) => [...lines, "exit", "!"]);
  return ["XFRR_start_configuration", ...all, "XFRR_end_configuration", ""].join("\n");
}

function frrDevice({ interface: port, vrid, family, address }: Member): string[] {
  const name = `m${port.slice(3)}.${vrid}.${family === "ipv4" ? 4 : 6}`;
  const kind = family === "ipv4" ? "01" : "02";
  const mac = `00:00:5e:00:${kind}:${vrid.toString(16).padStart(2, "0")}`;
  return [
    `link add ${name} link ${port} address ${mac} type macvlan mode bridge`,
    `link set ${name} addrgenmode ${family === "ipv4" ? "none" : "random"}`,
    `addr add ${address} dev ${name}${family === "ipv4" ? "" : " nodad"}`,
    `link set ${name} up`,
  ];
}

const prepareFrr: Prepare = async (_subject, field, node, options) => {
  const base = join(field.directory, `${node.name}-frr`);
  mkdirSync(base, { recursive: true });
  await ipBatch(options.members.flatMap(frrDevice), node.path.replace(/.*\//, ""));
  writeFileSync(`${base}/zebra.conf`, "");
  writeFileSync(`${base}/vrrpd.conf`, frrText(options));
  rmSync(`${base}/zserv.api`, { force: true });
  const spawn = (daemon: string): LabProcess =>
    node.spawn(`${node.name}-${daemon}`, `${FRR_DAEMONS}/${daemon}`, [
      ...["-u", "root", "-g", "frrvty", "-P", "0", "--log", "stdout", "-z", `${base}/zserv.api`],
      ...["-f", `${base}/${daemon}.conf`, "-i", `${base}/${daemon}.pid`, "--vty_socket", base],
    ]);
  return {
    start: async () => {
      const zebra = spawn("zebra");
      await eventually("zebra listens", END_BOUND_MS, () => zebraListens(base), zebra.output);
      return crowdOf([zebra, spawn("vrrpd")], base);
    },
  };
};

const PREPARE: Readonly<Record<Subject["make"], Prepare>> = {
  firsthop: prepareFirsthop,
  keepalived: prepareKeepalived,
  frr: prepareFrr,
};

/** Writes what a daemon needs, without starting it. */
export function prepareCrowd(
  subject: Subject,
  field: Field,
  node: LabNode,
  options: CrowdOptions,
): Promise<PreparedCrowd> {
  return PREPARE[subject.make](subject, field, node, options);
}
